"""Merging OpenAPI documents, and a page of the result."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final, cast

import msgspec

Document = dict[str, "object"]

HIDDEN: Final = ("/internal", "/health", "/metrics", "/schema/")
METHODS: Final = ("get", "post", "put", "patch", "delete")


def merged(title: str, version: str, documents: Mapping[str, bytes]) -> Document:
    """One document of several: paths as seen from outside, schemas named by their service."""
    paths: dict[str, object] = {}
    schemas: dict[str, object] = {}
    for service, raw in documents.items():
        # Two services may use one name for two shapes.
        renamed = raw.replace(b'"#/components/schemas/', f'"#/components/schemas/{service}.'.encode())
        document = _table(msgspec.json.decode(renamed))
        for path, item in _table(document.get("paths")).items():
            if not path.startswith(HIDDEN):
                paths[f"/api{path}"] = _tagged(_table(item), service)
        for name, schema in _table(_table(document.get("components")).get("schemas")).items():
            schemas[f"{service}.{name}"] = schema
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def page(document: Document, silent: Iterable[str]) -> str:
    """A page that needs nothing but itself and one style sheet."""
    services: dict[str, list[str]] = {}
    for path, item in sorted(_table(document["paths"]).items()):
        for method in METHODS:
            operation = _table(_table(item).get(method))
            if operation:
                service = str(cast("list[object]", operation["tags"])[0])
                words = str(operation.get("description") or operation.get("summary") or "")
                services.setdefault(service, []).append(
                    f"<tr><td><code>{method.upper()}</code><td><code>{escape(path)}</code><td>{escape(words)}"
                )
    sections = "".join(
        f"<h2>{escape(service)}</h2><table><tr><th>Method<th>Path<th>What it does{''.join(rows)}</table>"
        for service, rows in sorted(services.items())
    )
    missing = ", ".join(silent)
    note = f"<p role=status>Not answering just now, so not listed: {escape(missing)}.</p>" if missing else ""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Recoup API</title><link rel=stylesheet href=/docs/style.css><main><h1>Recoup API</h1>"
        "<p>Every call carries <code>Authorization: Bearer</code> with an access token or"
        " an API key, or <code>X-Api-Key</code>."
        " The whole document, with every schema: <a href=/docs/openapi.json>openapi.json</a>.</p>"
        f"{note}{sections}</main></html>"
    )


STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 1rem 0.35rem 0; border-bottom: 1px solid #8884; }
code { font: 0.9em ui-monospace, monospace; white-space: nowrap; }
"""


def _tagged(item: dict[str, object], service: str) -> dict[str, object]:
    return {
        key: {**_table(value), "tags": [service], "operationId": f"{service}.{_table(value).get('operationId')}"}
        if key in METHODS
        else value
        for key, value in item.items()
    }


def _table(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}

"""The page at `/docs`: every route with its parameters, bodies and answers, and every error code. Needs no script."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final, NamedTuple, cast

from recoup.services.platform.docs.domain.documents import METHODS, Document, table
from recoup.services.platform.docs.domain.errors import ERROR_CODES

_DEEPEST: Final = 6
"""Schemas nest no further on the page; the document has them whole."""


class Route(NamedTuple):
    """One operation of the document."""

    method: str
    path: str
    operation: Mapping[str, object]


def page(document: Document, silent: Iterable[str]) -> str:
    """A page that needs nothing but itself and one style sheet."""
    services = _by_service(document)
    schemas = table(table(document.get("components")).get("schemas"))
    contents = "".join(f"<li><a href='#{escape(name)}'>{escape(name)}</a>" for name in services)
    sections = "".join(
        f"<section><h2 id='{escape(service)}'>{escape(service)}</h2>"
        f"{''.join(_route(route, schemas) for route in routes)}</section>"
        for service, routes in services.items()
    )
    missing = ", ".join(silent)
    note = f"<p role=status>Not answering just now, so not listed: {escape(missing)}.</p>" if missing else ""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Recoup API</title><link rel=icon href=/console/icon.svg><link rel=stylesheet href=/docs/style.css>"
        "<main><h1>Recoup API</h1>"
        "<p>Every call carries <code>Authorization: Bearer</code> with an access token or an API key, or"
        " <code>X-Api-Key</code>. Who belongs to several stores names one by <code>?store_id=</code>."
        " The whole document, with every schema: <a href=/docs/openapi.json>openapi.json</a>.</p>"
        f"<nav aria-label=Contents><ul>{contents}<li><a href='#errors'>error codes</a></ul></nav>"
        f"{note}{sections}{_errors()}</main></html>"
    )


def _by_service(document: Document) -> dict[str, list[Route]]:
    services: dict[str, list[Route]] = {}
    for path, item in sorted(table(document["paths"]).items()):
        for method in METHODS:
            operation = table(table(item).get(method))
            if operation:
                service = str(cast("list[object]", operation["tags"])[0])
                services.setdefault(service, []).append(Route(method, path, operation))
    return dict(sorted(services.items()))


def _route(route: Route, schemas: Mapping[str, object]) -> str:
    operation = route.operation
    words = _prose(str(operation.get("description") or operation.get("summary") or ""))
    parts = "".join((_parameters(operation, schemas), _body(operation, schemas), _answers(operation, schemas)))
    return (
        f"<details><summary><code class={route.method}>{route.method.upper()}</code>"
        f" <code>{escape(route.path)}</code> <span>{words}</span></summary>{parts}</details>"
    )


def _prose(words: str) -> str:
    """Text in which what stands between backticks is code."""
    parts = escape(words).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _parameters(operation: Mapping[str, object], schemas: Mapping[str, object]) -> str:
    found = [table(one) for one in cast("list[object]", operation.get("parameters") or [])]
    if not found:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(str(one.get('name')))}</code><td>{escape(str(one.get('in')))}"
        f"<td>{_kind(table(one.get('schema')), schemas)}{'' if one.get('required') else ', may be left out'}"
        f"<td>{_prose(str(one.get('description') or ''))}"
        for one in found
    )
    return f"<h3>Parameters</h3><table><tr><th>Name<th>In<th>Kind<th>Meaning{rows}</table>"


def _body(operation: Mapping[str, object], schemas: Mapping[str, object]) -> str:
    content = table(table(operation.get("requestBody")).get("content"))
    return "".join(f"<h3>Body: {escape(kind)}</h3>{_shape(table(one), schemas)}" for kind, one in content.items())


def _answers(operation: Mapping[str, object], schemas: Mapping[str, object]) -> str:
    good = {status: table(one) for status, one in table(operation.get("responses")).items() if status != "default"}
    return "".join(
        f"<h3>Answer {escape(status)}{': ' + escape(kind) if kind else ''}</h3>{_shape(table(content), schemas)}"
        for status, one in good.items()
        for kind, content in (table(one.get("content")) or {"": {}}).items()
    )


def _shape(content: Mapping[str, object], schemas: Mapping[str, object]) -> str:
    lines = list(_fields(table(content.get("schema")), schemas, 0, ()))
    return (
        f"<ul>{''.join(lines)}</ul>"
        if lines
        else f"<p>{_kind(table(content.get('schema')), schemas) or 'Nothing.'}</p>"
    )


def _fields(
    schema: Mapping[str, object], schemas: Mapping[str, object], depth: int, seen: tuple[str, ...]
) -> Iterator[str]:
    """The fields of an object, or of a list's objects, as nested lists; a shape inside itself is named only."""
    name = _referred(schema)
    if name in seen or depth > _DEEPEST:
        return
    whole = table(schemas.get(name)) if name else schema
    if "items" in whole:
        yield from _fields(table(whole["items"]), schemas, depth, seen)
        return
    needed = cast("list[object]", whole.get("required") or [])
    for field, one in table(whole.get("properties")).items():
        inner = "".join(_fields(table(one), schemas, depth + 1, (*seen, name) if name else seen))
        said = str(table(one).get("description") or "")
        optional = "" if field in needed else ", may be left out"
        yield (
            f"<li><code>{escape(field)}</code> <i>{_kind(table(one), schemas)}{optional}</i> {_prose(said)}"
            f"{'<ul>' + inner + '</ul>' if inner else ''}"
        )


def _referred(schema: Mapping[str, object]) -> str:
    """The name of the shape a schema is, or of the only one besides null."""
    for one in (schema, *(table(each) for each in cast("list[object]", schema.get("oneOf") or ()))):
        if "$ref" in one:
            return str(one["$ref"]).rpartition("/")[2]
    return ""


def _kind(schema: Mapping[str, object], schemas: Mapping[str, object]) -> str:
    """What a value is, in a few words."""
    if "$ref" in schema:
        named = table(schemas.get(_referred(schema)))
        return _kind(named, schemas) if "enum" in named else escape(_referred(schema).rpartition(".")[2])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in cast("list[object]", schema["enum"]))
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " or ".join(_kind(table(one), schemas) for one in cast("list[object]", schema[several]))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(table(schema.get('items')), schemas) or 'values'}"
    names = cast("list[object]", kind) if isinstance(kind, list) else [kind] if kind else []
    known = " or ".join(escape(str(one)) for one in names)
    return f"{known} ({escape(str(schema['format']))})" if "format" in schema else known


def _errors() -> str:
    groups = "".join(
        f"<h3>{escape(group)}</h3><table><tr><th>Code<th>Meaning<th>What to do"
        + "".join(
            f"<tr id='error-{one.code}'><td><code>{one.code}</code><td>{_prose(one.meaning)}<td>{_prose(one.remedy)}"
            for one in codes
        )
        + "</table>"
        for group, codes in ERROR_CODES.items()
    )
    return (
        "<section><h2 id=errors>error codes</h2><p>Whatever is refused is answered with a problem document (RFC 9457,"
        " <code>application/problem+json</code>): <code>code</code> stays the same for good, <code>detail</code> says"
        " what was wrong with which value, <code>problems</code> names each broken rule with its field and its code,"
        f" and <code>trace_id</code> finds the request in the logs.</p>{groups}</section>"
    )


STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --line: #8885; }
body { margin: 0; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
a { color: light-dark(#075e45, #6fd3ae); }
nav ul { display: flex; flex-wrap: wrap; gap: 0 1.25rem; padding: 0; list-style: none; }
h2 { margin: 2.5rem 0 0.5rem; }
h3 { margin: 1rem 0 0.25rem; font-size: 1rem; }
details { border-bottom: 1px solid var(--line); }
summary { padding: 0.5rem 0; cursor: pointer; }
summary span { display: block; padding-left: 1.1rem; }
details[open] { padding: 0 0 1rem 1.1rem; }
details[open] > summary { margin-left: -1.1rem; font-weight: 600; }
details ul { margin: 0; padding-left: 1.25rem; }
i { opacity: 0.8; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 1rem 0.35rem 0; border-bottom: 1px solid var(--line); }
td:first-child { width: 16rem; }
code { font: 0.9em ui-monospace, monospace; }
summary > code:first-child { display: inline-block; min-width: 4em; font-weight: 700; }
@media (max-width: 40rem) {
  th { display: none; }
  tr { display: block; padding: 0.35rem 0; border-bottom: 1px solid var(--line); }
  td { display: block; width: auto !important; padding: 0; border: 0; }
}
"""

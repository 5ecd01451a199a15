"""Merging the OpenAPI documents of all services into one, as it is seen from outside."""

from collections.abc import Mapping
from typing import Final, cast

import msgspec

Document = dict[str, "object"]

HIDDEN: Final = ("/internal", "/health", "/metrics", "/schema/")
METHODS: Final = ("get", "post", "put", "patch", "delete")


PROBLEM: Final[Mapping[str, object]] = {
    "type": "object",
    "required": ["title", "status", "code", "detail", "trace_id"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stays the same for good; what each means is said at /docs"},
        "detail": {"type": "string", "description": "What was wrong, with the value; may change its words"},
        "trace_id": {"type": "string", "description": "Finds the request in the logs"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "field": {"type": "string", "description": "Where, as a dotted path"},
                    "index": {"type": "integer", "description": "Where, in a list"},
                },
            },
        },
    },
}
"""What every answer that refuses holds (RFC 9457)."""
_REFUSED: Final[Document] = {
    "description": "What was wrong, as a problem document",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


_REGISTRY: Final[Document] = {
    "description": "What was wrong, as clients of Confluent's registry know it, with our code",
    "content": {
        "application/vnd.schemaregistry.v1+json": {
            "schema": {
                "type": "object",
                "required": ["error_code", "message", "code"],
                "properties": {
                    "error_code": {"type": "integer"}, "message": {"type": "string"}, "code": {"type": "string"},
                },
            }
        }
    },
}  # fmt: skip


def merged(title: str, version: str, documents: Mapping[str, bytes]) -> Document:
    """One document of several: paths as seen from outside, schemas named by their service."""
    paths: dict[str, object] = {}
    schemas: dict[str, object] = {"Problem": PROBLEM}
    for service, raw in documents.items():
        # Two services may use one name for two shapes.
        renamed = raw.replace(b'"#/components/schemas/', f'"#/components/schemas/{service}.'.encode())
        document = table(msgspec.json.decode(renamed))
        for path, item in table(document.get("paths")).items():
            if not path.startswith(HIDDEN):
                refused = _REGISTRY if path.startswith("/registry/") else _REFUSED
                paths[f"/api{path}"] = _tagged(table(item), service, refused)
        for name, schema in table(table(document.get("components")).get("schemas")).items():
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


def _tagged(item: Document, service: str, refused: Document) -> Document:
    return {key: _operation(table(value), service, refused) if key in METHODS else value for key, value in item.items()}


def _operation(operation: Document, service: str, refused: Document) -> Document:
    """As its service describes it, and refusals as they really are."""
    answers = {status: answer for status, answer in table(operation.get("responses")).items() if status < "4"}
    return {
        **operation,
        "tags": [service],
        "operationId": f"{service}.{operation.get('operationId')}",
        "responses": {**answers, "default": refused},
    }


def table(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}

"""A request for every writing operation there is: made of the operation's own document, and helped where that is vague.

What one request made is what a later one changes: `{user_id}` is filled with the id of the newest user, and so on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

Document = dict[str, Any]
METHODS = ("post", "put", "patch", "delete")

ASKS = {
    # Reads, whose question is too long for a path.
    "POST /api/graphql", "POST /api/predict", "POST /api/predict/batch", "POST /api/schemas/{name}/check",
    "POST /api/routing/rules/try", "POST /api/registry/subjects/{subject}",
    "POST /api/registry/compatibility/subjects/{subject}/versions",
    "POST /api/registry/compatibility/subjects/{subject}/versions/{version}",
    # Takes in what shoppers do: that is kept as events.
    "POST /api/events", "POST /api/events/batch", "POST /api/track/{intervention_id}",
}  # fmt: skip
PUBLIC = ("/api/auth/", "/api/v1/", "/api/webhooks/shopify/", "/api/webhooks/woocommerce/", "/api/unsubscribe/")
"""Nobody we know asks there."""
LONG = {"POST /api/models/train"}
"""Work of seconds, and tried by others."""

CHANGED = {
    "api-keys", "stores", "config", "schemas", "schema-settings", "registry", "users", "webhooks", "routing", "dlq",
    "preferences", "anomalies", "jobs",
}  # fmt: skip
"""Where requests made like this succeed; of whatever comes later some will, and are held to the same."""

AVRO = '{"type": "string"}'
BODIES: dict[str, object] = {
    "POST /api/users": {"email": "grace@example.com", "role": "viewer"},
    "PATCH /api/users/{user_id}": {"role": "analyst"},
    "POST /api/api-keys": {"kind": "publishable_key", "name": "one more"},
    "POST /api/stores": {"name": "One more"},
    "PATCH /api/stores/{store}": {"name": "Renamed"},
    "PUT /api/config": {"name": "the shop, renamed"},
    "POST /api/schemas": {"name": "tried", "schema": '{"type": "object"}'},
    "PUT /api/schemas/{name}": {"schema": '{"type": "object", "title": "again"}'},
    "PUT /api/schemas/{name}/settings": {"compatibility": "FULL"},
    "PUT /api/schema-settings": {"compatibility": "BACKWARD"},
    "POST /api/registry/subjects/{subject}/versions": {"schema": AVRO},
    "PUT /api/registry/config": {"compatibility": "BACKWARD"},
    "PUT /api/registry/config/{subject}": {"compatibility": "FULL"},
    "PUT /api/registry/mode": {"mode": "READWRITE"},
    "PUT /api/registry/mode/{subject}": {"mode": "READWRITE"},
    "PUT /api/webhooks/secrets/{platform}": {"secret": "hush-hush-hush-hush"},
    "POST /api/routing/destinations": {"name": "kept", "kind": "topic"},
    "PUT /api/preferences/{user_id}": {"opted_out": True},
    "POST /api/anomalies/report": {"subject": "orders", "detail": "I see none"},
}
WORDS = {"name": "tried", "subject": "tried-value", "platform": "shopify", "version": "1", "user_id": "tried"}
MADE = {
    "POST /api/stores": "made_store",
    "POST /api/users": "invitation_id",
    "POST /api/api-keys": "key_id",
    "POST /api/routing/destinations": "destination_id",
    "POST /api/routing/rules": "rule_id",
    "POST /api/anomalies/report": "anomaly",
}
"""What a POST makes, by the name under which later paths ask for it."""


@dataclass(frozen=True)
class Operation:
    """One writing method on one path."""

    method: str
    path: str
    described: Document
    schemas: Mapping[str, Document]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    def body(self) -> object:
        content = self.described.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return BODIES.get(self.name, None if schema is None else self._sample(schema))

    def url(self, known: Mapping[str, str]) -> str:
        parts = (part.strip("{}") if part.startswith("{") else None for part in self.path.split("/"))
        filled = (
            literal if name is None else known.get(name, WORDS.get(name, str(uuid4())))
            for name, literal in zip(parts, self.path.split("/"), strict=True)
        )
        return "/".join(filled)

    def _sample(self, schema: Document) -> object:
        """The least that fits a schema, more or less."""
        if "$ref" in schema:
            return self._sample(self.schemas[schema["$ref"].rpartition("/")[2]])
        for either in ("oneOf", "anyOf", "allOf"):
            if either in schema:
                return self._sample(schema[either][0])
        if "enum" in schema or "const" in schema:
            return schema.get("const", *schema.get("enum", [None])[:1])
        properties = schema.get("properties", {})
        if properties or schema.get("type") == "object":
            return {name: self._sample(properties[name]) for name in schema.get("required", ()) if name in properties}
        kinds = {"integer": 1, "number": 1, "boolean": True, "array": []}
        return kinds.get(schema.get("type", "string"), "tried")


@dataclass
class Attempts:
    """What was asked, and what came of it."""

    done: dict[str, str] = field(default_factory=dict)
    """Operations that succeeded, by request id."""
    refused: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)


def operations(document: Document) -> Iterator[Operation]:
    """Everything that writes: what makes something first, what removes it last."""
    schemas = document["components"]["schemas"]
    for method in METHODS:
        for path, item in sorted(document["paths"].items()):
            if method in item and not path.startswith(PUBLIC):
                yield Operation(method, path, item[method], schemas)

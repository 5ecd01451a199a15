"""What of an event is held against its schema, and where in the event a place in that document is.

A schema describes an event's `properties`. Fields of the event that it names as well (`order_id`, `items`, `context`)
are lent to that document where the properties have nothing of that name; so a schema that allows nothing more than it
names need not name what every event has. A schema that names `properties` describes the whole event instead.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast
from uuid import UUID

import msgspec

from recoup.kit.schemas.source import Validator
from recoup.messages.events import Context

Table = Mapping[str, object]

DEEPEST: Final = 100
"""How far an event's properties may be nested to be held against a schema."""
ENVELOPE: Final = frozenset({
    "event_id", "type", "occurred_at", "sent_at", "schema_version", "store_id", "cart_id", "user_id", "anonymous_id",
    "session_id", "items", "amount", "currency", "order_id", "coupon", "discount", "context",
})  # fmt: skip
_PROPERTIES: Final = "properties"
_PLAIN: Final = ENVELOPE - {"event_id", "occurred_at", "sent_at", "items", "context"}


def columns_for(names: frozenset[str]) -> set[str]:
    """The columns of RAW that a document with these names is made from."""
    wanted = ENVELOPE if _PROPERTIES in names else ENVELOPE & names
    # Migrations of money go by the currency.
    found = {*wanted, _PROPERTIES, "schema_version", "currency"} - {"context"}
    return found | set(Context.__struct_fields__) if "context" in wanted else found


def event_of(row: Table) -> dict[str, object]:
    """A row of RAW, or some of its columns, as the JSON of an event; what is not said is left out."""
    event = {name: row[name] for name in _PLAIN & row.keys() if row[name] is not None}
    if row.get("event_id") is not None:
        event["event_id"] = str(UUID(bytes=cast("bytes", row["event_id"])))
    for name in ("occurred_at", "sent_at"):
        if row.get(name) is not None:
            event[name] = cast("datetime", row[name]).isoformat().replace("+00:00", "Z")
    if row.get("items"):
        event["items"] = [_said(line) for line in cast("list[Table]", row["items"])]
    if context := _said({name: row[name] for name in Context.__struct_fields__ if name in row}):
        event["context"] = context
    if row.get(_PROPERTIES) is not None:
        event[_PROPERTIES] = decoded(cast("str", row[_PROPERTIES]))
    return event


def _said(values: Table) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def decoded(text: str | bytes) -> object:
    """Properties as values; None where they are nested too deeply to be looked at."""
    opened = text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")
    try:
        found: object = msgspec.json.decode(text)
    except RecursionError:
        return None
    return found if opened <= DEEPEST or _depth(found) <= DEEPEST else None


def _depth(value: object) -> int:
    layers, layer = 0, [value]
    while layer := [inner for outer in layer for inner in _inner(outer)]:
        layers += 1
    return layers


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def own(event: Table) -> Table:
    """What the shop said in properties."""
    return cast("Table", event.get(_PROPERTIES) or {})


def document(event: Table, validator: Validator) -> object:
    """What is held against the schema."""
    if _PROPERTIES in validator.names:
        return event
    properties = own(event)
    lent = (validator.names & ENVELOPE) - properties.keys()
    return {**properties, **{name: event[name] for name in lent if name in event}}


def place(path: str, event: Table, validator: Validator) -> str:
    """Where in the event a place in the document is."""
    first = path.partition(".")[0].partition("[")[0]
    if _PROPERTIES in validator.names or (first in ENVELOPE and first not in own(event)):
        return path
    return f"{_PROPERTIES}.{path}" if path else _PROPERTIES

"""What a receiver gets: an event as a JSON document, one or several in an envelope, and the signature over it.

The signature is that of Standard Webhooks: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, keyed with the
bytes behind `whsec_`; while a secret is being replaced there are two, with a space between.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec
import pyarrow as pa

from recoup.kit.config import Secret
from recoup.messages.events import ENRICHED
from recoup.services.pipeline.routing.domain.rules import Form

ROUTED: Final = pa.schema([*ENRICHED, pa.field("routed_by", pa.list_(pa.string()))])
"""Rows of a store's own topic: enriched events, and the names of the rules that copied them."""

_HIDDEN: Final = frozenset({"raw_partition", "raw_offset"})
_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32
BATCH_TYPE: Final = "events.routed"


def routed(rows: pa.Table, rules: Sequence[Sequence[str]]) -> pa.Table:
    """Rows with the names of their rules."""
    return rows.append_column(ROUTED.field("routed_by"), pa.array(rules, pa.list_(pa.string())))


def documents(rows: pa.Table) -> list[dict[str, object]]:
    """Each row as a JSON object without what is not known. Row by row: it ends as one text a row."""
    return [_document(row) for row in rows.to_pylist()]


def _document(row: Mapping[str, object]) -> dict[str, object]:
    found = {name: value for name, value in row.items() if value is not None and name not in _HIDDEN}
    found["event_id"] = str(UUID(bytes=bytes(row["event_id"])))  # pyright: ignore[reportArgumentType] - 16 bytes by schema
    if "properties" in found:
        found["properties"] = msgspec.Raw(str(found["properties"]).encode())
    if "items" in found:
        lines: Sequence[Mapping[str, object]] = found["items"]  # pyright: ignore[reportAssignmentType] - a list of structs by schema
        found["items"] = [{name: value for name, value in line.items() if value is not None} for line in lines]
    return found


def bodies(events: Sequence[Mapping[str, object]], form: Form, at: datetime, most: int) -> list[tuple[str, bytes, int]]:
    """Bodies to send, each with what tells it from its neighbours and how many events it holds."""
    if form is Form.SINGLE:
        return [(str(event["event_id"]), _body(str(event["type"]), event["occurred_at"], event), 1) for event in events]
    parts = [events[start : start + most] for start in range(0, len(events), most)]
    return [(str(number), _body(BATCH_TYPE, at, {"events": part}), len(part)) for number, part in enumerate(parts)]


def _body(type_: str, at: object, data: object) -> bytes:
    return msgspec.json.encode({"type": type_, "timestamp": at, "data": data})


def written_secret(randomness: bytes) -> Secret:
    """A secret as it is shown once."""
    return Secret(_PREFIX + base64.b64encode(randomness[:_KEY_BYTES]).decode())


def signature(secrets: Sequence[Secret], id_: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one for each secret in force, the newest first."""
    signed = f"{id_}.{timestamp}.".encode() + body
    keys = [base64.b64decode(secret.reveal().removeprefix(_PREFIX)) for secret in secrets]
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode() for key in keys)


def headers(secrets: Sequence[Secret], id_: str, timestamp: int, body: bytes) -> dict[str, str]:
    """What goes along with a body."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Recoup-Webhooks/1",
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secrets, id_, timestamp, body),
    }

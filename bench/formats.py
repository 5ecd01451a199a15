"""The same events in five formats: bytes and processor time an event, each way.

    python -m bench formats                  about a minute
    python -m bench formats --seconds 0.05   a few seconds

Rows of JSON, Protobuf, MessagePack and Avro go from objects to bytes and back, as a client and a collector need them;
Arrow goes from columns to bytes and back, as everything behind the collector needs them, and once from objects. What
each format is decoded into is said beside it, since that is where most of the time goes. Events are those of the path
bench. Baseline: JSON by msgspec.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from unittest.mock import patch

import fastavro
import msgspec
import numpy as np
import pyarrow as pa

from bench.lib.load import Bodies
from recoup.kit import wire
from recoup.kit.log import arrow
from recoup.messages.events import RAW, Context, Event, Item
from recoup.services.pipeline.collect.domain import protobuf
from recoup.services.pipeline.collect.domain.columns import columns_of
from recoup.services.pipeline.collect.domain.rows import Arrived, rows_of, table_of

RECORD_ROWS = (62, 500, 4_000)
"""What a partition gets of a request of 500; the request; what the processor writes when it is busy."""
BATCH = 500
ROUNDS = 20
NEVER, ALWAYS = 1 << 30, 0
NOW = datetime.now(UTC)


class Way(NamedTuple):
    """A format: how so many events become bytes, and bytes something that can be worked with."""

    name: str
    events: int
    encode: Callable[[], bytes]
    decode: Callable[[bytes], object]
    into: str


class Figures(NamedTuple):
    """Of one event."""

    size: float
    encode_us: float
    decode_us: float


def sample(count: int) -> list[Event]:
    decode = msgspec.json.Decoder(list[Event]).decode
    bodies = Bodies()
    return [event for _ in range(-(-count // 500)) for event in decode(bodies.next())][:count]


def _record(name: str, fields: Sequence[dict[str, object]]) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": fields}


def _avro(kind: type[msgspec.Struct]) -> list[dict[str, object]]:
    """Fields of a Struct as Avro's; what may be left out is a union with null, whose default it is."""
    text = {"type": ["null", "string"], "default": None}
    whole = {"type": ["null", "long"], "default": None}
    known: dict[str, Any] = {
        "event_id": {"type": {"type": "fixed", "name": "Id", "size": 16}},
        "occurred_at": {"type": {"type": "long", "logicalType": "timestamp-millis"}},
        "sent_at": {"type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None},
        "type": {"type": "string"}, "product_id": {"type": "string"},
        "schema_version": {"type": "long"}, "quantity": {"type": "long"}, "price": {"type": "long"},
        "amount": whole, "discount": whole,
    }  # fmt: skip
    if kind is Event:
        known["items"] = {"type": {"type": "array", "items": _record("Item", _avro(Item))}}
        known["context"] = {"type": _record("Context", _avro(Context))}
    return [{"name": name, **known.get(name, text)} for name in kind.__struct_fields__]


def _plain(event: Event) -> dict[str, object]:
    table = msgspec.structs.asdict(event)
    return {
        **table, "event_id": event.event_id.bytes, "properties": None, "context": msgspec.structs.asdict(event.context),
        "items": [msgspec.structs.asdict(item) for item in event.items],
    }  # fmt: skip


def avro(events: Sequence[Event]) -> Way:
    schema = fastavro.parse_schema(_record("Event", _avro(Event)))
    tables = [_plain(event) for event in events]

    def encode() -> bytes:
        out = io.BytesIO()
        for table in tables:
            fastavro.schemaless_writer(out, schema, table)
        return out.getvalue()

    def decode(value: bytes) -> object:
        source = io.BytesIO(value)
        return [fastavro.schemaless_reader(source, schema, None) for _ in tables]

    return Way("Avro (fastavro)", len(events), encode, decode, "dicts, from dicts")


def protobufs(events: Sequence[Event]) -> list[Way]:
    kind = wire.message_class("recoup.messages", "events.binpb", "recoup.events.v1.EventBatch")
    ready = kind(events=[_message(event) for event in events])

    def encode() -> bytes:
        return kind(events=[_message(event) for event in events]).SerializeToString()

    def to_events(value: bytes) -> object:
        return msgspec.convert(protobuf.tables(protobuf.batch(value).events), list[Event])

    return [
        Way("Protobuf, the library alone", len(events), ready.SerializeToString, kind.FromString, "its messages"),
        Way("Protobuf", len(events), encode, to_events, "Events"),
    ]


def _message(event: Event) -> dict[str, object]:
    """What the message's constructor takes; absent is absent."""
    table = msgspec.to_builtins(event, builtin_types=(datetime,))
    moment: datetime = table["occurred_at"]
    return {**table, "event_id": event.event_id.bytes, "occurred_at": round(moment.timestamp() * 1000)}


def _table(events: Sequence[Event]) -> pa.Table:
    none = np.zeros(len(events), dtype=np.int64)
    table = table_of(columns_of(events), "store", NOW, none.astype(bool), from_shop=False)
    return rows_of([Arrived("store", table, none)]).table


def arrows(events: Sequence[Event]) -> list[Way]:
    ways: list[Way] = []
    for rows in RECORD_ROWS:
        table = _table(events[:rows])
        for name, threshold in (("plain", NEVER), ("LZ4", ALWAYS)):

            def encode(table: pa.Table = table, threshold: int = threshold) -> bytes:
                with patch.object(arrow, "_COMPRESS_FROM", threshold):
                    return arrow.encode(table)

            ways.append(Way(f"Arrow, {rows:,} rows, {name}", rows, encode, _columns, "columns, from columns"))
    few = events[:BATCH]
    ways.append(
        Way(f"Arrow, {BATCH} rows, LZ4", BATCH, lambda: arrow.encode(_table(few)), _columns, "columns, from Events")
    )
    return ways


def _columns(value: bytes) -> object:
    return arrow.joined([value], RAW)


def ways(events: Sequence[Event]) -> list[Way]:
    few = events[:BATCH]
    packed = msgspec.msgpack.Decoder(list[Event])
    text = msgspec.json.Decoder(list[Event])
    return [
        Way("JSON (msgspec)", BATCH, lambda: msgspec.json.encode(few), text.decode, "Events"),
        Way("MessagePack (msgspec)", BATCH, lambda: msgspec.msgpack.encode(few), packed.decode, "Events"),
        *protobufs(few),
        avro(few),
        *arrows(events),
    ]


def microseconds(act: Callable[[], object], events: int, seconds: float) -> float:
    """Processor time an event: the best of some rounds, since others work on this machine too."""
    best = float("inf")
    for _ in range(ROUNDS):
        turns, started = 0, time.process_time()
        while time.process_time() - started < seconds / ROUNDS:
            act()
            turns += 1
        best = min(best, (time.process_time() - started) / turns)
    return best * 1e6 / events


def figures(way: Way, seconds: float) -> Figures:
    value = way.encode()
    return Figures(
        len(value) / way.events,
        microseconds(way.encode, way.events, seconds),
        microseconds(lambda: way.decode(value), way.events, seconds),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="for each figure (default: %(default)s)")
    options = parser.parse_args()
    print(f"{'format':<30} {'bytes':>6} {'encode':>8} {'decode':>8} {'both':>8} of JSON's  decoded into; µs an event")
    base: Figures | None = None
    for way in ways(sample(max(RECORD_ROWS))):
        found = figures(way, options.seconds)
        base = base or found
        both = found.encode_us + found.decode_us
        ratios = f"{found.size / base.size:5.2f} {both / (base.encode_us + base.decode_us):6.2f}"
        print(
            f"{way.name:<30} {found.size:6.0f} {found.encode_us:8.2f} {found.decode_us:8.2f} {both:8.2f} {ratios}"
            f"  {way.into}"
        )


if __name__ == "__main__":
    main()

"""From log records to table rows: ranges, intents, tokens, and the columns of each table. Pure; thinks in columns.

A turn of the loader takes whole records. Its `Intent` names them by topic and partition, first to last offset, and the
token of an insert is made of exactly these ranges: the same records inserted again add nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from recoup.messages.events import DEAD, ENRICHED, RAW
from recoup.messages.facts import CartScored, InterventionEvent

RAW_COLUMNS: Final = ("store_id", "event_id", "type", "cart_id", "order_id", "amount", "occurred_at", "received_at")
"""What `events_raw` keeps; the loader decodes nothing else of a raw record."""


class Part(NamedTuple):
    """One record of the log: where it stood, and its rows or its message."""

    topic: str
    partition: int
    offset: int
    content: pa.Table | Struct | None
    """None where the record could not be read."""

    @property
    def size(self) -> int:
        """Rows it holds."""
        if self.content is None:
            return 0
        return 1 if isinstance(self.content, Struct) else self.content.num_rows


class Intent(Struct, frozen=True):
    """What a turn is about to insert; written down before, so that a crash can be finished with the same boundaries."""

    ranges: dict[str, dict[int, tuple[int, int]]]

    def token(self, table: str) -> str:
        """The deduplication token of one table's insert."""
        ordered = [(topic, sorted(self.ranges[topic].items())) for topic in sorted(self.ranges)]
        return f"{table}:{blake2b(msgspec.json.encode(ordered), digest_size=16).hexdigest()}"

    def holds(self, part: Part) -> bool:
        """Whether a record is one of those meant."""
        span = self.ranges.get(part.topic, {}).get(part.partition)
        return span is not None and span[0] <= part.offset <= span[1]

    def last(self) -> dict[tuple[str, int], int]:
        """The last offset of each partition."""
        return {
            (topic, partition): span[1] for topic, spans in self.ranges.items() for partition, span in spans.items()
        }


def intent_of(parts: Sequence[Part]) -> Intent:
    """The ranges of a turn's records; those of a partition come in order."""
    ranges: dict[str, dict[int, tuple[int, int]]] = {}
    for part in parts:
        spans = ranges.setdefault(part.topic, {})
        first, _ = spans.get(part.partition, (part.offset, 0))
        spans[part.partition] = (first, part.offset)
    return Intent(ranges)


class Position(NamedTuple):
    """Where rows came from and into which month they go: all rows of one insert that share it are there, or none."""

    partition: int
    offset: int
    month: int


def joined(parts: Sequence[Part], schema: pa.Schema) -> pa.Table:
    """One table in one chunk with the log positions as last columns.

    A column that no record carries is left out: the warehouse has its default for it.
    """
    known = set(schema.names)
    tables = [cast("pa.Table", part.content) for part in parts]
    slim = [table.select([name for name in table.column_names if name in known]) for table in tables]
    table = pa.concat_tables(slim, promote_options="permissive")
    counts = [part.size for part in parts]
    partitions = np.repeat(np.array([part.partition for part in parts], "uint16"), counts)
    offsets = np.repeat(np.array([part.offset for part in parts], "uint64"), counts)
    table = table.append_column("log_partition", pa.array(partitions)).append_column("log_offset", pa.array(offsets))
    return table.combine_chunks()


def flattened(table: pa.Table, column: str) -> pa.Table:
    """A list of structs as one list a field (`items.price`): the warehouse's Nested columns."""
    lists = table.column(column).combine_chunks()
    lengths = pc.call_function("list_value_length", [lists]).fill_null(0).to_numpy()
    offsets = np.zeros(len(lengths) + 1, "int32")
    np.cumsum(lengths, out=offsets[1:])
    structs = lists.flatten()
    flat = table.drop_columns(column)
    for field, values in zip(
        cast("pa.StructType", structs.type), cast("list[pa.Array]", structs.flatten()), strict=True
    ):
        flat = flat.append_column(f"{column}.{field.name}", pa.ListArray.from_arrays(pa.array(offsets), values))
    return flat


def processed(parts: Sequence[Part]) -> pa.Table:
    """Rows of `events_processed`."""
    table = joined(parts, _PROCESSED)
    return flattened(table, "items") if "items" in table.column_names else table


# Who said it decides what it may change, and is no matter for questions asked later.
_SAID_BY: Final = frozenset({"proven", "from_shop"})
_PROCESSED = pa.schema([field for field in ENRICHED if field.name not in _SAID_BY])
_ERRORS = pa.schema([field for field in DEAD if field.name not in _SAID_BY])
_RAW = pa.schema([RAW.field(name) for name in RAW_COLUMNS])


def raw(parts: Sequence[Part]) -> pa.Table:
    """Rows of `events_raw`."""
    return joined(parts, _RAW)


def errors(parts: Sequence[Part]) -> pa.Table:
    """Rows of `events_errors`."""
    return joined(parts, _ERRORS)


def positions(table: pa.Table, clock: str) -> tuple[list[Position], np.ndarray]:
    """The distinct positions of rows, and which of them each row has; the table is partitioned by `clock`."""
    moments = table.column(clock)
    months = moments.to_numpy().astype("datetime64[M]").astype("int64")
    months = (1970 + months // 12) * 100 + months % 12 + 1
    keys = np.stack(
        [table.column("log_partition").to_numpy(), table.column("log_offset").to_numpy(), months.astype("uint64")],
        axis=1,
    ).astype("uint64")
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    return [Position(int(p), int(o), int(m)) for p, o, m in distinct], which.reshape(-1)


def without(table: pa.Table, clock: str, there: Mapping[Position, int]) -> pa.Table:
    """The rows whose position is not in the warehouse yet."""
    distinct, which = positions(table, clock)
    missing = np.array([position not in there for position in distinct], dtype=bool)
    if missing.all():
        return table
    return table.filter(pa.array(missing[which]))


def slices(parts: Sequence[Part], most_rows: int) -> list[list[Part]]:
    """Consecutive groups of at most `most_rows` rows, a record never cut in two."""
    groups: list[list[Part]] = []
    rows = 0
    for part in parts:
        if not groups or rows + part.size > most_rows:
            groups.append([])
            rows = 0
        groups[-1].append(part)
        rows += part.size
    return groups


_WHEN = pa.timestamp("ms", "UTC")
_TEXTS = pa.list_(pa.string())
_LOG = [pa.field("log_partition", pa.uint16()), pa.field("log_offset", pa.uint64())]
_WHO = [pa.field("store_id", pa.string()), pa.field("id", pa.string()), pa.field("occurred_at", _WHEN)]

PREDICTIONS: Final = pa.schema(
    [
        *_WHO,
        *(pa.field(name, pa.string()) for name in ("trigger", "cart_id")),
        *(pa.field(name, pa.int64()) for name in ("cart_number", "cart_value", "item_count", "discount_percent")),
        *(pa.field(name, pa.string()) for name in ("currency", "user_id", "anonymous_id", "session_id", "action")),
        *(pa.field(name, pa.float64()) for name in ("probability", "confidence")),
        *(pa.field(name, pa.string()) for name in ("features", "model_version")),
        pa.field("reasons", _TEXTS),
        pa.field("expires_at", _WHEN),
        *_LOG,
    ]
)
INTERVENTIONS: Final = pa.schema(
    [
        *_WHO,
        *(
            pa.field(name, pa.string())
            for name in ("intervention_id", "kind", "cart_id", "person_id", "channel", "action")
        ),
        *(pa.field(name, pa.string()) for name in ("outcome", "currency", "model_version", "detail")),
        *(pa.field(name, pa.int64()) for name in ("cart_number", "discount_percent", "cart_value")),
        *(pa.field(name, pa.float64()) for name in ("propensity", "probability")),
        pa.field("machine", pa.bool_()),
        pa.field("rules.rule", _TEXTS),
        pa.field("rules.passed", pa.list_(pa.bool_())),
        pa.field("rules.detail", _TEXTS),
        *_LOG,
    ]
)
CONVERSIONS: Final = pa.schema(
    [
        *_WHO,
        *(pa.field(name, pa.string()) for name in ("order_id", "person_id", "cart_id", "currency", "intervention_id")),
        *(pa.field(name, pa.string()) for name in ("outcome", "channel")),
        pa.field("amount", pa.int64()),
        pa.field("attributed", pa.bool_()),
        *_LOG,
    ]
)


def predictions(parts: Sequence[Part]) -> pa.Table:
    """Rows of `prediction_logs`."""
    return _rows(parts, PREDICTIONS, _prediction)


def _prediction(scored: Struct) -> Mapping[str, object]:
    scored = cast("CartScored", scored)
    cart = scored.cart
    return msgspec.structs.asdict(scored) | {
        "cart_id": cart.cart_id,
        "cart_number": cart.number,
        "cart_value": cart.value,
        "currency": cart.currency,
        "item_count": sum(item.quantity for item in cart.items),
        "user_id": cart.user_id,
        "anonymous_id": cart.anonymous_id,
        "session_id": cart.session_id,
        "features": msgspec.json.encode(scored.features).decode(),
    }


def interventions(parts: Sequence[Part]) -> pa.Table:
    """Rows of `interventions_log`."""
    return _rows(parts, INTERVENTIONS, _intervention)


def _intervention(event: Struct) -> Mapping[str, object]:
    event = cast("InterventionEvent", event)
    return msgspec.structs.asdict(event) | {
        "rules.rule": [answer.rule for answer in event.rules],
        "rules.passed": [answer.passed for answer in event.rules],
        "rules.detail": [answer.detail for answer in event.rules],
    }


def conversions(parts: Sequence[Part]) -> pa.Table:
    """Rows of `conversions_log`."""
    return _rows(parts, CONVERSIONS, msgspec.structs.asdict)


def _rows(parts: Sequence[Part], schema: pa.Schema, row: Callable[[Struct], Mapping[str, object]]) -> pa.Table:
    """Message by message: these topics carry a few records a second, not thousands."""
    return pa.Table.from_pylist(
        [
            {**row(cast("Struct", part.content)), "log_partition": part.partition, "log_offset": part.offset}
            for part in parts
        ],
        schema=schema,
    )

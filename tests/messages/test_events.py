"""The event as a Struct and as Arrow columns are one definition."""

from typing import get_type_hints

import msgspec
import pyarrow as pa

from recoup.messages.events import DEAD, ENRICHED, NO_CONTEXT, RAW, Context, Event, EventType, Item


def test_every_field_of_an_event_has_its_column_and_every_column_its_field() -> None:
    flat = [name for name in Event.__struct_fields__ if name != "context"]

    assert set(RAW.names) == {*flat, *Context.__struct_fields__, "proven", "from_shop", "received_at"} - {"user_hash"}


def test_what_proves_who_somebody_is_has_no_column() -> None:
    assert set(Event.__struct_fields__) - set(RAW.names) == {"context", "user_hash"}


def test_the_items_column_holds_every_field_of_an_item_in_its_order() -> None:
    inner = RAW.field("items").type.value_type

    assert [inner.field(index).name for index in range(inner.num_fields)] == list(Item.__struct_fields__)


def test_columns_have_the_types_of_their_fields() -> None:
    hints = get_type_hints(Item)

    assert set(hints) == set(Item.__struct_fields__)
    assert RAW.field("amount").type == pa.int64()
    assert RAW.field("occurred_at").type == pa.timestamp("ms", "UTC")
    assert RAW.field("event_id").type == pa.binary(16)


def test_enriched_rows_keep_every_raw_column_where_it_was() -> None:
    assert ENRICHED.names[: len(RAW.names)] == RAW.names


def test_dead_letters_name_stage_kind_and_place() -> None:
    assert {"stage", "kind", "field", "reason", "body"} <= set(DEAD.names)


def test_an_event_that_says_nothing_of_its_context_shares_the_empty_one() -> None:
    event = msgspec.json.decode(
        b'{"event_id":"018f0000-0000-7000-8000-000000000000","type":"page_viewed","occurred_at":"2026-01-01T00:00:00Z"}',
        type=Event,
    )

    assert event.context is NO_CONTEXT


def test_types_are_lower_snake_case() -> None:
    assert all(kind.value.isidentifier() and kind.value.islower() for kind in EventType)

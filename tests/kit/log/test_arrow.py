"""Arrow tables come back from a record's bytes as they went in, whichever columns were empty or did not exist yet."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit.log import arrow

SCHEMA = pa.schema([
    ("name", pa.string()),
    ("amount", pa.int64()),
    ("at", pa.timestamp("ms", tz="UTC")),
    ("items", pa.list_(pa.struct([("product_id", pa.string()), ("quantity", pa.int32())]))),
])  # fmt: skip

ITEMS = st.lists(
    st.fixed_dictionaries({"product_id": st.none() | st.text(), "quantity": st.integers(0, 99)}), max_size=3
)
ROWS = st.lists(
    st.fixed_dictionaries({
        "name": st.none() | st.text(),
        "amount": st.none() | st.integers(-(2**63), 2**63 - 1),
        "at": st.none() | st.integers(0, 4_102_444_800_000),
        "items": st.none() | ITEMS,
    }),
    max_size=80,
)  # fmt: skip


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(rows=ROWS)
def test_a_table_survives_its_bytes(rows: list[dict[str, object]]):
    table = table_of(rows)

    assert arrow.joined([arrow.encode(table)], SCHEMA)[0].equals(table)


@given(parts=st.lists(ROWS, max_size=4))
def test_records_joined_are_their_rows_one_after_the_other(parts: list[list[dict[str, object]]]):
    tables = [table_of(rows) for rows in parts]

    whole, counts = arrow.joined([arrow.encode(table) for table in tables], SCHEMA)

    assert counts == [len(rows) for rows in parts]
    assert whole.to_pylist() == [row for table in tables for row in table.to_pylist()]
    assert whole.schema == SCHEMA


def test_columns_without_a_value_take_no_room():
    table = table_of([{"name": "x"}] * 100)

    (rows,) = arrow.decode([arrow.encode(table)])
    assert rows.schema.names == ["name"]


def test_a_record_from_before_a_column_existed_reads_as_if_it_had_been_empty():
    before = pa.table({"name": ["x", "y"]})

    rows = arrow.joined([arrow.encode(before)], SCHEMA)[0].to_pylist()

    assert rows == [{"name": name, "amount": None, "at": None, "items": None} for name in "xy"]


def test_records_come_back_apart_with_the_columns_asked_for():
    one: dict[str, object] = {"name": "x", "amount": 1}
    other: dict[str, object] = {"name": "y", "amount": None}
    values = [arrow.encode(table_of(rows)) for rows in ([one, other], [other], [one] * 200, [])]

    batches = arrow.decode(values, ["amount"])

    assert [batch.num_rows for batch in batches] == [2, 1, 200, 0]
    assert [batch.schema.names for batch in batches] == [["amount"], ["name"], ["amount"], ["name"]]


def test_a_stream_of_several_batches_is_one_record_still():
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        for name in "abc":
            writer.write_table(table_of([{"name": name}]))
    foreign, ours = sink.getvalue().to_pybytes(), arrow.encode(table_of([{"name": "d"}]))

    whole, counts = arrow.joined([foreign, foreign, ours], SCHEMA)

    assert counts == [3, 3, 1]
    assert "".join(whole.column("name").to_pylist()) == "abcabcd"


def test_one_broken_record_among_good_ones_is_not_passed_over():
    values = [arrow.encode(table_of([{"name": name}] * 200)) for name in "abc"]
    values[1] = values[1][: len(values[1]) // 2] + values[1][-8:]
    with pytest.raises(pa.ArrowInvalid):
        arrow.joined(values, SCHEMA)


@pytest.mark.parametrize("broken", [b"", b"{}", b"\xff" * 64, arrow.encode(table_of([{"name": "x"}]))[:40]])
def test_bytes_that_are_no_record_are_refused(broken: bytes):
    with pytest.raises(pa.ArrowInvalid):
        arrow.joined([broken], SCHEMA)

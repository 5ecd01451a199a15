"""The rees46 mapping, row by row and on the recorded shop."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recoup.demo import rees46, replay
from recoup.demo.recording import Recording, open_recording
from recoup.kit.errors import Invalid
from recoup.messages.events import Event

HEADER = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
NAMES = HEADER.split(",")
VIEW = "2019-10-01 00:00:00 UTC,view,39,21,appliances.environment.water_heater,aqua,33.20,55,933-abc"
RECORDED = (
    Path(os.environ.get("RECOUP_SHARED", "../shared"))
    / "data/clickstream_rees46_multicategory/2019-Oct-01_first17k.csv"
)


def event(row: str = VIEW, **changes: str) -> Event:
    cells = dict(zip(NAMES, row.split(","), strict=True)) | changes
    return rees46.to_event(NAMES, list(cells.values()))


def recording(folder: Path, *rows: str) -> Recording:
    file = folder / "recording.csv"
    file.write_text("\n".join((HEADER, *rows)))
    return open_recording(file, "event_time", rees46.row_time)


@pytest.mark.parametrize(
    ("recorded", "ours"), [("view", "product_viewed"), ("cart", "product_added"), ("purchase", "order_completed")]
)
def test_each_kind_of_row_is_an_event_of_ours(recorded: str, ours: str):
    assert event(event_type=recorded).type == ours


def test_a_row_keeps_its_person_session_time_and_item():
    found = event()
    (item,) = found.items
    assert (found.user_id, found.session_id, found.cart_id) == ("55", "933-abc", "933-abc")
    assert found.occurred_at == datetime(2019, 10, 1, tzinfo=UTC)
    assert (item.product_id, item.quantity, item.price, found.currency) == ("39", 1, 3320, "USD")
    assert (item.category, item.brand, item.name) == (
        "appliances.environment.water_heater", "aqua", "Aqua water heater",
    )  # fmt: skip


def test_a_purchase_is_an_order_of_its_own_over_its_one_item():
    first, second = event(event_type="purchase"), event(event_type="purchase", product_id="40")
    assert first.amount == 3320
    assert first.order_id != second.order_id
    assert event().order_id is None


def test_without_a_session_the_person_stands_for_it():
    assert event(user_session="").cart_id == "u-55"
    assert event(user_session="").session_id == "u-55"


def test_a_line_that_ends_before_its_session_is_no_fault():
    assert rees46.to_event(NAMES, VIEW.split(",")[:-1]).session_id == "u-55"


def test_equal_rows_have_equal_ids_and_others_have_others():
    assert event().event_id == event().event_id
    assert event(event_type="purchase").order_id == event(event_type="purchase").order_id
    assert event().event_id != event(price="33.21").event_id


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("event_type", "gift", "gift"),
        ("price", "cheap", "cheap"),
        ("product_id", "", "product_id"),
        ("user_id", "", "user_id"),
    ],
)
def test_a_row_that_is_no_event_is_refused_by_its_value(column: str, value: str, complaint: str):
    with pytest.raises(Invalid, match=complaint):
        event(**{column: value})


def test_a_file_of_another_format_is_refused_by_its_columns():
    with pytest.raises(Invalid, match="user_session"):
        rees46.columns([name for name in NAMES if name != "user_session"])


def test_rows_come_by_time_and_equal_times_in_the_order_of_the_file(tmp_path: Path):
    late = VIEW.replace("00:00:00", "00:00:09").replace(",39,", ",1,")
    found = recording(tmp_path, late, VIEW.replace(",39,", ",2,"), VIEW.replace(",39,", ",3,"))
    assert [row[2] for row in found.rows()] == ["2", "3", "1"]


def test_a_row_without_a_time_is_named_by_its_line(tmp_path: Path):
    found = recording(tmp_path, VIEW, VIEW.replace("2019-10-01", "yesterday"))
    assert len(found) == 1
    assert [reason.partition(":")[0] for reason in found.broken] == ["line 3"]


def test_repeated_rows_are_counted_and_bad_ones_skipped_with_their_reason(tmp_path: Path):
    found = recording(tmp_path, VIEW, VIEW.replace(",39,", ",40,"), VIEW, VIEW.replace("33.20", "cheap"))
    outcome = replay.Outcome()
    (batch,) = replay.batches(found, NAMES, outcome)
    assert len(batch) == 3
    assert outcome.repeated == 1
    assert len(outcome.skipped) == 1


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded shop is not here")
def test_the_recorded_shop_gives_its_reference_figures():
    found = open_recording(RECORDED, "event_time", rees46.row_time)
    outcome = replay.Outcome()
    sent = [one for batch in replay.batches(found, rees46.columns(found.header), outcome) for one in batch]
    unique = {one.event_id: one for one in sent}
    orders = [one for one in unique.values() if one.type == "order_completed"]
    assert (len(sent), len(unique), outcome.repeated, outcome.skipped) == (17_435, 17_430, 5, [])
    assert (len(orders), sum(one.amount or 0 for one in orders)) == (214, 5_944_263)
    assert len({one.order_id for one in orders}) == 214
    assert Counter(one.type for one in unique.values())["product_added"] == 164
    assert sent == sorted(sent, key=lambda one: one.occurred_at)

"""Each event as a step of its session: beside a plain reference, however late and divided; and from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict, cast

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.pipeline.builders import NOON, SHOP, event, pipeline

from recoup.kit.clock import moment
from recoup.messages.events import RAW
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain.table import CartTable
from recoup.services.pipeline.sessions.domain import SessionTable
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.stream.domain.enriching import enrich
from recoup.services.pipeline.stream.domain.visits import follow_sessions
from recoup.services.pipeline.stream.domain.work import Known, work_of

COLUMNS = ("session_pages", "session_seconds", "session_source", "session_medium", "session_entry_page")
PAGE = "https://shop.example"


class Row(TypedDict):
    """What a row says that its session depends on."""

    type: str
    store_id: str
    session_id: str | None
    at: int
    utm_source: str | None
    page_url: str | None


@dataclass
class Plain:
    """A session, one event at a time."""

    started: int = 1 << 60
    pages: int = 0
    landed_at: int = 1 << 60
    landing: tuple[object, object, object] = (None, None, None)


def plainly(batches: Sequence[Sequence[Row]]) -> list[tuple[object, ...]]:
    """What each row should be shown with, by rows in the order given."""
    found: list[tuple[object, ...]] = []
    sessions: dict[tuple[str, str | None], Plain] = {}
    for batch in batches:
        shown: dict[int, tuple[object, ...]] = {}
        mine = [number for number, row in enumerate(batch) if row["session_id"] is not None]
        for number in sorted(mine, key=lambda number: batch[number]["at"]):
            row = batch[number]
            session = sessions.setdefault((row["store_id"], row["session_id"]), Plain())
            session.started = min(session.started, row["at"])
            session.pages += row["type"] == "page_viewed"
            shown[number] = (session.pages,)
            if row["utm_source"] is not None and row["at"] < session.landed_at:
                session.landed_at = row["at"]
                session.landing = (row["utm_source"], "other", "/a/b" if "?" in str(row["page_url"]) else "/")
        for number, row in enumerate(batch):
            if number not in shown:
                found.append((None,) * 5)
                continue
            session = sessions[row["store_id"], row["session_id"]]
            seconds = (row["at"] - session.started) // 1_000
            found.append((*shown[number], seconds, *session.landing))
    return found


def followed(batches: Sequence[Sequence[Row]]) -> list[tuple[object, ...]]:
    """The same by the step."""
    found: list[tuple[object, ...]] = []
    table = SessionTable()
    for batch in batches:
        # A page that was reached from within the shop says nothing of how the visit began.
        always = {"event_id": bytes(16), "items": [], "referrer": f"{PAGE}/"}
        rows = [{**always, **row, "occurred_at": moment(row["at"])} for row in batch]
        work = work_of(pa.Table.from_pylist(rows, schema=RAW), np.zeros(len(rows), np.int64), np.arange(len(rows)))
        slots = [np.zeros(0, dtype=np.int64)]
        for store_id, names in work.sessions.by_store:
            for name, slot in zip(names, table.find(store_id, names).tolist(), strict=True):
                if slot < 0:
                    table.put(store_id, name, None)
            slots.append(table.find(store_id, names))
        none = np.zeros(0, dtype=np.int64)
        known = Known(
            seen=np.zeros(len(rows), dtype=bool), stores={SHOP: StoreSettings()}, carts=CartTable(), slots=none,
            due=none, reached={}, now=NOON, sessions=table, session_slots=np.concatenate(slots),
        )  # fmt: skip
        enrich(work, known)
        follow_sessions(work, known)
        found += zip(*(work.columns[name].to_pylist() for name in COLUMNS), strict=True)
    return found


STEP = st.fixed_dictionaries({
    "type": st.sampled_from(["page_viewed", "product_viewed"]),
    "store_id": st.sampled_from([SHOP, "shop-b"]),
    "session_id": st.sampled_from([None, "one", "two", "three"]),
    # Moments that differ: which of two at once comes first is nobody's business.
    "at": st.integers(0, 1 << 40),
    "utm_source": st.sampled_from([None, None, "partner-a", "partner-b"]),
    "page_url": st.sampled_from([f"{PAGE}/a/b?c=1#d", f"{PAGE}"]),
}).map(lambda row: cast("Row", row))  # fmt: skip


def moments_differ(batches: Sequence[Sequence[Row]]) -> bool:
    moments = [row["at"] for batch in batches for row in batch]
    return len(moments) == len(set(moments))


@settings(deadline=None)
@given(st.lists(st.lists(STEP, min_size=1, max_size=12), max_size=6).filter(moments_differ))
def test_sessions_are_what_a_plain_reference_says_however_late_and_divided(batches: list[list[Row]]) -> None:
    assert followed(batches) == plainly(batches)


def session(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in COLUMNS)


async def test_a_session_keeps_its_source_into_its_cart_and_past_a_restart(valkey_url: str) -> None:
    came = {"page_url": f"{PAGE}/sale?gclid=1"}
    async with pipeline(valkey_url) as first:
        await first.send(event(session_id="s", context=came))
        await first.enriched(1)
        await first.send(event(session_id="s", at=1), event(session_id="s", at=2, type="product_viewed"))
        rows = await first.enriched(2)
    # A new process with nothing in its memory; and the cart's events are in another partition.
    async with pipeline(valkey_url, keep=True) as second:
        await second.send(event(session_id="s", cart_id="cart-7", at=3))
        (kept,) = await second.enriched(1)

    assert sorted(map(session, rows)) == [(2, 60, "paid", "paid", "/sale"), (2, 120, "paid", "paid", "/sale")]
    assert session(kept) == (3, 180, "paid", "paid", "/sale")


async def test_what_is_sent_twice_or_late_counts_once_and_where_it_belongs(valkey_url: str) -> None:
    twice = event(session_id="s", at=5)
    async with pipeline(valkey_url) as running:
        await running.send(twice)
        await running.enriched(1)
        await running.send(twice, event(session_id="s", at=2, context={"utm_source": "partner"}))
        (late,) = await running.enriched(1)
        await running.send(event(session_id="s", at=6))
        (last,) = await running.enriched(1)

    assert session(late) == (2, 0, "partner", "other", None)
    assert session(last) == (3, 240, "partner", "other", None)


async def test_sessions_that_memory_has_no_room_for_are_read_again(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=Settings(session_cache=1)) as running:
        rows: list[dict[str, object]] = []
        for minute in range(3):
            await running.send(*(event(session_id=name, anonymous_id=name, at=minute) for name in "abc"))
            rows = await running.enriched(3)

    assert {(row["session_pages"], row["session_seconds"]) for row in rows} == {(3, 120)}


async def test_a_session_silent_for_hours_begins_anew(valkey_url: str) -> None:
    async with pipeline(valkey_url) as first:
        await first.send(event(session_id="s"))
        await first.enriched(1)
    async with pipeline(valkey_url, keep=True) as second:
        second.clock.advance(timedelta(hours=2))
        await second.send(event(session_id="s", at=120))
        (row,) = await second.enriched(1)

    assert session(row)[:2] == (1, 0)


async def test_the_clocks_own_rows_and_rows_without_a_session_are_in_none(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(event(), event(session_id="s", cart_id="c"))
        rows = await running.enriched(2)

    assert {row["session_id"]: row["session_pages"] for row in rows} == {None: None, "s": 1}


def test_more_sessions_than_small_numbers_can_count() -> None:
    many = [
        Row(
            type="page_viewed",
            store_id=SHOP,
            session_id=str(number % 70_000),
            at=number,
            utm_source=None,
            page_url=PAGE,
        )
        for number in range(70_010)
    ]

    found = followed([many])

    assert {row[0] for row in found[:70_000]} == {1}
    assert {row[0] for row in found[70_000:]} == {2}

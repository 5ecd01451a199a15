"""Records that cannot be worked on are set aside with their reason, and their neighbours take effect."""

import asyncio
import base64
from collections import Counter
from typing import NamedTuple

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from tests.services.pipeline.builders import SHOP, Pipeline, event, pipeline

from recoup.kit.culprits import MOST_ROWS
from recoup.kit.log import arrow
from recoup.kit.log.port import Outgoing
from recoup.kit.runner import Parked, parking_topic
from recoup.messages.events import RAW
from recoup.messages.topics import EVENTS_RAW
from recoup.services.pipeline.stream.domain.suspects import Suspects

NO_ARROW = b"no arrow"
OTHER_COLUMNS = arrow.encode(pa.table({"type": ["page_viewed"], "store_id": [SHOP]}))
OTHER_TYPES = arrow.encode(pa.table({"event_id": ["text"], "occurred_at": ["yesterday"]}))
BROKEN = (3, 17, 18)
POISON = (b"", NO_ARROW, OTHER_COLUMNS, OTHER_TYPES)


async def parked(running: Pipeline, count: int) -> list[Parked]:
    reader = running.log.reader("look", "look", [parking_topic().name])
    found: list[Parked] = []
    try:
        async with asyncio.timeout(180):
            while len(found) < count:
                records = await reader.read(wait_seconds=0.2, limit=100)
                found += [msgspec.json.decode(record.value, type=Parked) for record in records]
    finally:
        await reader.close()
    return found


async def test_poison_is_parked_with_its_reason_and_what_lies_around_it_takes_effect_once(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        for partition, value in enumerate(POISON):
            await running.send(*(event(anonymous_id=f"visitor-{number}") for number in range(8)))
            await running.log.append(EVENTS_RAW.name, [Outgoing(partition, value)])
        await running.send(event())

        rows = await running.enriched(33)
        aside = await parked(running, len(POISON))

        assert len(rows) == len({row["event_id"] for row in rows}) == 33
        assert sorted(base64.b64decode(one.body) for one in aside) == sorted(POISON)
        assert all(one.reason and one.topic == EVENTS_RAW.name for one in aside)


async def test_rows_that_nobody_can_work_on_are_set_aside_without_the_others_of_their_record(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(*(event(cart_id="cart") for _ in range(30)))
        await running.enriched(30)
        [sent] = await running.log.after(EVENTS_RAW.name, {}, limit=1)
        whole, _ = arrow.joined([sent.value], RAW)
        fresh = whole.set_column(0, "event_id", pa.array([bytes([number] * 16) for number in range(30)], pa.binary(16)))
        types = [None if number in BROKEN else "product_viewed" for number in range(30)]
        broken = fresh.set_column(1, pa.field("type", pa.string()), pa.array(types, pa.string()))
        await running.log.append(EVENTS_RAW.name, [Outgoing(sent.partition, arrow.encode(broken))])
        await running.send(event(cart_id="cart"))

        rows = await running.enriched(28)
        [aside] = await parked(running, 1)

        assert len(rows) == len({row["event_id"] for row in rows}) == 28
        kept, _ = arrow.joined([base64.b64decode(aside.body)], RAW)
        assert kept.column("event_id").to_pylist() == [bytes([number] * 16) for number in BROKEN]
        assert "Error" in aside.reason


class Place(NamedTuple):
    """Where a record of the model is."""

    partition: int
    offset: int


@given(st.lists(st.sets(st.integers(0, 199), max_size=24), min_size=1, max_size=4))
def test_of_any_records_exactly_the_rows_that_fail_are_set_aside(broken: list[set[int]]) -> None:
    records = [Place(0, number) for number in range(len(broken))]
    suspects, worked, aside = Suspects[Place](), Counter[tuple[int, int]](), set[tuple[int, int]]()
    left, turns = records, 0
    while left:
        turns += 1
        for portion in suspects.portions(left):
            rows = range(200) if portion.rows is None else portion.rows
            inside = [(record.offset, row) for record in portion.records for row in rows]
            if any(row in broken[offset] for offset, row in inside):
                suspects.failed(portion, ValueError("this one"), 200)
                break
            worked.update(inside)
            aside |= {(portion.records[0].offset, row) for row in suspects.condemned(portion)}
            suspects.passed(portion)
            if portion.ends:
                left = [record for record in left if record not in portion.records]

    assert worked + Counter(aside) == Counter((record.offset, row) for record in records for row in range(200))
    assert turns <= 2 + 3 * len(records) + 4 * MOST_ROWS * len(records)
    for offset, rows in enumerate(broken):
        set_aside = {row for at, row in aside if at == offset}
        assert set_aside == rows if len(rows) < MOST_ROWS else set_aside >= rows


async def test_the_most_that_events_may_say_is_no_poison(valkey_url: str) -> None:
    item = {"quantity": 10**6, "price": 10**15}
    lines = [{"product_id": f"dear-{number}", **item} for number in range(500)]
    async with pipeline(valkey_url) as running:
        for kind in ("product_added", "product_added", "product_removed", "cart_updated", "order_completed"):
            more = {"order_id": "o", "amount": 10**15} if kind == "order_completed" else {}
            await running.send(event(type=kind, cart_id="dear", items=lines, **more))
        await running.send(event())

        rows = await running.enriched(6)

    assert {"product_added", "order_completed"} <= {row["type"] for row in rows}
    assert all(0 <= int(str(row["cart_value"])) < 2**63 for row in rows)

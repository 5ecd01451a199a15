"""Records that cannot be worked on are set aside with their reason, and their neighbours take effect."""

import asyncio
import base64

import msgspec
import pyarrow as pa
from tests.services.pipeline.builders import SHOP, Pipeline, event, pipeline

from recoup.kit.log import arrow
from recoup.kit.log.port import Outgoing
from recoup.kit.runner import Parked, parking_topic
from recoup.messages.topics import EVENTS_RAW

NO_ARROW = b"no arrow"
OTHER_COLUMNS = arrow.encode(pa.table({"type": ["page_viewed"], "store_id": [SHOP]}))
OTHER_TYPES = arrow.encode(pa.table({"event_id": ["text"], "occurred_at": ["yesterday"]}))
POISON = (b"", NO_ARROW, OTHER_COLUMNS, OTHER_TYPES)


async def parked(running: Pipeline, count: int) -> list[Parked]:
    reader = running.log.reader("look", "look", [parking_topic().name])
    found: list[Parked] = []
    try:
        async with asyncio.timeout(60):
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

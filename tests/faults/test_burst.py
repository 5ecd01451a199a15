"""Ten times the usual load for a moment: what the house has no room for is put off, and nothing it took is lost.

Each of twenty clients sends its batches as fast as it is answered, where two did before; a batch that is answered
"later" (429 or 503, with a problem document and `Retry-After`) is sent again. In the end each event is in the
warehouse exactly once, and the next request is taken at once.
"""

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from bench.lib.house import House, house
from tests.faults.ledger import Shop, counted, wait_until_counted
from tests.faults.test_backpressure import offer

pytestmark = pytest.mark.fault
USUAL, BURST = 2, 20
BATCHES = 10
# So little may wait in memory that twenty clients meet the limit.
UNWRITTEN_EVENTS = 200


async def client(shop: Shop, answers: Counter[int]) -> None:
    for _ in range(BATCHES):
        events = shop.batch()
        while (status := await offer(shop, events)) != 202:
            answers[status] += 1
            await asyncio.sleep(0.05)
        answers[status] += 1


async def clients(shop: Shop, count: int) -> Counter[int]:
    """How often each status was answered."""
    answers: Counter[int] = Counter()
    await asyncio.gather(*(client(shop, answers) for _ in range(count)))
    return answers


async def swell(running: House, sent: set[str]) -> Counter[int]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session, acknowledged=sent)
        await shop.use_event_clock()
        await clients(shop, USUAL)
        answers = await clients(shop, BURST)
        await wait_until_counted(running, len(sent))
        assert await offer(shop, shop.batch()) == 202
        await wait_until_counted(running, len(sent))
        return answers


def test_a_burst_of_ten_times_the_load_is_put_off_where_there_is_no_room_and_loses_nothing(tmp_path: Path) -> None:
    sent: set[str] = set()
    with house(keep=tmp_path, RECOUP_PIPELINE__MAX_UNWRITTEN_EVENTS=str(UNWRITTEN_EVENTS)) as running:
        answers = asyncio.run(swell(running, sent))

    assert answers[202] == BURST * BATCHES
    assert answers.total() > answers[202]
    assert asyncio.run(counted(tmp_path, _PROCESSED)) == dict.fromkeys(sent, 1)


_PROCESSED = """
select toString(event_id) as value, count() as times from events_processed
where type not in ('clock', 'cart_abandoned', 'cart_recovered', 'cart_expired') group by event_id
"""

"""The Valkey client: a task that uses it can be stopped at any moment."""

import asyncio

import pytest

from recoup.kit.valkey import connect, settled


@pytest.mark.parametrize("turns", range(8))
async def test_a_task_that_is_cancelled_at_any_step_of_a_command_ends(valkey_url: str, turns: int):
    client = connect(valkey_url)
    await settled(client.ping())

    async def endless() -> None:
        while True:
            await settled(client.ping())

    task = asyncio.create_task(endless())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()

    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    await client.aclose()

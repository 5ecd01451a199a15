"""What a service knows of stores while the platform answers late or not at all."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar, cast

from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings

T = TypeVar("T")


class Platform:
    """Answers with these settings, once it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.asked = 0
        self.idle_minutes = 30

    async def get(self, service: str, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T:
        assert (service, path, kind, params) == ("platform", "/internal/stores/shop", StoreConfigured, None)
        self.asked += 1
        await self.may_answer.wait()
        settings = StoreSettings(idle_minutes=self.idle_minutes)
        return cast("T", StoreConfigured(store_id="shop", version=1, settings=settings))


async def test_a_platform_that_does_not_answer_holds_up_one_of_those_who_knew_the_store() -> None:
    platform = Platform()
    stores = StoreDirectory(platform, lifetime=timedelta(hours=1))
    platform.may_answer.set()
    await stores.settings("shop")
    platform.may_answer.clear()
    platform.idle_minutes = 5
    stores._known["shop"] = (float("-inf"), StoreSettings())

    async with asyncio.timeout(60):
        first = asyncio.create_task(stores.settings("shop"))
        while platform.asked < 2:
            await asyncio.sleep(0)
        found = await asyncio.gather(*(stores.settings("shop") for _ in range(50)))
        platform.may_answer.set()

        assert {each.idle_minutes for each in found} == {30}
        assert (await first).idle_minutes == (await stores.settings("shop")).idle_minutes == 5
    assert platform.asked == 2

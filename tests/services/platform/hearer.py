"""Another process of the house, which says which settings and flags it goes by whenever it hears of a change.

Arguments: the platform's URL, Valkey's URL, a token of a service, the store.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta

from recoup.kit.balancing import Balancer
from recoup.kit.clock import SystemClock
from recoup.kit.flags.model import Context
from recoup.kit.log.open import open_log
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.runner import Runner
from recoup.kit.service import Consumer
from recoup.messages.changes import CONFIG_CHANGES
from recoup.messages.stores import StoreConfigured, StoreDirectory


async def main(platform: str, valkey_url: str, token: str, store_id: str) -> None:
    peers = Peers(Balancer.of({"platform": platform}), TokenSource(lambda: token, 100))
    # Kept for a day: what is new can only have been heard.
    stores = StoreDirectory(peers, timedelta(days=1))
    log = open_log(valkey_url, 2, valkey_url)

    async def say() -> None:
        settings, flags = await stores.settings(store_id), await stores.flags(store_id)
        is_on = flags is not None and flags.is_on("banner", Context(), SystemClock().now, default=False)
        print(settings.threshold, is_on, flush=True)

    async def on_configured(changes: Sequence[StoreConfigured]) -> None:
        await stores.on_configured(changes)
        await say()

    await log.register("hearer", [CONFIG_CHANGES.name])
    await say()
    await Runner(log, "hearer", "hearer-0", Consumer(CONFIG_CHANGES, on_messages=on_configured)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Asks the instances behind a balancer how they are. Decides nothing: the balancer is told what came back."""

import asyncio
from http import HTTPStatus

import aiohttp

from recoup.kit.balancing import Balancer, Instance, Pool
from recoup.kit.clock import stopwatch
from recoup.kit.peers import Peers

_OUT_SECONDS = 1.0


class HealthChecks:
    """Asked the way calls go, over the session of `peers`."""

    def __init__(self, balancer: Balancer, peers: Peers) -> None:
        self._balancer = balancer
        self._peers = peers

    async def watch(self) -> None:
        """All instances every `check_seconds`, those that are out every second; for ever."""
        last = float("-inf")
        while True:
            whole = stopwatch() - last >= self._balancer.settings.check_seconds
            if whole:
                last = stopwatch()
            await self.round(only_out=not whole)
            await asyncio.sleep(_OUT_SECONDS)

    async def round(self, *, only_out: bool = False) -> None:
        """Each instance once, or each of those that are out."""
        now = stopwatch()
        asked = [
            self._check(pool, instance)
            for pool in self._balancer.pools()
            for instance in pool.instances
            if not only_out or self._balancer.is_out(instance, now)
        ]
        await asyncio.gather(*asked)

    async def _check(self, pool: Pool, instance: Instance) -> None:
        timeout = aiohttp.ClientTimeout(total=self._balancer.settings.check_timeout_seconds)
        try:
            async with self._peers.session().get(
                f"{instance.url}/health", timeout=timeout, ssl=self._peers.ssl(pool.name)
            ) as answer:
                well = answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            well = False
        self._balancer.checked(pool, instance, well=well)

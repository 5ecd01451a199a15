"""What the scheduler does by its own clock: asks for jobs, fires what is due, takes over from dead schedulers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure, Invalid, Unavailable
from recoup.kit.peers import Peers
from recoup.kit.telemetry import logger
from recoup.services.scheduler.jobs.domain import Offer
from recoup.services.scheduler.jobs.durable import Engine
from recoup.services.scheduler.jobs.store import Store

log = logger(__name__)
_ASK_AGAIN_SECONDS = 2.0
_BEATS_A_LEASE = 4


@dataclass(slots=True)
class Timers:
    """The scheduler's own loops. `services` are the names of all processes."""

    store: Store
    engine: Engine
    peers: Peers
    clock: Clock
    member: str
    services: Sequence[str]
    tick: timedelta
    discover: timedelta
    lease: timedelta
    keep: timedelta

    async def run_due(self) -> None:
        """Fires what is due and hands it over; for ever."""
        await self.engine.start()
        while True:
            try:
                await self.fire()
            except Unavailable as error:
                log.warning("cannot fire", why=error.detail)
            await asyncio.sleep(self.tick.total_seconds())

    async def fire(self) -> None:
        """One look at the jobs."""
        if not await self.store.has_work(self.clock.now()):
            return
        await self.store.fire(self.clock.now())
        async with self.store.waiting(self.clock.now()) as runs:
            if runs:
                await self.engine.enqueue([str(run) for run in runs])

    async def stay_alive(self) -> None:
        """Says that this scheduler lives, and looks after those that no longer do; for ever."""
        while True:
            try:
                await self.store.beat(self.member, self.clock.now())
                await self.take_over()
            except Unavailable as error:
                log.warning("cannot say that I live", why=error.detail)
            await asyncio.sleep(self.lease.total_seconds() / _BEATS_A_LEASE)

    async def take_over(self) -> None:
        """Makes runs of dead schedulers go on."""
        async with self.store.dead(self.clock.now() - self.lease) as members:
            if members:
                count = await self.engine.take_over(members)
                log.warning("took over from dead schedulers", members=members, runs=count)

    async def ask_services(self) -> None:
        """Learns which jobs there are; for ever, and more often until every service has answered."""
        while True:
            answered = [await self.ask(service) for service in self.services]
            await asyncio.sleep(self.discover.total_seconds() if all(answered) else _ASK_AGAIN_SECONDS)

    async def ask(self, service: str) -> bool:
        """Learns one service's jobs; False when it did not answer."""
        try:
            offers = await self.peers.get(service, "/internal/jobs", list[Offer])
            await self.store.offer(service, offers, self.clock.now())
        except Invalid as error:
            log.warning("service offers a job that cannot be run", service_asked=service, why=error.detail)
        except Failure as error:
            log.info("service does not say its jobs", service_asked=service, why=error.detail)
            return False
        return True

    async def forget_runs(self) -> str:
        """The job that keeps the list of runs from growing for ever."""
        count = await self.store.forget(self.clock.now() - self.keep)
        return f"forgot {count} runs that ended more than {self.keep.days} days ago"

"""Lets simulated shoppers loose on a store, in step with its clock, and lets messages move those whom messages move.

Each step sends what happens within it, moves the store's clock to its end and waits until everything the platform does
on its own has been done; only then are new messages read and acted upon. So no effect precedes its cause, at any speed.
The shoppers know nothing of the experiment: who is held out gets no message, and follows their own truth.
"""

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from recoup.demo import journeys
from recoup.demo.client import BATCH, Client, Mail
from recoup.demo.people import Shopper, Truth, draw
from recoup.demo.progress import Progress
from recoup.demo.replay import clock_event, clock_taken, counted, settled
from recoup.demo.summary import Summary
from recoup.kit.clock import milliseconds, stopwatch
from recoup.kit.errors import Conflict, Refused, Unavailable
from recoup.messages.events import Event

STANDSTILL_SECONDS: Final = 60.0
"""So long the platform may make no progress within a step before the demo gives up."""
STEP: Final = timedelta(hours=1)
LONGEST_STEP: Final = timedelta(hours=4)
WORTH_A_STEP: Final = 150
"""Fewer events share a step with those of the next hour."""
TAIL: Final = timedelta(days=2)
"""How long after the last arrival the story goes on: unasked returns and answers to messages take up to two days."""
HOLDOUT: Final = 0.25
"""More than a shop would want: a demo of a few days needs a larger comparison group for an interval worth reading."""
MOST_MAILS: Final = 1_000
THRESHOLD: Final = 0.05
"""Low, so that the demo shows messages rather than a cautious new model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much happens."""

    seed: int
    shoppers: int
    days: int


async def run_demo(url: str, secret_key: str, options: Options, now: datetime) -> Summary:
    """The whole story on a store that has none yet; raises Conflict where there is one."""
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - TAIL - timedelta(days=options.days)
    shoppers = draw(np.random.default_rng(options.seed), options.shoppers, start, options.days)
    async with Client(url, secret_key) as client:
        await open_shop(client, url, start)
        stage = Stage(client, {shopper.email: shopper for shopper in shoppers})
        for shopper in shoppers:
            stage.plan(journeys.visit(shopper))
            if shopper.truth is Truth.RETURNS:
                stage.plan(journeys.unasked_return(shopper))
        await play(stage, start, start + timedelta(days=options.days) + TAIL)
        stats = await settled(client, stage.sent)
        overview = await counted(client, stats.unique)
        return Summary(overview=overview, shoppers=shoppers, moved=stage.moved, reached=frozenset(stage.reached))


async def open_shop(client: Client, url: str, start: datetime) -> None:
    """Settings under which days pass in seconds; raises Conflict for a store that has seen events."""
    if (await client.stats()).accepted > 0:
        raise Conflict("this store has events already; the demo wants a new one (give it another --data folder)")
    await client.configure(
        clock="event", holdout=HOLDOUT, threshold=THRESHOLD, name="Tern & Tallow", shop_url=f"{url.rstrip('/')}/shop"
    )
    await clock_taken(client, start)


async def play(stage: "Stage", start: datetime, end: datetime) -> None:
    """Step by step from start to end of the story, in longer steps where little happens."""
    at = start
    with Progress("simulating, hours", round((end - start) / STEP)) as progress:
        while at < end:
            longest = min(at + LONGEST_STEP, end)
            at += STEP
            while at < longest and stage.planned_before(at) < WORTH_A_STEP:
                at += STEP
            await stage.act_until(at)
            progress.show(round((at - start) / STEP), f"{at:%a %H:%M}  {stage.sent:,} events, {stage.mails:,} messages")


@dataclass(slots=True)
class Stage:
    """What is still to happen, and what messages have moved."""

    client: Client
    by_email: dict[str, Shopper]
    moved: list[Shopper] = field(default_factory=list)
    """Those who bought because of a message and for no other reason: the true effect."""
    reached: set[int] = field(default_factory=set)
    """Numbers of those who got a message."""
    sent: int = 0
    mails: int = 0
    _planned: list[tuple[int, int, Event]] = field(default_factory=list)
    _order: int = 0
    _read: set[str] = field(default_factory=set)

    def plan(self, events: Iterable[Event]) -> None:
        """These will happen at their time."""
        for event in events:
            self._order += 1
            heapq.heappush(self._planned, (milliseconds(event.occurred_at), self._order, event))

    def planned_before(self, end: datetime) -> int:
        """How many events wait for that moment."""
        return sum(at < milliseconds(end) for at, _, _ in self._planned)

    async def act_until(self, end: datetime) -> None:
        """One step: everything that happens before `end`, the platform's share, and what people make of it."""
        events = self._due(end)
        for start in range(0, len(events), BATCH):
            receipt = await self.client.send(events[start : start + BATCH])
            if receipt.refused:
                raise Refused(f"the collector refused a simulated event: {receipt.refused[0].detail}")
        await self.client.send([clock_event(end)])
        self.sent += len(events)
        await caught_up(self.client, end)
        await asyncio.gather(*(self._react(mail, end) for mail in await self._new_mails()))

    def _due(self, end: datetime) -> Sequence[Event]:
        due: list[Event] = []
        while self._planned and self._planned[0][0] < milliseconds(end):
            due.append(heapq.heappop(self._planned)[2])
        return due

    async def _new_mails(self) -> Sequence[Mail]:
        """What has come since the last look, oldest first; a longer look where a short one may not reach back."""
        limit = 100
        while True:
            mails = await self.client.mails(limit)
            new = [mail for mail in mails if mail.id not in self._read]
            if len(new) < limit or limit >= MOST_MAILS:
                break
            limit = MOST_MAILS
        self._read.update(mail.id for mail in new)
        self.mails += len(new)
        return new[::-1]

    async def _react(self, mail: Mail, at: datetime) -> None:
        """Opens it, follows its link, comes back and buys: as far as this shopper would."""
        shopper = self.by_email.get(mail.to)
        if shopper is None or shopper.number in self.reached:
            return
        self.reached.add(shopper.number)
        if not shopper.opens:
            return
        for link in filter(None, (mail.pixel, mail.button if shopper.clicks else None)):
            await self.client.visit(link)
        if not shopper.clicks:
            return
        if shopper.truth is Truth.PERSUADABLE:
            self.plan(journeys.response(shopper, at + shopper.responds_after))
            self.moved.append(shopper)
            return
        self.plan(journeys.look(shopper, at + shopper.responds_after))


async def caught_up(client: Client, at: datetime) -> None:
    """Waits until the platform has done all it does by itself up to a moment of event time."""
    seen, moved_at = await client.progress(), stopwatch()
    while seen.clock is None or seen.clock < milliseconds(at) or seen.outstanding or seen.pending:
        await asyncio.sleep(0.04)
        progress = await client.progress()
        if progress != seen:
            seen, moved_at = progress, stopwatch()
        if stopwatch() - moved_at > STANDSTILL_SECONDS:
            raise Unavailable(f"the platform stands still before {at:%Y-%m-%d %H:%M}: {seen}")

"""`recoup replay`: recorded events into a store, by time, over its public API. Never mixes them into live events.

The store runs on its own events' clock, so that a recording of a month played in a minute gives the same carts as the
month did. Sending a file twice is harmless: ids come from the rows' content. Batches follow each other one by one,
because their order moves the clock.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from rich.console import Console

from recoup.demo import rees46
from recoup.demo.client import BATCH, Client, Overview, Stats
from recoup.demo.progress import Progress, figures
from recoup.demo.recording import Recording, open_recording
from recoup.kit.clock import stopwatch
from recoup.kit.errors import Conflict, Invalid, Refused, Unavailable
from recoup.kit.ids import derived_id
from recoup.messages.events import Event, EventType

CLOCK_LEAD: Final = timedelta(hours=1)
"""How far past the last event the store's clock is moved, so that the last carts meet their fate too."""
NEWS_SECONDS: Final = 20.0
"""So long a changed setting may take to reach the collector."""
SETTLING_SECONDS: Final = 120.0
"""So long nothing may move before we stop waiting."""
QUIET_SECONDS: Final = 3.0
"""An overview that counts every event and has not moved for so long counts what follows from them too."""
MOST_EXAMPLES: Final = 5


@dataclass(slots=True)
class Outcome:
    """What was read and sent."""

    rows: int = 0
    sent: int = 0
    taken: int = 0
    """Those that were accepted."""
    repeated: int = 0
    """Rows whose content had come before, at the same time; the platform counts them as duplicates."""
    skipped: list[str] = field(default_factory=list)
    """Rows that are no events, each with the reason."""
    last: datetime | None = None


async def run(options: argparse.Namespace) -> None:
    """Replays the file that the options name; raises Failure with a sentence when it cannot."""
    recording = open_recording(options.file, "event_time", rees46.row_time)
    names = rees46.columns(recording.header)
    async with Client(options.url, options.key) as client:
        before = await take_clock(client, recording.start)
        outcome = await send(client, recording, names)
        after = await settled(client, before.processed + outcome.taken) if options.wait else await client.stats()
        _print_outcome(outcome, before, after)
        if options.wait:
            Console().print(figures(await counted(client, after.unique)))


async def take_clock(client: Client, first: datetime) -> Stats:
    """Makes sure that the store goes by event time; raises Conflict for one that has live events."""
    stats = await client.stats()
    if (await client.settings()).clock == "event":
        return stats
    if stats.accepted > 0:
        raise Conflict(
            f"this store has {stats.accepted} live events on the wall clock; a recording would be mixed up with them. "
            "Replay into a new store"
        )
    await client.configure(clock="event")
    await clock_taken(client, first)
    return stats


async def clock_taken(client: Client, at: datetime) -> None:
    """Waits until the collector knows of the new clock: only then does it take a `clock` event at all."""
    started = stopwatch()
    while True:
        await asyncio.sleep(0.25)
        try:
            await client.send([clock_event(at)])
        except Refused:
            if stopwatch() - started > NEWS_SECONDS:
                raise
        else:
            return


async def send(client: Client, recording: Recording, names: Sequence[str]) -> Outcome:
    """Sends every row by time, then moves the store's clock past the last."""
    outcome = Outcome(rows=len(recording) + len(recording.broken), skipped=list(recording.broken))
    with Progress("replaying", len(recording)) as progress:
        for batch in batches(recording, names, outcome):
            receipt = await client.send(batch)
            outcome.sent += len(batch)
            outcome.taken += receipt.accepted
            outcome.skipped += [f"event {refusal.index}: {refusal.detail}" for refusal in receipt.refused]
            progress.show(outcome.sent, f"{batch[-1].occurred_at:%Y-%m-%d %H:%M}")
    if outcome.last is not None:
        await client.send([clock_event(outcome.last + CLOCK_LEAD)])
    return outcome


def batches(recording: Recording, names: Sequence[str], outcome: Outcome) -> Iterator[list[Event]]:
    """Events by time, up to `BATCH` at once; notes in `outcome` what is repeated, skipped, and last."""
    batch: list[Event] = []
    at_this_time: set[object] = set()
    for row in recording.rows():
        try:
            event = rees46.to_event(names, row)
        except Invalid as error:
            outcome.skipped.append(f"{','.join(row)}: {error.detail}")
            continue
        # Rows of equal content have equal times, so it is enough to remember the ids of one moment.
        if event.occurred_at != outcome.last:
            at_this_time.clear()
        outcome.repeated += event.event_id in at_this_time
        at_this_time.add(event.event_id)
        outcome.last = event.occurred_at
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def clock_event(at: datetime) -> Event:
    """Tells the store that it is so late; says nothing of any shopper."""
    return Event(event_id=derived_id("clock", at.isoformat()), type=EventType.CLOCK, occurred_at=at, session_id="clock")


async def settled(client: Client, processed: int) -> Stats:
    """Waits until so many events have been processed; raises Unavailable when nothing moves any more."""
    seen, moved_at = await client.stats(), stopwatch()
    while seen.processed < processed:
        await asyncio.sleep(0.2)
        stats = await client.stats()
        if stats != seen:
            seen, moved_at = stats, stopwatch()
        if stopwatch() - moved_at > SETTLING_SECONDS:
            raise Unavailable(f"the pipeline stands still at {seen.processed:,} of {processed:,} events")
    return seen


async def counted(client: Client, events: int) -> Overview:
    """Waits until the overview counts so many events and has come to rest; raises Unavailable when it never does."""
    seen, moved_at = await client.overview(), stopwatch()
    while seen.events < events or stopwatch() - moved_at < QUIET_SECONDS:
        await asyncio.sleep(0.2)
        overview = await client.overview()
        if overview != seen:
            seen, moved_at = overview, stopwatch()
        if stopwatch() - moved_at > SETTLING_SECONDS:
            raise Unavailable(f"the overview stands still at {seen.events:,} of {events:,} events")
    return seen


def _print_outcome(outcome: Outcome, before: Stats, after: Stats) -> None:
    accepted, duplicates = after.accepted - before.accepted, after.duplicates - before.duplicates
    print(f"rows {outcome.rows:,}  sent {outcome.sent:,}  accepted {accepted:,}  duplicates {duplicates:,}")
    for reason in outcome.skipped[:MOST_EXAMPLES]:
        print(f"  skipped: {reason}")
    if len(outcome.skipped) > MOST_EXAMPLES:
        print(f"  skipped: {len(outcome.skipped) - MOST_EXAMPLES:,} more")

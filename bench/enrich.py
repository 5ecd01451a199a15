"""What enriching costs an event, step by step, carts left out: batches of 4,000 rows of the load of `bench path`.

    python -m bench enrich

One core, and everything known already, as it is for most events; CPU time of this process, the least of some rounds,
as others use the machine too. `write` is what a batch's sessions and products add to its commit, without the server's
share.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa

from bench.lib.load import EVENTS_A_BATCH, Bodies
from recoup.kit.valkey import connect
from recoup.messages.events import RAW
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain.table import CartTable, key_of
from recoup.services.pipeline.profiles.domain import Profile
from recoup.services.pipeline.sessions.domain import sessions_of
from recoup.services.pipeline.sessions.store import SessionStore
from recoup.services.pipeline.stream.domain.agents import Agents
from recoup.services.pipeline.stream.domain.enriching import enrich
from recoup.services.pipeline.stream.domain.risks import mark_risks
from recoup.services.pipeline.stream.domain.tracking import track_carts
from recoup.services.pipeline.stream.domain.visits import follow_sessions
from recoup.services.pipeline.stream.domain.work import Known, Work, work_of

ROWS = 4_000
BATCHES = 8
ROUNDS = 12
SHOP = "shop"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def tables() -> list[pa.Table]:
    """Rows as the collector writes them; a few user agents and users, which the load has not."""
    bodies = Bodies()
    found: list[pa.Table] = []
    for _ in range(BATCHES):
        events = [event for _ in range(ROWS // EVENTS_A_BATCH) for event in msgspec.json.decode(bodies.next())]
        found.append(pa.Table.from_pylist([_row(event) for event in events], schema=RAW).combine_chunks())
    return found


def _row(event: dict[str, Any]) -> dict[str, Any]:
    return {
        **event,
        **event["context"],
        "event_id": UUID(event["event_id"]).bytes,
        "occurred_at": datetime.fromisoformat(event["occurred_at"]),
        "received_at": NOW,
        "store_id": SHOP,
        "items": event.get("items", []),
    }


class Bench:
    """Batches, and what is known of them."""

    def __init__(self) -> None:
        self.tables = tables()
        self.sessions = SessionStore(connect("unix:///nobody"), 200_000)
        self.agents = Agents()
        self.carts = CartTable()
        self.spent: dict[str, list[float]] = {}

    def work(self, table: pa.Table) -> Work:
        return work_of(table, np.zeros(ROWS, dtype=np.int64), np.arange(ROWS))

    async def known(self, work: Work) -> Known:
        none = np.zeros(0, dtype=np.int64)
        return Known(
            seen=np.zeros(ROWS, dtype=bool), stores={SHOP: StoreSettings(timezone="Europe/Berlin", country="DE")},
            carts=self.carts, slots=self.carts.find(work.carts), due=none, reached={}, now=NOW, agents=self.agents,
            profiles={user: Profile() for user in work.users.names}, sessions=self.sessions.table,
            session_slots=await self.sessions.locate(work.sessions, NOW),
        )  # fmt: skip

    def timed(self, name: str, act: Callable[[], object]) -> None:
        started = time.process_time()
        act()
        self.spent.setdefault(name, []).append(time.process_time() - started)

    async def run(self) -> None:
        """Meets every session first, then measures."""
        for table in self.tables:
            for store_id, names in self.work(table).sessions.by_store:
                missing = [name for name in names if self.sessions.table.find(store_id, [name])[0] < 0]
                for name in missing:
                    self.sessions.table.put(store_id, name, None)
            for partition, name in self.work(table).carts:
                if self.carts.find([(partition, name)])[0] < 0:
                    self.carts.put(key_of(partition, name), None)
        for table in itertools.chain.from_iterable(itertools.repeat(self.tables, ROUNDS)):
            await self.batch(table)

    async def batch(self, table: pa.Table) -> None:
        """One after the other, as the processor does."""
        work = self.work(table)
        stores, names = work.store_codes, work.store_names
        self.timed("name sessions", lambda: sessions_of(table.column("session_id"), stores, names))
        started = time.process_time()
        await self.sessions.locate(work.sessions, NOW)
        self.spent.setdefault("find sessions", []).append(time.process_time() - started)
        known = await self.known(work)
        self.timed("enrich", lambda: enrich(work, known))
        self.timed("follow_sessions", lambda: follow_sessions(work, known))
        track_carts(work, known)
        self.timed("mark_risks", lambda: mark_risks(work, known))
        pipe = self.sessions.valkey.pipeline()
        self.timed("write", lambda: self.sessions.save(pipe, work.sessions_begun, work.sessions_viewed, NOW))
        packer = self.sessions.valkey.connection_pool.connection_class()
        self.timed("pack", lambda: [packer.pack_command(*arguments) for arguments, _ in pipe.command_stack])
        self.sessions.settle(NOW)

    def report(self) -> None:
        """Microseconds an event."""
        least = {name: 1e6 * min(times[BATCHES:]) / ROWS for name, times in self.spent.items()}
        for name, cost in least.items():
            print(f"  {name:<18}{cost:6.3f} µs an event")
        print(f"  {'all':<18}{sum(least.values()):6.3f} µs an event")


def main() -> None:
    bench = Bench()
    asyncio.run(bench.run())
    bench.report()


if __name__ == "__main__":
    main()

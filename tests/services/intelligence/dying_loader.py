"""A loader in a process of its own that kills itself (SIGKILL) at a given point of its first turn.

Arguments: the log's URL, the warehouse's URL, the point.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
from typing_extensions import override

from recoup.kit.clock import SystemClock
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Reader, Record
from recoup.kit.runner import Publisher
from recoup.kit.valkey import connect
from recoup.kit.warehouse import Warehouse
from recoup.services.intelligence.settings import Settings
from recoup.services.intelligence.warehouse.domain import Intent
from recoup.services.intelligence.warehouse.handlers import GROUP, TARGETS, Loader
from recoup.services.intelligence.warehouse.store import Store, migrate


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore(Store):
    """Dies once an intent is written, or once the first of two tables has its rows."""

    @override
    async def intend(self, intent: Intent) -> None:
        await super().intend(intent)
        if sys.argv[3] == "before the inserts":
            die()

    @override
    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        await super().insert(table, rows, token)
        if sys.argv[3] == "between two tables":
            die()


@dataclass
class DyingReader:
    """Dies instead of committing."""

    reader: Any

    async def commit(self, *_: object, **__: object) -> None:
        die()

    async def read(self, *, wait_seconds: float, limit: int) -> Sequence[Record]:
        return await self.reader.read(wait_seconds=wait_seconds, limit=limit)

    def owned(self) -> frozenset[int]:
        return self.reader.owned()


async def main() -> None:
    log, warehouse = open_log(sys.argv[1], 8, sys.argv[1]), Warehouse(sys.argv[2])
    await migrate(warehouse, SystemClock())
    store = DyingStore(warehouse, connect(sys.argv[1]), "one")
    loader = Loader(store, log, Publisher(log), "one", Settings())
    await log.register(GROUP, list(TARGETS))
    while True:
        await loader.turn(cast("Reader", DyingReader(log.reader(GROUP, "one", list(TARGETS)))))


if __name__ == "__main__":
    asyncio.run(main())

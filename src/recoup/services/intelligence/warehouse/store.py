"""All tables of the warehouse: their migrations, inserts that take effect once, and the intents of the loader."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, cast

import msgspec
import pyarrow as pa
from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.telemetry import logger
from recoup.kit.valkey import Pipeline, Valkey, settled
from recoup.kit.warehouse import Warehouse
from recoup.messages.keys import LOAD_INTENTS, LOADS_BEGUN
from recoup.services.intelligence.warehouse.domain import Intent, Position, positions, without

log = logger(__name__)

CLOCKS: Final[Mapping[str, str]] = {
    "events_processed": "occurred_at",
    "events_raw": "received_at",
    "events_errors": "dead_at",
}
"""The tables of which a row must be there exactly once, each with the column it is partitioned by.

In the others a row has an id, and a second one with the same id replaces the first.
"""


class _Version(Struct, frozen=True):
    version: int


class _Month(Struct, frozen=True):
    name: str


class _Count(Struct, frozen=True):
    log_partition: int
    log_offset: int
    month: int
    rows: int


async def migrate(warehouse: Warehouse, clock: Clock) -> list[str]:
    """Runs the numbered files that have not run yet, in order; every statement in them can be run again."""
    await warehouse.execute(
        "create table if not exists schema_versions (version UInt32, name String, applied_at DateTime64(3, 'UTC'))"
        " engine = MergeTree order by version"
    )
    done = {row.version for row in await warehouse.rows(_Version, "select version from schema_versions")}
    applied: list[str] = []
    folder = files("recoup") / "migrations" / "warehouse"
    for file in sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name):
        version = int(file.name.partition("_")[0])
        if version in done:
            continue
        for statement in file.read_text().split(";\n"):
            if statement.strip():
                await warehouse.execute(statement)
        await warehouse.execute(
            "insert into schema_versions values ({version:UInt32}, {name:String}, {at:String})",
            {"version": version, "name": file.name, "at": f"{clock.now():%Y-%m-%d %H:%M:%S}"},
        )
        applied.append(file.name)
    return applied


@dataclass(frozen=True, slots=True)
class Store:
    """What the loader writes."""

    warehouse: Warehouse
    valkey: Valkey
    member: str

    async def intend(self, intent: Intent) -> None:
        """Writes down what is about to be inserted; durable as every write to this Valkey is."""
        await settled(self.valkey.hset(LOAD_INTENTS.key(), self.member, msgspec.json.encode(intent)))

    def fulfil(self, pipe: Pipeline) -> None:
        """Crosses the intent out, together with the commit this belongs to."""
        pipe.hdel(LOAD_INTENTS.key(), self.member)

    async def intents(self) -> dict[str, Intent]:
        """What loaders, this one among them, were about to insert when they stopped; by member."""
        found = cast("dict[bytes, bytes]", await settled(self.valkey.hgetall(LOAD_INTENTS.key())))
        return {member.decode(): msgspec.json.decode(body, type=Intent) for member, body in found.items()}

    async def begins(self) -> bool:
        """Whether nothing was known here before: what loaders were about to insert is then not known either."""
        return bool(await settled(self.valkey.setnx(LOADS_BEGUN.key(), b"1")))

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Adds rows; again under the same token adds nothing."""
        if rows.num_rows:
            await self.warehouse.insert(table, rows, token=token)

    async def insert_missing(self, table: str, rows: pa.Table, token: str) -> int:
        """Adds what is not there yet, whatever was tried before; returns how many rows that were.

        A token alone does not say that rows are there: the engine notes it before it makes the part visible, and a
        process killed between the two would lose them. So this asks the table.
        """
        clock = CLOCKS.get(table)
        if clock is None or not rows.num_rows:
            await self.insert(table, rows, token)
            return 0
        there = await self._there(table, rows, clock)
        missing = without(rows, clock, there)
        if missing.num_rows:
            log.warning("completing an insert", table=table, rows=missing.num_rows, of=rows.num_rows)
            await self.warehouse.insert(table, missing, token=f"{token}:rest:{len(there)}")
        return missing.num_rows

    async def _there(self, table: str, rows: pa.Table, clock: str) -> dict[Position, int]:
        distinct, _ = positions(rows, clock)
        counts = await self.warehouse.rows(
            _Count,
            # The names are ours, from `CLOCKS`.
            f"select log_partition, log_offset, toYYYYMM({clock}) as month, count() as rows from {table}"  # noqa: S608
            " where log_partition in {partitions:Array(UInt16)}"
            " and log_offset >= {first:UInt64} and log_offset <= {last:UInt64}"
            " group by log_partition, log_offset, month",
            {
                "partitions": sorted({position.partition for position in distinct}),
                "first": min(position.offset for position in distinct),
                "last": max(position.offset for position in distinct),
            },
        )
        return {Position(row.log_partition, row.log_offset, row.month): row.rows for row in counts}

    async def drop_until(self, table: str, month: int) -> int:
        """Drops the months up to and with `month` (202601); returns how many there were."""
        months = await self.warehouse.rows(
            _Month,
            "select distinct partition as name from system.parts"
            " where active and database = currentDatabase() and table = {table:String}"
            " and toUInt32OrZero(partition) <= {month:UInt32}",
            {"table": table, "month": month},
        )
        for found in months:
            await self.warehouse.execute(f"alter table {table} drop partition {found.name}")
        return len(months)

    async def merge(self, table: str) -> None:
        """Makes one row of those that mean the same."""
        await self.warehouse.execute(f"optimize table {table} final")

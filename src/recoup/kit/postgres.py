"""PostgreSQL: one pool a process, rows into Structs, one service schema.

Builds no SQL: statements come whole from store rooms.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar, cast
from uuid import UUID

import asyncpg
import msgspec

from recoup.kit.errors import Invalid, Missing, Unavailable

T = TypeVar("T")
_NATIVE = (UUID, datetime, date, timedelta, Decimal, bytes)

# Text with a NUL character: JSON allows it, PostgreSQL doesn't.
_UNKEEPABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)

_OUTAGES = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    # What its client says of a connection that a stopping server broke off in the middle of a statement.
    asyncpg.InternalClientError,
)
"""What the server, or whoever runs it, does to any statement, whatever it says: out of memory or disk, cancelled, the
loser of a deadlock, at a standby after a failover, planned before a migration. It is good a moment later."""


IDLE_SECONDS: Final = 15.0
"""After so long a connection nobody uses is closed: each costs the server 2 to 4 MB, and a new one milliseconds."""


@dataclass(frozen=True, slots=True)
class Session:
    """Statements on one connection, inside one transaction. JSON columns take and give Python values."""

    connection: asyncpg.pool.PoolConnectionProxy

    async def rows(self, kind: type[T], sql: str, *values: object) -> list[T]:
        """Every row as `kind`: a Struct by column name, or a scalar from the first column."""
        return [_shape(kind, row) for row in await self.connection.fetch(sql, *values)]

    async def find(self, kind: type[T], sql: str, *values: object) -> T | None:
        """The first row, or None."""
        row = await self.connection.fetchrow(sql, *values)
        return None if row is None else _shape(kind, row)

    async def row(self, kind: type[T], sql: str, *values: object) -> T:
        """The first row; raises Missing where there is none."""
        found = await self.find(kind, sql, *values)
        if found is None:
            raise Missing("no such row")
        return found

    async def execute(self, sql: str, *values: object) -> int:
        """Runs a statement; how many rows it touched."""
        tag = await self.connection.execute(sql, *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, sql: str, values: Sequence[Sequence[object]]) -> None:
        """The same statement for many rows, in one trip."""
        await self.connection.executemany(sql, values)


@dataclass(slots=True)
class Postgres:
    """A lazily opened pool whose search path is one service's schema."""

    url: str
    schema: str
    size: int = 4
    _pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """One transaction, committed at the end and rolled back by any exception; an outage raises Unavailable."""
        try:
            pool = await self._open()
            async with pool.acquire() as connection, connection.transaction():
                yield Session(connection)
        except _OUTAGES as error:
            raise Unavailable("postgresql does not answer", cause=error) from error
        except _UNKEEPABLE as error:
            raise Invalid(f"text that cannot be kept: {error}", code="text_invalid") from error

    async def rows(self, kind: type[T], sql: str, *values: object) -> list[T]:
        async with self.transaction() as session:
            return await session.rows(kind, sql, *values)

    async def find(self, kind: type[T], sql: str, *values: object) -> T | None:
        async with self.transaction() as session:
            return await session.find(kind, sql, *values)

    async def row(self, kind: type[T], sql: str, *values: object) -> T:
        async with self.transaction() as session:
            return await session.row(kind, sql, *values)

    async def execute(self, sql: str, *values: object) -> int:
        async with self.transaction() as session:
            return await session.execute(sql, *values)

    async def execute_many(self, sql: str, values: Sequence[Sequence[object]]) -> None:
        async with self.transaction() as session:
            await session.execute_many(sql, values)

    async def ping(self) -> None:
        """Raises Unavailable unless a statement comes back."""
        await self.row(int, "select 1")

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _open(self) -> asyncpg.Pool:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self.url,
                min_size=0,
                max_size=self.size,
                max_inactive_connection_lifetime=IDLE_SECONDS,
                init=_prepare,
                command_timeout=30,
                server_settings={"search_path": self.schema, "application_name": f"recoup-{self.schema}"},
            )
        return self._pool


async def _prepare(connection: asyncpg.Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=_json,
            decoder=msgspec.json.decode,
        )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _shape(kind: type[T], row: asyncpg.Record) -> T:
    if issubclass(kind, msgspec.Struct):
        return msgspec.convert(dict(row), kind, builtin_types=_NATIVE)
    return cast("T", row[0])

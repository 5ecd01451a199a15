"""The warehouse client: ClickHouse over HTTP, or chDB in this process, chosen by the URL. Owns no table.

The client is synchronous; every call runs on one worker thread, so that calls never overlap and the event loop stays
free. A chDB path can be open in one process only.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import clickhouse_connect
import msgspec
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from recoup.kit.errors import Unavailable

T = TypeVar("T")
Value = str | int | float | bool | list[str] | list[int] | None

# chDB starts with a server's pools and caches; these keep it small beside seven other processes. Merges may wait: they
# run one at a time and step back (nice) for whatever else wants the processor.
_EMBEDDED = {
    "max_server_memory_usage": "1500000000",
    "mark_cache_size": "67108864",
    "index_mark_cache_size": "8388608",
    "primary_index_cache_size": "33554432",
    "query_condition_cache_size": "8388608",
    "compiled_expression_cache_size": "8388608",
    "parquet_metadata_cache_size": "1048576",
    "background_pool_size": "1",
    "background_merges_mutations_concurrency_ratio": "1",
    "background_schedule_pool_size": "1",
    "background_streaming_schedule_pool_size": "1",
    "os_threads_nice_value_merge_mutate": "10",
    "jemalloc_enable_background_threads": "0",
}
_CONNECT_SECONDS = 5
# What an insert wants besides its token: rows of any number of months in one go.
_INSERT = {"insert_deduplicate": 1, "max_partitions_per_insert_block": 0}
# The engine's own words for "not now": worth a retry.
_PASSING = (
    "NOT_ENOUGH_SPACE",
    "No space left",
    "CANNOT_WRITE",
    "MEMORY_LIMIT",
    "TOO_MANY_PARTS",
    "TIMEOUT_EXCEEDED",
    "NETWORK_ERROR",
)


@dataclass(slots=True)
class Warehouse:
    """`url` is chdb:///folder or http(s)://user:password@host:port/database; `threads` bounds one query's."""

    url: str
    threads: int = 1
    patience_seconds: int = 60
    """How long a server may think about one statement before it counts as away; chDB has no wire to wait on."""
    _client: Client | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "warehouse"))

    async def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Adds rows; the same token again adds nothing, even after a crash between insert and answer."""
        settings = {**_INSERT, "insert_deduplication_token": token}
        await self._run(
            lambda client: client.raw_insert(table, rows.column_names, _pieces(rows), settings, fmt="ArrowStream")
        )

    async def rows(self, kind: type[T], sql: str, parameters: Mapping[str, Value] | None = None) -> list[T]:
        """Every row as a Struct of `kind`, by column name; parameters are written {name:Type} in the statement."""
        table = await self.arrow(sql, parameters)
        return msgspec.convert(table.to_pylist(), list[kind])

    async def arrow(self, sql: str, parameters: Mapping[str, Value] | None = None) -> pa.Table:
        """The answer as an Arrow table."""
        return await self._run(lambda client: client.query_arrow(sql, parameters=dict(parameters or {})))

    async def execute(self, sql: str, parameters: Mapping[str, Value] | None = None) -> None:
        """Runs a statement that answers nothing."""
        await self._run(lambda client: client.command(sql, parameters=dict(parameters or {})))

    async def ping(self) -> None:
        await self.arrow("select 1 as one")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, client.close)
        self._thread.shutdown()

    async def _run(self, call: Callable[[Client], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, call)

    def _call(self, call: Callable[[Client], T]) -> T:
        try:
            if self._client is None:
                self._client = _open(self.url, self.threads, self.patience_seconds)
            return call(self._client)
        except (OperationalError, OSError) as error:
            raise Unavailable("the warehouse does not answer", cause=error) from error
        except DatabaseError as error:
            if any(words in str(error) for words in _PASSING):
                raise Unavailable("the warehouse cannot take this now", cause=error) from error
            raise


def _pieces(rows: pa.Table) -> Generator[bytes]:
    """An Arrow stream as the buffers it consists of.

    As one run of bytes it would be put together and copied in memory that is mapped anew for every insert: a fifth of
    an insert's processor time, measured with 100,000 events.
    """
    sink = _Sink()
    with pa.ipc.new_stream(cast("BinaryIO", sink), rows.schema) as writer:
        writer.write_table(rows)
    yield from sink.pieces


@dataclass(slots=True)
class _Sink:
    """As much of a file as Arrow's writer wants; keeps the pieces, none of them larger than a column."""

    pieces: list[bytes] = field(default_factory=list)
    closed: bool = False

    def write(self, piece: pa.Buffer | bytes) -> int:
        kept = memoryview(piece).tobytes()
        self.pieces.append(kept)
        return len(kept)

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def _open(url: str, threads: int, patience_seconds: int) -> Client:
    settings = {"max_threads": threads, "max_insert_threads": 1}
    parts = urlsplit(url)
    if parts.scheme == "chdb":
        return clickhouse_connect.get_client(
            interface="chdb", path=parts.path, settings=settings, chdb_options=_EMBEDDED
        )
    return clickhouse_connect.get_client(
        host=parts.hostname,
        port=parts.port or 8123,
        username=parts.username,
        password=parts.password or "",
        database=parts.path.strip("/") or "default",
        secure=parts.scheme == "https",
        settings=settings,
        connect_timeout=min(_CONNECT_SECONDS, patience_seconds),
        send_receive_timeout=patience_seconds,
    )

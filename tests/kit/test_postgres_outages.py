"""What a statement meets that it is not to blame for is an outage, to be tried again; its own mistakes stay loud."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from recoup.kit.errors import Unavailable
from recoup.kit.postgres import Postgres


@pytest.fixture
async def db(postgres_url: str) -> AsyncGenerator[Postgres]:
    found = Postgres(postgres_url, "public")
    yield found
    await found.close()


@pytest.mark.parametrize(
    "code", ["53100", "53200", "53300", "57014", "57P01", "58030", "40001", "40P01", "55P03", "25P03", "25006"]
)
async def test_the_servers_troubles_are_an_outage(db: Postgres, code: str) -> None:
    with pytest.raises(Unavailable, match="postgresql does not answer"):
        await db.execute(f"do $$ begin raise exception 'of the server' using errcode = '{code}'; end $$")
    assert await db.row(int, "select 1") == 1


async def test_a_cancelled_statement_and_the_loser_of_a_deadlock_may_be_tried_again(db: Postgres) -> None:
    with pytest.raises(Unavailable):
        await db.execute("select pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")

    met = asyncio.Barrier(2)

    async def take(first: int, second: int) -> None:
        async with db.transaction() as session:
            await session.execute("select pg_advisory_xact_lock($1)", first)
            await met.wait()
            await session.execute("select pg_advisory_xact_lock($1)", second)

    outcomes = await asyncio.gather(take(7001, 7002), take(7002, 7001), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "Unavailable"]


async def broken_off(db: Postgres) -> None:
    async with db.transaction() as session:
        await db.execute("select pg_terminate_backend($1)", await session.row(int, "select pg_backend_pid()"))
        while True:
            await session.execute("select 1")


async def taken_for_busy(db: Postgres) -> None:
    """What its client says, now and then, of a connection that was broken off."""
    async with db.transaction():
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")


async def test_a_connection_that_the_server_breaks_off_is_an_outage_whatever_its_client_makes_of_it(
    db: Postgres,
) -> None:
    for strike in (*[broken_off] * 5, taken_for_busy):
        with pytest.raises(Unavailable):
            await strike(db)
    assert await db.row(int, "select 1") == 1


async def test_a_statement_planned_before_a_migration_is_planned_anew(db: Postgres) -> None:
    try:
        await db.execute("create table migrated (a int)")
        asked = "select * from migrated"
        await db.rows(int, asked)
        other = await asyncpg.connect(db.url)
        await other.execute("alter table migrated add column b int")
        await other.close()
        with pytest.raises(Unavailable):
            await db.rows(int, asked)
        assert await db.rows(int, asked) == []
    finally:
        await db.execute("drop table migrated")


async def test_a_mistake_in_a_statement_stays_a_bug(db: Postgres) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await db.execute("select * from nowhere_at_all")

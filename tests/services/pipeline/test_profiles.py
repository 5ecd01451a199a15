"""A user's past: from what passed by, from Valkey, and from its copy in PostgreSQL when Valkey has lost it."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.conftest import running as running_engine
from tests.services.pipeline.builders import NOON, SHOP, Pipeline, event, ordered, pipeline

from recoup.kit import embedded
from recoup.kit.migrate import migrate
from recoup.kit.valkey import connect
from recoup.messages.keys import USER_PROFILE
from recoup.services.pipeline.settings import Settings

PATIENT = Settings(profile_wait_seconds=10)
"""Waits for the first connection, which takes longer than a batch would."""


@pytest.fixture
async def profiles(database: str) -> str:
    await migrate(database, ["pipeline"])
    return database


def profile(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row[f"user_{name}"] for name in ("orders", "average_order", "last_seen", "last_category"))


async def test_a_user_is_known_by_the_orders_that_passed_by_even_to_the_next_processor(
    valkey_url: str, profiles: str
) -> None:
    def line(product: str, category: str, price: int) -> dict[str, object]:
        return {"product_id": product, "category": category, "price": price}

    once: dict[str, object] = {"type": "order_completed", "user_id": "ada", "order_id": "1", "amount": 3_000}
    items = [line("mug", "kitchen", 500), line("pen", "office", 400), line("cup", "kitchen", 300)]
    async with pipeline(valkey_url, database=profiles, settings=PATIENT) as running:
        await running.send(event(**once, items=items))
        (first,) = await running.enriched(1)
        # The shop tells it twice, by its page and by its server.
        await running.send(event(**once, at=1))
        await running.send(ordered(user_id="ada", at=2), ordered(user_id="ada", currency="EUR", at=2))
        await running.enriched(3)
        await running.send(event(user_id="ada", at=9), event(user_id="bob", at=9), event(at=9))
        last = {row["user_id"]: profile(row) for row in await running.enriched(3)}
    async with pipeline(valkey_url, keep=True, database=profiles, settings=PATIENT) as second:
        await second.send(event(user_id="ada", at=10))
        (kept,) = await second.enriched(1)

    seen = NOON + timedelta(minutes=2)
    assert profile(first) == (0, None, None, None)
    assert last == {"ada": (3, 2_000, seen, "kitchen"), "bob": (0, None, None, None), None: (None, None, None, None)}
    assert profile(kept)[:2] == (3, 2_000)


async def test_rows_do_not_wait_for_profiles_that_do_not_come(valkey_url: str, profiles: str) -> None:
    async with pipeline(valkey_url, settings=Settings(profile_wait_seconds=0), database=profiles) as running:
        await running.send(event(user_id="ada"), event())

        rows = await running.enriched(2)

        assert {row["user_id"]: row["enrichment_missing"] for row in rows} == {"ada": "user_profile", None: None}
        assert {row["user_orders"] for row in rows} == {None}


async def orders(running: Pipeline, user: str) -> tuple[object, object]:
    """How many orders of a user are known, and what is said to be missing."""
    await running.send(event(user_id=user))
    (row,) = await running.enriched(1)
    return row["user_orders"], row["enrichment_missing"]


async def test_what_valkey_has_lost_comes_back_from_its_copy_and_is_added_to(valkey_url: str, profiles: str) -> None:
    async with pipeline(valkey_url, database=profiles, settings=PATIENT) as running:
        await running.send(ordered(user_id="ada"))
        await running.enriched(1)
        await running.processor.profiles.copy()
    # Valkey is emptied here.
    async with pipeline(valkey_url, database=profiles, settings=PATIENT) as second:
        await second.send(ordered(user_id="ada"))
        (first,) = await second.enriched(1)
        await second.processor.profiles.copy()
        assert await orders(second, "ada") == (2, None)
    async with pipeline(valkey_url, database=profiles, settings=PATIENT) as third:
        await third.send(event(user_id="ada"))
        (last,) = await third.enriched(1)

    assert profile(first) == (1, 1_000, NOON, None)
    assert profile(last)[:2] == (2, 1_000)


@asynccontextmanager
async def started(engine: embedded.Postgres) -> AsyncGenerator[None]:
    """The engine, from its first answer on; killed in the end."""
    child = running_engine(engine)
    await asyncio.to_thread(child.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(child.__exit__, None, None, None)


async def test_without_postgresql_those_whom_valkey_knows_are_known_and_no_order_is_forgotten(
    valkey_url: str,
) -> None:
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as folder:
        engine = embedded.Postgres(Path(folder) / "postgres")
        async with started(engine):
            await migrate(engine.url, ["pipeline"])
            async with pipeline(valkey_url, database=engine.url, settings=PATIENT) as running:
                await running.send(ordered(user_id="ada"), ordered(user_id="eve"))
                await running.enriched(2)
                await running.processor.profiles.copy()
        # It is stopped, and Valkey loses one of the two.
        valkey = connect(valkey_url)
        await valkey.delete(USER_PROFILE.key(store_id=SHOP, user_id="eve"))
        await valkey.aclose()
        async with pipeline(valkey_url, database=engine.url, settings=PATIENT, keep=True) as second:
            while_away = [await orders(second, "ada"), await orders(second, "eve")]
            await second.send(ordered(user_id="eve"))
            await second.enriched(1)
            await second.processor.profiles.copy()
        async with started(engine):
            async with pipeline(valkey_url, database=engine.url, settings=PATIENT, keep=True) as third:
                back = await orders(third, "eve")
                await third.processor.profiles.copy()
            async with pipeline(valkey_url, database=engine.url, settings=PATIENT) as fourth:
                at_last = await orders(fourth, "eve")

    assert while_away == [(1, None), (None, "user_profile")]
    assert (back, at_last) == ((2, None), (2, None))


async def test_a_postgresql_that_never_answers_holds_up_no_event(valkey_url: str) -> None:
    silence = asyncio.Event()

    async def say_nothing(*_: object) -> None:
        await silence.wait()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with pipeline(valkey_url, database=f"postgresql://nobody@127.0.0.1:{port}/nothing") as running:
        assert [await orders(running, user) for user in ("ada", "ada", "bob")] == [(None, "user_profile")] * 3
    silence.set()
    server.close()

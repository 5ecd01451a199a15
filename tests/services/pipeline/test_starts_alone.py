"""A process that begins while the platform is away knows stores and their schemas as they were last told."""

from typing import Any, cast

import pytest
from tests.services.pipeline.builders import SHOP, event, pipeline
from tests.services.pipeline.registry import Registry

from recoup.kit.errors import Unavailable
from recoup.kit.valkey import connect
from recoup.messages.keys import SCHEMA_CACHE, STORE_CONFIG
from recoup.messages.schemas import OnViolation
from recoup.messages.stores import Asks, StoreConfigured, StoreDirectory, StoreSettings
from recoup.services.pipeline.schemas.store import StoreMemory
from recoup.services.pipeline.settings import Settings

VIEW = "page_viewed"
TOLD = StoreConfigured(store_id=SHOP, version=3, settings=StoreSettings(currency="EUR"), schemas=7)


class Platform:
    """Says what it knows, or nothing at all."""

    def __init__(self, told: StoreConfigured | None) -> None:
        self.told = told

    async def get(self, service: str, path: str, kind: type[Any], params: object = None) -> Any:  # noqa: ARG002 - the port has it
        if self.told is None:
            raise Unavailable("platform does not answer")
        return self.told


def directory(told: StoreConfigured | None, valkey: Any) -> StoreDirectory:
    return StoreDirectory(cast("Asks", Platform(told)), memory=StoreMemory(valkey))


async def test_schemas_known_before_are_held_against_events_though_the_registry_is_silent(valkey_url: str) -> None:
    registry = Registry()
    registry.register(VIEW, {"properties": {"shelf": {"type": "integer"}}})
    bad, good = event(properties={"shelf": "top"}), event(properties={"shelf": 1})
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(event(properties={"shelf": 1}))
        await running.enriched(1)
    registry.fails = True
    async with pipeline(valkey_url, registry=registry, keep=True) as alone:
        await registry.announce(alone.collector.stores, SHOP)
        await alone.send(bad, good)
        rows = await alone.enriched(1)
        counts = await alone.stats.read(SHOP)

    assert [row["properties"] for row in rows] == ['{"shelf":1}']
    assert (counts.dead, counts.warned) == ({"schema_violation": 1}, {})


async def test_what_was_registered_since_is_waited_for(valkey_url: str) -> None:
    registry = Registry()
    registry.register(VIEW, {"properties": {"shelf": {"type": "integer"}}})
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(event(properties={"shelf": 1}))
        await running.enriched(1)
    registry.rule(VIEW, OnViolation.WARN)
    async with pipeline(valkey_url, registry=registry, keep=True) as second:
        await registry.announce(second.collector.stores, SHOP)
        await second.send(event(properties={"shelf": "top"}))
        (row,) = await second.enriched(1)

    assert row["properties"] == '{"shelf":"top"}'


async def test_schemas_that_are_too_much_are_not_kept(valkey_url: str) -> None:
    registry = Registry()
    registry.register(VIEW, {"properties": {"shelf": {"type": "integer"}}})
    valkey = connect(valkey_url)
    async with pipeline(valkey_url, registry=registry, settings=Settings(schema_memory_bytes=10)) as running:
        await valkey.set(SCHEMA_CACHE.key(store_id=SHOP), "of another time")
        await registry.announce(running.collector.stores, SHOP)
        await running.send(event(properties={"shelf": 1}))
        await running.enriched(1)
        assert not await valkey.exists(SCHEMA_CACHE.key(store_id=SHOP))
    await valkey.aclose()


async def test_a_store_known_before_is_known_though_the_platform_is_silent(valkey_url: str) -> None:
    valkey = connect(valkey_url)
    await valkey.flushdb()
    with pytest.raises(Unavailable):
        await directory(None, valkey).settings(SHOP)
    assert (await directory(TOLD, valkey).settings(SHOP)).currency == "EUR"

    alone = directory(None, valkey)

    assert (await alone.settings(SHOP)).currency == "EUR"
    assert await alone.schemas(SHOP) == 7
    assert 0 < await valkey.ttl(STORE_CONFIG.key(store_id=SHOP)) <= 90 * 86_400
    await valkey.set(STORE_CONFIG.key(store_id=SHOP), "nonsense")
    with pytest.raises(Unavailable):
        await directory(None, valkey).settings(SHOP)
    await valkey.aclose()

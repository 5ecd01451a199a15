"""One process of the service on real engines, for every test that asks."""

from collections.abc import AsyncGenerator

import pytest
from tests.services.interventions.world import World, opened, prepared


@pytest.fixture
async def world(database: str, valkey_url: str) -> AsyncGenerator[World]:
    await prepared(database, valkey_url)
    async with opened(database, valkey_url) as made:
        yield made

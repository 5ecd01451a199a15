"""A warehouse of its own for each test, on chDB, and a log of its own in the shared Valkey."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recoup.kit.clock import SystemClock
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log
from recoup.kit.runner import Publisher
from recoup.kit.valkey import Valkey, connect
from recoup.kit.warehouse import Warehouse
from recoup.services.intelligence.settings import Settings
from recoup.services.intelligence.warehouse.handlers import Loader
from recoup.services.intelligence.warehouse.store import Store, migrate


@pytest.fixture
async def warehouse(tmp_path: Path) -> AsyncIterator[Warehouse]:
    """ChDB with every table."""
    warehouse = Warehouse(f"chdb://{tmp_path}/warehouse")
    await migrate(warehouse, SystemClock())
    yield warehouse
    await warehouse.close()


@dataclass
class Engines:
    """The log, emptied before each test."""

    valkey: Valkey
    log: Log


@pytest.fixture
async def engines(valkey_url: str) -> AsyncIterator[Engines]:
    valkey = connect(valkey_url)
    await valkey.flushall()
    log = open_log(valkey_url, 8, valkey_url)
    yield Engines(valkey, log)
    await log.close()
    await valkey.aclose()


@pytest.fixture
def loader(engines: Engines, warehouse: Warehouse) -> Loader:
    settings = Settings(gather_seconds=0, idle_gather_seconds=0)
    return Loader(Store(warehouse, engines.valkey, "one"), engines.log, Publisher(engines.log), "one", settings)

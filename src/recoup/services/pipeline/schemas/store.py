"""What the platform said of stores and their schemas, in Valkey: for processes that begin while it is away.

A process that runs keeps what it knows. One that begins would have to wait, and events with it.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.kit.valkey import Valkey, settled
from recoup.messages.keys import SCHEMA_CACHE, STORE_CONFIG
from recoup.messages.schemas import ActiveSchemas
from recoup.messages.stores import StoreConfigured

log = logger(__name__)
Told = TypeVar("Told")
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class StoreMemory:
    """Settings of stores as they were last told."""

    valkey: Valkey

    async def find(self, store_id: str) -> StoreConfigured | None:
        """What was kept; None where nothing was, or it cannot be read by now."""
        return await _read(self.valkey, STORE_CONFIG.key(store_id=store_id), StoreConfigured)

    async def keep(self, told: StoreConfigured) -> None:
        """Takes the place of what was kept."""
        await _write(self.valkey, STORE_CONFIG.key(store_id=told.store_id), _ENCODE(told))


@dataclass(frozen=True, slots=True)
class SchemaMemory:
    """Schemas of stores as they were last told; more than `most_bytes` of one store are not kept."""

    valkey: Valkey
    most_bytes: int

    async def find(self, store_id: str) -> ActiveSchemas | None:
        """What was kept; None where nothing was, or it cannot be read by now."""
        return await _read(self.valkey, SCHEMA_CACHE.key(store_id=store_id), ActiveSchemas)

    async def keep(self, store_id: str, told: ActiveSchemas) -> None:
        """Takes the place of what was kept."""
        text = _ENCODE(told)
        await _write(self.valkey, SCHEMA_CACHE.key(store_id=store_id), text if len(text) <= self.most_bytes else None)


async def _read(valkey: Valkey, key: str, kind: type[Told]) -> Told | None:
    try:
        found = await settled(valkey.get(key))
        return None if found is None else msgspec.json.decode(found, type=kind)
    except (Unavailable, msgspec.MsgspecError) as failure:
        log.warning("nothing is known from before", key=key, why=str(failure))
        return None


async def _write(valkey: Valkey, key: str, text: bytes | None) -> None:
    try:
        await settled(valkey.delete(key) if text is None else valkey.set(key, text, ex=SCHEMA_CACHE.lifetime))
    except Unavailable as failure:
        log.warning("this is not kept for a start without the platform", key=key, why=failure.detail)

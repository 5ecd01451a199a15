"""Changing a store: what must be asked first, and who is told afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Invalid
from recoup.kit.peers import Peers
from recoup.kit.service import Publish
from recoup.messages.changes import CONFIG_CHANGES
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.stores import domain
from recoup.services.platform.stores.domain import Store
from recoup.services.platform.stores.store import Stores


class Accepted(Struct, frozen=True):
    """What we need of the pipeline's figures for a store."""

    accepted: int


@dataclass(frozen=True, slots=True)
class StoreActions:
    """Every change is committed first and published afterwards; who misses the news reads it within a minute."""

    stores: Stores
    peers: Peers
    publish: Publish
    clock: Clock

    async def make(self, name: str, settings: StoreSettings, owner: UUID, actor: Actor) -> Store:
        self._check(settings)
        store = await self.stores.make(name, settings, owner, actor, self.clock.now())
        await self.announce([StoreConfigured(store_id=store.store_id, version=1, settings=settings)])
        return store

    async def configure(
        self, store_id: str, settings: StoreSettings, expected: int | None, actor: Actor
    ) -> StoreConfigured:
        """New settings, on top of version `expected` or else of whatever is current."""
        self._check(settings)
        current = await self.stores.configured(store_id)
        if domain.switches_clock(current.settings, settings):
            await self._refuse_clock_of_a_store_in_use(store_id)
        made = await self.stores.configure(store_id, settings, expected, actor, self.clock.now())
        await self.announce([made])
        return made

    async def restore(self, store_id: str, version: int, expected: int | None, actor: Actor) -> StoreConfigured:
        """An older version anew, as the newest one; what was added since has its default."""
        written = await self.stores.written(store_id, version)
        try:
            settings = msgspec.convert(written.settings, StoreSettings)
        except msgspec.ValidationError as error:
            raise Conflict(
                f"version {version} does not go with today's settings: {error}", code="cannot_be_restored"
            ) from error
        return await self.configure(store_id, settings, expected, actor)

    async def tell(self, store_id: str) -> None:
        """That something about a store has changed which others keep."""
        await self.announce([await self.stores.configured(store_id)])

    async def announce(self, made: Sequence[StoreConfigured]) -> None:
        await self.publish(CONFIG_CHANGES, made)

    @staticmethod
    def _check(settings: StoreSettings) -> None:
        problems = domain.problems(settings)
        if problems:
            raise Invalid("these settings break a rule", problems=problems)

    async def _refuse_clock_of_a_store_in_use(self, store_id: str) -> None:
        figures = await self.peers.get("pipeline", "/events/stats", Accepted, {"store_id": store_id})
        if figures.accepted > 0:
            raise Conflict(
                f"store {store_id!r} has {figures.accepted} events already: its clock stays as it is",
                code="clock_in_use",
            )

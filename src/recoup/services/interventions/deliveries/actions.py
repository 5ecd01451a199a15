"""Ends deliveries from outside: the page has the message, the shopper bought or came back, somebody called it off."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict
from recoup.messages.stores import StoreDirectory
from recoup.services.interventions.clocks.store import Clocks
from recoup.services.interventions.decisions.domain import Intervention
from recoup.services.interventions.decisions.store.interventions import Interventions
from recoup.services.interventions.decisions.store.slots import Slots
from recoup.services.interventions.deliveries.store import Deliveries
from recoup.services.interventions.preferences.domain import seats
from recoup.services.interventions.preferences.store import People


@dataclass(frozen=True, slots=True)
class Endings:
    """What ends a delivery other than its own sending."""

    deliveries: Deliveries
    interventions: Interventions
    slots: Slots
    people: People
    stores: StoreDirectory
    clocks: Clocks
    clock: Clock
    announced: asyncio.Event

    async def waiting(self, store_id: str, person_id: str, held: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Frames that wait for an acknowledgement by a page on one of these seats."""
        (person,) = await self.people.people(store_id, [(None, person_id)])
        found = await self.deliveries.waiting(store_id, person.linked)
        return [
            (each.message_id, each.frame)
            for each in found
            if not set(seats(each.cart, each.person_id)).isdisjoint(held)
        ]

    async def acknowledge(self, store_id: str, message_id: str) -> None:
        """The page has the message; saying it twice changes nothing."""
        intervention = await self.interventions.find(store_id, UUID(message_id))
        if intervention is None:
            return
        at = await self._now(store_id, intervention)
        await self.deliveries.end_one(store_id, intervention, "delivered", at, self.clock.now(), "")
        self.announced.set()

    async def call_off(self, store_id: str, intervention_id: UUID, why: str) -> None:
        """Cancels a message that hasn't left; raises Missing or Conflict where there is none."""
        intervention = await self.interventions.intervention(store_id, intervention_id)
        at = await self._now(store_id, intervention)
        if not await self.deliveries.end_one(store_id, intervention, "cancelled", at, self.clock.now(), why):
            raise Conflict("there is no message under way: it was sent, has ended, or never was to be")
        await self._release(store_id, [(intervention.id, intervention.person_id)])
        self.announced.set()

    async def cancel(self, store_id: str, people: Mapping[str, str], carts: Mapping[str, str], at: datetime) -> None:
        """Ends what waits for these people or carts, each with its reason."""
        ended = await self.deliveries.cancel(store_id, people, carts, at, self.clock.now())
        if ended:
            await self._release(store_id, ended)
            self.announced.set()

    async def _release(self, store_id: str, ended: Sequence[tuple[UUID, str]]) -> None:
        people = await self.people.people(store_id, [(None, person_id) for _, person_id in ended])
        await self.slots.release(
            store_id, [(str(identity), person.linked) for (identity, _), person in zip(ended, people, strict=True)]
        )

    async def _now(self, store_id: str, intervention: Intervention) -> datetime:
        return await self.clocks.now(store_id, await self.stores.settings(store_id)) or intervention.decided_at

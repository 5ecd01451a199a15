"""Notes what was done with a message, whichever door it was told through."""

import asyncio
from dataclasses import dataclass

from recoup.kit.clock import Clock
from recoup.messages.stores import StoreDirectory
from recoup.services.interventions.clocks.store import Clocks
from recoup.services.interventions.decisions.domain import Intervention
from recoup.services.interventions.decisions.store.interventions import Interventions
from recoup.services.interventions.preferences.store import People
from recoup.services.interventions.tracking.domain import Kind, Link, Touch, opened, touch_id
from recoup.services.interventions.tracking.store import Touches

_LONGEST_AGENT = 300


@dataclass(frozen=True, slots=True)
class Tracking:
    """From a touch to its row."""

    touches: Touches
    interventions: Interventions
    people: People
    stores: StoreDirectory
    clocks: Clocks
    clock: Clock
    key: bytes
    news: asyncio.Event

    def opened(self, token: str) -> Link | None:
        """The link behind a token; None for a forged one."""
        return opened(self.key, token)

    async def touch(self, store_id: str, intervention: Intervention, kind: Kind, target: str, user_agent: str) -> None:
        """Keeps one touch; the same within the same second counts once."""
        wall = self.clock.now()
        at = await self.clocks.now(store_id, await self.stores.settings(store_id)) or intervention.decided_at
        touch = Touch(
            id=touch_id(intervention.id, kind, target, wall),
            store_id=store_id,
            intervention_id=intervention.id,
            person_id=intervention.person_id,
            cart_id=intervention.cart_id,
            cart_number=intervention.cart_number,
            kind=kind,
            channel="email" if target else intervention.channel,
            target=target,
            at=at,
            received_at=wall,
            user_agent=user_agent[:_LONGEST_AGENT],
        )
        await self.touches.note(store_id, touch)
        self.news.set()

    async def follow(self, link: Link, kind: Kind, target: str, user_agent: str) -> None:
        """Keeps what became of a signed link; of a message that is gone, nothing is kept."""
        intervention = await self.interventions.find(link.store_id, link.intervention_id)
        if intervention is not None:
            await self.touch(link.store_id, intervention, kind, target, user_agent)

    async def unsubscribe(self, link: Link, user_agent: str) -> None:
        """Ends all marketing to the link's mailbox."""
        settings = await self.stores.settings(link.store_id)
        at = await self.clocks.now(link.store_id, settings) or self.clock.now()
        if await self.people.unsubscribe(link.store_id, link.address, at):
            await self.follow(link, "unsubscribed", "", user_agent)

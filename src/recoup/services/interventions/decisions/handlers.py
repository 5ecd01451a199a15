"""A cart was scored: decide, and keep the decision."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.ids import derived_id
from recoup.kit.telemetry import logger
from recoup.messages.facts import CartScored, Outcome
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.services.interventions.decisions import domain
from recoup.services.interventions.decisions.domain import Case, Decision, Intervention
from recoup.services.interventions.decisions.store.interventions import Interventions
from recoup.services.interventions.decisions.store.slots import Slots, Wanted
from recoup.services.interventions.decisions.switches import open_to
from recoup.services.interventions.preferences.domain import Person, seats
from recoup.services.interventions.preferences.store import People

log = logger(__name__)
_LOOK_SECONDS: Final = 0.1


class Presence(Protocol):
    """Who has the shop's page open."""

    async def present(self, store_id: str, wanted: Sequence[Sequence[str]]) -> list[bool]:
        """For each person, given by all their ids, whether somebody is there."""
        ...


class Orders(Protocol):
    """Who bought when."""

    async def last_orders(
        self, store_id: str, wanted: Sequence[tuple[Sequence[str], str, datetime]]
    ) -> list[datetime | None]:
        """The last order by any of a person's ids, or of a cart, up to a moment."""
        ...

    async def decided(self, store_id: str, interventions: Sequence[Intervention], people: Sequence[Person]) -> None:
        """Credits orders that were known before the decision they belong to."""
        ...


@dataclass(frozen=True, slots=True)
class Handlers:
    """From a prediction to a decision."""

    interventions: Interventions
    slots: Slots
    people: People
    presence: Presence
    orders: Orders
    stores: StoreDirectory
    clock: Clock
    decided: Sequence[asyncio.Event]
    """Set when there is something to deliver or to announce."""
    patience_seconds: float
    """How long a decision waits for the events that its prediction was made of."""

    async def on_carts_scored(self, scored: Sequence[CartScored]) -> None:
        by_store: dict[str, dict[UUID, CartScored]] = defaultdict(dict)
        for each in scored:
            by_store[each.store_id].setdefault(derived_id("intervention", each.id), domain.keepable(each))
        for store_id, batch in by_store.items():
            known = await self.interventions.decided_ids(store_id, list(batch))
            await self._decide(store_id, {key: each for key, each in batch.items() if key not in known})
        for event in self.decided:
            event.set()

    async def _decide(self, store_id: str, batch: dict[UUID, CartScored]) -> None:
        if not batch:
            return
        await self._caught_up(store_id, list(batch.values()))
        settings, flags = await self.stores.settings(store_id), await self.stores.flags(store_id)
        people = await self.people.people(
            store_id,
            [
                (each.cart.user_id, each.cart.anonymous_id or each.cart.session_id or each.cart.cart_id)
                for each in batch.values()
            ],
        )
        cases = [open_to(case, flags) for case in await self._cases(store_id, list(batch.values()), people, settings)]
        decisions = await self._decisions(store_id, list(batch), cases)
        interventions = [
            _intervention(identity, case, decision)
            for identity, case, decision in zip(batch, cases, decisions, strict=True)
        ]
        await self.interventions.record(store_id, interventions)
        await self.orders.decided(store_id, interventions, people)

    async def _caught_up(self, store_id: str, scored: Sequence[CartScored]) -> None:
        """Waits until the events behind these predictions have been taken in here too.

        Two readers race: what the shopper said, their address and consent, stands before the abandonment.
        """
        deadline = stopwatch() + self.patience_seconds
        carts = [(each.cart.cart_id, each.cart.number) for each in scored]
        while behind := await self.interventions.unheard(store_id, carts):
            if stopwatch() >= deadline:
                log.warning("decided_behind_events", store_id=store_id, carts=behind)
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _cases(
        self, store_id: str, scored: Sequence[CartScored], people: Sequence[Person], settings: StoreSettings
    ) -> list[Case]:
        moments = [each.occurred_at if settings.clock == "event" else self.clock.now() for each in scored]
        present = await self.presence.present(
            store_id, [seats(each.cart, person.person_id) for each, person in zip(scored, people, strict=True)]
        )
        bought = await self.orders.last_orders(
            store_id,
            [
                (person.linked, each.cart.cart_id, moment)
                for person, each, moment in zip(people, scored, moments, strict=True)
            ],
        )
        arms = await self.interventions.first_assignments(
            store_id, sorted({each for one in people for each in one.linked})
        )
        return [
            Case(
                scored=each, settings=settings, person=person, now=moment, present=here, bought_at=bought_at,
                assigned_as=next((arms[one] for one in person.linked if one in arms), person.person_id),
            )
            for each, person, moment, here, bought_at in zip(scored, people, moments, present, bought, strict=True)
        ]  # fmt: skip

    async def _decisions(self, store_id: str, ids: Sequence[UUID], cases: Sequence[Case]) -> list[Decision]:
        """Asks the rules, then takes a slot for whoever passes them, held out or not, so that both arms are alike."""
        plans = [domain.plan(case) for case in cases]
        answers = [domain.ask(case, planned) for case, planned in zip(cases, plans, strict=True)]
        slots = await self.slots.ask(
            store_id,
            [
                Wanted(
                    member=str(identity), linked=case.person.linked, at=planned.due_at, now=case.now,
                    settings=case.settings, take=all(answer.passed for answer in asked),
                )
                for identity, case, planned, asked in zip(ids, cases, plans, answers, strict=True)
            ],
        )  # fmt: skip
        return [domain.conclude(*each) for each in zip(cases, plans, answers, slots, strict=True)]


def _intervention(identity: UUID, case: Case, decision: Decision) -> Intervention:
    scored, planned = case.scored, decision.plan
    contacted = decision.outcome is Outcome.CONTACT
    return Intervention(
        id=identity,
        store_id=scored.store_id,
        cart_id=scored.cart.cart_id,
        cart_number=scored.cart.number,
        trigger=scored.trigger,
        person_id=case.person.person_id,
        assigned_as=case.assigned_as,
        outcome=decision.outcome,
        channel=planned.channel,
        action=planned.action,
        discount_percent=planned.discount_percent,
        coupon=domain.coupon(identity) if contacted and planned.discount_percent else None,
        rules=decision.rules,
        propensity=decision.propensity,
        probability=scored.probability,
        model_version=scored.model_version,
        reasons=scored.reasons,
        cart=scored.cart,
        clock=case.settings.clock,
        decided_at=case.now,
        due_at=planned.due_at if contacted else None,
        expires_at=planned.expires_at,
    )

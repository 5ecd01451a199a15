"""Sends what is due: claim, ask again, send, write back. Any number of these loops, in any number of processes."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from recoup.kit.clock import Clock
from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.messages.stores import Channel, StoreDirectory
from recoup.services.interventions.channels.domain import Channel as Way
from recoup.services.interventions.channels.domain import Parcel, Receipt, frame
from recoup.services.interventions.decisions.store.interventions import Interventions
from recoup.services.interventions.decisions.store.slots import Slots, Wanted
from recoup.services.interventions.deliveries.domain import (
    FAILURES_BEFORE_DEAD,
    Delivery,
    Question,
    Send,
    Stop,
    Wait,
    ask_again,
    pause,
    still_open,
)
from recoup.services.interventions.deliveries.parcels import Parcels
from recoup.services.interventions.deliveries.store import Deliveries, Result
from recoup.services.interventions.preferences.domain import seats
from recoup.services.interventions.preferences.store import People

log = logger(__name__)
PASS = 200
LEASE = timedelta(seconds=60)
POLL_SECONDS = 0.5


class Presence(Protocol):
    async def present(self, store_id: str, wanted: Sequence[Sequence[str]]) -> list[bool]: ...


class Orders(Protocol):
    async def last_orders(
        self, store_id: str, wanted: Sequence[tuple[Sequence[str], str, datetime]]
    ) -> list[datetime | None]: ...


@dataclass(frozen=True, slots=True)
class Known:
    """Where a delivery's questions are answered."""

    interventions: Interventions
    people: People
    presence: Presence
    orders: Orders
    stores: StoreDirectory


@dataclass(frozen=True, slots=True)
class Courier:
    """The loop that delivers."""

    deliveries: Deliveries
    known: Known
    slots: Slots
    parcels: Parcels
    ways: Mapping[Channel, Way]
    clock: Clock
    due: asyncio.Event
    announced: asyncio.Event

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self.deliver_due() < PASS:
                    await self._until_due()
            except Unavailable as error:
                log.warning("deliveries wait", why=error.detail)
                await asyncio.sleep(POLL_SECONDS)

    async def deliver_due(self) -> int:
        """Deals with one batch of what is due; how many those were."""
        claimed = await self.deliveries.claim(self.clock.now(), LEASE, PASS)
        by_store: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in claimed:
            by_store[delivery.store_id].append(delivery)
        for store_id, batch in by_store.items():
            results = await self._results(store_id, batch)
            held = await self.deliveries.finish(store_id, results, self.clock.now())
            await self._release(store_id, held)
        if claimed:
            self.announced.set()
        return len(claimed)

    async def _results(self, store_id: str, batch: Sequence[Delivery]) -> list[Result]:
        questions = await self._questions(store_id, batch)
        answers = await self._with_slots(store_id, questions, [ask_again(question) for question in questions])
        parcels = {
            place: self._parcel(question, answer)
            for place, (question, answer) in enumerate(zip(questions, answers, strict=True))
            if isinstance(answer, Send)
        }
        receipts = await self._sent(parcels, answers)
        return [
            self._received(question, answer, parcels[place], receipts[place])
            if isinstance(answer, Send)
            else _unsent(question, answer)
            for place, (question, answer) in enumerate(zip(questions, answers, strict=True))
        ]

    def _parcel(self, question: Question, answer: Send) -> Parcel:
        times = (question.now, self.clock.now())
        return self.parcels.parcel(question.intervention, question.person, question.settings, answer.channel, times)

    async def _sent(self, parcels: Mapping[int, Parcel], answers: Sequence[Send | Wait | Stop]) -> dict[int, Receipt]:
        """Hands parcels to their channels, each channel all of its own at once."""
        by_channel: dict[Channel, list[int]] = defaultdict(list)
        for place in parcels:
            answer = answers[place]
            if isinstance(answer, Send):
                by_channel[answer.channel].append(place)
        receipts: dict[int, Receipt] = {}
        for channel, places in by_channel.items():
            found = await self.ways[channel].send([parcels[place] for place in places])
            receipts |= dict(zip(places, found, strict=True))
        return receipts

    async def _questions(self, store_id: str, batch: Sequence[Delivery]) -> list[Question]:
        """What is known now about each, wherever it has to be asked; orders count whenever they were made."""
        wall = self.clock.now()
        settings, flags = await self.known.stores.settings(store_id), await self.known.stores.flags(store_id)
        interventions = await self.deliveries.interventions(store_id, [each.intervention_id for each in batch])
        carts = [interventions[each.intervention_id].cart for each in batch]
        people = await self.known.people.people(store_id, [(None, each.person_id) for each in batch])
        present = await self.known.presence.present(
            store_id, [seats(cart, each.person_id) for cart, each in zip(carts, batch, strict=True)]
        )
        ever = datetime.max.replace(tzinfo=wall.tzinfo)
        bought = await self.known.orders.last_orders(
            store_id, [(person.linked, cart.cart_id, ever) for person, cart in zip(people, carts, strict=True)]
        )
        returned = await self.known.interventions.returned(store_id, [(cart.cart_id, cart.number) for cart in carts])
        questions = [
            Question(
                delivery=each, intervention=interventions[each.intervention_id], person=person, settings=settings,
                now=each.due_at if each.clock == "event" else wall, present=here, bought_at=bought_at,
                returned_at=back_at,
            )
            for each, person, here, bought_at, back_at in zip(batch, people, present, bought, returned, strict=True)
        ]  # fmt: skip
        return [still_open(question, flags) for question in questions]

    async def _with_slots(
        self, store_id: str, questions: Sequence[Question], answers: Sequence[Send | Wait | Stop]
    ) -> list[Send | Wait | Stop]:
        """A first sending takes its slot for the moment it really leaves; without one the message expires for good."""
        sending = [
            place
            for place, answer in enumerate(answers)
            if isinstance(answer, Send) and questions[place].delivery.status == "pending"
        ]
        wanted = [
            Wanted(
                member=str(question.intervention.id), linked=question.person.linked, at=question.now, now=question.now,
                settings=question.settings, take=True,
            )
            for question in (questions[place] for place in sending)
        ]  # fmt: skip
        slots = await self.slots.ask(store_id, wanted)
        refused = {
            place: Stop("expired", f"too often: {slot.detail}")
            for place, slot in zip(sending, slots, strict=True)
            if not slot.free
        }
        return [refused.get(place, answer) for place, answer in enumerate(answers)]

    def _received(self, question: Question, answer: Send, parcel: Parcel, receipt: Receipt) -> Result:
        begun, wall = msgspec.structs.replace(_begun(question), channel=answer.channel), self.clock.now()
        if receipt.status == "delivered":
            return msgspec.structs.replace(begun, status="delivered", detail=receipt.detail)
        if receipt.status == "offered":
            later = wall + pause(begun.delivery.attempts)
            return msgspec.structs.replace(
                begun,
                status="offered",
                frame=frame(parcel),
                next_try_at=later,
                detail="waits for the page to acknowledge",
            )
        dead = receipt.status == "refused" or begun.delivery.failures + 1 >= FAILURES_BEFORE_DEAD
        later = wall + pause(begun.delivery.failures + 1)
        return msgspec.structs.replace(
            begun, status="dead" if dead else "pending", failed=True, next_try_at=later, detail=receipt.detail
        )

    async def _release(self, store_id: str, results: Sequence[Result]) -> None:
        """Slots of what never left are free again."""
        unsent = [result for result in results if result.status in {"cancelled", "expired", "dead"}]
        if not unsent:
            return
        people = await self.known.people.people(store_id, [(None, each.delivery.person_id) for each in unsent])
        await self.slots.release(
            store_id, [(str(each.intervention.id), one.linked) for each, one in zip(unsent, people, strict=True)]
        )

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self.due.wait()
        except TimeoutError:
            return
        self.due.clear()


def _begun(question: Question) -> Result:
    return Result(
        delivery=question.delivery, intervention=question.intervention, status=question.delivery.status, at=question.now
    )


def _unsent(question: Question, answer: Wait | Stop) -> Result:
    """What is not sent now, or never."""
    begun = _begun(question)
    if isinstance(answer, Wait):
        return msgspec.structs.replace(begun, due_at=answer.until, detail="waits for the end of quiet hours")
    channel = question.intervention.channel
    return msgspec.structs.replace(begun, status=answer.status, detail=answer.why, channel=channel)

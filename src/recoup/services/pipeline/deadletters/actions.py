"""Sending letters again, by a person's hand or by itself: tried out first, marked before, under the same id always.

What makes a repeat harmless: a letter is marked as being sent, with the very bytes, before the collector gets them;
whoever finds that mark after a crash sends the same bytes under the same id, which the stream recognises. Where the
mark is older than ids are remembered for certain, nothing is sent: a person decides.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Missing, Problem, Refused, TooMany, Unavailable
from recoup.kit.metrics import Counter as MetricCounter
from recoup.kit.telemetry import logger
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain.limits import limits_of, with_types
from recoup.services.pipeline.collect.domain.origin import Origin
from recoup.services.pipeline.collect.domain.reading import Form
from recoup.services.pipeline.deadletters.domain import checks
from recoup.services.pipeline.deadletters.domain.filters import Filter
from recoup.services.pipeline.deadletters.domain.letters import (
    DONE,
    SENDABLE,
    SURE_FOR,
    Entry,
    Kind,
    Letter,
    Proposal,
    Status,
    best,
    named,
    noted,
    pause,
    text_of,
    usable_id,
    with_id,
)
from recoup.services.pipeline.deadletters.domain.repair.profile import Profile, packed, unpacked
from recoup.services.pipeline.deadletters.domain.repair.search import propose
from recoup.services.pipeline.deadletters.domain.repair.values import World
from recoup.services.pipeline.deadletters.store import Store
from recoup.services.pipeline.schemas.domain.catalog import Catalog
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
SENT: Final = MetricCounter("dead_letters_sent_total", "Dead letters sent again, by what came of it", ["outcome"])
_PAGE: Final = 100
_PROFILES_AT_HAND: Final = 100


class Trial(Struct, frozen=True, kw_only=True):
    """A letter before and after, and whether the collector takes it as it would be sent."""

    id: UUID
    event_id: str
    """The id it goes out under: its own wherever that can be used."""
    before: str
    after: str
    valid: bool
    problem: Problem | None
    sent: bool
    """False for a dry run, and where it is not valid."""
    status: Status


class Replayed(Struct, frozen=True, kw_only=True):
    """What became of many."""

    matched: int
    """Letters looked at; `more` says that others match as well."""
    sent: int
    would_be_sent: int
    """In a dry run: those that would be taken."""
    refused: dict[str, int]
    """By the rule that stands against them."""
    skipped: int
    """Sent or set aside before."""
    more: bool


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a person or a timer does with a letter."""

    store: Store
    collector: Collector
    stores: StoreDirectory
    clock: Clock
    settings: Settings

    async def settings_of(self, store_id: str) -> StoreSettings:
        """A store's settings; the defaults for one that is gone, so that its letters hold up nobody else's."""
        try:
            return await self.stores.settings(store_id)
        except Missing:
            return StoreSettings()

    async def planned(self, store_id: str) -> checks.Planned | None:
        """What the store registered; None for one that neither did nor wants others refused."""
        only = (await self.settings_of(store_id)).unplanned_events == "reject"
        catalog = await self.collector.schemas.find(store_id)
        return checks.Planned(catalog or Catalog(), only) if catalog is not None or only else None

    async def try_out(self, letter: Letter, body: bytes | None) -> Trial:
        """What would be sent, and whether it would be taken; writes nothing."""
        event_id, out = _outgoing(letter, body)
        limits = limits_of(
            letter.store_id,
            await self.settings_of(letter.store_id),
            self.settings,
            self.clock.now(),
            letter.received_at,
        )
        planned = await self.planned(letter.store_id)
        # Reading a schema for the first time may take a while.
        problem = await asyncio.to_thread(checks.check, out, with_types(limits, _types(planned)), planned)
        return Trial(
            id=letter.id,
            event_id=event_id,
            before=text_of(letter.body),
            after=text_of(out),
            valid=problem is None,
            problem=problem,
            sent=False,
            status=letter.status,
        )

    async def send(self, letter: Letter, body: bytes | None, by: str, ended: Status = Status.REPLAYED) -> Trial:
        """Sends a letter; one that was sent already is not sent again. Raises Conflict where somebody else acts."""
        if letter.status in DONE:
            trial = await self.try_out(letter, letter.sent_body)
            return replace(trial, status=letter.status, sent=True)
        if letter.status not in SENDABLE:
            raise Conflict(f"this letter is {letter.status.value}", code="letter_not_open")
        trial = await self.try_out(letter, body)
        if not trial.valid:
            return trial
        now = self.clock.now()
        entry = noted(now, "sending", by=by, before=trial.before if trial.after != trial.before else "")
        _, out = _outgoing(letter, body)
        if not await self.store.begin(letter, out, trial.event_id, now, entry):
            raise Conflict("this letter has changed meanwhile; look at it again", code="letter_changed")
        status = await self.hand_over(letter, out, by, ended)
        return replace(trial, status=status, sent=status in DONE)

    async def send_again(self, letter: Letter) -> None:
        """Finishes what was begun and broken off: the same bytes under the same id."""
        since, body = letter.sending_since, letter.sent_body
        if since is None or body is None or self.clock.now() - since > SURE_FOR:
            entry = noted(self.clock.now(), "unsure", detail="broken off too long ago to be repeated safely")
            await self.store.move(letter, Status.UNSURE, entry)
            return
        await self.hand_over(letter, body, "recoup", Status.REPLAYED)

    async def hand_over(self, letter: Letter, body: bytes, by: str, ended: Status) -> Status:
        """Gives a marked letter to the collector and writes down what came of it."""
        now = self.clock.now()
        try:
            outcome = await self.collector.accept(
                letter.store_id, body, Form.ONE, Origin(letter.proven, arrived=letter.received_at)
            )
        except (Unavailable, TooMany) as failure:
            SENT.labels("unavailable").inc()
            return await self._later(letter, failure.detail)
        except Refused as refusal:
            SENT.labels("refused").inc()
            entry = noted(now, "refused", by=by, detail=refusal.detail)
            await self.store.finish(letter, Status.OPEN, entry)
            return Status.OPEN
        if outcome.refusals:
            SENT.labels("refused").inc()
            entry = noted(now, "refused", by=by, detail=outcome.refusals[0].problem.detail)
            await self.store.finish(letter, Status.OPEN, entry)
            return Status.OPEN
        SENT.labels(ended.value).inc()
        await self.store.finish(letter, ended, noted(now, ended.value, by=by))
        return ended

    async def _later(self, letter: Letter, why: str) -> Status:
        now = self.clock.now()
        if letter.retries + 1 >= self.settings.dead_letter_retries:
            detail = f"tried {letter.retries + 1} times: {why}"
            await self.store.give_up(letter, noted(now, "given up", detail=detail))
            return Status.OPEN
        at = now + pause(letter.retries, timedelta(seconds=self.settings.dead_letter_pause_seconds))
        await self.store.finish(letter, Status.WAITING, noted(now, "put off", detail=why), at)
        return Status.WAITING

    async def retry(self, letter: Letter) -> None:
        """The automatic try of a letter that waits; one that can't be taken any more goes to a person."""
        if letter.retries >= self.settings.dead_letter_retries:
            detail = f"tried {letter.retries} times"
            await self.store.give_up(letter, noted(self.clock.now(), "given up", detail=detail))
            return
        try:
            trial = await self.send(letter, letter.sent_body, "recoup")
        except Conflict:
            return
        if not trial.valid and trial.problem is not None:
            entry = noted(self.clock.now(), "refused", detail=trial.problem.detail)
            await self.store.move(letter, Status.OPEN, entry)

    async def replay(self, store_id: str, wanted: Filter, limit: int, by: str, *, dry_run: bool) -> Replayed:
        """Sends many letters as they are, or as the repairer proposes where it is sure enough; `limit` at most."""
        counts: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        before = None
        while counts["matched"] < limit:
            letters = await self.store.page(store_id, wanted, before, min(_PAGE, limit - counts["matched"]))
            for letter in letters:
                counts["matched"] += 1
                counts[await self._one_of_many(letter, by, refused, dry_run=dry_run)] += 1
            if len(letters) < _PAGE:
                break
            before = (letters[-1].dead_at, letters[-1].id)
        total = sum(count.letters for count in await self.store.counts(store_id, wanted))
        return Replayed(
            matched=counts["matched"],
            sent=counts["sent"],
            would_be_sent=counts["would be sent"],
            refused=dict(refused),
            skipped=counts["skipped"],
            more=total > counts["matched"],
        )

    async def _one_of_many(self, letter: Letter, by: str, refused: Counter[str], *, dry_run: bool) -> str:
        if letter.status not in SENDABLE:
            return "skipped"
        body = await self._as_proposed(letter)
        try:
            trial = await (self.try_out(letter, body) if dry_run else self.send(letter, body, by))
        except Conflict:
            return "skipped"
        if trial.problem is not None:
            refused[trial.problem.code] += 1
            return "refused"
        return "would be sent" if dry_run else "sent" if trial.sent else "put off"

    async def _as_proposed(self, letter: Letter) -> bytes | None:
        proposal = best(letter.proposals)
        threshold = (await self.settings_of(letter.store_id)).repair_threshold
        return proposal.body.encode() if proposal is not None and proposal.confidence >= threshold else None

    async def set_aside(self, letter: Letter, by: str, note: str) -> None:
        """Dismisses a letter: it stays to be looked at, and is never sent unless taken up again."""
        await self._moved(letter, Status.DISMISSED, noted(self.clock.now(), "dismissed", by=by, detail=note))

    async def take_up(self, letter: Letter, by: str, note: str) -> None:
        """Opens a letter again, with its original text; what was sent of it is kept in its history."""
        before = text_of(letter.sent_body) if letter.sent_body is not None else ""
        entry = noted(self.clock.now(), "taken up again", by=by, detail=note, before=before)
        await self._moved(letter, Status.OPEN, entry)

    async def _moved(self, letter: Letter, status: Status, entry: Entry) -> None:
        if letter.status is Status.SENDING:
            raise Conflict("this letter is being sent", code="letter_not_open")
        if not await self.store.move(letter, status, entry):
            raise Conflict("this letter has changed meanwhile; look at it again", code="letter_changed")


def _types(planned: checks.Planned | None) -> frozenset[str]:
    """The types of its own that a store registered."""
    return planned.catalog.types if planned is not None else frozenset()


def _outgoing(letter: Letter, body: bytes | None) -> tuple[str, bytes]:
    """The id and bytes a letter goes out with. An id it went out with before, or came with, is never exchanged."""
    text = letter.body if body is None else body
    event_id = letter.sent_event_id
    if event_id is None:
        own = b"" if letter.kind is Kind.CONFLICT else letter.body
        source = own if named(own)[0] == usable_id(own, letter.id) else text
        event_id = usable_id(b"" if letter.kind is Kind.CONFLICT else source, letter.id)
    return event_id, with_id(text, event_id)


@dataclass(slots=True)
class Mender:
    """Learns what each store's valid events look like, and mends broken ones by it."""

    store: Store
    workbench: Workbench
    clock: Clock
    _profiles: dict[str, Profile] = field(default_factory=dict)

    async def learn(self, store_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Takes in some of a store's valid events and keeps what they add up to."""
        profile = await self.profile(store_id)
        await asyncio.to_thread(profile.learn, rows)
        await self.store.learn(store_id, packed(profile), profile.events, self.clock.now())

    async def profile(self, store_id: str) -> Profile:
        """What was learned of a store; an empty one where nothing was yet."""
        if store_id not in self._profiles:
            if len(self._profiles) >= _PROFILES_AT_HAND:
                self._profiles.pop(next(iter(self._profiles)))
            body = await self.store.profile(store_id)
            self._profiles[store_id] = Profile() if body is None else unpacked(body)
        return self._profiles[store_id]

    async def examine(self, letter: Letter) -> list[Proposal]:
        """Looks for repairs and keeps them; changes nothing else."""
        settings = await self.workbench.settings_of(letter.store_id)
        planned = await self.workbench.planned(letter.store_id)
        held_to = with_types(
            limits_of(letter.store_id, settings, self.workbench.settings, self.clock.now(), letter.received_at),
            _types(planned),
        )
        world = World(
            profile=await self.profile(letter.store_id),
            types=held_to.types,
            store_id=letter.store_id,
            currency=settings.currency,
            timezone=settings.timezone,
            received_at=letter.received_at,
            letter_id=str(letter.id),
        )
        # Milliseconds of pure search: not on the loop that answers shops.
        check = partial(checks.check, held_to=held_to, planned=planned)
        proposals = await asyncio.to_thread(propose, letter.body, world, check)
        await self.store.examined(letter, proposals, self.clock.now())
        return proposals

    async def mend(self, letter: Letter) -> None:
        """Examines a letter and sends what was mended where the store's settings allow it."""
        proposal = best(await self.examine(letter))
        threshold = (await self.workbench.settings_of(letter.store_id)).repair_threshold
        if proposal is None or proposal.confidence < threshold:
            SENT.labels("left to a person").inc()
            return
        try:
            await self.workbench.send(letter, proposal.body.encode(), "repairer", Status.REPAIRED)
        except Conflict:
            log.info("letter changed while it was mended", letter=str(letter.id))

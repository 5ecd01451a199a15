"""Receives deliveries, which ends when they are durable, and works on them later, each as often as it takes."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from recoup.kit import loose
from recoup.kit.clock import Clock, stopwatch
from recoup.kit.config import Secret
from recoup.kit.errors import Failure, Invalid, Refused, TooMany, Unauthenticated, Unavailable
from recoup.kit.ids import new_id
from recoup.kit.loose import Table
from recoup.kit.sealing import Sealer
from recoup.kit.telemetry import logger
from recoup.messages.events import Event
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain.origin import SHOP
from recoup.services.pipeline.collect.domain.reading import Form
from recoup.services.pipeline.foreign.actions import collect
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.webhooks.domain import shopify, woocommerce
from recoup.services.pipeline.webhooks.domain.signing import Platform, envelope, is_signed
from recoup.services.pipeline.webhooks.domain.story import Mapped, Memory, Scene, merged
from recoup.services.pipeline.webhooks.store import Deliveries, Delivery, Secrets, Status, Verdict

log = logger(__name__)
_PLATFORMS: Final = {Platform.SHOPIFY: shopify, Platform.WOOCOMMERCE: woocommerce}
_TOGETHER: Final = 100
_LEASE: Final = timedelta(minutes=1)
_SOON: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_MARGIN: Final = timedelta(minutes=1)
"""Between our look at a time and the collector's."""


@dataclass(slots=True)
class SecretRing:
    """Secrets in force, remembered for a while; one that does not fit is looked up anew, not more often than that."""

    secrets: Secrets
    sealer: Sealer
    clock: Clock
    fresh_seconds: float = 60.0
    again_seconds: float = 5.0
    _known: dict[tuple[str, Platform], tuple[float, list[Secret]]] = field(default_factory=dict)

    async def signs(self, store_id: str, platform: Platform, body: bytes, signature: str) -> bool | None:
        """Whether the store's secret made this signature; None for a store that has set none."""
        secrets = await self._find(store_id, platform, self.fresh_seconds)
        if not is_signed(body, signature, secrets):
            secrets = await self._find(store_id, platform, self.again_seconds)
        return is_signed(body, signature, secrets) if secrets else None

    async def set(self, store_id: str, platform: Platform, secret: Secret, grace: timedelta) -> None:
        sealed = self.sealer.seal(secret, _place(store_id, platform))
        await self.secrets.replace(store_id, platform, sealed, self.clock.now(), grace)
        self._known.pop((store_id, platform), None)

    async def remove(self, store_id: str, platform: Platform) -> None:
        await self.secrets.remove(store_id, platform)
        self._known.pop((store_id, platform), None)

    async def _find(self, store_id: str, platform: Platform, fresh_seconds: float) -> list[Secret]:
        known = self._known.get((store_id, platform))
        if known is not None and stopwatch() - known[0] < fresh_seconds:
            return known[1]
        try:
            sealed = await self.secrets.find(store_id, platform, self.clock.now())
        except Unavailable:
            if known is None:
                raise
            return known[1]
        found = [self.sealer.open(each, _place(store_id, platform)) for each in sealed]
        if len(self._known) >= 10_000:  # noqa: PLR2004 - anybody may ask for any store
            self._known.clear()
        self._known[store_id, platform] = (stopwatch(), found)
        return found


def _place(store_id: str, platform: Platform) -> str:
    return f"{store_id}/{platform}"


@dataclass(slots=True)
class Postroom:
    """Takes in and works on deliveries of any store."""

    deliveries: Deliveries
    ring: SecretRing
    collector: Collector
    clock: Clock
    settings: Settings
    salt: Secret
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, platform: Platform, store_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """Durable when this returns; raises Unauthenticated for a signature that is not the store's."""
        found = envelope(platform, headers, body)
        signed = await self.ring.signs(store_id, platform, body, found.signature)
        if not signed:
            refusal = Unauthenticated("the signature is not this store's", code="bad_signature")
            if signed is not None:
                self.collector.count_refusal(store_id, refusal)
                self.collector.stats.count(store_id, {f"unsigned:{platform}": 1})
            raise refusal
        self.collector.stats.count(store_id, {f"signed:{platform}": 1})
        delivery = Delivery(
            id=new_id(), store_id=store_id, platform=platform, key=found.key, topic=found.topic, said=found.said,
            body=body, received_at=self.clock.now(),
        )  # fmt: skip
        if await self.deliveries.put(delivery):
            self.news.set()

    async def work(self) -> int:
        """Works on what is due; how many deliveries that were."""
        due = await self.deliveries.claim(self.clock.now(), _LEASE, _TOGETHER)
        by_shop: dict[tuple[str, Platform], list[Delivery]] = defaultdict(list)
        for delivery in due:
            if delivery.attempts > self.settings.webhook_attempts:
                # It never got as far as a verdict: it ends the process, or the process ends for another reason.
                note = f"worked on {self.settings.webhook_attempts} times without an end"
                await self.deliveries.finish(
                    [Verdict(delivery=delivery, status=Status.DEAD, note=note)], self.clock.now()
                )
                continue
            by_shop[delivery.store_id, delivery.platform].append(delivery)
        for deliveries in by_shop.values():
            await self._work_on(deliveries)
        return len(due)

    async def _work_on(self, deliveries: Sequence[Delivery]) -> None:
        now = self.clock.now()
        try:
            await self._tell(deliveries)
        except (TooMany, Unavailable) as outage:
            log.warning("webhooks wait", store_id=deliveries[0].store_id, why=outage.detail)
            await self.deliveries.postpone(deliveries, now + _SOON, count=False)
        except Refused as refusal:
            await self._give_up_or_wait(deliveries, refusal)

    async def _give_up_or_wait(self, deliveries: Sequence[Delivery], refusal: Failure) -> None:
        """What was refused as a whole is tried again alone, later and later, and in the end left to a person."""
        now = self.clock.now()
        for delivery in deliveries:
            if delivery.attempts >= self.settings.webhook_attempts:
                await self.deliveries.finish([Verdict(delivery=delivery, status=Status.DEAD, note=refusal.detail)], now)
                continue
            pause = min(_SOON * 2**delivery.attempts, _LONGEST_PAUSE)
            await self.deliveries.postpone([delivery], now + pause, count=True)

    async def _tell(self, deliveries: Sequence[Delivery]) -> None:
        """Maps a shop's deliveries one after the other, as each may have to know the one before, and collects all."""
        store = await self.collector.stores.settings(deliveries[0].store_id)
        read = [(delivery, _read(delivery)) for delivery in deliveries]
        names = {delivery.id: _names(delivery, body) for delivery, body in read}
        memories = await self.deliveries.recall(
            deliveries[0].store_id, deliveries[0].platform, sorted({name for each in names.values() for name in each})
        )
        verdicts: list[Verdict] = []
        events: list[Event] = []
        for delivery, body in read:
            told = self._mapped(delivery, body, store, merged(memories[n] for n in names[delivery.id] if n in memories))
            if isinstance(told, Mapped):
                events += told.events
                memories |= dict.fromkeys(names[delivery.id], told.memory) if told.memory else {}
            verdicts.append(_verdict(delivery, told, names[delivery.id]))
        await self._keep(deliveries[0].store_id, verdicts, events)

    async def _keep(self, store_id: str, verdicts: list[Verdict], events: Sequence[Event]) -> None:
        refused = {problem.index: problem for problem in await collect(self.collector, store_id, events, SHOP)}
        place = 0
        for number, verdict in enumerate(verdicts):
            problems = [refused[index] for index in range(place, place + verdict.events) if index in refused]
            place += verdict.events
            if problems:
                note = "; ".join(f"{problem.code} {problem.field}: {problem.detail}" for problem in problems)
                verdicts[number] = _refused(verdict, note)
            if verdict.status is Status.DEAD:
                await self._bury(verdict.delivery)
        await self.deliveries.finish(verdicts, self.clock.now())

    async def _bury(self, delivery: Delivery) -> None:
        """Puts bytes that nobody can read among the dead letters: to the collector they are one unreadable line."""
        line = delivery.body.replace(b"\r", b" ").replace(b"\n", b" ")
        if line.strip():
            await self.collector.accept(delivery.store_id, line, Form.LINES, SHOP)

    def _mapped(
        self, delivery: Delivery, body: Table | Invalid, store: StoreSettings, memory: Memory
    ) -> Mapped | Invalid:
        if isinstance(body, Invalid):
            return body
        now, settings = self.clock.now(), self.settings
        scene = Scene(
            store_id=delivery.store_id, platform=delivery.platform, topic=delivery.topic, cause=delivery.key,
            received_at=delivery.received_at, salt=self.salt, currency=store.currency,
            triggered_at=loose.moment(delivery.said.get("triggered_at")),
            oldest=None if store.clock == "event" else now - timedelta(days=store.oldest_event_days) + _MARGIN,
            newest=now + timedelta(hours=settings.future_hours) - _MARGIN, memory=memory,
            checkouts=frozenset(settings.woocommerce_checkouts.replace(" ", "").split(",")),
        )  # fmt: skip
        return _PLATFORMS[delivery.platform].mapped(scene, body)


def _read(delivery: Delivery) -> Table | Invalid:
    try:
        found = loose.decode(delivery.body)
    except Invalid as invalid:
        return invalid
    return loose.table(found) if isinstance(found, dict) else Invalid("a delivery is a JSON object")


def _names(delivery: Delivery, body: Table | Invalid) -> tuple[str, ...]:
    return () if isinstance(body, Invalid) else _PLATFORMS[delivery.platform].names(delivery.topic, body)


def _verdict(delivery: Delivery, told: Mapped | Invalid, names: tuple[str, ...]) -> Verdict:
    if isinstance(told, Invalid):
        return Verdict(delivery=delivery, status=Status.DEAD, note=told.detail)
    status = Status.DONE if told.events or told.privacy else Status.IGNORED
    return Verdict(
        delivery=delivery, status=status, note=told.note, events=len(told.events), names=names, memory=told.memory,
        privacy=told.privacy,
    )  # fmt: skip


def _refused(verdict: Verdict, note: str) -> Verdict:
    return Verdict(
        delivery=verdict.delivery, status=Status.REFUSED, note=note, events=verdict.events, names=verdict.names,
        memory=verdict.memory, privacy=verdict.privacy,
    )  # fmt: skip

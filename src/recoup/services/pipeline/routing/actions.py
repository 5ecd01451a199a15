"""What is in force, kept fresh; and the desk where a store's rules and destinations are changed."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.config import Secret
from recoup.kit.errors import Conflict, Invalid, Missing, Problem
from recoup.kit.log.port import Log
from recoup.kit.outgoing import check_url
from recoup.kit.sealing import Sealer
from recoup.kit.telemetry import logger
from recoup.messages.topics import EVENTS_ENRICHED, ROUTED_GROUP, ROUTING_GROUP
from recoup.services.pipeline.routing.domain.conditions import Condition, Limits, parse
from recoup.services.pipeline.routing.domain.payload import written_secret
from recoup.services.pipeline.routing.domain.rules import Destination, DestinationKind, Routes, Rule, ready, topic_name
from recoup.services.pipeline.routing.store.rules import RuleStore, Version
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
_SECRET_BYTES: Final = 32


def limits_of(settings: Settings) -> Limits:
    return Limits(settings.routing_depth, settings.routing_comparisons, settings.routing_values)


@dataclass(slots=True)
class RuleBook:
    """The rules in force of every store; asks for those that have changed, and for no others."""

    store: RuleStore
    settings: Settings
    _numbers: dict[str, int] = field(default_factory=dict)
    _routes: dict[str, Routes] = field(default_factory=dict)
    _asked_at: float = field(default=float("-inf"))

    async def routes(self) -> Mapping[str, Routes]:
        """By store, those alone that have a rule; as old as the settings let it be."""
        if stopwatch() - self._asked_at >= self.settings.routing_refresh_seconds:
            await self.refresh()
        return self._routes

    async def refresh(self) -> None:
        numbers = await self.store.changes()
        for store_id, number in numbers.items():
            if self._numbers.get(store_id) != number:
                self._take(store_id, await self._load(store_id, number))
        self._numbers = numbers
        self._asked_at = stopwatch()

    def _take(self, store_id: str, routes: Routes) -> None:
        if routes.rules:
            self._routes[store_id] = routes
        else:
            self._routes.pop(store_id, None)

    async def _load(self, store_id: str, number: int) -> Routes:
        rules = (await self.store.current(store_id)).rules
        destinations = {one.id: one for one in await self.store.destinations(store_id)}
        # What was refused when it was written is not asked again: a limit lowered since then stops no rule.
        boundless = Limits(depth=1_000, comparisons=1_000_000, values=1_000_000)
        found = [(rule, _read(store_id, rule, boundless)) for rule in rules if rule.enabled]
        return Routes(number, tuple(ready(rule, when) for rule, when in found if when is not None), destinations)


def _read(store_id: str, rule: Rule, limits: Limits) -> Condition | None:
    """A rule's condition; None where it names what there is no more, so that it stops itself and no other."""
    try:
        return parse(rule.when, limits)
    except Invalid as invalid:
        log.error("a rule cannot be used any more", store_id=store_id, rule=rule.name, why=invalid.detail)  # noqa: TRY400
        return None


@dataclass(frozen=True, slots=True)
class Desk:
    """Changes of rules, destinations and secrets, checked before they are written."""

    store: RuleStore
    sealer: Sealer
    log: Log
    clock: Clock
    settings: Settings

    async def add_rule(self, store_id: str, rule: Rule, who: str) -> Rule:
        self._check(rule)

        def edit(rules: Sequence[Rule]) -> Sequence[Rule]:
            if len(rules) >= self.settings.routing_rules:
                raise Conflict(f"a store has at most {self.settings.routing_rules} rules", code="too_many")
            return [*rules, rule]

        await self._edit(store_id, edit, who)
        return rule

    async def change_rule(self, store_id: str, changed: Rule, who: str) -> Rule:
        """Puts a rule in the place of the one with its id; it keeps counting from when that was made."""
        self._check(changed)

        def edit(rules: Sequence[Rule]) -> Sequence[Rule]:
            known = {rule.id: rule for rule in rules}
            if changed.id not in known:
                raise Missing(f"no rule {changed.id}")
            return [_since(changed, known[changed.id]) if rule.id == changed.id else rule for rule in rules]

        after = await self._edit(store_id, edit, who)
        return next(rule for rule in after.rules if rule.id == changed.id)

    async def remove_rule(self, store_id: str, id_: UUID, who: str) -> None:
        def edit(rules: Sequence[Rule]) -> Sequence[Rule]:
            left = [rule for rule in rules if rule.id != id_]
            if len(left) == len(rules):
                raise Missing(f"no rule {id_}")
            return left

        await self._edit(store_id, edit, who)

    async def restore(self, store_id: str, number: int, who: str) -> Version:
        """Makes the rules of an older version the newest."""
        old = await self.store.version(store_id, number)
        return await self._edit(store_id, lambda _: old.rules, who)

    async def _edit(self, store_id: str, edit: Callable[[Sequence[Rule]], Sequence[Rule]], who: str) -> Version:
        # Before the rule is there: from now on the log keeps what the rule may be about.
        await self.log.register(ROUTING_GROUP, [EVENTS_ENRICHED.name])
        return await self.store.edit(store_id, edit, who, self.clock.now())

    def _check(self, rule: Rule) -> None:
        parse(rule.when, limits_of(self.settings))
        if not rule.to:
            raise Invalid("a rule leads to one destination at least", problems=[_problem("to", "empty")])

    async def add_destination(self, made: Destination) -> Secret | None:
        """Adds one; for a webhook also the secret it is signed with, which nobody is shown again."""
        self._check_url(made)
        secret = written_secret(os.urandom(_SECRET_BYTES)) if made.kind is DestinationKind.WEBHOOK else None
        sealed = None if secret is None else self.sealer.seal(secret, _place(made.store_id, made.id))
        await self.store.add(made, sealed, self.settings.routing_destinations)
        return secret

    async def change_destination(self, changed: Destination) -> None:
        self._check_url(changed)
        await self.store.change(changed)

    def _check_url(self, one: Destination) -> None:
        if one.url is not None:
            check_url(one.url, private=self.settings.routing_private_addresses)
        if one.concurrency is not None and one.concurrency > self.settings.routing_concurrency:
            raise Invalid(
                f"at most {self.settings.routing_concurrency} calls at a time",
                problems=[_problem("concurrency", "out_of_range")],
            )

    async def remove_destination(self, store_id: str, id_: UUID) -> None:
        """Removes one, and what a topic of it still holds."""
        one = await self.store.destination(store_id, id_)
        await self.store.remove(store_id, id_)
        if one.kind is DestinationKind.TOPIC:
            name = topic_name(store_id, one.name)
            await self.log.register(ROUTED_GROUP, [name])
            await self.log.seek(ROUTED_GROUP, name, "end")
            await self.log.trim(name, keep_seconds=0)

    async def renew_secret(self, store_id: str, id_: UUID) -> Secret:
        """A new secret; the old one signs along for some hours."""
        one = await self.store.destination(store_id, id_)
        if one.kind is not DestinationKind.WEBHOOK:
            raise Conflict("only webhooks are signed", code="not_a_webhook")
        secret = written_secret(os.urandom(_SECRET_BYTES))
        grace = timedelta(hours=self.settings.routing_secret_hours)
        sealed = self.sealer.seal(secret, _place(store_id, id_))
        await self.store.replace_secret(store_id, id_, sealed, self.clock.now(), grace)
        return secret

    async def secrets(self, store_id: str, id_: UUID) -> list[Secret]:
        """Those in force, the newest first."""
        sealed = await self.store.secrets(store_id, id_, self.clock.now())
        return [self.sealer.open(each, _place(store_id, id_)) for each in sealed]


def _since(changed: Rule, before: Rule) -> Rule:
    return Rule(
        id=changed.id, name=changed.name, enabled=changed.enabled, when=changed.when, to=changed.to, since=before.since
    )


def _problem(field_: str, code: str) -> Problem:
    return Problem(code=code, detail=f"{field_} is {code.replace('_', ' ')}", field=field_)


def _place(store_id: str, id_: UUID) -> str:
    return f"{store_id}/{id_}"

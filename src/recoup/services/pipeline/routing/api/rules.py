"""A store's rules, their versions, what they can ask for, and whether one means an event."""

from typing import Annotated
from uuid import UUID

from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Missing
from recoup.kit.ids import new_id
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.messages.access import Permission, Principal
from recoup.services.pipeline.routing.actions import Desk, limits_of
from recoup.services.pipeline.routing.api.cursors import number
from recoup.services.pipeline.routing.domain.columns import matching
from recoup.services.pipeline.routing.domain.conditions import FIELDS, Operator, Segment, operators_of, parse
from recoup.services.pipeline.routing.domain.conditions import Kind as ConditionKind
from recoup.services.pipeline.routing.domain.rules import (
    Rule,
    RuleName,
)
from recoup.services.pipeline.routing.domain.samples import Answer, answers, row_of
from recoup.services.pipeline.routing.store.rules import RuleStore, Version

Destinations = Annotated[list[UUID], Meta(min_length=1, max_length=100)]


class NewRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as it is to be; the guide has the language of `when`."""

    name: RuleName
    to: Destinations
    """Ids of destinations."""
    when: dict[str, object] | None = None
    enabled: bool = True


class Rules(Struct, frozen=True, kw_only=True):
    """A store's rules as they are now."""

    version: int
    items: list[Rule]


class RuleSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition, and an event as a receiver would get it."""

    event: dict[str, object]
    when: dict[str, object] | None = None


class RuleTrial(Struct, frozen=True, kw_only=True):
    """Whether a rule with this condition would copy the event."""

    matches: bool
    segment: str
    """The shopper's, by what the event says."""
    comparisons: list[Answer]


class FieldView(Struct, frozen=True, kw_only=True):
    """A field that conditions can ask for; `properties.NAME` besides, which is whatever the shop put there."""

    name: str
    kind: ConditionKind
    operators: list[Operator]


class Fields(Struct, frozen=True, kw_only=True):
    """All fields, and the segments there are."""

    items: list[FieldView]
    segments: list[Segment]


@get("/rules", opt={"permission": Permission.SETTINGS_READ})
async def list_rules(store_id: NamedDependency[str], rules: NamedDependency[RuleStore]) -> Rules:
    """All rules of a store."""
    found = await rules.current(store_id)
    return Rules(version=found.version, items=list(found.rules))


@post("/rules", opt={"permission": Permission.SETTINGS_WRITE})
async def add_rule(
    data: JSONBody[NewRule],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> Rule:
    """Adds a rule; it copies what is enriched from now on."""
    return await desk.add_rule(store_id, _rule(new_id(), data, desk.clock), caller.subject)


@post("/rules/try", opt={"permission": Permission.SETTINGS_READ}, status_code=200)
async def try_rule(
    data: JSONBody[RuleSample], store_id: NamedDependency[str], desk: NamedDependency[Desk]
) -> RuleTrial:
    """Whether a condition means an event, comparison by comparison; copies nothing."""
    _ = store_id
    condition = parse(data.when, limits_of(desk.settings))
    rows = row_of(data.event)
    return RuleTrial(
        matches=bool(matching(condition, rows)[0]),
        segment=rows.segments()[0].as_py(),
        comparisons=list(answers(condition, rows)),
    )


@get("/fields", opt={"permission": Permission.SETTINGS_READ})
async def list_fields(store_id: NamedDependency[str]) -> Fields:
    """What conditions can ask for, and how."""
    _ = store_id
    items = [FieldView(name=name, kind=field.kind, operators=operators_of(field)) for name, field in FIELDS.items()]
    return Fields(items=items, segments=list(Segment))


@get("/rules/{rule_id:uuid}", opt={"permission": Permission.SETTINGS_READ})
async def read_rule(rule_id: FromPath[UUID], store_id: NamedDependency[str], rules: NamedDependency[RuleStore]) -> Rule:
    """One rule."""
    for rule in (await rules.current(store_id)).rules:
        if rule.id == rule_id:
            return rule
    raise Missing(f"no rule {rule_id}")


@put("/rules/{rule_id:uuid}", opt={"permission": Permission.SETTINGS_WRITE})
async def change_rule(
    rule_id: FromPath[UUID],
    data: JSONBody[NewRule],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> Rule:
    """Replaces a rule, within seconds."""
    return await desk.change_rule(store_id, _rule(rule_id, data, desk.clock), caller.subject)


@delete("/rules/{rule_id:uuid}", opt={"permission": Permission.SETTINGS_WRITE})
async def remove_rule(
    rule_id: FromPath[UUID],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> None:
    """Removes a rule; what it has queued is still sent."""
    await desk.remove_rule(store_id, rule_id, caller.subject)


@get("/versions", opt={"permission": Permission.SETTINGS_READ})
async def list_versions(
    store_id: NamedDependency[str],
    rules: NamedDependency[RuleStore],
    cursor: FromQuery[int | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Version]:
    """What the rules were, newest first, and who changed them."""
    found = await rules.versions(store_id, number(cursor), limit)
    return Page(found, str(found[-1].version) if len(found) == limit else None)


@post("/versions/{version:int}/restore", opt={"permission": Permission.SETTINGS_WRITE})
async def restore_version(
    version: FromPath[int],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> Version:
    """Makes older rules the newest version."""
    return await desk.restore(store_id, _within_int(version), caller.subject)


def _rule(id_: UUID, data: NewRule, clock: Clock) -> Rule:
    return Rule(
        id=id_, name=data.name, enabled=data.enabled, when=data.when, to=tuple(dict.fromkeys(data.to)),
        since=clock.now(),
    )  # fmt: skip


def _within_int(version: int) -> int:
    if not 0 <= version < 2**31:
        raise Missing(f"no version {version} of the rules")
    return version


HANDLERS = (
    list_rules, add_rule, try_rule, list_fields, read_rule, change_rule, remove_rule, list_versions, restore_version,
)  # fmt: skip

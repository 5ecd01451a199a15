"""What must fit together in flags beyond their types, and when one is stale."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

from recoup.kit.errors import Problem
from recoup.kit.flags.conditions import moment, number
from recoup.kit.flags.model import Condition, Flag, Serve, kind_of
from recoup.kit.flags.snapshot import STEPS, steps
from recoup.messages.flags import KNOWN

Staleness = Literal["not_evaluated", "not_changed"]


class Limits(Struct, frozen=True):
    """How much of everything; documented with the settings they come from."""

    flags: int
    bytes: int
    depth: int
    stale_after: timedelta


class Kept(Struct, frozen=True, kw_only=True):
    """A flag as it is kept."""

    key: str
    version: int
    definition: Flag
    created_at: datetime
    changed_at: datetime
    changed_by: str
    evaluated_at: datetime | None = None
    evaluations: int = 0


class FlagState(Struct, frozen=True, kw_only=True):
    """A flag with its history in short: who changed it last, whether anybody asks for it."""

    key: str
    version: int
    definition: Flag
    created_at: datetime
    changed_at: datetime
    changed_by: str
    evaluated_at: datetime | None
    """When a process last said that it had asked for it; they say so every minute."""
    evaluations: int
    stale: Sequence[Staleness]
    """Why it could probably go: nobody has asked for it, or it has not been changed, for the days of the setting."""


class FlagVersion(Struct, frozen=True, kw_only=True):
    """One version of a flag; no definition where it was deleted."""

    key: str
    version: int
    at: datetime
    by: str
    definition: Flag | None
    changed: Sequence[str] = ()
    """The parts that differ from the version before."""


def state(kept: Kept, now: datetime, stale_after: timedelta) -> FlagState:
    """How a flag stands."""
    before = now - stale_after
    stale: list[Staleness] = []
    if max(kept.created_at, kept.evaluated_at or kept.created_at) < before:
        stale.append("not_evaluated")
    if kept.changed_at < before and not kept.definition.permanent:
        stale.append("not_changed")
    return FlagState(
        key=kept.key, version=kept.version, definition=kept.definition, created_at=kept.created_at,
        changed_at=kept.changed_at, changed_by=kept.changed_by, evaluated_at=kept.evaluated_at,
        evaluations=kept.evaluations, stale=stale,
    )  # fmt: skip


def changed(before: Flag | None, after: Flag | None) -> Sequence[str]:
    """The parts in which two versions differ."""
    if before is None or after is None:
        return ()
    return [name for name in Flag.__struct_fields__ if getattr(before, name) != getattr(after, name)]


def compared(versions: Sequence[FlagVersion]) -> Sequence[FlagVersion]:
    """Versions, newest first, each with what it changed of the one after it in the list."""
    following = [*versions[1:], None]
    return [
        msgspec.structs.replace(one, changed=changed(before and before.definition, one.definition))
        for one, before in zip(versions, following, strict=True)
    ]


def problems(key: str, flag: Flag, others: Mapping[str, Flag], limits: Limits) -> Sequence[Problem]:
    """Every rule that a flag breaks by itself or among the store's others."""
    found = [*_own(key, flag)]
    after = {**others, key: flag}
    found += _prerequisites(key, after, limits.depth)
    if len(after) > limits.flags:
        found.append(_problem("too_many_flags", "", f"a store has {limits.flags} flags at most"))
    if len(msgspec.json.encode(after)) > limits.bytes:
        found.append(_problem("flags_too_large", "", f"all flags of a store have {limits.bytes} bytes at most"))
    return found


def needing(key: str, flags: Mapping[str, Flag]) -> Sequence[str]:
    """The flags that have this one as a prerequisite."""
    return [other for other, flag in flags.items() if any(one.flag == key for one in flag.prerequisites)]


def _problem(code: str, field: str, detail: str) -> Problem:
    return Problem(code=code, field=field, detail=detail)


def _own(key: str, flag: Flag) -> Iterator[Problem]:
    kinds = {kind_of(value) for value in flag.variants.values()}
    if len(kinds) > 1:
        yield _problem("mixed_variants", "variants", f"variants are of one kind, these are {', '.join(sorted(kinds))}")
    if key in KNOWN and kinds != {"boolean"}:
        yield _problem("not_boolean", "variants", f"Recoup asks {key!r} for true or false")
    if flag.off_variant not in flag.variants:
        yield _problem("unknown_variant", "off_variant", f"no variant {flag.off_variant!r}")
    if flag.starts_at is not None and flag.ends_at is not None and flag.ends_at <= flag.starts_at:
        yield _problem("schedule_out_of_order", "ends_at", "ends before it starts")
    yield from _serve("serve", flag.serve, flag)
    for index, rule in enumerate(flag.rules):
        yield from _serve(f"rules[{index}].serve", rule.serve, flag)
        for place, condition in enumerate(rule.when):
            yield from _condition(f"rules[{index}].when[{place}]", condition)


def _serve(field: str, serve: Serve, flag: Flag) -> Iterator[Problem]:
    for place, split in enumerate(serve):
        if split.variant not in flag.variants:
            yield _problem("unknown_variant", f"{field}[{place}].variant", f"no variant {split.variant!r}")
    total = sum(steps(serve))
    if total != STEPS:
        yield _problem("shares_do_not_add_up", field, f"the shares are {total * 100 / STEPS:g} % together, not 100")
    if len({split.variant for split in serve}) != len(serve):
        yield _problem("repeated", field, "a variant stands there twice")


def _condition(field: str, condition: Condition) -> Iterator[Problem]:
    values, operator = condition.values, condition.operator
    if operator == "exists":
        if values:
            yield _problem("values_not_wanted", f"{field}.values", "`exists` compares with nothing")
        return
    if not values:
        yield _problem("values_missing", f"{field}.values", f"`{operator}` needs something to compare with")
    for place, value in enumerate(values):
        wanted = _WANTED[operator]
        if wanted == "number" and number(value) is None:
            yield _problem("wrong_type", f"{field}.values[{place}]", f"`{operator}` compares numbers")
        elif wanted == "moment" and moment(value) is None:
            yield _problem("wrong_type", f"{field}.values[{place}]", f"`{operator}` compares times with their zone")
        elif wanted == "text" and not isinstance(value, str):
            yield _problem("wrong_type", f"{field}.values[{place}]", f"`{operator}` compares texts")


_WANTED: Mapping[str, str] = {
    "in": "", "contains": "text", "starts_with": "text", "ends_with": "text", "lt": "number", "le": "number",
    "gt": "number", "ge": "number", "before": "moment", "after": "moment",
}  # fmt: skip


def _prerequisites(key: str, flags: Mapping[str, Flag], depth: int) -> Iterator[Problem]:
    for place, each in enumerate(flags[key].prerequisites):
        field = f"prerequisites[{place}]"
        if each.flag not in flags:
            yield _problem("unknown_flag", f"{field}.flag", f"no flag {each.flag!r}")
            continue
        unknown = [variant for variant in each.variants if variant not in flags[each.flag].variants]
        if unknown:
            yield _problem("unknown_variant", f"{field}.variants", f"{each.flag!r} has no variant {unknown[0]!r}")
    for other in needing(key, flags):
        wanted = {variant for one in flags[other].prerequisites if one.flag == key for variant in one.variants}
        gone = sorted(wanted - flags[key].variants.keys())
        if gone and other != key:
            yield _problem("variant_in_use", "variants", f"{other!r} waits for variant {gone[0]!r}")
    known: dict[str, int | None] = {}
    depths = [_depth(each, flags, known) for each in (key, *flags)]
    if None in depths:
        yield _problem("cycle", "prerequisites", f"{key!r} would wait for itself")
    elif max(found or 0 for found in depths) > depth:
        yield _problem("too_deep", "prerequisites", f"flags wait for each other over {depth} steps at most")


def _depth(key: str, flags: Mapping[str, Flag], known: dict[str, int | None]) -> int | None:
    """Over how many steps a flag waits for others; None where that goes round in a circle."""
    if key not in known:
        known[key] = None  # whoever comes back here meanwhile has gone round
        below = [_depth(each.flag, flags, known) for each in flags[key].prerequisites] if key in flags else []
        if None in below:
            return None
        known[key] = max((found + 1 for found in below if found is not None), default=0)
    return known[key]

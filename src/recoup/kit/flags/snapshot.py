"""A store's flags made ready: what each serves to whom, without asking anybody.

The place of a person in the shares: the first eight bytes of SHA-256 over seed, a unit separator and what is hashed,
as a fraction of 2^64, in steps of a thousandth of a percent. SHA-256 because every language has it, so that another
program divides people alike; the flag's key as seed, so that who is first in one roll-out is not first in all.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate

from msgspec.structs import replace

from recoup.kit.flags.conditions import MISSING, Match, matcher
from recoup.kit.flags.model import TARGETING_KEY, Context, Evaluation, Flag, Serve, Unanswered, Why

STEPS = 100_000
"""Places in the shares: thousandths of a percent."""
_NOTHING_TO_HASH = Unanswered(why="targeting_key_missing", detail="there is nothing to hash for the shares")
Answer = Evaluation | Unanswered
Now = Callable[[], datetime]


def place(seed: str, unit: str) -> int:
    """Where somebody stands, from 0 to STEPS - 1, the same for ever."""
    digest = hashlib.sha256(f"{seed}\x1f{unit}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8]) * STEPS >> 64


def steps(serve: Serve) -> list[int]:
    """Each share in steps; they add up to STEPS where the flag is right."""
    return [round(split.percent * STEPS / 100) for split in serve]


class _Serving:
    """What a rule, or a flag at its end, serves."""

    __slots__ = ("_answers", "_bounds", "_bucket_by", "_seed")

    def __init__(self, key: str, flag: Flag, serve: Serve, rule: int | None = None) -> None:
        served = [(split, share) for split, share in zip(serve, steps(serve), strict=True) if share]
        plain: Why = "otherwise" if flag.rules or flag.prerequisites or flag.starts_at or flag.ends_at else "fixed"
        why: Why = "rule" if rule is not None else "split" if len(served) > 1 else plain
        self._answers = [
            Evaluation(variant=split.variant, value=flag.variants[split.variant], why=why, rule=rule)
            for split, _ in served
        ]
        self._bounds = list(accumulate(share for _, share in served))
        self._seed = flag.seed or key
        self._bucket_by = flag.bucket_by if flag.bucket_by != TARGETING_KEY else ""

    def to(self, context: Context) -> Answer:
        if len(self._answers) == 1:
            return self._answers[0]
        unit = context.attributes.get(self._bucket_by) if self._bucket_by else context.targeting_key
        if isinstance(unit, int) and not isinstance(unit, bool):
            unit = str(unit)
        if not isinstance(unit, str) or not unit:
            return _NOTHING_TO_HASH
        return self._answers[bisect_right(self._bounds, place(self._seed, unit))]


class _Ready:
    """One flag, prepared."""

    __slots__ = ("_end", "_flag", "_off", "_prerequisites", "_rules", "_waiting")

    def __init__(self, key: str, flag: Flag) -> None:
        self._flag = flag
        self._off = Evaluation(variant=flag.off_variant, value=flag.variants[flag.off_variant], why="off")
        self._waiting = replace(self._off, why="prerequisite")
        self._prerequisites = [(each.flag, frozenset(each.variants)) for each in flag.prerequisites]
        self._rules = [
            ([(one.attribute, matcher(one)) for one in rule.when], _Serving(key, flag, rule.serve, index))
            for index, rule in enumerate(flag.rules)
        ]
        self._end = _Serving(key, flag, flag.serve)

    def answer(self, asking: "_Asking") -> Answer:
        closed = self._closed(asking.now)
        if closed is not None:
            return closed
        for other, wanted in self._prerequisites:
            found = asking.again(other)
            if isinstance(found, Unanswered):
                return found
            if found.variant not in wanted:
                return self._waiting
        for conditions, serving in self._rules:
            if _all_fit(conditions, asking.context):
                return serving.to(asking.context)
        return self._end.to(asking.context)

    def _closed(self, now: Now) -> Evaluation | None:
        flag = self._flag
        if not flag.enabled:
            return self._off
        if flag.starts_at is not None and now() < flag.starts_at:
            return replace(self._off, why="before_start")
        if flag.ends_at is not None and now() >= flag.ends_at:
            return replace(self._off, why="after_end")
        return None


def _all_fit(conditions: Sequence[tuple[str, Match]], context: Context) -> bool:
    for attribute, match in conditions:
        if attribute == TARGETING_KEY:
            value = context.targeting_key or MISSING
        else:
            value = context.attributes.get(attribute, MISSING)
        if not match(value):
            return False
    return True


class Snapshot:
    """All flags of a store at one time. Counts in `uses` how often each was asked for."""

    __slots__ = ("_ready", "_uses")

    def __init__(self, flags: Mapping[str, Flag], uses: dict[str, int] | None = None) -> None:
        self._ready = {key: _Ready(key, flag) for key, flag in flags.items()}
        self._uses: dict[str, int] = {} if uses is None else uses

    def __contains__(self, key: str) -> bool:
        return key in self._ready

    def evaluate(self, key: str, context: Context, now: Now) -> Answer:
        """What a flag serves; the time is only asked for where the flag has a schedule."""
        return _Asking(self._ready, self._uses, context, now).ask(key)

    def is_on(self, key: str, context: Context, now: Now, *, default: bool) -> bool:
        """A flag of truth values; the default where there is no answer, or one that is no truth value."""
        answer = self.evaluate(key, context, now)
        return answer.value if isinstance(answer, Evaluation) and isinstance(answer.value, bool) else default


class _Asking:
    """One question for one person, and what it asks of other flags: each of them once, however many ways lead there."""

    __slots__ = ("_answered", "_ready", "_uses", "context", "now")

    def __init__(self, ready: Mapping[str, _Ready], uses: dict[str, int], context: Context, now: Now) -> None:
        self._ready = ready
        self._uses = uses
        self._answered: dict[str, Answer] | None = None
        self.context = context
        self.now = now

    def ask(self, key: str) -> Answer:
        ready = self._ready.get(key)
        if ready is None:
            return Unanswered(why="flag_not_found", detail=f"no flag {key!r}")
        self._uses[key] = self._uses.get(key, 0) + 1
        return ready.answer(self)

    def again(self, key: str) -> Answer:
        """What another flag serves to the same person."""
        if self._answered is None:
            self._answered = {}
        if key not in self._answered:
            self._answered[key] = self.ask(key)
        return self._answered[key]

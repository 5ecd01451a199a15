"""Conditions made into functions of an attribute's value.

What is missing or of a wrong type fulfils no condition, a negated one neither: who is not known to be elsewhere is not
taken to be there. Of a list, one element that fits is enough.
"""

from collections.abc import Callable
from datetime import datetime

from recoup.kit.flags.model import Condition, Scalar

MISSING = object()
Match = Callable[[object], bool]
"""Whether an attribute's value, or `MISSING`, fulfils a condition."""
Judge = Callable[[object], bool | None]
"""Whether a single value fits; None where it cannot be compared."""


def matcher(condition: Condition) -> Match:
    """The condition, prepared once for many."""
    negate = condition.negate
    if condition.operator == "exists":
        return lambda value: (value is MISSING or value is None) is negate
    judge = _JUDGES[condition.operator](condition.values)

    def match(value: object) -> bool:
        if isinstance(value, list | tuple):
            answers = {answer for one in value if (answer := judge(one)) is not None}
            return bool(answers) and (True in answers) is not negate
        answer = judge(value)
        return answer is not None and answer is not negate

    return match


def moment(value: object) -> datetime | None:
    """A point in time with its zone, from itself or RFC 3339 text."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


def number(value: object) -> float | None:
    """A number; truth values are none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _equal(values: tuple[Scalar, ...]) -> Judge:
    texts = frozenset(value for value in values if isinstance(value, str))
    truths = frozenset(value for value in values if isinstance(value, bool))
    numbers = frozenset(value for value in values if number(value) is not None)

    def judge(value: object) -> bool | None:
        if isinstance(value, str):
            return value in texts
        if isinstance(value, bool):
            return value in truths
        return value in numbers if isinstance(value, int | float) else None

    return judge


def _text(test: Callable[[str, str], bool]) -> Callable[[tuple[Scalar, ...]], Judge]:
    def prepare(values: tuple[Scalar, ...]) -> Judge:
        texts = tuple(value for value in values if isinstance(value, str))
        return lambda value: any(test(value, text) for text in texts) if isinstance(value, str) else None

    return prepare


def _ordered(test: Callable[[float, float], bool]) -> Callable[[tuple[Scalar, ...]], Judge]:
    def prepare(values: tuple[Scalar, ...]) -> Judge:
        bounds = tuple(bound for value in values if (bound := number(value)) is not None)

        def judge(value: object) -> bool | None:
            asked = number(value)
            return None if asked is None else any(test(asked, bound) for bound in bounds)

        return judge

    return prepare


def _timed(test: Callable[[datetime, datetime], bool]) -> Callable[[tuple[Scalar, ...]], Judge]:
    def prepare(values: tuple[Scalar, ...]) -> Judge:
        bounds = tuple(bound for value in values if (bound := moment(value)) is not None)

        def judge(value: object) -> bool | None:
            asked = moment(value)
            return None if asked is None else any(test(asked, bound) for bound in bounds)

        return judge

    return prepare


_JUDGES: dict[str, Callable[[tuple[Scalar, ...]], Judge]] = {
    "in": _equal,
    "contains": _text(lambda value, text: text in value),
    "starts_with": _text(str.startswith),
    "ends_with": _text(str.endswith),
    "lt": _ordered(lambda value, bound: value < bound),
    "le": _ordered(lambda value, bound: value <= bound),
    "gt": _ordered(lambda value, bound: value > bound),
    "ge": _ordered(lambda value, bound: value >= bound),
    "before": _timed(lambda value, bound: value < bound),
    "after": _timed(lambda value, bound: value >= bound),
}

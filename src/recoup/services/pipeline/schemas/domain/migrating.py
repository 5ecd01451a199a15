"""Takes the declared steps of migrations. What cannot be taken leaves things as they are."""

import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from decimal import Decimal
from functools import partial
from typing import Final, cast

from recoup.kit import loose
from recoup.kit.money import major_units, minor_units
from recoup.messages.schemas import Convert, Default, Drop, MinorUnits, Move, Rename, Step

_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")
_CODE: Final = re.compile("[A-Z]{3}")
_EACH: Final = "[]"
_LARGEST_WHOLE: Final = 2.0**53
Object = dict[str, object]


def migrated(steps: Sequence[Step], properties: Object, currency: object = None) -> Object:
    """The properties after these steps; those that were given stay as they are. `currency` is the event's own."""
    made = deepcopy(properties)
    for step in steps:
        _take(step, made, currency)
    return made


def _take(step: Step, properties: Object, currency: object) -> None:
    match step:
        case Rename() | Move():
            _bring(properties, step)
        case Default():
            for holder, name in _holders(properties, step.path, make=True):
                holder.setdefault(name, deepcopy(step.value))
        case Drop():
            for holder, name in _holders(properties, step.path):
                holder.pop(name, None)
        case Convert():
            _change(properties, step.path, _CONVERSIONS[step.to])
        case MinorUnits():
            if (code := _currency(properties, step, currency)) is not None:
                _change(properties, step.path, partial(_minor_units, code))


def _bring(properties: Object, step: Rename | Move) -> None:
    for holder, name in _holders(properties, step.path):
        if isinstance(step, Rename):
            _put(holder, name, holder, step.to)
            continue
        for there, new in _holders(properties, step.to, make=name in holder):
            _put(holder, name, there, new)


def _put(holder: Object, name: str, there: Object, new: str) -> None:
    """Nothing is written over."""
    if name in holder and new not in there:
        there[new] = holder.pop(name)


def _holders(properties: Object, path: str, *, make: bool = False) -> Iterator[tuple[Object, str]]:
    """The objects that have, or could have, what the path names last; with `make`, also ones that are missing."""
    *way, last = path.split(".")
    here: list[object] = [properties]
    for part in way:
        here = [inner for one in here for inner in _step_into(one, part, make=make)]
    for one in here:
        if isinstance(one, dict):
            yield cast("Object", one), last


def _step_into(value: object, part: str, *, make: bool) -> Sequence[object]:
    if not isinstance(value, dict):
        return ()
    inside = cast("Object", value)
    if part.endswith(_EACH):
        found = inside.get(part.removesuffix(_EACH))
        return cast("list[object]", found) if isinstance(found, list) else ()
    if make:
        return (inside.setdefault(part, {}),)
    return (inside[part],) if part in inside else ()


def _change(properties: Object, path: str, act: Callable[[object], object]) -> None:
    for holder, name in _holders(properties, path.removesuffix(_EACH)):
        if name not in holder:
            continue
        value = holder[name]
        if not path.endswith(_EACH):
            holder[name] = act(value)
        elif isinstance(value, list):
            holder[name] = [act(one) for one in cast("list[object]", value)]


def _currency(properties: Object, step: MinorUnits, own: object) -> str | None:
    found = step.currency or own
    if step.currency is None and step.currency_at is not None:
        found = next((holder.get(name) for holder, name in _holders(properties, step.currency_at)), None)
    code = found.strip().upper() if isinstance(found, str) else ""
    return code if _CODE.fullmatch(code) else None


def _minor_units(currency: str, value: object) -> object:
    """Nothing is rounded: a price of 19.999 is no amount of dollars, and perhaps none at all."""
    text = str(value).strip()
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not _NUMBER.fullmatch(text):
        return value
    found = minor_units(text, currency)
    return found if major_units(found, currency) == Decimal(text) else value


def _string(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _number(value: object) -> object:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        return value
    text = value.strip()
    return float(text) if "." in text else int(text)


def _integer(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    found = _number(value)
    if isinstance(found, float) and abs(found) <= _LARGEST_WHOLE and found.is_integer():
        return int(found)
    return value if isinstance(found, float) else found


def _boolean(value: object) -> object:
    found = loose.flag(value)
    return value if found is None or value == "" else found


_CONVERSIONS: Final[dict[str, Callable[[object], object]]] = {
    "string": _string, "integer": _integer, "number": _number, "boolean": _boolean,
}  # fmt: skip

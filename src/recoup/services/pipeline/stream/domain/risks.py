"""The step that says what looks wrong about an event, by a few plain rules. It refuses nothing: readers decide.

`crawler`: its user agent is a program's. `event_rate`: its session sent more events within a minute than a person does.
`cart_rate`, `order_rate`: so many carts were opened, or orders placed, within a minute by one visitor or from one
address. `amount_below_cart`: an order over less than half of what its cart held, discount considered, in the shop's
own currency. `disposable_address`: the e-mail address of an order or an identified user is at one of the domains that
this installation lists as throwing mail away. `time_off`: by the shopper's clock it happened more than ten minutes
after it reached us, or more than a day before; not asked of shops that run on an event clock.

Rates are counted by the minute of the event's own time, in the memory of one process.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from recoup.messages.events import CartChange, EventType
from recoup.services.pipeline.stream.domain.work import Known, Work, numbers

SIGNALS: Final = (
    "crawler",
    "event_rate",
    "cart_rate",
    "order_rate",
    "amount_below_cart",
    "time_off",
    "disposable_address",
)
_ORDERED: Final = frozenset({EventType.ORDER_COMPLETED.value})
_ADDRESSED: Final = frozenset({EventType.USER_IDENTIFIED.value, EventType.ORDER_COMPLETED.value})
_MINUTE_MS: Final = 60_000
_AHEAD_MS: Final = 10 * _MINUTE_MS
_BEHIND_MS: Final = 1_440 * _MINUTE_MS
_COLUMNS: Final = ("cart_change", "cart_value", "amount", "currency")
_WHO: Final = ("anonymous_id", "ip")
_ENDS: Final = frozenset({CartChange.CONVERTED.value, CartChange.RECOVERED.value})


def mark_risks(work: Work, known: Known) -> None:
    """Adds `risk_signals`."""
    found = np.zeros(len(work.occurred), dtype=np.int64)
    _mark(found, _crawlers(work), "crawler")
    _mark(found, work.crowded, "event_rate")
    _mark(found, _off(work, known), "time_off")
    _mark(found, _thrown_away(work, known), "disposable_address")
    for row, signal in _told(work, known):
        _mark(found, np.array([row]), signal)
    work.columns["risk_signals"] = _names(found)


def _mark(found: np.ndarray, rows: np.ndarray, signal: str) -> None:
    found[rows] |= 1 << SIGNALS.index(signal)


def _crawlers(work: Work) -> np.ndarray:
    return _equal(work.columns["device_class"], "crawler")


def _equal(column: pa.Array, text: str) -> np.ndarray:
    same = pc.equal(column, text).fill_null(False)  # noqa: FBT003 - the value to fill in
    return same.to_numpy(zero_copy_only=False)


def _off(work: Work, known: Known) -> np.ndarray:
    late = numbers(work.rows.column("received_at")) - work.occurred
    wall = np.array([known.store(name).clock == "wall" for name in work.store_names], dtype=bool)
    return ((late > _BEHIND_MS) | (late < -_AHEAD_MS)) & wall[work.store_codes]


class _Contact(Struct):
    email: object = None


_CONTACT: Final = msgspec.json.Decoder(_Contact)


def _thrown_away(work: Work, known: Known) -> np.ndarray:
    """Row by row, but only where there is a list, and an order or a user who says who they are."""
    if not known.disposable:
        return np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero(work.kept & work.of_types(_ADDRESSED))
    said = work.rows.column("properties").take(pa.array(rows)).to_pylist()
    return rows[[_is_disposable(text, known.disposable) for text in said]]


def _is_disposable(properties: str | None, domains: frozenset[str]) -> bool:
    """Whether the address is at such a domain or below one."""
    if properties is None or "@" not in properties:
        return False
    try:
        email = _CONTACT.decode(properties).email
    except (msgspec.MsgspecError, RecursionError):
        return False
    labels = str(email).rpartition("@")[2].strip().rstrip(".").lower().split(".")
    return any(".".join(labels[place:]) in domains for place in range(len(labels)))


def _told(work: Work, known: Known) -> Iterator[tuple[int, str]]:
    """Row by row, but only where a cart was opened or an order placed: a few in a hundred."""
    opened = _equal(work.columns["cart_change"], CartChange.OPENED.value)
    ordered = work.of_types(_ORDERED)
    rows = np.flatnonzero(work.kept & (opened | ordered))
    if not len(rows):
        return
    at = pa.array(rows)
    who = zip(*(work.rows.column(name).take(at).to_pylist() for name in _WHO), strict=True)
    words = zip(*(work.columns[name].take(at).to_pylist() for name in _COLUMNS), strict=True)
    discounts = work.rows.column("discount").take(at).to_pylist()
    for row, people, (change_, value, amount, currency), discount in zip(
        rows.tolist(), who, words, discounts, strict=True
    ):
        store_id, minute = work.store_names[work.store_codes[row]], int(work.occurred[row]) // _MINUTE_MS
        what, most = ("cart", known.rates.most_carts) if opened[row] else ("order", known.rates.most_orders)
        for name in filter(None, people):
            if known.rates.counted(what, store_id, name, minute) > most:
                yield row, f"{what}_rate"
        own = change_ in _ENDS and currency == known.store(store_id).currency
        if own and amount is not None and 2 * (amount + (discount or 0)) < value:
            yield row, "amount_below_cart"


def _names(found: np.ndarray) -> pa.Array:
    """The marked signals by name, with commas; null where there is none."""
    if not found.any():
        return pa.nulls(len(found), pa.string())
    sets, which = np.unique(found, return_inverse=True)
    texts = [",".join(name for bit, name in enumerate(SIGNALS) if at >> bit & 1) or None for at in sets.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which))

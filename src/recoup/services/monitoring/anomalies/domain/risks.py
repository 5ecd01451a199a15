"""Two simple signs of trouble: a cart worth too much, and a visitor who adds too much too fast."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from recoup.kit.ids import derived_id
from recoup.kit.money import minor_units
from recoup.messages.facts import RiskSignal
from recoup.services.monitoring.anomalies.domain.anomaly import Anomaly, Kind
from recoup.services.monitoring.anomalies.domain.counts import Adding, BigCart

_MINUTE: Final = timedelta(minutes=1)
_MOST_VISITORS: Final = 200_000


def of_big_cart(cart: BigCart, limit: int) -> RiskSignal:
    """The signal a cart over the limit deserves; once for each cart, however often it is seen."""
    least = minor_units(str(limit), cart.currency)
    return RiskSignal(
        id=str(derived_id("risk", Kind.CART_VALUE, cart.store_id, cart.cart_id, str(cart.number))),
        store_id=cart.store_id,
        occurred_at=cart.at,
        subject=cart.cart_id,
        kind=Kind.CART_VALUE,
        score=_score(cart.value, least),
        reasons=[f"the cart is worth {cart.value} minor units {cart.currency}, the limit is {least}"],
    )


def of_rapid_adds(adding: Adding, limit: int) -> RiskSignal:
    """The signal a hasty visitor deserves; once a minute."""
    return RiskSignal(
        id=str(derived_id("risk", Kind.RAPID_ADDS, adding.store_id, adding.visitor, adding.minute.isoformat())),
        store_id=adding.store_id,
        occurred_at=adding.minute,
        subject=adding.visitor,
        kind=Kind.RAPID_ADDS,
        score=_score(adding.pieces, limit),
        reasons=[f"{adding.pieces} pieces were added from {adding.minute:%H:%M} within a minute, the limit is {limit}"],
    )


def as_anomaly(signal: RiskSignal, found_at: datetime) -> Anomaly:
    """The row people see; over as soon as it is noticed."""
    return Anomaly(
        id=derived_id("anomaly", signal.id),
        store_id=signal.store_id,
        kind=Kind(signal.kind),
        subject=signal.subject,
        started_at=signal.occurred_at,
        last_seen_at=signal.occurred_at,
        ended_at=signal.occurred_at,
        score=signal.score,
        reasons=signal.reasons,
        found_at=found_at,
    )


def _score(seen: float, limit: float) -> float:
    """0 at the limit, a half at twice the limit, near 1 far beyond."""
    return round(1 - limit / seen, 3)


@dataclass(slots=True)
class Pace:
    """What each visitor added in the minute he is in. Kept in memory only: a restart forgets that minute."""

    _minutes: dict[tuple[str, str], tuple[datetime, int]] = field(default_factory=dict)

    def over(self, additions: Iterable[Adding], limit: int) -> list[Adding]:
        """Those who are beyond the limit with these additions. Remembers nothing yet."""
        found: list[Adding] = []
        for adding in additions:
            minute, pieces = self._minutes.get((adding.store_id, adding.visitor), (adding.minute, 0))
            total = adding.pieces + (pieces if minute == adding.minute else 0)
            if total > limit:
                found.append(adding._replace(pieces=total))
        return found

    def remember(self, additions: Iterable[Adding]) -> None:
        """Takes these additions into account from now on."""
        for adding in additions:
            key = (adding.store_id, adding.visitor)
            minute, pieces = self._minutes.get(key, (adding.minute, 0))
            if adding.minute == minute:
                self._minutes[key] = minute, pieces + adding.pieces
            elif adding.minute > minute:
                self._minutes[key] = adding.minute, adding.pieces
        if len(self._minutes) > _MOST_VISITORS:
            self._shrink()

    def _shrink(self) -> None:
        newest: dict[str, datetime] = {}
        for (store_id, _), (minute, _) in self._minutes.items():
            newest[store_id] = max(minute, newest.get(store_id, minute))
        self._minutes = {key: kept for key, kept in self._minutes.items() if kept[0] > newest[key[0]] - 2 * _MINUTE}
        if len(self._minutes) > _MOST_VISITORS:
            self._minutes.clear()

"""What an anomaly is: one row from its first unusual bucket to its last, however long it lasts."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.ids import derived_id
from recoup.services.monitoring.anomalies.domain.detector import BUCKET, Verdict

_CALM: Final = 3 * BUCKET  # without anything unusual before it counts as over


class Kind(StrEnum):
    """How it was found."""

    UNUSUAL = "unusual"
    """By the detector: the subject is a figure of the store."""
    CART_VALUE = "cart_value"
    """A cart worth more than the limit: the subject is the cart."""
    RAPID_ADDS = "rapid_adds"
    """Too many pieces added within a minute: the subject is the visitor."""
    REPORTED = "reported"
    """By a person or another system."""


class Status(StrEnum):
    """What people did about it."""

    OPEN = "open"
    HANDLED = "handled"
    IGNORED = "ignored"


class Anomaly(Struct, frozen=True, kw_only=True):
    """Something unusual, with what was expected instead and why it counts as unusual."""

    id: UUID
    store_id: str
    kind: Kind
    subject: str
    status: Status = Status.OPEN
    started_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None = None
    """None while it goes on."""
    seen: float | None = None
    expected_low: float | None = None
    expected_high: float | None = None
    score: float | None = None
    reasons: list[str]
    note: str = ""
    handled_by: str | None = None
    found_at: datetime


def follow(
    store_id: str, metric: str, going_on: Anomaly | None, verdicts: Iterable[Verdict], now: datetime
) -> list[Anomaly]:
    """Every anomaly that these verdicts open, prolong or end, each once, as it stands after them."""
    changed: dict[UUID, Anomaly] = {}
    current = going_on
    for verdict in verdicts:
        current = _after(store_id, metric, current, verdict, now)
        if current is None:
            continue
        changed[current.id] = current
        if current.ended_at is not None:
            current = None
    return [anomaly for anomaly in changed.values() if anomaly != going_on]


def _after(store_id: str, metric: str, current: Anomaly | None, verdict: Verdict, now: datetime) -> Anomaly | None:
    if not verdict.unusual or verdict.score is None:
        if current is not None and verdict.bucket - current.last_seen_at >= _CALM:
            return msgspec.structs.replace(current, ended_at=current.last_seen_at + BUCKET)
        return current
    if current is None:
        return Anomaly(
            id=derived_id("anomaly", store_id, metric, verdict.since.isoformat()),
            store_id=store_id,
            kind=Kind.UNUSUAL,
            subject=metric,
            started_at=verdict.since,
            last_seen_at=verdict.bucket,
            seen=verdict.seen,
            expected_low=verdict.low,
            expected_high=verdict.high,
            score=verdict.score,
            reasons=_reasons(metric, verdict),
            found_at=now,
        )
    if abs(verdict.score) <= abs(current.score or 0.0):
        return msgspec.structs.replace(current, last_seen_at=verdict.bucket)
    return msgspec.structs.replace(
        current,
        last_seen_at=verdict.bucket,
        seen=verdict.seen,
        expected_low=verdict.low,
        expected_high=verdict.high,
        score=verdict.score,
        reasons=_reasons(metric, verdict),
    )


def _reasons(metric: str, verdict: Verdict) -> list[str]:
    at = verdict.bucket.strftime("%Y-%m-%d %H:%M")
    return [
        f"{metric}: {verdict.seen:.0f} in the 5 minutes from {at}, expected {verdict.low:.0f} to {verdict.high:.0f}",
        verdict.reason,
    ]

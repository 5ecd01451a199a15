"""Counts what is worth knowing of a batch, by store and name. By columns: what it costs does not grow with the rows.

Names: `type:…` for events that took effect; `late:…` for orders by how late they came, `…` being a place among
`BOUNDS`; `ahead` for events from a clock that runs ahead; `currency` for those in a currency that there is none of;
`dead:…` by kind.
"""

from collections import Counter
from typing import Final

import numpy as np

from recoup.messages.events import EventType
from recoup.services.pipeline.readiness.domain.currencies import CODES
from recoup.services.pipeline.stream.domain.work import Work, numbers

BOUNDS: Final = tuple(
    seconds * 1000
    for seconds in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 259_200)
)
"""Milliseconds; what lies beyond the last is counted as one."""
AHEAD_MS: Final = 300_000
"""A clock that is off by less is an ordinary one."""


def tallied(work: Work) -> dict[str, Counter[str]]:
    """Counts by store."""
    found = {store_id: Counter[str]() for store_id in work.store_names}
    _types(work, found)
    delays = numbers(work.rows.column("received_at")) - work.occurred
    _late(work, delays, found)
    ahead = work.kept & (delays < -AHEAD_MS) & ~work.of_types(frozenset({EventType.CLOCK.value}))
    if ahead.any():
        _add(found, "ahead", work, ahead)
    _currencies(work, found)
    for dead in work.dead:
        found[work.store_names[work.store_codes[dead.row]]][f"dead:{dead.kind}"] += 1
    for (store_id, what), rows in work.warned.items():
        found[store_id][f"warned:{what}"] += rows
    return {store_id: counts for store_id, counts in found.items() if counts}


def _types(work: Work, found: dict[str, Counter[str]]) -> None:
    types = len(work.type_names)
    pairs = work.store_codes[work.kept].astype(np.int64) * types + work.type_codes[work.kept]
    for pair, count in enumerate(np.bincount(pairs).tolist()):
        name = work.type_names[pair % types] if count else EventType.CLOCK
        if name != EventType.CLOCK:
            found[work.store_names[pair // types]][f"type:{name}"] = count


def _late(work: Work, delays: np.ndarray, found: dict[str, Counter[str]]) -> None:
    orders = work.kept & work.of_types(frozenset({EventType.ORDER_COMPLETED.value}))
    if not orders.any():
        return
    for code in np.unique(work.store_codes[orders]).tolist():
        places = np.searchsorted(BOUNDS, delays[orders & (work.store_codes == code)])
        for place, count in enumerate(np.bincount(places).tolist()):
            if count:
                found[work.store_names[code]][f"late:{place}"] = count


def _currencies(work: Work, found: dict[str, Counter[str]]) -> None:
    encoded = work.rows.column("currency").combine_chunks().dictionary_encode()
    codes: list[str] = encoded.dictionary.to_pylist()
    strange = np.array([code not in CODES for code in codes], dtype=bool)
    if strange.any():
        given = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
        places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        _add(found, "currency", work, work.kept & given & strange[places])


def _add(found: dict[str, Counter[str]], name: str, work: Work, marked: np.ndarray) -> None:
    for code, count in enumerate(np.bincount(work.store_codes[marked]).tolist()):
        if count:
            found[work.store_names[code]][name] += count


def percentiles(counts: dict[int, int], *shares: float) -> list[int] | None:
    """The bounds (ms) within which these shares of the orders lie; what is beyond all counts as twice the last."""
    whole = sum(counts.values())
    if not whole:
        return None
    bounds = (*BOUNDS, 2 * BOUNDS[-1])
    reached = np.cumsum([counts.get(place, 0) for place in range(len(bounds))])
    return [bounds[int(np.searchsorted(reached, share * whole))] for share in shares]

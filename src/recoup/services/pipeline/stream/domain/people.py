"""Users of a batch: the columns that show what was known of them before, and what their rows add to it."""

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import pyarrow as pa

from recoup.messages.events import EventType
from recoup.services.pipeline.profiles.domain import Change, Profile, User
from recoup.services.pipeline.stream.domain.work import Known, Work

_ORDERS: Final = frozenset({EventType.ORDER_COMPLETED.value})
_WHEN: Final = pa.timestamp("ms", "UTC")
_NOBODY: Final = Profile()
# A user's last sight is told to the minute, so that most batches change nothing of most users.
_MOVED_MS: Final = 60_000


def show_users(work: Work, known: Known) -> np.ndarray:
    """Adds what was known of each row's user; marks the rows for which nobody answered."""
    codes, names = work.users
    answers = [known.profiles.get(user) for user in names]
    late = np.array([*(answer is None for answer in answers), False])[codes]
    at = pa.array(codes, mask=(codes < 0) | late)
    orders, priced, spent, seen, category, _ = zip(*(answer or _NOBODY for answer in answers), _NOBODY, strict=True)
    times, counted = np.array(seen), np.array(priced)
    average = pa.array(np.array(spent) // np.maximum(counted, 1), mask=counted == 0)
    columns = work.columns
    columns["user_orders"] = pa.array(orders, pa.int64()).take(at)
    columns["user_average_order"] = average.take(at)
    columns["user_last_seen"] = pa.array(times, mask=times == 0).cast(_WHEN).take(at)
    columns["user_last_category"] = pa.array(category, pa.string()).take(at)
    return late


def changes_of(work: Work, known: Known) -> dict[User, Change]:
    """What the kept rows add to their users' profiles."""
    codes, names = work.users
    rows = np.flatnonzero(work.kept & (codes >= 0))
    before = np.array([known.profiles.get(user, _NOBODY).last_seen for user in names], dtype=np.int64)
    seen = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(seen, codes[rows], work.occurred[rows])
    found = {names[code]: Change(int(seen[code])) for code in np.flatnonzero(seen - before >= _MOVED_MS).tolist()}
    told: set[tuple[User, str]] = set()
    # Row by row: an order is rare, and tells a story of its own.
    for row in rows[work.of_types(_ORDERS)[rows]].tolist():
        code = int(codes[row])
        user, order = names[code], str(work.rows.column("order_id")[row].as_py())
        if order != known.profiles.get(user, _NOBODY).last_order and (user, order) not in told:
            told.add((user, order))
            own = known.store(user.store_id).currency
            found[user] = _bought(found.get(user, Change(int(seen[code]))), work, row, own)
    return found


def _bought(change: Change, work: Work, row: int, own: str) -> Change:
    amount = cast("int | None", work.columns["amount"][row].as_py())
    priced = amount is not None and work.columns["currency"][row].as_py() == own
    return change._replace(
        orders=change.orders + 1,
        priced=change.priced + priced,
        spent=change.spent + (amount or 0 if priced else 0),
        category=_category(work.rows.column("items")[row].as_py() or ()) or change.category,
        order=work.rows.column("order_id")[row].as_py(),
    )


def _category(items: Sequence[dict[str, object]]) -> str | None:
    """On which most was spent."""
    spent: dict[str, int] = {}
    for item in items:
        if item["category"] is not None:
            name = str(item["category"])
            spent[name] = spent.get(name, 0) + int(cast("int", item["quantity"])) * int(cast("int", item["price"]))
    return max(spent, key=lambda name: spent[name]) if spent else None

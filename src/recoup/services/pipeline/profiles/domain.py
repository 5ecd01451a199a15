"""Profiles of users, and what a batch does to them."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa


class User(NamedTuple):
    """Somebody the shop knows by name."""

    store_id: str
    user_id: str


class Profile(NamedTuple):
    """A user as they were before a batch."""

    orders: int = 0
    priced: int = 0
    """Orders in the shop's own currency, which is what an average can be made of."""
    spent: int = 0
    """By these, in minor units."""
    last_seen: int = 0
    """Milliseconds since 1970; 0: never before."""
    last_category: str | None = None
    """On which the last order spent most."""
    last_order: str | None = None


class Change(NamedTuple):
    """What a batch adds to a profile; `seen` is the newest event's time (ms)."""

    seen: int
    orders: int = 0
    priced: int = 0
    spent: int = 0
    category: str | None = None
    order: str | None = None


def changed(profile: Profile, change: Change) -> Profile:
    """The profile afterwards."""
    return Profile(
        profile.orders + change.orders,
        profile.priced + change.priced,
        profile.spent + change.spent,
        max(profile.last_seen, change.seen),
        change.category or profile.last_category,
        change.order or profile.last_order,
    )


class Users(NamedTuple):
    """The users of a batch, once each, and which of them each row is of; -1 for rows without one."""

    codes: np.ndarray
    names: Sequence[User]


def users_of(column: pa.ChunkedArray, store_codes: np.ndarray, store_names: list[str]) -> Users:
    """Who is named in these rows; the same name in two stores is two users."""
    encoded = cast("pa.DictionaryArray", column.combine_chunks().dictionary_encode())
    names: list[str] = encoded.dictionary.to_pylist()
    codes = np.full(len(column), -1, dtype=np.int64)
    named = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
    if not names:
        return Users(codes, [])
    places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    pairs, which = np.unique((places * len(store_names) + store_codes)[named], return_inverse=True)
    codes[named] = which
    name_at, store_at = np.divmod(pairs, len(store_names))
    return Users(
        codes,
        [
            User(store_names[store], names[name])
            for store, name in zip(store_at.tolist(), name_at.tolist(), strict=True)
        ],
    )

"""A batch on its way through the steps: its rows, what is known about them, and what was found out.

Holds, decides nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, cast

import numpy as np
import pyarrow as pa

from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain.cart import CartState, Derived, Patience
from recoup.services.pipeline.carts.domain.table import SEPARATOR, CartKey, CartTable, Slots
from recoup.services.pipeline.products.domain import Facts, Mentions, Product
from recoup.services.pipeline.profiles.domain import Profile, User, Users, users_of
from recoup.services.pipeline.schemas.domain.catalog import Catalog
from recoup.services.pipeline.sessions.domain import Sessions, SessionTable, sessions_of
from recoup.services.pipeline.sessions.domain import Slots as SessionSlots
from recoup.services.pipeline.stream.domain.agents import Agents
from recoup.services.pipeline.stream.domain.rates import Rates
from recoup.services.pipeline.stream.domain.seen import Ids

_DEFAULT: Final = StoreSettings()
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000


class Dead(NamedTuple):
    """A row that cannot be used, and why."""

    row: int
    kind: str
    field: str
    reason: str
    code: str = ""
    """The very rule, where the kind does not say it."""


class Visitor(NamedTuple):
    """A person without a name in a store, by their `anonymous_id`."""

    store_id: str
    anonymous_id: str


class Terms(NamedTuple):
    """What time means to a store's carts in a partition."""

    patience: Patience
    domain: str
    """Which clock their timers go by."""
    reached: int
    """How late it is (ms)."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the steps may know besides the rows; gathered before the first of them."""

    seen: np.ndarray
    """By row: its id took effect before."""
    stores: Mapping[str, StoreSettings]
    carts: CartTable
    slots: Slots
    """Where each of the batch's carts is in the table."""
    due: Slots
    """Carts whose timers have rung."""
    reached: Mapping[tuple[int, str], int]
    """The time reached (ms), by partition and store; by partition and "" for stores on the wall clock."""
    now: datetime
    agents: Agents = field(default_factory=Agents)
    """User agents met before."""
    catalogs: Mapping[str, Catalog] = field(default_factory=dict)
    """Schemas of the stores that registered any."""
    profiles: Mapping[User, Profile] = field(default_factory=dict)
    """What is known of the users; those of whom nobody told in time are not in it."""
    products: Mapping[Product, Facts] = field(default_factory=dict)
    """What is known of the products; those of which nobody told in time are not in it."""
    sessions: SessionTable = field(default_factory=SessionTable)
    session_slots: SessionSlots = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Where each of the batch's sessions is in that table."""

    rates: Rates = field(default_factory=Rates)
    """What the latest minutes have seen, and how much would be too much."""
    disposable: frozenset[str] = frozenset()
    """Domains whose e-mail addresses are thrown away."""

    _terms: dict[tuple[int, str], Terms] = field(default_factory=dict)

    def store(self, store_id: str) -> StoreSettings:
        """A store's settings; the defaults for one that is gone."""
        return self.stores.get(store_id, _DEFAULT)

    def terms(self, partition: int, store_id: str) -> Terms:
        """What time means to a store's carts in a partition."""
        found = self._terms.get((partition, store_id))
        if found is None:
            store = self.store(store_id)
            domain = clock_domain(store_id, store)
            found = Terms(patience(store), domain, self.reached.get((partition, domain), 0))
            self._terms[partition, store_id] = found
        return found


@dataclass(slots=True)
class Changes:
    """What a batch does to carts, by their slots in the table."""

    changed: dict[int, CartState] = field(default_factory=dict)
    touched: Slots = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Carts of which only `last_at` moved."""
    timers: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Clock domain and when to look again (ms)."""
    gone: dict[int, str] = field(default_factory=dict)
    """Carts to forget, with their clock domain."""


class Parts(NamedTuple):
    """Rows sorted by partition, the partitions there are, and where the rows of each one lie."""

    table: pa.Table
    partitions: Sequence[int]
    spans: Sequence[tuple[int, int]]


@dataclass(slots=True)
class Work:
    """Rows in the order of partition and offset, with everything the steps add."""

    rows: pa.Table
    partitions: np.ndarray
    offsets: np.ndarray
    kept: np.ndarray
    ids: Ids
    """Event ids; the processor makes them differ between stores."""
    type_codes: np.ndarray
    type_names: list[str]
    store_codes: np.ndarray
    store_names: list[str]
    occurred: np.ndarray
    """Milliseconds since 1970."""
    cart_codes: np.ndarray
    """By row: which of `carts`, or -1 where the event bears no cart."""
    carts: Sequence[tuple[int, str]]
    """Partition and name of each cart of the batch, once."""
    users: Users
    sessions: Sessions
    mentions: Mentions = field(default_factory=Mentions)
    """Lines that want or tell facts of products."""
    columns: dict[str, pa.Array] = field(default_factory=dict)
    """Enrichment by column name."""
    dead: list[Dead] = field(default_factory=list)
    warned: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows that were taken although something in them wants mending, by store and what it is."""
    duplicates: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    derived: list[tuple[CartKey, Derived]] = field(default_factory=list)
    links: dict[Visitor, str] = field(default_factory=dict)
    """Users that visitors turned out to be."""
    changes: Changes = field(default_factory=Changes)
    sessions_begun: SessionSlots = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Sessions of whose beginning something new is known."""
    sessions_viewed: SessionSlots = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Sessions that have seen more pages."""
    crowded: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Rows of sessions with more events in a minute than a person sends."""
    enriched: Parts | None = None
    """Rows of ENRICHED to write."""
    dead_letters: Parts | None = None
    """Rows of DEAD to write."""

    def of_types(self, types: frozenset[str]) -> np.ndarray:
        """Marks the rows of these types."""
        return np.array([name in types for name in self.type_names], dtype=bool)[self.type_codes]


def work_of(rows: pa.Table, partitions: np.ndarray, offsets: np.ndarray) -> Work:
    """Rows of RAW, with where they came from."""
    types, type_names = _encoded(rows.column("type"))
    stores, store_names = _encoded(rows.column("store_id"))
    cart_codes, carts = _carts(rows.column("cart_id"), partitions, stores, store_names)
    return Work(
        rows=rows,
        partitions=partitions,
        offsets=offsets,
        kept=np.ones(len(rows), dtype=bool),
        ids=halves(rows.column("event_id")),
        type_codes=types,
        type_names=type_names,
        store_codes=stores,
        store_names=store_names,
        occurred=numbers(rows.column("occurred_at")),
        cart_codes=cart_codes,
        carts=carts,
        users=users_of(rows.column("user_id"), stores, store_names),
        sessions=sessions_of(rows.column("session_id"), stores, store_names),
    )


def parts_of(table: pa.Table, partitions: np.ndarray) -> Parts:
    """Rows that are in order of their partitions already."""
    found, starts, counts = np.unique(partitions, return_index=True, return_counts=True)
    return Parts(table, found.tolist(), list(zip(starts.tolist(), counts.tolist(), strict=True)))


def _encoded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Each row's value as an index into the distinct values."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()


def _carts(
    column: pa.ChunkedArray, partitions: np.ndarray, stores: np.ndarray, store_names: list[str]
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Carts are fewer than their events: each is named once, and its rows get a number."""
    encoded = column.combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    bearing = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
    codes = np.full(len(bearing), -1, dtype=np.int64)
    if not names:
        return codes, []
    name_codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    # The same name in two stores is two carts; in two partitions it is the cart from before there were more of them.
    places = int(partitions.max()) + 1
    together = ((name_codes * len(store_names) + stores) * places + partitions)[bearing]
    distinct, inverse = np.unique(together, return_inverse=True)
    codes[bearing] = inverse
    whose, where = np.divmod(distinct, places)
    name_at, store_at = np.divmod(whose, len(store_names))
    return codes, [
        (partition, f"{store_names[store]}{SEPARATOR}{names[name]}")
        for partition, store, name in zip(where.tolist(), store_at.tolist(), name_at.tolist(), strict=True)
    ]


def ids_by_store(work: Work, marked: np.ndarray) -> dict[int, dict[str, bytes]]:
    """The ids of the marked rows as they came, by partition and store."""
    ids = halves(work.rows.column("event_id"))
    found: dict[int, dict[str, bytes]] = {}
    pairs = work.partitions * len(work.store_names) + work.store_codes
    for pair in np.unique(pairs[marked]).tolist():
        partition, store = divmod(pair, len(work.store_names))
        found.setdefault(partition, {})[work.store_names[store]] = ids[marked & (pairs == pair)].tobytes()
    return found


def halves(column: pa.ChunkedArray) -> Ids:
    """A column of 16-byte ids without nulls as two numbers each."""
    ids = column.combine_chunks()
    data = np.frombuffer(cast("bytes", ids.buffers()[1]), dtype=np.uint64)
    return data.reshape(-1, 2)[ids.offset : ids.offset + len(ids)]


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column without nulls as int64."""
    return column.combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)


def patience(store: StoreSettings) -> Patience:
    """A store's thresholds in milliseconds."""
    return Patience(idle=store.idle_minutes * _MINUTE_MS, recovery=store.recovery_days * _DAY_MS)


def clock_domain(store_id: str, store: StoreSettings) -> str:
    """Which clock a store's timers go by: its own, or the wall's, which all such stores share."""
    return store_id if store.clock == "event" else ""

"""The carts a process works on: their states, and what most events need of them as columns. No I/O.

Nine events in ten only say that somebody is still there. For those the fold over a cart comes down to a comparison and
an assignment, which columns do for a whole batch at once; only what can change a cart's fate takes its state apart.
A cart has a slot; a cart known not to exist has one too, so that nobody asks for it again.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recoup.services.pipeline.carts.domain.cart import CartState

Slots = npt.NDArray[np.int64]
UNKNOWN: Final = -1
SEPARATOR: Final = "\x1f"
_FIRST_SIZE: Final = 1024
ROW: Final = np.dtype([
    ("partition", "i8"),
    ("last_at", "i8"),
    ("due_at", "i8"),
    ("closed_at", "i8"),
    ("number", "i8"),
    ("value", "i8"),
    ("pieces", "i8"),
    ("currency", "i8"),
    ("abandoned", "?"),
    ("unsaved", "?"),
])  # fmt: skip
"""What every cart's state says that most events need; times in milliseconds. `number` is 0 where there is no cart;
`currency` is a place in `CartTable.currencies`."""


class CartKey(NamedTuple):
    """Where a cart lives: its partition, its name inside it, and whose it is."""

    partition: int
    name: str
    store_id: str

    @property
    def cart_id(self) -> str:
        return self.name[len(self.store_id) + len(SEPARATOR) :]


class Standing(NamedTuple):
    """A cart with its timer set, and the clock domain of that."""

    key: CartKey
    state: CartState
    domain: str


def key_of(partition: int, name: str) -> CartKey:
    """The key of a cart from its name, which is its store, the separator and its id."""
    return CartKey(partition, name, name.partition(SEPARATOR)[0])


class CartTable:
    """Carts by slot. `rows` shows what the states say, a row a slot; its `last_at` may be ahead of a state's."""

    def __init__(self) -> None:
        self.keys: list[CartKey] = []
        self.currencies: list[str | None] = [None]
        self.rows = np.zeros(_FIRST_SIZE, dtype=ROW)
        self._currency_codes: dict[str | None, int] = {None: 0}
        self._slots: dict[int, dict[str, int]] = {}
        self._states: list[CartState | None] = []
        self._free: list[int] = []
        self._looked_for = np.zeros(_FIRST_SIZE, dtype=np.int64)
        self._round = 0

    def __len__(self) -> int:
        return len(self.keys) - len(self._free)

    def find(self, keys: Iterable[tuple[int, str]]) -> Slots:
        """The slot of each cart, given by partition and name; UNKNOWN for those that have none."""
        slots = self._slots
        found = [slots[at].get(name, UNKNOWN) if at in slots else UNKNOWN for at, name in keys]
        places = np.array(found, dtype=np.int64)
        self._round += 1
        self._looked_for[places[places >= 0]] = self._round
        return places

    def put(self, key: CartKey, state: CartState | None, *, unsaved: bool = False) -> int:
        """Takes a cart in, or notes that there is none of that name."""
        inside = self._slots.setdefault(key.partition, {})
        slot = inside.get(key.name)
        if slot is None:
            slot = inside[key.name] = self._free.pop() if self._free else self._new_slot()
            self.keys[slot] = key
        self._looked_for[slot] = self._round
        self._show(slot, state, unsaved=unsaved)
        return slot

    def state(self, slot: int) -> CartState:
        """The cart as it stands, a new one where there is none. Whoever changes it tells `change`."""
        state = self._states[slot]
        if state is None:
            return CartState()
        state.last_at = int(self.rows["last_at"][slot])
        return state

    def change(self, slot: int, state: CartState | None) -> None:
        """Notes what became of a cart; None where nothing is left of it."""
        self._show(slot, state, unsaved=state is not None)

    def currency_code(self, currency: str | None) -> int:
        """Its place in `currencies`."""
        code = self._currency_codes.get(currency)
        if code is None:
            code = self._currency_codes[currency] = len(self.currencies)
            self.currencies.append(currency)
        return code

    def touch(self, slots: Slots, at: npt.NDArray[np.int64]) -> None:
        """Notes activity on carts whose fate it does not change; each slot once."""
        self.rows["last_at"][slots] = at
        self.rows["unsaved"][slots] = True

    def unsaved(self, partition: int) -> list[int]:
        """Carts of a partition that have changed since their states were last written down in full."""
        rows = self.rows[: len(self.keys)]
        return np.flatnonzero(rows["unsaved"] & (rows["partition"] == partition)).tolist()

    def saved(self, slots: Sequence[int]) -> None:
        """Notes that these states are written down in full."""
        self.rows["unsaved"][list(slots)] = False

    def shrink(self, most: int) -> None:
        """Lets go of carts not looked for in a long time, as far as they are saved, until at most `most` are left."""
        excess = len(self) - most
        if excess <= 0:
            return
        held = np.array([slot for inside in self._slots.values() for slot in inside.values()], dtype=np.int64)
        held = held[~self.rows["unsaved"][held]]
        # A quarter more than needed, so that the next batch has not to do it again.
        for slot in held[np.argsort(self._looked_for[held])][: excess + most // 4].tolist():
            key = self.keys[slot]
            del self._slots[key.partition][key.name]
            self._states[slot] = None
            self._free.append(slot)

    def _show(self, slot: int, state: CartState | None, *, unsaved: bool) -> None:
        self._states[slot] = state
        at = self.keys[slot].partition
        if state is None:
            self.rows[slot] = (at, 0, 0, 0, 0, 0, 0, 0, False, False)
            return
        self.rows[slot] = (
            at, state.last_at, state.due_at, state.closed_at, state.number, state.value, state.pieces,
            self.currency_code(state.currency), state.abandoned_at != 0, unsaved,
        )  # fmt: skip

    def _new_slot(self) -> int:
        slot = len(self.keys)
        self.keys.append(_NO_KEY)
        self._states.append(None)
        if slot == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
            self._looked_for = np.concatenate([self._looked_for, np.zeros_like(self._looked_for)])
        return slot


_NO_KEY: Final = CartKey(UNKNOWN, "", "")

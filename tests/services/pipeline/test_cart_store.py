"""Carts in Valkey: what one processor wrote, by journal or in full, another finds when it takes the partition over."""

from collections.abc import AsyncGenerator

import numpy as np
import pytest

from recoup.kit.valkey import Valkey, connect
from recoup.messages.keys import CART_JOURNAL, CARTS
from recoup.services.pipeline.carts import store
from recoup.services.pipeline.carts.domain.cart import CartState
from recoup.services.pipeline.carts.domain.table import CartTable, key_of
from recoup.services.pipeline.carts.store import CartStore

NOBODY = np.zeros(0, dtype=np.int64)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncGenerator[Valkey]:
    client = connect(valkey_url)
    await client.flushdb()
    yield client
    await client.aclose()


def name(cart: str) -> str:
    return f"shop\x1f{cart}"


async def change(carts: CartStore, cart: str, last_at: int, value: int = 0) -> None:
    (slot,) = (await carts.locate([(0, name(cart))])).tolist()
    state = CartState(number=1, is_open=True, last_at=last_at, value=value)
    carts.table.change(slot, state)
    await write(carts, changed={slot: state})


async def touch(carts: CartStore, cart: str, at: int) -> None:
    slots = await carts.locate([(0, name(cart))])
    carts.table.touch(slots, np.array([at]))
    await write(carts, touched=slots)


async def drop(carts: CartStore, cart: str) -> None:
    (slot,) = (await carts.locate([(0, name(cart))])).tolist()
    carts.table.change(slot, None)
    await write(carts, gone={slot: ""})


async def write(
    carts: CartStore,
    changed: dict[int, CartState] | None = None,
    touched: np.ndarray = NOBODY,
    gone: dict[int, str] | None = None,
) -> None:
    async with carts.valkey.pipeline(transaction=True) as pipe:
        carts.save(pipe, changed or {}, touched, gone or {})
        await pipe.execute()
    carts.settle()


async def found(valkey: Valkey, cart: str) -> CartState:
    """The cart as a process sees it that has just taken the partition over."""
    carts = CartStore(valkey, 100)
    await carts.take_over([0])
    (slot,) = (await carts.locate([(0, name(cart))])).tolist()
    return carts.table.state(slot)


@pytest.mark.parametrize("kept_seconds", [0.0, 3_600.0])
async def test_a_takeover_finds_every_cart_as_it_was_left(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, kept_seconds: float
) -> None:
    # With no patience at all every second commit writes states in full; with an hour's all stays in the journal.
    monkeypatch.setattr(store, "SAVE_SECONDS", kept_seconds)
    carts = CartStore(valkey, 100)
    await carts.take_over([0])
    await change(carts, "kept", last_at=10, value=500)
    await change(carts, "lost", last_at=11)
    await touch(carts, "kept", 20)
    await drop(carts, "lost")
    await touch(carts, "never", 21)
    await change(carts, "late", last_at=30)

    assert await found(valkey, "kept") == CartState(number=1, is_open=True, last_at=20, value=500)
    assert await found(valkey, "late") == CartState(number=1, is_open=True, last_at=30)
    assert await found(valkey, "lost") == CartState()
    assert await found(valkey, "never") == CartState()


async def test_a_journal_that_is_written_down_begins_anew(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    carts = CartStore(valkey, 100)
    await carts.take_over([0])
    await change(carts, "a", last_at=1)
    assert (await valkey.llen(CART_JOURNAL.key(partition=0)), await valkey.hlen(CARTS.key(partition=0))) == (1, 0)

    monkeypatch.setattr(store, "SAVE_BYTES", 0)
    await change(carts, "b", last_at=2)

    assert (await valkey.llen(CART_JOURNAL.key(partition=0)), await valkey.hlen(CARTS.key(partition=0))) == (0, 2)


def test_the_table_lets_go_of_carts_long_unseen_but_never_of_unsaved_ones() -> None:
    table = CartTable()
    for number in range(10):
        table.find([(0, name(str(number)))])
        slot = table.put(key_of(0, name(str(number))), CartState(number=1))
        if number == 3:
            table.change(slot, CartState(number=2))
    table.find([(0, name("0"))])

    table.shrink(4)

    kept = [number for number in range(10) if table.find([(0, name(str(number)))])[0] >= 0]
    assert 3 in kept
    assert 0 in kept
    assert len(kept) <= 4

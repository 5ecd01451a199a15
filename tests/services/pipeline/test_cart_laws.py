"""Whatever is told in whatever order, cut and taken over anywhere: the stream finds what the plain rules find."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from tests.services.pipeline.histories import EVENT, HISTORIES, IDLE, RECOVERY, WALL, Batch
from tests.services.pipeline.plain import Fact, Piece, Plain, Shown, Told

from recoup.kit.valkey import Valkey, connect
from recoup.messages.events import RAW
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts import store as carts_store
from recoup.services.pipeline.carts.domain.cart import CartState
from recoup.services.pipeline.carts.domain.table import ROW, CartKey, CartTable
from recoup.services.pipeline.carts.store import CartStore, write_down
from recoup.services.pipeline.rebuild.domain import Memory
from recoup.services.pipeline.stream.domain import tracking
from recoup.services.pipeline.stream.domain.identities import name, unnamed
from recoup.services.pipeline.stream.domain.routing import route
from recoup.services.pipeline.stream.domain.steps import STEPS
from recoup.services.pipeline.stream.domain.work import Known, Parts, Work, work_of
from recoup.services.pipeline.stream.store import Identities

PARTITIONS = 2
STORES = {
    name: msgspec.convert({"clock": clock, "recovery_days": 1}, StoreSettings)
    for name, clock in ((WALL, "wall"), (EVENT, "event"))
}
DERIVED = {"cart_abandoned", "cart_recovered", "cart_expired"}


@dataclass
class Stream:
    """The steps as the processor takes them, on real carts."""

    valkey: Valkey
    carts: CartStore = field(init=False)
    identities: Identities = field(init=False)
    clocks: dict[tuple[int, str], int] = field(default_factory=dict)
    taken: set[tuple[str, bytes]] = field(default_factory=set)
    routed: list[Parts] = field(default_factory=list)
    """What came out of each batch."""

    async def read_back(self, now: int) -> None:
        """Valkey has lost everything: what came out says what there was."""
        await self.valkey.flushdb()
        memory = Memory(dict(STORES))
        for offset, parts in enumerate(self.routed):
            partitions = np.repeat(parts.partitions, [count for _, count in parts.spans])
            memory.take(work_of(parts.table, partitions, np.full(len(partitions), offset)), now)
        async with self.valkey.pipeline(transaction=True) as pipe:
            write_down(pipe, memory.standing(now))
            Identities(self.valkey, 0).link(pipe, memory.links, datetime.fromtimestamp(now / 1000, UTC))
            pipe.ping()
            await pipe.execute()

    async def take_over(self) -> None:
        self.carts = CartStore(self.valkey, 100)
        self.identities = Identities(self.valkey, 2)
        await self.carts.take_over(range(PARTITIONS))

    async def work(self, batch: Batch) -> Work:
        work = work_of(*rows_of(batch.told, batch.now))
        known = await self.known(work, batch.now)
        for step in STEPS:
            if step is route:
                name(work, await self.identities.users(unnamed(work), known.now))
            step(work, known)
        changes = work.changes
        async with self.valkey.pipeline(transaction=True) as pipe:
            self.carts.save(pipe, changes.changed, changes.touched, changes.gone)
            self.carts.set_timers(pipe, changes.timers)
            self.identities.link(pipe, work.links, known.now)
            pipe.ping()
            await pipe.execute()
        self.carts.settle()
        self.identities.settle()
        if work.enriched is not None:
            self.routed.append(work.enriched)
        return work

    async def known(self, work: Work, now: int) -> Known:
        moved: dict[tuple[int, str], int] = {}
        for row in np.flatnonzero(work.of_types(frozenset({"clock"}))).tolist():
            at = (int(work.partitions[row]), EVENT)
            moved[at] = max(self.clocks.get(at, 0), int(work.occurred[row]))
            self.clocks |= moved
        due = await self.carts.due(moved | {(partition, ""): now for partition in range(PARTITIONS)})
        slots = await self.carts.locate([*work.carts, *due])
        ids = [
            (work.store_names[code], cast("bytes", event_id))
            for code, event_id in zip(work.store_codes, work.rows.column("event_id").to_pylist(), strict=True)
        ]
        seen = np.array([found in self.taken for found in ids], dtype=bool)
        self.taken |= set(ids)
        return Known(
            seen=seen, stores=STORES, carts=self.carts.table, slots=slots[: len(work.carts)],
            due=slots[len(work.carts) :], now=datetime.fromtimestamp(now / 1000, UTC),
            reached=self.clocks | {(partition, ""): now for partition in range(PARTITIONS)},
        )  # fmt: skip


def rows_of(told: Sequence[Told], now: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    placed = sorted(
        ((partition, offset, event) for offset, event in enumerate(told) for partition in places(event)),
        key=lambda found: found[:2],
    )
    rows = pa.Table.from_pylist([row(event, now, partition) for partition, _, event in placed], schema=RAW)
    return rows, np.array([found[0] for found in placed]), np.array([found[1] for found in placed])


def places(event: Told) -> Sequence[int]:
    if event.type == "clock":
        return range(PARTITIONS)
    return [crc32(f"{event.store}{event.cart}".encode()) % PARTITIONS]


def row(event: Told, now: int, partition: int) -> dict[str, object]:
    # A clock row is an event of its own in each partition.
    number = event.event_id if event.type != "clock" else 1_000_000 + event.event_id * PARTITIONS + partition
    return {
        "event_id": number.to_bytes(16), "type": event.type, "occurred_at": event.at, "schema_version": 1,
        "store_id": event.store, "cart_id": event.cart, "user_id": event.user, "anonymous_id": event.visitor,
        "items": [line(piece) for piece in event.pieces], "order_id": "1",
        "currency": event.currency, "received_at": now,
    }  # fmt: skip


def line(piece: Piece) -> dict[str, object]:
    return {
        "product_id": piece.product, "variant_id": piece.variant, "quantity": piece.quantity, "price": piece.price
    }  # fmt: skip


def outcome(work: Work) -> tuple[dict[int, Shown], Counter[Fact]]:
    return outcome_of([] if work.enriched is None else work.enriched.table.to_pylist())


def outcome_of(rows: Sequence[Mapping[str, object]]) -> tuple[dict[int, Shown], Counter[Fact]]:
    shown = {
        int.from_bytes(cast("bytes", found["event_id"])): msgspec.convert(
            [found["cart_number"], found["cart_change"], found["cart_value"], found["item_count"]], Shown
        )
        for found in rows
        if found["type"] not in {"clock", *DERIVED}
    }
    facts = Counter(
        Fact(
            str(found["type"]), str(found["store_id"]), str(found["cart_id"]),
            int(cast("datetime", found["occurred_at"]).timestamp() * 1000),
            *cast("tuple[int, int, int]", (found["cart_number"], found["cart_value"], found["item_count"])),
            *cast("tuple[str, str, str]", (found["currency"], found["user_id"], found["anonymous_id"])),
        )
        for found in rows
        if found["type"] in DERIVED
    )  # fmt: skip
    return shown, facts


async def in_full(valkey_url: str, history: Sequence[Batch]) -> list[object]:
    """All that a history leaves behind: what came out of each batch, and every cart as it stands in the table."""
    valkey = connect(valkey_url)
    await valkey.flushdb()
    stream, left = Stream(valkey), list[object]()
    try:
        await stream.take_over()
        for batch in history:
            found = await stream.work(batch)
            left += [outcome(found), standing(stream.carts.table)]
        return left
    finally:
        await valkey.aclose()


def standing(table: CartTable) -> dict[CartKey, tuple[CartState, dict[str, object]]]:
    """Every cart in the table; currencies by name, since they are numbered in the order in which they were met."""
    found: dict[CartKey, tuple[CartState, dict[str, object]]] = {}
    for slot, key in enumerate(table.keys):
        row = dict(zip(ROW.names or (), table.rows[slot].tolist(), strict=True))
        found[key] = (table.state(slot), row | {"currency": table.currencies[row["currency"]]})
    return found


async def compare(valkey_url: str, history: Sequence[Batch], *, lossy: bool = False) -> None:
    valkey = connect(valkey_url)
    await valkey.flushdb()
    stream, plain = Stream(valkey), Plain(IDLE, RECOVERY)
    clock = 0
    try:
        await stream.take_over()
        for batch in history:
            clock = max([clock, *(event.at for event in batch.told if event.type == "clock")])
            # Of two partitions' events at the same moment, the lower one's count as told first.
            told = sorted(
                (event for event in batch.told if event.type != "clock"), key=lambda event: list(places(event))
            )
            shown, facts = plain.batch(told, {WALL: batch.now, EVENT: clock})
            carts_store.SAVE_BYTES = -1 if batch.after == "write down" else 4_000_000
            assert outcome(await stream.work(batch)) == (shown, Counter(facts))
            if lossy:
                await stream.read_back(batch.now)
            if lossy or batch.after == "take over":
                await stream.take_over()
    finally:
        await valkey.aclose()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORIES)
def test_the_stream_finds_what_the_plain_rules_find(valkey_url: str, history: Sequence[Batch]) -> None:
    asyncio.run(compare(valkey_url, history))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORIES)
def test_a_stream_whose_carts_were_lost_and_read_back_finds_what_the_plain_rules_find(
    valkey_url: str, history: Sequence[Batch]
) -> None:
    asyncio.run(compare(valkey_url, history, lossy=True))


def nobody_is_quiet(_found: object, _known: object, groups: tracking.Groups) -> np.ndarray:
    return np.zeros(len(groups.carts), dtype=bool)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORIES)
def test_carts_dealt_with_in_columns_are_as_if_folded(valkey_url: str, history: Sequence[Batch]) -> None:
    in_columns = asyncio.run(in_full(valkey_url, history))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "touch", nobody_is_quiet)
        folded = asyncio.run(in_full(valkey_url, history))

    assert in_columns == folded

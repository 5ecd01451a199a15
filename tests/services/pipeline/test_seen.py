"""The set of recent ids against a plain dict, and the ids of one processor as the next one learns them."""

from datetime import timedelta

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.services.pipeline.builders import NOON

from recoup.kit.valkey import connect
from recoup.services.pipeline.stream.domain.seen import Ids, RecentIds, first_of_each
from recoup.services.pipeline.stream.store import SeenEvents


def ids(numbers: list[int]) -> Ids:
    """Ids that differ in one half only, and hash next to each other as likely as not."""
    return np.array([[number % 5, number] for number in numbers], dtype=np.uint64).reshape(-1, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 20_000), max_size=4_000), st.integers(0, 2)), max_size=12))
def test_an_id_is_seen_as_long_as_it_is_recent_however_the_table_grows(batches: list[tuple[list[int], int]]) -> None:
    recent, model, now = RecentIds(), dict[int, int](), 1
    for numbers, pause in batches:
        now += pause
        oldest = max(1, now - 1)
        batch = ids(numbers)
        expected = [model.get(number, 0) >= oldest for number in numbers]

        seen = recent.seen(batch, oldest)

        assert seen.tolist() == expected
        recent.add(batch[first_of_each(batch) & ~seen], now, oldest)
        model |= {number: now for number, was in zip(numbers, expected, strict=True) if not was}


def test_many_ids_are_told_apart_over_slots_of_which_the_old_ones_go() -> None:
    chance = np.random.default_rng(7)
    recent, added = RecentIds(), dict[int, Ids]()
    for batch in range(60):
        new = chance.integers(0, 1 << 64, (7_000, 2), dtype=np.uint64)
        # Whoever takes partitions over learns older slots after newer ones.
        slot = batch // 6 + 1 if batch % 6 else max(1, batch // 6)
        oldest = max(1, batch // 6 - 2)
        assert not recent.seen(new, oldest).any()
        recent.add(new, slot, oldest)
        added[slot] = np.concatenate([added.get(slot, new[:0]), new])

        at = int(chance.integers(1, max(added) + 1))
        again = added[at][chance.integers(0, len(added[at]), 500)]
        assert set(recent.seen(again, oldest).tolist()) == {at >= oldest}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([1, 100, 1_000, 3_000, 4_000, 10_000]), max_size=8))
@example([4_000, 3_000, 1_000])
@example([4_000, 4_000, 100])
def test_there_is_always_a_place_left_where_a_search_ends(sizes: list[int]) -> None:
    recent, chance = RecentIds(), np.random.default_rng(9)
    for size in sizes:
        recent.add(chance.integers(0, 1 << 64, (size, 2), dtype=np.uint64), 1, 1)
        assert recent.room >= 0


def test_an_id_of_which_one_half_is_known_is_new() -> None:
    recent = RecentIds()
    chance = np.random.default_rng(8)
    known = chance.integers(0, 1 << 64, (100_000, 2), dtype=np.uint64)
    recent.add(known, 1, 1)

    assert recent.seen(known, 1).all()
    assert not recent.seen(np.stack([known[:, 0], np.roll(known[:, 1], 1)], axis=1), 1).any()
    assert not recent.seen(known[:, ::-1], 1).any()


def test_an_id_of_zeros_is_an_id_like_any_other() -> None:
    recent = RecentIds()
    nil = np.zeros((1, 2), dtype=np.uint64)

    assert not recent.seen(nil, 1).any()
    recent.add(nil, 1, 1)
    assert recent.seen(nil, 1).all()


def test_the_first_of_equal_ids_is_marked() -> None:
    assert first_of_each(ids([7, 3, 7, 12, 3, 8])).tolist() == [True, True, False, True, False, True]


async def test_ids_are_apart_by_store_and_known_to_whoever_takes_the_partition_over(valkey_url: str) -> None:
    valkey = connect(valkey_url)
    await valkey.flushdb()
    batch = ids([1, 2])
    both = np.concatenate([batch, batch])
    first, second = SeenEvents(valkey), SeenEvents(valkey)
    stores, codes = ["shop-a", "shop-b"], np.array([0, 0, 1, 1])

    async with valkey.pipeline(transaction=True) as pipe:
        first.claim(pipe, {3: {"shop-a": batch.tobytes()}}, NOON)
        await pipe.execute()
    await second.catch_up([3], NOON)
    await second.catch_up([3], NOON)

    assert second.seen(second.apart(both, codes, stores), NOON).tolist() == [True, True, False, False]
    assert second.seen(second.apart(both, codes, stores), NOON + timedelta(minutes=59)).tolist()[0]
    assert not second.seen(second.apart(both, codes, stores), NOON + timedelta(minutes=75)).any()
    await valkey.aclose()

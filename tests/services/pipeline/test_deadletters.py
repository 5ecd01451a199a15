"""Dead letters on the workbench: kept once, tried out, sent again without ever doubling anything."""

import asyncio
import signal
import sys
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pyarrow as pa
import pytest
from tests.services.pipeline.builders import NOON, SHOP, added, event, ordered
from tests.services.pipeline.workbench import bench, edited

from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.service import Batch
from recoup.messages.events import DEAD
from recoup.services.pipeline.collect.domain.origin import PAGE
from recoup.services.pipeline.collect.domain.reading import Form, Reading
from recoup.services.pipeline.deadletters.domain.filters import Filter
from recoup.services.pipeline.deadletters.domain.letters import Kind, Status, kind_of, noted, pause


@pytest.mark.parametrize(
    ("broken", "kind", "field"),
    [
        ({"amount": "19.99"}, Kind.SCHEMA_VIOLATION, "amount"),
        ({"type": "swiped"}, Kind.UNKNOWN_TYPE, "type"),
        ({"occurred_at": (NOON + timedelta(days=3)).isoformat()}, Kind.TIMESTAMP, "occurred_at"),
        ({"store_id": "shop-b"}, Kind.FOREIGN_STORE, "store_id"),
        ({"items": [{"product_id": "x"}] * 501}, Kind.SIZE, "items"),
        ({"type": "product_added"}, Kind.SCHEMA_VIOLATION, "items"),
    ],
)
async def test_an_event_that_cannot_be_used_becomes_one_letter_of_a_named_kind(
    broken, kind, field, valkey_url: str, database: str
) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(**broken), event())

        (letter,) = await desk.arrive(1)

        assert (letter.kind, letter.field, letter.status) == (kind, field, Status.OPEN)


async def test_the_same_rows_read_twice_make_no_second_letter(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        broken = event(amount="x")
        await desk.running.send(broken)
        await desk.arrive(1)
        await desk.running.send(broken, event(amount="y"))

        letters = await desk.arrive(2)

        assert len(letters) == 2


async def test_a_dry_run_says_before_and_after_and_sends_nothing(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(amount="19.99"))
        (letter,) = await desk.arrive(1)

        bad, good = (
            await desk.workbench.try_out(letter, None),
            await desk.workbench.try_out(letter, edited(letter, amount=1999)),
        )

        assert (bad.valid, bad.problem and bad.problem.field) == (False, "amount")
        assert (good.valid, good.sent, '"19.99"' in good.before, "1999" in good.after) == (True, False, True, True)
        assert (await desk.again(letter.id)).history == []


async def test_replayed_twice_an_event_takes_effect_once_under_its_own_id(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        broken = event(amount="19.99")
        await desk.running.send(broken)
        (letter,) = await desk.arrive(1)
        body = edited(letter, amount=1999, event_id=str(uuid4()))

        first = await desk.workbench.send(letter, body, "ada")
        second = await desk.workbench.send(await desk.again(letter.id), body, "ada")
        with pytest.raises(Conflict):
            await desk.workbench.send(letter, body, "somebody who looked at it before")
        await desk.running.send(event(type="exit_intent"))

        rows = await desk.running.enriched(2)
        assert Counter(row["event_id"] for row in rows)[UUID(str(broken["event_id"])).bytes] == 1
        assert (first.sent, second.sent, first.event_id) == (True, True, broken["event_id"])
        assert (await desk.running.stats.read(SHOP)).accepted == 2


async def test_a_death_between_sending_and_writing_it_down_doubles_nothing(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(amount="19.99"))
        (letter,) = await desk.arrive(1)
        body = edited(letter, amount=1999)
        # What a killed process leaves behind: the mark, and the event on the log.
        await desk.store.begin(letter, body, letter.event_id, desk.running.clock.now(), noted(NOON, "sending"))
        await desk.running.collector.accept(SHOP, body, Form.ONE, PAGE)

        desk.later(minutes=2)
        await desk.rounds.once()
        await desk.running.send(event(type="exit_intent"))

        assert len(await desk.running.enriched(2)) == 2
        assert (await desk.running.stats.read(SHOP)).duplicates == 1
        assert (await desk.again(letter.id)).status is Status.REPLAYED


async def test_a_process_killed_while_it_sends_neither_loses_nor_doubles_the_event(
    valkey_url: str, database: str
) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(amount="19.99"))
        (letter,) = await desk.arrive(1)
    arguments = [valkey_url, database, str(letter.id), edited(letter, amount=1999).decode()]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.services.pipeline.dying_sender", *arguments
    )
    assert await child.wait() == -signal.SIGKILL

    async with bench(valkey_url, database, keep=True) as desk:
        left = await desk.again(letter.id)
        desk.later(minutes=2)
        await desk.rounds.once()
        await desk.running.send(event(type="exit_intent"))

        rows = await desk.running.enriched(2)
        assert Counter(row["type"] for row in rows) == {"page_viewed": 1, "exit_intent": 1}
        assert (left.status, (await desk.again(letter.id)).status) == (Status.SENDING, Status.REPLAYED)
        assert (await desk.running.stats.read(SHOP)).duplicates == 1


async def test_what_broke_off_too_long_ago_is_left_to_a_person(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(amount="19.99"))
        (letter,) = await desk.arrive(1)
        await desk.store.begin(letter, b"{}", letter.event_id, NOON, noted(NOON, "sending"))

        desk.later(hours=3)
        await desk.rounds.once()

        assert (await desk.again(letter.id)).status is Status.UNSURE


async def test_an_id_that_cannot_be_used_gives_way_to_one_that_is_always_the_same(
    valkey_url: str, database: str
) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(event_id="42"))
        (letter,) = await desk.arrive(1)

        trials = [await desk.workbench.try_out(letter, None) for _ in range(2)]

        assert trials[0].valid
        assert trials[0].event_id == trials[1].event_id != "42"


async def test_a_conflicting_id_is_exchanged_as_the_other_event_owns_it(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        first = event()
        await desk.running.send(first, {**first, "type": "exit_intent"})
        (letter,) = await desk.arrive(1)

        trial = await desk.workbench.send(letter, None, "ada")

        assert (letter.kind, trial.sent, trial.event_id != first["event_id"]) == (Kind.CONFLICT, True, True)
        assert len(await desk.running.enriched(2)) == 2


async def test_a_letter_that_dies_again_is_that_letter(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(amount="19.99"))
        (letter,) = await desk.arrive(1)
        await desk.workbench.send(letter, edited(letter, amount=1999), "ada")
        desk.later(minutes=1)
        await desk.handlers.on_dead(_died_later(letter.event_id, desk.running.clock.now()))

        (again,) = await desk.letters()

        assert (again.status, again.attempts, again.stage) == (Status.OPEN, 2, "validate")
        assert [entry.what for entry in again.history] == ["sending", "replayed", "came back"]


async def test_many_are_replayed_by_filter_and_counted(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        twins = [event(), event()]
        await desk.running.send(*twins, *({**twin, "type": "exit_intent"} for twin in twins), event(amount="x"))
        await desk.arrive(3)

        dry = await desk.workbench.replay(SHOP, Filter(), 100, "ada", dry_run=True)
        done = await desk.workbench.replay(SHOP, Filter(kind=Kind.CONFLICT), 100, "ada", dry_run=False)
        again = await desk.workbench.replay(SHOP, Filter(), 2, "ada", dry_run=False)

        assert (dry.matched, dry.sent, dry.would_be_sent, dry.refused) == (3, 0, 2, {"wrong_type": 1})
        assert (done.matched, done.sent, done.more) == (2, 2, False)
        assert (again.sent, again.more) == (0, True)


async def test_a_short_outage_is_waited_for_and_a_long_one_is_left_to_a_person(
    valkey_url: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(valkey_url, database, dead_letter_retries=2) as desk:
        await desk.handlers.on_dead(_died_later(str(uuid4()), NOON, kind="enrichment"))
        (letter,) = await desk.letters()

        async def down(*_: object) -> Reading:
            raise Unavailable("the log does not answer")

        monkeypatch.setattr(type(desk.running.collector), "accept", down)
        found = [letter.status]
        for _ in range(2):
            desk.later(minutes=5)
            await desk.rounds.once()
            found.append((await desk.again(letter.id)).status)

        assert found == [Status.WAITING, Status.WAITING, Status.OPEN]
        assert (await desk.again(letter.id)).kind is Kind.TOO_MANY_RETRIES


async def test_a_flood_stops_what_is_done_by_itself_and_raises_one_alert(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.set(dead_letter_limit=2)
        await desk.handlers.on_dead(_died_later(str(uuid4()), NOON, kind="enrichment"))
        await desk.running.send(event(amount="x"), event(amount="y"))
        await desk.arrive(3)

        desk.later(minutes=5)
        await desk.rounds.once()
        await desk.rounds.once()

        (report,) = desk.reports.told
        assert report[0] == f"monitoring /anomalies/report?store_id={SHOP}"
        assert len(await desk.letters(status=Status.WAITING)) == 1
        assert await desk.store.resume(SHOP)


async def test_what_was_bought_since_is_not_opened_again(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(added(), added(amount="9.99", product="pen", at=1))
        (letter,) = await desk.arrive(1)
        await desk.running.send(ordered(at=5))
        await desk.running.enriched(2)

        trial = await desk.workbench.send(letter, edited(letter, amount=999), "ada")
        (row,) = await desk.running.enriched(1)
        desk.later(hours=3)
        await desk.running.send(event(at=180))
        (last,) = await desk.running.enriched(1)

        assert (trial.sent, row["cart_change"], last["type"]) == (True, None, "page_viewed")


async def test_what_waited_here_for_days_keeps_its_time_whatever_its_client_said_of_its_clock(
    valkey_url: str, database: str
) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(amount="19.99", sent_at=NOON.isoformat()))
        (letter,) = await desk.arrive(1)
        desk.later(hours=50)

        await desk.workbench.send(letter, edited(letter, amount=1999), "ada")
        (row,) = await desk.running.enriched(1)

        assert row["occurred_at"] == NOON


async def test_old_letters_and_those_beyond_the_most_are_forgotten(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database, dead_letters_kept=1, dead_letter_days=10) as desk:
        for number in range(3):
            await desk.handlers.on_dead(_died_later(str(uuid4()), NOON + timedelta(days=number)))

        assert await desk.rounds.forget() == "forgot 2 dead letters"
        desk.later(days=30)
        assert await desk.rounds.forget() == "forgot 1 dead letters"


def test_pauses_double_up_to_ten_minutes() -> None:
    first = timedelta(seconds=30)

    assert [pause(tries, first).total_seconds() for tries in (0, 1, 2, 9)] == [30, 60, 120, 600]


def test_a_rule_without_a_kind_of_its_own_is_the_schemas() -> None:
    assert kind_of("some_new_rule") is Kind.SCHEMA_VIOLATION


def _died_later(event_id: str, at: datetime, kind: str = "schema_violation") -> Batch:
    row = {
        "event_id": event_id, "store_id": SHOP, "stage": "validate", "kind": kind, "field": "items", "reason": "why",
        "attempts": 1, "body": msgspec.json.encode({**event(), "event_id": event_id}).decode(), "received_at": at,
        "dead_at": at,
    }  # fmt: skip
    return Batch([], pa.Table.from_pylist([row], schema=DEAD), [])

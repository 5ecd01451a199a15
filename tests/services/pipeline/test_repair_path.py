"""Repairs on the whole path: learned from what arrives, applied only when sure, recorded, and taken back."""

import msgspec
from tests.services.pipeline.builders import SHOP, added, event
from tests.services.pipeline.workbench import bench

from recoup.services.pipeline.deadletters.domain.letters import Status

_PRICES = {"mug": 1_800, "pen": 295, "lamp": 8_900}


def _valid(number: int) -> dict[str, object]:
    product = sorted(_PRICES)[number % 3]
    return added(f"cart-{number}", product, _PRICES[product], currency="USD", at=number / 60)


async def test_what_is_broken_is_mended_by_what_was_learned_and_sent_once(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(*(_valid(number) for number in range(200)))
        await desk.sampler.once()
        broken = _valid(7)
        await desk.running.send({**broken, "items": [{"product_id": "pen", "quantity": "1", "price": "2.95"}]})
        (letter,) = await desk.arrive(1)

        await desk.rounds.once()
        await desk.rounds.once()

        mended = await desk.again(letter.id)
        sent = msgspec.json.decode(mended.sent_body or b"{}")
        assert (mended.status, sent["event_id"]) == (Status.REPAIRED, broken["event_id"])
        assert sent["items"] == [{"product_id": "pen", "quantity": 1, "price": 295}]
        assert {change.field for change in mended.proposals[0].changes} == {"items.0.price", "items.0.quantity"}
        assert [entry.what for entry in mended.history] == ["sending", "repaired"]
        assert (await desk.running.stats.read(SHOP)).accepted == 201


async def test_a_repair_is_taken_back_on_the_workbench_and_never_sent_under_another_id(
    valkey_url: str, database: str
) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.running.send(event(occurred_at=1_780_315_200))
        (letter,) = await desk.arrive(1)
        await desk.mender.mend(letter)
        mended = await desk.again(letter.id)

        await desk.workbench.take_up(mended, "ada", "wrong")
        again = await desk.again(letter.id)
        trial = await desk.workbench.try_out(again, mended.sent_body)

        assert (mended.status, again.status, again.body) == (Status.REPAIRED, Status.OPEN, letter.body)
        assert trial.event_id == mended.sent_event_id
        assert again.history[-1].before


async def test_below_the_stores_threshold_a_person_decides(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk:
        await desk.set(repair_threshold=1)
        await desk.running.send(event(occurred_at=1_780_315_200))
        (letter,) = await desk.arrive(1)

        await desk.rounds.once()

        found = await desk.again(letter.id)
        assert (found.status, found.proposals[0].valid) == (Status.OPEN, True)


async def test_samples_hold_up_no_one_and_pass_over_what_is_too_much(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database, sample_seconds=1) as desk:
        for number in range(60):
            await desk.running.send(_valid(number), _valid(number + 1))
        await desk.sampler.once()
        await desk.running.send(*(_valid(number) for number in range(30)))
        await desk.sampler.once()

        profile = await desk.mender.profile(SHOP)
        assert 0 < profile.events <= 60
        assert profile.prices.items() <= _PRICES.items()

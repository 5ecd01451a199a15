"""Deliveries: asked again when their time comes, cancelled by a purchase, never lost, never looping."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from email import message_from_bytes, policy
from typing import TypeVar

import msgspec
from tests.services.interventions.world import NOON, OPEN, SHOP, World, identified, opened, order, row, scored

from recoup.kit.config import Secret
from recoup.services.interventions.settings import Settings

HOUR = timedelta(hours=1)
LATER = msgspec.structs.replace(OPEN, clock="event", delay_minutes=60)


async def waiting(world: World, settings=LATER) -> None:
    """A message that is due in an hour."""
    world.configure(settings)
    await world.happen(identified(anonymous_id="phone"), row("cart_abandoned", cart_id="cart-1", cart_number=1))
    await world.score(scored())


async def test_an_order_before_its_time_cancels_a_message_on_any_device(world: World):
    await waiting(world)
    await world.happen(order(at=NOON + HOUR / 2, user_id=None, anonymous_id="phone", cart_id="another"))
    await world.tick(NOON + 2 * HOUR)
    assert await world.deliver() == 0
    assert await world.kinds() == ["decided", "cancelled"]
    assert [event.attributed for event in await world.credited()] == [False]


async def test_who_comes_back_to_the_cart_needs_no_reminder(world: World):
    await waiting(world)
    await world.happen(
        row("product_added", NOON + HOUR / 2, cart_id="cart-1", cart_number=1, cart_change="returned", user_id="ann")
    )
    await world.tick(NOON + 2 * HOUR)
    assert await world.deliver() == 0
    assert await world.kinds() == ["decided", "cancelled"]


async def test_an_order_known_before_a_late_prediction_stops_its_message(world: World):
    world.configure(LATER)
    await world.happen(identified(), order(at=NOON + HOUR / 2))
    await world.score(scored())
    await world.tick(NOON + 2 * HOUR)
    assert await world.deliver() == 1
    assert await world.kinds() == ["decided", "cancelled"]
    assert [conversion.order_id for conversion in await world.credited()] == ["order-1"]


async def test_consent_taken_back_meanwhile_is_respected(world: World):
    await waiting(world)
    await world.happen(row("consent_updated", NOON + HOUR / 2, user_id="ann", properties={"consent": False}))
    await world.tick(NOON + HOUR)
    await world.deliver()
    assert await world.kinds() == ["decided", "cancelled"]


async def test_a_cancelled_message_gives_its_slot_back(world: World):
    await waiting(world)
    await world.happen(order(at=NOON + HOUR / 2))
    await world.score(scored("cart-2", at=NOON + 3 * HOUR / 2))
    assert [event.outcome for event in await world.told() if event.cart_id == "cart-2"] == ["contact"]


async def test_quiet_hours_hold_a_mail_until_they_end(world: World):
    late = NOON.replace(hour=21)
    world.configure(msgspec.structs.replace(OPEN, clock="event"))
    await world.happen(identified())
    await world.score(scored(at=late))
    await world.tick(late + HOUR)
    assert await world.deliver() == 0
    await world.tick(late + 11 * HOUR)
    assert await world.deliver() == 1
    (letter,) = await world.parts.outbox.letters(SHOP, None, 9)
    assert letter.store_time == late + 11 * HOUR


async def test_orders_are_credited_once_however_often_they_come(world: World):
    await waiting(world)
    await world.tick(NOON + HOUR)
    await world.deliver()
    for _ in range(3):
        await world.happen(order(at=NOON + 2 * HOUR))
    assert [(each.attributed, each.channel) for each in await world.credited()] == [(True, "email")]


async def test_a_worker_that_dies_after_claiming_loses_nothing(world: World):
    await world.happen(identified())
    await world.score(scored())
    lost = await world.parts.deliveries.claim(world.clock.now(), timedelta(seconds=60), 10)
    assert len(lost) == 1
    assert await world.deliver() == 0
    world.clock.advance(timedelta(seconds=61))
    assert await world.deliver() == 1
    assert (await world.kinds()).count("delivered") == 1


async def test_a_claim_that_was_overtaken_writes_nothing(database: str, valkey_url: str, world: World):
    await world.happen(identified())
    await world.score(scored())
    (old,) = await world.parts.deliveries.claim(world.clock.now(), timedelta(seconds=60), 10)
    results = await world.parts.courier._results(SHOP, [old])
    world.clock.advance(timedelta(seconds=61))
    assert await world.deliver() == 1
    assert await world.parts.deliveries.finish(SHOP, results, world.clock.now()) == []
    assert len(await world.parts.outbox.letters(SHOP, None, 9)) == 1


class MailServer:
    """As much of RFC 5321 as a client needs; refuses or stalls on demand, and keeps what it took."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.answers: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        with suppress(ConnectionError):
            while line := await reader.readline():
                await self._answer(line.strip().upper(), reader, writer)
        writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line.startswith(b"RCPT") and self.answers:
            return writer.write(self.answers.pop(0).encode() + b"\r\n")
        if line == b"DATA":
            writer.write(b"354 go on\r\n")
            self.taken.append((await reader.readuntil(b"\r\n.\r\n"))[:-5])
        if line == b"QUIT":
            writer.write(b"221 bye\r\n")
            return None
        return writer.write(b"250 fine\r\n")


Kind = TypeVar("Kind", bound=MailServer)


@asynccontextmanager
async def mail_server(kept: Kind) -> AsyncGenerator[tuple[Kind, str]]:
    server = await asyncio.start_server(kept.talk, "127.0.0.1", 0)
    try:
        yield kept, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_mail_goes_to_a_mail_server_with_all_its_headers(database: str, valkey_url: str, world: World):
    async with (
        mail_server(MailServer()) as (kept, url),
        opened(database, valkey_url, own=Settings(patience_seconds=0, smtp_url=Secret(url))) as mailing,
    ):
        await mailing.happen(identified())
        await mailing.score(scored())
        assert await mailing.deliver() == 1
        message = message_from_bytes(kept.taken[0], policy=policy.default)
        identity = (await mailing.told())[0].intervention_id
        assert message["Message-ID"] == f"<{identity}@example.com>"
        assert (message["To"], message["From"]) == ("ann@example.com", "Tea & Co <shop@example.com>")
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert "Green tea" in next(message.iter_parts()).get_content()
        assert mailing.parts.server is not None
        await mailing.parts.server.close()


async def test_a_busy_mail_server_is_tried_again_and_a_refusal_is_final(database: str, valkey_url: str, world: World):
    async with (
        mail_server(MailServer()) as (kept, url),
        opened(database, valkey_url, own=Settings(patience_seconds=0, smtp_url=Secret(url))) as mailing,
    ):
        await mailing.happen(identified(), identified("bob"))
        kept.answers = ["450 later", "250 fine", "550 no such user"]
        await mailing.score(scored())
        await mailing.deliver()
        assert kept.taken == []
        mailing.clock.advance(timedelta(seconds=10))
        await mailing.deliver()
        assert len(kept.taken) == 1
        await mailing.score(scored("cart-2", user_id="bob"))
        await mailing.deliver()
        assert sorted(await mailing.kinds()) == ["decided", "decided", "delivered", "failed"]
        assert mailing.parts.server is not None
        await mailing.parts.server.close()


async def test_a_mail_server_that_never_answers_ends_as_dead(database: str, valkey_url: str, world: World):
    own = Settings(patience_seconds=0, smtp_url=Secret("smtp://127.0.0.1:9"))
    async with opened(database, valkey_url, own=own) as mailing:
        await mailing.happen(identified())
        await mailing.score(scored())
        for _ in range(12):
            await mailing.deliver()
            mailing.clock.advance(timedelta(minutes=31))
        assert await mailing.kinds() == ["decided", "failed"]

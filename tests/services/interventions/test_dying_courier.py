"""A courier killed between sending and writing it down: the message is sent again, and can be known for the same."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from tests.services.interventions.test_deliveries import MailServer, mail_server
from tests.services.interventions.world import OPEN, SHOP, World, identified, opened, row, scored
from typing_extensions import override

from recoup.kit.config import Secret
from recoup.services.interventions.settings import Settings

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.fault


class Fatal(MailServer):
    """Kills its first client the moment it has taken a message, before or after it has said so."""

    def __init__(self, *, answers_first: bool) -> None:
        super().__init__()
        self.answers_first = answers_first
        self.client: subprocess.Popen[bytes] | None = None

    @override
    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line == b"DATA" and self.client is not None:
            client, self.client = self.client, None
            writer.write(b"354 go on\r\n")
            self.taken.append((await reader.readuntil(b"\r\n.\r\n"))[:-5])
            os.kill(client.pid, signal.SIGSTOP)
            if self.answers_first:
                writer.write(b"250 fine\r\n")
                await writer.drain()
            client.kill()
            return
        await super()._answer(line, reader, writer)


@pytest.mark.parametrize("answers_first", [True, False], ids=["after it was told", "before it was told"])
async def test_a_mail_sent_by_a_courier_that_died_is_sent_again_as_the_same(
    database: str, valkey_url: str, world: World, answers_first: bool
):
    await world.happen(identified())
    await world.score(scored())
    async with mail_server(Fatal(answers_first=answers_first)) as (kept, url):
        command = [sys.executable, "-m", "tests.services.interventions.dying_courier", database, valkey_url, url]
        kept.client = subprocess.Popen(command, cwd=ROOT)
        assert await asyncio.to_thread(kept.client.wait, 60) == -signal.SIGKILL
        assert await world.kinds() == ["decided"]

        async with opened(database, valkey_url, OPEN, Settings(patience_seconds=0, smtp_url=Secret(url))) as next_one:
            assert await next_one.deliver() == 0
            next_one.clock.advance(timedelta(seconds=61))
            assert await next_one.deliver() == 1
            assert await next_one.deliver() == 0
            assert next_one.parts.server is not None
            await next_one.parts.server.close()
    sent = {message_from_bytes(each, policy=policy.default)["Message-ID"] for each in kept.taken}
    assert (len(kept.taken), len(sent)) == (2, 1)
    assert await world.kinds() == ["decided", "delivered"]


async def test_a_shopper_who_bought_meanwhile_is_not_written_to_again(database: str, valkey_url: str, world: World):
    await world.happen(identified())
    await world.score(scored())
    async with mail_server(Fatal(answers_first=False)) as (kept, url):
        command = [sys.executable, "-m", "tests.services.interventions.dying_courier", database, valkey_url, url]
        kept.client = subprocess.Popen(command, cwd=ROOT)
        await asyncio.to_thread(kept.client.wait, 60)
    world.clock.advance(timedelta(seconds=30))
    bought = row("order_completed", world.clock.now(), user_id="ann", order_id="o", amount=4_999, currency="USD")
    await world.happen(bought)
    world.clock.advance(timedelta(seconds=31))
    await world.deliver()
    assert len(kept.taken) == 1
    assert await world.kinds() == ["decided", "cancelled"]
    assert await world.parts.outbox.letters(SHOP, None, 9) == []

"""What people are sent, and how somebody comes into a store by it."""

import asyncio
import email
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.policy import default
from pathlib import Path

PATIENCE_SECONDS = 150
"""More than twice as long as until a letter is tried again whose writer was stopped in the middle."""
FIRST_CHOSEN = "heron-paper-31-mill"


@asynccontextmanager
async def letters_written(platform) -> AsyncGenerator[None]:
    (run,) = [worker.run for worker in platform.service.workers if worker.name == "letters"]
    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def mails(platform, address: str, screen: str) -> list[str]:
    """The tokens of the letters to an address that lead to a screen, the newest last."""
    files = sorted((Path(platform.deps.data) / "mail").glob("*.eml"))
    letters = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    texts = [letter.get_content() for letter in letters if letter["to"] == address]
    return [token for text in texts for token in re.findall(rf"/#/{screen}/(\S+)", text)]


async def link(platform, address: str, screen: str, count: int = 1) -> str:
    """The newest of these tokens, once there are so many."""
    async with letters_written(platform), asyncio.timeout(PATIENCE_SECONDS):
        while len(tokens := mails(platform, address, screen)) < count:
            await asyncio.sleep(0.02)
    return tokens[-1]


async def let_in(platform, key: str, address: str, role: str, store: str | None = None) -> str:
    """Invites somebody new, who accepts; the password they chose."""
    params = {"store_id": store or platform.first.store_id}
    body = {"email": address, "role": role}
    status, _, made = await platform.ask("POST", "/api/users", key=key, params=params, json=body)
    assert status == 201, made
    proof = {"token": await link(platform, address, "invitation"), "password": FIRST_CHOSEN}
    status, _, answer = await platform.ask("POST", "/api/auth/invitations/accept", json=proof)
    assert status == 204, answer
    return FIRST_CHOSEN

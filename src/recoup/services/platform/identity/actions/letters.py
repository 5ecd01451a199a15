"""Writes the letters that are due and hands them to the mailer. A letter that cannot go now goes later."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from recoup.kit.clock import Clock
from recoup.kit.errors import Refused, Unavailable
from recoup.kit.mail import Mailer
from recoup.kit.telemetry import logger
from recoup.services.platform.identity.domain import Due, Written, invitation_letter, reset_letter
from recoup.services.platform.identity.store.letters import Letters

log = logger(__name__)
POLL_SECONDS: Final = 1.0
AT_ONCE: Final = 20
AGAIN: Final = timedelta(minutes=1)
"""After so long a letter that did not go is tried again, by whichever process comes first."""


@dataclass(frozen=True, slots=True)
class Postage:
    """How letters leave."""

    sender: str
    public_url: str
    reset_lifetime: timedelta


@dataclass(frozen=True, slots=True)
class LetterWriter:
    """Makes each letter's token when it is written, so that no way in ever stands in the database."""

    letters: Letters
    mailer: Mailer
    clock: Clock
    postage: Postage

    async def watch(self) -> None:
        """For ever."""
        while True:
            try:
                if not await self.write_due():
                    await asyncio.sleep(POLL_SECONDS)
            except Unavailable as failure:
                log.warning("letters wait", why=failure.detail)
                await asyncio.sleep(POLL_SECONDS)

    async def write_due(self) -> int:
        """One round; how many letters were due."""
        now = self.clock.now()
        due = await self.letters.claim(now, now + AGAIN, AT_ONCE)
        for letter in due:
            await self._write(letter, now)
        return len(due)

    async def _write(self, due: Due, now: datetime) -> None:
        written = await self._written(due, now)
        if written is not None:
            try:
                await self.mailer.send(self._mail(due, written))
            except Unavailable as failure:
                log.warning("a letter waits", letter=str(due.id), why=failure.detail)
                return
            except Refused as failure:
                log.warning("a letter was refused for good", letter=str(due.id), why=failure.detail)
        await self.letters.strike(due.id)

    async def _written(self, due: Due, now: datetime) -> Written | None:
        """The letter, whose token is good from now on; None where there is nobody to write to, or it is too late."""
        token = secrets.token_urlsafe(32)
        if due.invitation_id is not None and due.store is not None and due.role is not None and due.expires_at:
            if not await self.letters.open_invitation(due.invitation_id, token, now):
                return None
            return invitation_letter(self._link("invitation", token), due.store, due.role, due.expires_at)
        lifetime = self.postage.reset_lifetime
        if due.asked_at + lifetime <= now or not await self.letters.open_reset(due.email, token, now + lifetime):
            return None
        return reset_letter(self._link("reset", token), int(lifetime.total_seconds() // 60))

    def _link(self, screen: str, token: str) -> str:
        """Behind the `#`, which browsers keep to themselves: no log of a server holds it."""
        return f"{self.postage.public_url.rstrip('/')}/#/{screen}/{token}"

    def _mail(self, due: Due, written: Written) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = written.subject
        message["From"] = self.postage.sender
        message["To"] = due.email
        message["Date"] = self.clock.now()
        message["Message-ID"] = f"<{due.id}@{self.postage.sender.rpartition('@')[2].rstrip('>') or 'localhost'}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(written.text)
        return message

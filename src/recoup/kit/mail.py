"""Where mail goes: to a server (`kit.smtp`) where one is set, else into a folder: then nothing leaves the machine."""

import asyncio
import os
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from recoup.kit.config import Secret
from recoup.kit.errors import Unavailable
from recoup.kit.ids import new_id
from recoup.kit.smtp import Smtp


class Mailer(Protocol):
    """Takes responsibility for a mail; raises Refused for good, Unavailable for now."""

    async def send(self, message: EmailMessage) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class MailFolder:
    """Mails as files that only the account running Recoup can read: a letter may hold a way in."""

    folder: Path

    async def send(self, message: EmailMessage) -> None:
        try:
            await asyncio.to_thread(self._write, message.as_bytes())
        except OSError as error:
            raise Unavailable("the mail folder takes nothing", cause=error) from error

    async def close(self) -> None:
        """Nothing is open."""

    def _write(self, content: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self.folder / f".{new_id()}.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        part.rename(self.folder / f"{part.stem[1:]}.eml")


def mailer_of(url: Secret, folder: Path) -> Mailer:
    """The server of a URL, or the folder where there is none."""
    return Smtp(url) if url.reveal() else MailFolder(folder)

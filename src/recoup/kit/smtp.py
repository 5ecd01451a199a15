"""An SMTP server to hand mail to, over a few kept connections. Retries nothing: who sends knows whether it is worth it.

`smtp://[user:password@]host[:port]` speaks STARTTLS where the server offers it, `smtps://` TLS from the start.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib

from recoup.kit.config import Secret
from recoup.kit.errors import Invalid, Refused, Unavailable

_PERMANENT = 500


@dataclass(slots=True)
class Smtp:
    """Opens a connection when it is needed and keeps it for the next mail."""

    url: Secret
    connections: int = 4
    timeout_seconds: float = 20.0
    _idle: "list[aiosmtplib.SMTP]" = field(default_factory=list)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        if urlsplit(self.url.reveal()).scheme not in {"smtp", "smtps"} or not urlsplit(self.url.reveal()).hostname:
            raise Invalid("settings: the mail server's address must be smtp://host:port or smtps://host:port")
        self._room = asyncio.Semaphore(self.connections)

    async def send(self, message: EmailMessage) -> None:
        """Returns when the server has taken responsibility; raises Refused for good, Unavailable for now."""
        async with self._room:
            try:
                client = await self._client()
                await client.send_message(message)
                self._idle.append(client)
            except aiosmtplib.SMTPRecipientsRefused as error:
                raise _failure(error.recipients[0].code, error.recipients[0].message) from error
            except aiosmtplib.SMTPResponseException as error:
                raise _failure(error.code, error.message) from error
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                raise Unavailable("the mail server does not answer", cause=error) from error

    async def close(self) -> None:
        for client in self._idle:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit()
        self._idle.clear()

    async def _client(self) -> aiosmtplib.SMTP:
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                with suppress(aiosmtplib.SMTPException, OSError):
                    await client.rset()
                    return client
        parts = urlsplit(self.url.reveal())
        client = aiosmtplib.SMTP(
            hostname=parts.hostname,
            port=parts.port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=parts.scheme == "smtps",
            timeout=self.timeout_seconds,
        )
        await client.connect()
        return client


def _failure(code: int, message: str) -> Refused | Unavailable:
    detail = f"the mail server answered {code} {message}"
    return Refused(detail) if code >= _PERMANENT else Unavailable(detail)

"""A shop's way to the platform: its public HTTP API with a secret key. Waits for what is busy, reports refusals.

Nothing here knows the platform from the inside: answers are read by the fields the API documents, and no others.
"""

import asyncio
import gzip
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Refused, Unavailable
from recoup.kit.pages import Page
from recoup.messages.events import Event
from recoup.messages.stores import StoreSettings

T = TypeVar("T")

BATCH: Final = 500
PATIENCE_SECONDS: Final = 120.0
"""So long one request is tried again while the platform is busy or away."""
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
_LATER: Final = frozenset({429, 502, 503, 504})
_PIXEL: Final = re.compile(r"""src=["']([^"']*/track/open/[^"']*)["']""")
_JSON: Final = {"Content-Type": "application/json"}


class Stats(Struct, frozen=True, kw_only=True):
    """What the pipeline has counted for the store."""

    accepted: int = 0
    unique: int = 0
    duplicates: int = 0
    refused: dict[str, int] = {}
    dead: dict[str, int] = {}

    @property
    def processed(self) -> int:
        """Events that have met their fate; `clock` events meet none."""
        return self.unique + self.duplicates + sum(self.dead.values())


class Amount(Struct, frozen=True, kw_only=True):
    """Money in minor units."""

    amount: int = 0
    currency: str = "USD"


class Estimate(Struct, frozen=True, kw_only=True):
    """Money in minor units that is only known within an interval; all null where there is nothing to compare."""

    amount: int | None = None
    currency: str = "USD"
    low: int | None = None
    high: int | None = None


class Overview(Struct, frozen=True, kw_only=True):
    """The figures of `GET /api/analytics/overview`."""

    events: int = 0
    carts: int = 0
    converted: int = 0
    abandoned: int = 0
    recovered: int = 0
    orders: int = 0
    revenue: Amount = Amount()
    abandonment_rate: float | None = None
    recovery_rate: float | None = None
    contacted: int = 0
    """Decided on; who buys before the message goes out gets none."""
    delivered: int = 0
    held_out: int = 0
    recovered_revenue: Amount = Amount()
    incremental_revenue: Estimate = Estimate()


class Progress(Struct, frozen=True, kw_only=True):
    """How far the interventions are: the event time they have seen, and what waits."""

    clock: int | None = None
    outstanding: int = 0
    pending: int = 0


class Mail(Struct, frozen=True, kw_only=True):
    """An e-mail in the local outbox."""

    id: str
    to: str
    sent_at: datetime
    html: str = ""
    links: list[str] = []

    @property
    def button(self) -> str | None:
        """The tracked link that leads back to the cart."""
        return next((link for link in self.links if "/track/click/" in link), None)

    @property
    def pixel(self) -> str | None:
        """The picture whose loading says that the mail was opened."""
        found = _PIXEL.search(self.html)
        return html.unescape(found[1]) if found else None


class Refusal(Struct, frozen=True, kw_only=True):
    """One event that was not taken."""

    detail: str
    code: str = ""
    field: str = ""
    index: int | None = None


class Receipt(Struct, frozen=True, kw_only=True):
    """How a batch was taken: how many events are safe with the platform, and what is wrong with the others."""

    accepted: int = 0
    refused: list[Refusal] = []


class _Problem(Struct, frozen=True):
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, kind: type[T]) -> T:
        return msgspec.json.decode(self.body, type=kind)


@dataclass(slots=True)
class Client:
    """One store's connection; an async context."""

    url: str
    key: str
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(keepalive_timeout=60),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside of its context")
        return self._session

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Sends up to `BATCH` events in their order; when it returns they are safe with the platform."""
        body = gzip.compress(msgspec.json.encode(events), 1)
        answer = await self._call("POST", "/api/events/batch", body, {**_JSON, "Content-Encoding": "gzip"})
        return answer.read(Receipt)

    async def train(self) -> str:
        """Has the store's model trained, judged and perhaps deployed; what came of it, as JSON."""
        return (await self._call("POST", "/api/models/train")).body.decode()

    async def stats(self) -> Stats:
        return (await self._call("GET", "/api/events/stats")).read(Stats)

    async def overview(self) -> Overview:
        return (await self._call("GET", "/api/analytics/overview")).read(Overview)

    async def progress(self) -> Progress:
        return (await self._call("GET", "/api/interventions/progress")).read(Progress)

    async def mails(self, limit: int) -> list[Mail]:
        """The newest e-mails of the outbox, newest first."""
        answer = await self._call("GET", f"/api/outbox?limit={limit}")
        return answer.read(Page[Mail]).items

    async def settings(self) -> StoreSettings:
        return (await self._call("GET", "/api/config")).read(StoreSettings)

    async def configure(self, **changes: object) -> None:
        """Changes some of the store's settings; raises Refused when somebody else changed them meanwhile."""
        answer = await self._call("GET", "/api/config")
        changed = msgspec.structs.replace(answer.read(StoreSettings), **changes)
        headers = {**_JSON, "If-Match": answer.headers.get("ETag", "*")}
        await self._call("PUT", "/api/config", msgspec.json.encode(changed), headers)

    async def visit(self, link: str) -> int:
        """Opens a link of a message as a shopper's browser does, but follows it no further; gives the status."""
        try:
            async with self.session.get(link, headers={"User-Agent": BROWSER}, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{link} does not answer: {error}") from error

    async def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, again and again while the platform asks for patience; raises Refused for any other refusal."""
        started, pause = stopwatch(), 0.1
        while True:
            try:
                answer = await self._once(method, path, body, headers or {})
                if answer.status not in _LATER:
                    return _accepted(answer, f"{method} {path}")
                why = f"{method} {path} was answered {answer.status}: {_detail(answer)}"
                pause = max(pause, _retry_after(answer))
            except (aiohttp.ClientError, TimeoutError) as error:
                why = f"{self.url} does not answer: {error or type(error).__name__}"
            if stopwatch() - started > PATIENCE_SECONDS:
                raise Unavailable(f"{why}; gave up after {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        headers = {"X-Api-Key": self.key, **headers}
        async with self.session.request(method, self.url.rstrip("/") + path, data=body, headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


def _accepted(answer: Answer, what: str) -> Answer:
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise Refused(f"{what} was refused with {answer.status}: {_detail(answer)}")
    return answer


def _detail(answer: Answer) -> str:
    """The sentence of a problem document, or the beginning of whatever came instead."""
    try:
        return answer.read(_Problem).detail
    except msgspec.MsgspecError:
        return answer.body[:200].decode("utf-8", "replace")


def _retry_after(answer: Answer) -> float:
    """Seconds the platform asks to wait; a date or nonsense counts as none."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0

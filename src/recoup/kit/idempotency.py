"""A POST that is sent again under its `Idempotency-Key` gets its first answer again, for a day.

Answers are kept in Valkey, which every process of every service has at hand and which forgets by itself. They are
encrypted with a key of the installation: an answer may hold a secret that is shown once. A claim marks a request that
is running; a process that dies leaves it for `LEASE`, then the request may be tried anew. So an answer that was given
is given again; a request that was cut off between its effect and its answer can happen twice. Refusals and failures
are not kept: nothing was done, and what is sent again is tried again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Final, Protocol, cast
from urllib.parse import parse_qsl

import msgspec
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct

from recoup.kit.config import Secret
from recoup.kit.errors import Busy, Conflict, Failure, Invalid, Mismatch, TooLarge
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.sealing import Sealer
from recoup.kit.valkey import Valkey, settled

ITSELF: Final = "repeats_by_itself"
"""The mark (in `opt`) of routes that know a repetition by what is sent, and need no key."""
LIFETIME: Final = timedelta(hours=24)
LEASE: Final = timedelta(seconds=60)
"""Longer than any request may take."""
LONGEST_KEY: Final = 255
LARGEST_ANSWER: Final = 1_048_576
"""Larger ones are given, but not kept."""
_HEADER: Final = b"idempotency-key"
_IDENTITY: Final = IDENTITY_HEADER.lower().encode()
_DONE: Final = range(200, 400)
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class Answer(Struct, frozen=True, array_like=True):
    """What a request was answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Kept(Struct, frozen=True, array_like=True):
    """What stands under a key: who it is for, and the sealed answer once there is one."""

    fingerprint: bytes
    answer: bytes = b""


class Asking(Protocol):
    """A caller as `kit.http` knows one."""

    @property
    def subject(self) -> str: ...

    def tenant(self, requested: str | None, permission: str) -> str: ...

    def demand(self, permission: str) -> None: ...


@dataclass(slots=True)
class Answers:
    """The answers of all services; `key_of` gives the Valkey key of a request."""

    valkey: Valkey
    seed: Secret
    key_of: Callable[[str], str]
    _sealer: Sealer = field(init=False)

    def __post_init__(self) -> None:
        self._sealer = Sealer(self.seed, "idempotent answers")

    async def claim(self, name: str, fingerprint: bytes) -> Answer | None:
        """None where the request is now ours to do, or what it was answered; raises Mismatch or Busy."""
        key = self.key_of(name)
        ours = msgspec.msgpack.encode(_Kept(fingerprint))
        found = await settled(self.valkey.set(key, ours, nx=True, get=True, px=round(LEASE.total_seconds() * 1000)))
        if found is None:
            return None
        kept = msgspec.msgpack.decode(cast("bytes", found), type=_Kept)
        if kept.fingerprint != fingerprint:
            raise Mismatch("this Idempotency-Key was used for another request", code="idempotency_key_reused")
        if not kept.answer:
            raise Busy(
                "a request with this Idempotency-Key is still running",
                retry_after=timedelta(seconds=1),
                code="idempotency_key_in_use",
            )
        return self._opened(name, kept.answer)

    async def keep(self, name: str, fingerprint: bytes, answer: Answer) -> None:
        sealed = self._sealer.seal_bytes(msgspec.msgpack.encode(answer), name)
        kept = msgspec.msgpack.encode(_Kept(fingerprint, sealed))
        await settled(self.valkey.set(self.key_of(name), kept, ex=round(LIFETIME.total_seconds())))

    async def release(self, name: str, fingerprint: bytes) -> None:
        """Lets the request be tried again."""
        ours = msgspec.msgpack.encode(_Kept(fingerprint))
        await settled(self.valkey.eval(_RELEASE, 1, self.key_of(name), cast("str", ours)))

    def _opened(self, name: str, sealed: bytes) -> Answer:
        plain = self._sealer.open_bytes(sealed, name)
        if plain is None:
            # The installation's key was changed within the day: the request was done, and its answer cannot be read.
            raise Conflict("the answer to this Idempotency-Key can no longer be read")
        return msgspec.msgpack.decode(plain, type=Answer)


@dataclass(frozen=True, slots=True)
class Repeats:
    """Stands behind the routing and before the handler of every POST that carries a key."""

    answers: Answers
    identify: Callable[[str], Asking]
    body_limit: int
    tenant: str
    """The query parameter that names whom a request is about."""

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def repeated(scope: Scope, receive: Receive, send: Send) -> None:
            key = _key(scope)
            owner = None if key is None else self._owner(cast("HTTPScope", scope))
            if key is None or owner is None:
                return await app(scope, receive, send)
            return await self._once(app, cast("HTTPScope", scope), (receive, send), (owner, key))

        return cast("ASGIApp", repeated)

    def _owner(self, scope: HTTPScope) -> str | None:
        """Whose key it is; None where the door behind will refuse the request anyway."""
        permission = str(scope["route_handler"].opt.get("permission", ""))
        token = next((value.decode("latin1") for name, value in scope["headers"] if name == _IDENTITY), None)
        if token is None:
            return None
        parameters = dict(parse_qsl(scope["query_string"].decode("latin1")))
        try:
            caller = self.identify(token)
            caller.demand(permission)
        except Failure:
            return None
        try:
            return "tenant:" + caller.tenant(parameters.get(self.tenant), permission)
        except Invalid:
            return f"caller:{caller.subject}"  # several tenants and none named: a request about the caller itself
        except Failure:
            return None

    async def _once(self, app: ASGIApp, scope: HTTPScope, ways: tuple[Receive, Send], whose: tuple[str, str]) -> None:
        receive, send = ways
        body = await self._read(receive)
        path, query = scope["raw_path"].split(b"?")[0], scope["query_string"]
        parts = (whose[0].encode(), path, whose[1].encode("latin1"))
        name = sha256(b"\0".join(sha256(part).digest() for part in parts)).hexdigest()
        fingerprint = sha256(sha256(query).digest() + body).digest()
        known = await self.answers.claim(name, fingerprint)
        if known is not None:
            return await _give(send, known, again=True)
        recorder = _Recorder()
        try:
            await app(cast("Scope", scope), _replayed(body, receive), recorder)
        except BaseException:
            await self.answers.release(name, fingerprint)
            raise
        answer = recorder.answer()
        # Before it is given: whoever has seen an answer must be able to see it again.
        if answer.status in _DONE and len(answer.body) <= LARGEST_ANSWER:
            await self.answers.keep(name, fingerprint, answer)
        else:
            await self.answers.release(name, fingerprint)
        return await _give(send, answer, again=False)

    async def _read(self, receive: Receive) -> bytes:
        body, more = bytearray(), True
        while more:
            message = cast("HTTPReceiveMessage", await receive())
            body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)
            if len(body) > self.body_limit:
                raise TooLarge(f"the body is larger than {self.body_limit} bytes")
        return bytes(body)


class _Recorder:
    """Takes an answer instead of the client."""

    def __init__(self) -> None:
        self._status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    def answer(self) -> Answer:
        return Answer(self._status, self._headers, bytes(self._body))


def _key(scope: Scope) -> str | None:
    """The key of a request that has one and asks for something to be done; raises Invalid for what is no key."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["route_handler"].opt.get(ITSELF):
        return None
    key = next((value for name, value in scope["headers"] if name == _HEADER), None)
    if key is None:
        return None
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.decode().isprintable():
        raise Invalid(f"an Idempotency-Key is 1 to {LONGEST_KEY} printable signs", code="idempotency_key_invalid")
    return key.decode()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more for the handler; after it, whatever the client does."""
    rest: list[object] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> object:
        return rest.pop() if rest else await receive()

    return cast("Receive", replayed)


async def _give(send: Send, answer: Answer, *, again: bool) -> None:
    headers = [*answer.headers, *([(b"idempotent-replayed", b"true")] if again else [])]
    await send(cast("Message", {"type": "http.response.start", "status": answer.status, "headers": headers}))
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})

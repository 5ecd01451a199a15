"""Shows the keys that access tokens are signed by and distrusts one, for whoever has to at night.

Speaks to a running platform through its public door, as the owner who asks. Does nothing that was not said yes to.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from recoup.kit.errors import Missing, Refused, Unavailable

T = TypeVar("T")

PATIENCE: Final = aiohttp.ClientTimeout(total=30)
_CODE_NEEDED: Final = "second_factor_required"
_BEFORE: Final = """\
{kid} will be trusted no more:
- every access token it has signed, or somebody made up with it, ends within a second, in all stores; what is open ends;
- another key signs at once; nobody has to sign in again whose browser or program refreshes its tokens;
- it stands in every store's audit trail under your name.
It cannot be undone. Type yes: """
_AFTER: Final = """\
{kid} is trusted no more. In force now:
{keys}
Next: look through the audit trail for what was done while it was trusted."""


class Key(Struct, frozen=True, kw_only=True):
    """One that verifies access tokens."""

    kid: str
    signs_from: datetime
    trusted_until: datetime | None = None


class _Keys(Struct, frozen=True):
    keys: list[Key]


class _Tokens(Struct, frozen=True, kw_only=True):
    access_token: str
    refresh_token: str


class _Problem(Struct, frozen=True, kw_only=True):
    detail: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, and how they are asked: in the open, and for what nobody should see."""

    email: str
    ask: Callable[[str], str]
    ask_secret: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Door:
    """The platform's public API."""

    url: str
    http: aiohttp.ClientSession

    async def keys(self) -> Sequence[Key]:
        return (await self._call("GET", "/.well-known/paseto-keys", _Keys)).keys

    async def sign_in(self, who: Person) -> _Tokens:
        """Asks for the password, and for a code where the account has a second factor."""
        proof = {"email": who.email, "password": who.ask_secret(f"Password of {who.email}: ")}
        try:
            return await self._call("POST", "/api/auth/login", _Tokens, proof)
        except Refused as refusal:
            if refusal.reason != _CODE_NEEDED:
                raise
        proof["code"] = who.ask_secret("Code of the second factor, or a recovery code: ")
        return await self._call("POST", "/api/auth/login", _Tokens, proof)

    async def distrust(self, kid: str, tokens: _Tokens) -> Sequence[Key]:
        path = f"/api/signing-keys/{kid}/distrust"
        return (await self._call("POST", path, _Keys, token=tokens.access_token)).keys

    async def sign_out(self, tokens: _Tokens) -> None:
        """By the refresh token: the other may be worth nothing by now."""
        await self._call("POST", "/api/auth/logout", type(None), {"refresh_token": tokens.refresh_token})

    async def _call(self, method: str, path: str, kind: type[T], body: object = None, *, token: str = "") -> T:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with self.http.request(method, self.url.rstrip("/") + path, json=body, headers=headers) as answer:
                content, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{self.url} does not answer: {error or type(error).__name__}") from error
        try:
            if status >= HTTPStatus.BAD_REQUEST:
                problem = msgspec.json.decode(content, type=_Problem)
                raise Refused(f"{problem.detail} ({status})", code=problem.code)
            return msgspec.json.decode(content or b"null", type=kind)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"{self.url} answered {status}, but not as Recoup does") from error


async def show(url: str, now: datetime) -> str:
    """The keys in force, one a line, with what each is for."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as http:
        return lines(await Door(url, http).keys(), now)


async def distrust(url: str, kid: str, who: Person, now: Callable[[], datetime]) -> str:
    """Distrusts a key once somebody who may has said yes; what came of it. Raises Refused for anybody else."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as http:
        door = Door(url, http)
        known = await door.keys()
        if kid not in [key.kid for key in known]:
            raise Missing(f"no key {kid} is in force; these are:\n{lines(known, now())}")
        if who.ask(_BEFORE.format(kid=kid)).strip().lower() != "yes":
            raise Refused("nothing was done")
        tokens = await door.sign_in(who)
        try:
            left = await door.distrust(kid, tokens)
        finally:
            # A sign-in ends by itself; whether the key is trusted is what the answer must be about.
            with suppress(Unavailable):
                await door.sign_out(tokens)
    return _AFTER.format(kid=kid, keys=lines(left, now()))


def lines(keys: Sequence[Key], now: datetime) -> str:
    """The one that signs now, those before it, and the next."""
    begun = [key for key in keys if key.signs_from <= now]
    signing = max(begun, key=lambda key: key.signs_from, default=None)
    return "\n".join(f"{key.kid}  {_purpose(key, signing)}" for key in keys)


def _purpose(key: Key, signing: Key | None) -> str:
    until = "" if key.trusted_until is None else f", trusted until {key.trusted_until:%Y-%m-%d %H:%M:%S} UTC"
    if key is signing:
        return f"signs, since {key.signs_from:%Y-%m-%d %H:%M:%S} UTC{until}"
    if signing is None or key.signs_from > signing.signs_from:
        return f"signs from {key.signs_from:%Y-%m-%d %H:%M:%S} UTC on"
    return f"signs no more{until}"

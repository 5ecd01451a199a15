"""Members of a team with accounts of their own, and what they do at the doors. Asserts only that it was done."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.kit.authenticator import totp_code
from tests.services.platform.letters import let_in

from recoup.kit.config import Secret

GOOD = "sparrow-lantern-74-quay"
"""A password that no rule refuses."""


@dataclass
class Somebody:
    """A member with an account of their own, and ways to ask as them."""

    platform: Any
    email: str
    password: str

    async def login(self, **more: object) -> tuple[int, Any]:
        proof = {"email": self.email, "password": self.password, **more}
        status, _, answer = await self.platform.ask("POST", "/api/auth/login", json=proof)
        return status, answer

    async def tokens(self, **more: object) -> dict[str, Any]:
        status, answer = await self.login(**more)
        assert status == 200, answer
        return answer

    async def ask(self, method: str, path: str, key: str, **options: object) -> tuple[int, Any]:
        status, _, answer = await self.platform.ask(method, path, key=key, **options)
        return status, answer


_OWNERS: dict[str, str] = {}


async def owner(platform) -> str:
    """The first person's access token: one sign-in serves all tests."""
    if platform.url not in _OWNERS:
        _OWNERS[platform.url] = (await platform.login())["access_token"]
    return _OWNERS[platform.url]


async def somebody(platform, role: str = "viewer") -> Somebody:
    address = f"{uuid4().hex}@example.com"
    return Somebody(platform, address, await let_in(platform, await owner(platform), address, role))


_SHARED: dict[str, Somebody] = {}


async def anybody(platform) -> Somebody:
    """A member that tests leave as they found them."""
    if platform.url not in _SHARED:
        _SHARED[platform.url] = await somebody(platform)
    return _SHARED[platform.url]


async def enrolled(who: Somebody) -> tuple[Secret, list[str], str]:
    """The secret, the recovery codes, and the access token it was done with."""
    key = (await who.tokens())["access_token"]
    status, enrolment = await who.ask("POST", "/api/auth/second-factor", key, json={"password": who.password})
    assert status == 201, enrolment
    secret = Secret(enrolment["secret"])
    status, done = await who.ask("POST", "/api/auth/second-factor/confirm", key, json={"code": code(secret)})
    assert status == 200, done
    return secret, done["codes"], key


def code(secret: Secret, steps: int = 0) -> str:
    return totp_code(secret, datetime.now(UTC) + timedelta(seconds=30 * steps))


async def works(who: Somebody, tokens: dict[str, Any]) -> bool:
    return (await who.ask("GET", "/api/auth/me", tokens["access_token"]))[0] == 200

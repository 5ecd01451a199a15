"""Two doors of one installation: keys change under load without anybody noticing, and what one ends the other refuses.

Both go by a clock that is moved, so that nothing here depends on how fast the machine is.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pyseto
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyseto import Key
from tests.services.platform.conftest import Platform, listening, make_deps

from recoup.kit.config import new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.postgres import Postgres
from recoup.kit.sealing import Sealer
from recoup.kit.service import Service
from recoup.kit.tokens import Signer, Verifier, opened
from recoup.messages.access import Principal
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity.store.signing import SigningKeys
from recoup.services.platform.settings import Settings
from recoup.services.platform.wiring import build

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60
LEAD = timedelta(seconds=Settings().key_lead_seconds)
LIFETIME = timedelta(minutes=Settings().access_minutes)
WATCH = "ended sign-ins and signing keys"


@dataclass
class MovedClock:
    """The machine's time, and as much as a test has moved it on."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Doors:
    """Two processes of the platform on the same engines."""

    urls: tuple[str, str]
    services: tuple[Service, Service]
    clock: MovedClock
    http: aiohttp.ClientSession
    proof: dict[str, str]
    database: str

    async def ask(self, door: int, method: str, path: str, token: str | None = None, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, self.urls[door] + path, headers=headers, json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def login(self, door: int = 0) -> dict[str, str]:
        status, tokens = await self.ask(door, "POST", "/api/auth/login", body=self.proof)
        assert status == 200, tokens
        return tokens

    async def published(self, door: int) -> list[dict[str, Any]]:
        _, answer = await self.ask(door, "GET", "/.well-known/paseto-keys")
        return answer["keys"]

    async def rotate(self) -> str:
        (job,) = [job for job in self.services[0].jobs if job.name == "rotate-signing-key"]
        return (await job.run()).split()[1]

    async def until_known(self, kid: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all([kid in [key["kid"] for key in await self.published(door)] for door in (0, 1)]):
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(running: Platform, valkey_url: str, tmp_path_factory) -> AsyncIterator[Doors]:
    clock = MovedClock()
    async with AsyncExitStack() as stack:
        one, first = await opened_door(stack, running, valkey_url, tmp_path_factory.mktemp("data"), clock)
        other, second = await opened_door(stack, running, valkey_url, tmp_path_factory.mktemp("data"), clock)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        proof = {"email": running.first.admin_email, "password": running.first.admin_password}
        yield Doors((one, other), (first, second), clock, http, proof, running.deps.postgres_url)


async def opened_door(
    stack: AsyncExitStack, running: Platform, valkey_url: str, data: Path, clock: MovedClock
) -> tuple[str, Service]:
    """One more process of an installation, which goes by a clock of its own."""
    seed, peers = running.deps.signer.seed, {"platform": running.url, "pipeline": running.peer.url}
    deps = make_deps(running.deps.postgres_url, valkey_url, peers, data, seed, running.url)
    service = build(replace(deps, clock=clock, signer=Signer(seed, clock, deps.signer.lifetime)), Settings())
    for stop in (deps.valkey.aclose, deps.peers.close, deps.log.close, *service.on_stop):
        stack.push_async_callback(stop)
    await begun(service, stack)
    app = create_app(service, HttpSettings(), Verifier(seed, Principal, clock).verify)
    return await stack.enter_async_context(listening(app)), service


async def begun(service: Service, stack: AsyncExitStack) -> None:
    """Starts a service with the one worker these tests are about."""
    for start in service.on_start:
        await start()
    (watch,) = [worker.run for worker in service.workers if worker.name == WATCH]
    stack.callback(asyncio.ensure_future(watch()).cancel)


def kid_of(token: str, keys: list[dict[str, Any]]) -> str:
    """Which published key verifies a token, as anybody outside would find out."""
    for key in keys:
        try:
            opened(Key.from_paserk(key["paserk"]), token)
        except (pyseto.PysetoError, ValueError):
            continue
        return str(key["kid"])
    return ""


def forged_like(token: str) -> str:
    """The same body and the same key's name, signed with another key."""
    payload = token.split(".")[2]
    body = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))[:-64]
    footer = base64.urlsafe_b64decode(token.split(".")[3] + "==")
    pair = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pyseto.encode(Key.new(4, "public", pair), body, footer).decode()


async def use(doors: Doors, tokens: dict[str, str], answers: list[int], done: asyncio.Event) -> None:
    """Somebody who asks at both doors all the time, and refreshes now and then."""
    turn = 0
    while not done.is_set():
        turn += 1
        if turn % 5 == 0:
            status, tokens = await doors.ask(
                turn % 2, "POST", "/api/auth/refresh", body={"refresh_token": tokens["refresh_token"]}
            )
            answers.append(status)
        status, _ = await doors.ask(turn % 2, "GET", "/api/stores", tokens["access_token"])
        answers.append(status)
        await asyncio.sleep(0.02)


async def intrude(doors: Doors, forged: str, answers: list[int], done: asyncio.Event) -> None:
    """Somebody who asks at both doors all the time with a token that no key of ours has signed."""
    turn = 0
    while not done.is_set():
        turn += 1
        answers.append((await doors.ask(turn % 2, "GET", "/api/stores", forged))[0])
        await asyncio.sleep(0.02)


async def test_keys_change_under_load_and_nobody_is_turned_away_nor_let_in_wrongly(doors: Doors):
    answers: list[int] = []
    wrong: list[int] = []
    done = asyncio.Event()
    people = [asyncio.create_task(use(doors, await doors.login(), answers, done)) for _ in range(4)]
    old = await doors.login()
    forged = forged_like(old["access_token"])
    people.append(asyncio.create_task(intrude(doors, forged, wrong, done)))
    for _ in range(2):
        kid = await doors.rotate()
        assert await doors.rotate() == kid  # one that waits is not overtaken
        await doors.until_known(kid)
        assert kid_of((await doors.login())["access_token"], await doors.published(0)) not in {kid, ""}
        doors.clock.ahead += LEAD
        for door in (0, 1):
            fresh = (await doors.login(door))["access_token"]
            assert kid_of(fresh, await doors.published(1 - door)) == kid
            assert (await doors.ask(1 - door, "GET", "/api/auth/me", fresh))[0] == 200
        assert (await doors.ask(1, "GET", "/api/auth/me", old["access_token"]))[0] == 200
    done.set()
    await asyncio.gather(*people)
    assert set(answers) <= {200}
    assert set(wrong) == {401}
    assert len(answers) > len(people)


async def test_a_key_goes_once_the_last_token_it_signed_has_ended(doors: Doors):
    token = (await doors.login())["access_token"]
    old = kid_of(token, await doors.published(0))
    new = await doors.rotate()
    await doors.until_known(new)
    doors.clock.ahead += LEAD
    (until,) = [key["trusted_until"] for key in await doors.published(0) if key["kid"] == old]
    assert datetime.fromisoformat(until) >= doors.clock.now() + LIFETIME - timedelta(minutes=1)
    doors.clock.ahead += 2 * LIFETIME
    async with asyncio.timeout(PATIENCE_SECONDS):
        while [key["kid"] for door in (0, 1) for key in await doors.published(door)] != [new, new]:
            await asyncio.sleep(0.05)
    assert (await doors.ask(0, "GET", "/api/auth/me", token))[0] == 401


async def test_a_distrusted_keys_tokens_are_worthless_at_every_door_and_what_is_open_by_them_ends(doors: Doors):
    tokens, bystander = await doors.login(), await doors.login()
    kid = kid_of(tokens["access_token"], await doors.published(0))
    assert (await doors.ask(1, "GET", "/api/auth/me", tokens["access_token"]))[0] == 200
    socket = await doors.http.ws_connect(f"{doors.urls[1]}/api/events/stream?token={tokens['access_token']}")
    status, answer = await doors.ask(0, "POST", f"/api/signing-keys/{kid}/distrust", tokens["access_token"])
    assert status == 200, answer
    assert kid not in [key["kid"] for key in answer["keys"]]
    for each in (tokens, bystander):
        assert (await doors.ask(0, "GET", "/api/auth/me", each["access_token"]))[0] == 401
    closed = await socket.receive(timeout=PATIENCE_SECONDS)
    assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    for each in (tokens, bystander):
        assert (await doors.ask(1, "GET", "/api/auth/me", each["access_token"]))[1]["code"] == "token_invalid"
        # Nobody has to sign in again.
        status, fresh = await doors.ask(1, "POST", "/api/auth/refresh", body={"refresh_token": each["refresh_token"]})
        assert status == 200
        assert kid_of(fresh["access_token"], await doors.published(1)) not in {kid, ""}
    _, trail = await doors.ask(1, "GET", "/api/audit-logs?action=signing_key_distrusted", fresh["access_token"])
    assert [line["subject"] for line in trail["items"]] == [kid]
    again = await doors.ask(1, "POST", f"/api/signing-keys/{kid}/distrust", fresh["access_token"])
    assert (again[0], again[1]["code"]) == (404, "missing")


async def test_a_key_is_every_stores_and_so_only_an_owner_of_all_distrusts_it(doors: Doors):
    token = (await doors.login())["access_token"]
    kid = kid_of(token, await doors.published(0))
    connection = await asyncpg.connect(doors.database)
    await connection.execute("insert into platform.stores values ('strangers', 'of somebody else', now())")
    try:
        status, answer = await doors.ask(0, "POST", f"/api/signing-keys/{kid}/distrust", token)
    finally:
        await connection.execute("delete from platform.stores where id = 'strangers'")
        await connection.close()
    assert (status, answer["code"]) == (403, "forbidden")
    assert (await doors.ask(0, "GET", "/api/auth/me", token))[0] == 200


@pytest.mark.parametrize("seen", [True, False], ids=["seen there before", "not seen there"])
async def test_a_sign_in_that_ended_at_one_door_is_over_at_the_other(doors: Doors, seen: bool):
    token = (await doors.login())["access_token"]
    if seen:
        assert (await doors.ask(1, "GET", "/api/auth/me", token))[0] == 200
    assert (await doors.ask(0, "POST", "/api/auth/logout", token))[0] == 204
    assert (await doors.ask(0, "GET", "/api/auth/me", token))[0] == 401
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await doors.ask(1, "GET", "/api/auth/me", token))[0] != 401:
            await asyncio.sleep(0.05)
    assert (await doors.ask(1, "GET", "/api/auth/me", token))[1]["code"] == "session_ended"


async def test_seeds_are_sealed_and_where_they_cannot_be_opened_another_key_begins(doors: Doors):
    db, connection = Postgres(doors.database, "platform"), await asyncpg.connect(doors.database)
    try:
        keys = SigningKeys(db, AuditLog(db), Sealer(new_secret(), "signing keys"), LEAD)
        (made,) = await keys.all(datetime.now(UTC))
        assert [key.id for key in await keys.all(datetime.now(UTC))] == [made.id]
        assert made.seed.reveal() not in str(await connection.fetch("select t::text from platform.signing_keys t"))
        await connection.execute("delete from platform.signing_keys where id = $1", made.id)
    finally:
        await connection.close()
        await db.close()

"""A POST sent again under its key: the same answer for the same request, in every process, and for nobody else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import uuid4

import httpx
import msgspec
import pytest
from litestar import Request, Router, post
from litestar.di import NamedDependency

from recoup.kit.config import Secret, new_secret
from recoup.kit.errors import Invalid
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.idempotency import ITSELF, Answers
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.service import Service
from recoup.kit.valkey import Valkey, connect
from recoup.messages.access import Permission, Principal

SEED = new_secret()
WRITE = {"permission": Permission.STORES_WRITE}
made: list[str] = []


class Gate:
    """Where a slow request waits."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()


gates: list[Gate] = []


@post("/things", opt=WRITE)
async def make(store_id: NamedDependency[str], request: Request[Any, Any, Any]) -> dict[str, str]:
    """Makes another one each time it is called."""
    assert store_id
    made.append(str(uuid4()))
    if await request.body() == b"slow":
        gates[-1].begun.set()
        await gates[-1].go.wait()
    if await request.body() == b"wrong":
        raise Invalid("no such thing can be made")
    return {"thing": made[-1]}


@post("/stores", opt=WRITE)
async def found() -> dict[str, str]:
    """About the caller, whichever stores are theirs."""
    made.append(str(uuid4()))
    return {"store": made[-1]}


@post("/events", opt={**WRITE, ITSELF: True})
async def take() -> dict[str, str]:
    return {"thing": str(uuid4())}


def identify(token: str) -> Principal:
    """A token is the names of the caller's stores."""
    return Principal(
        subject=token, kind="person", stores={name: [Permission.STORES_WRITE] for name in token.split("+")}
    )


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    client = connect(valkey_url)
    await client.flushdb()
    made.clear()
    gates[:] = [Gate()]
    yield client
    await client.aclose()


class Process:
    """One of several that share a Valkey."""

    def __init__(self, valkey: Valkey, seed: Secret = SEED) -> None:
        answers = Answers(valkey, seed, "idempotent:{}".format)
        service = Service(name="s", routers=[Router("/", route_handlers=[make, found, take])])
        app = create_app(service, HttpSettings(body_limit_bytes=1000), identify, answers=answers)
        self.door = httpx.ASGITransport(cast("Any", app))

    async def post(self, key: str | None = "k", body: bytes = b"x", who: str = "a", path: str = "/things"):
        headers = {IDENTITY_HEADER: who, **({} if key is None else {"Idempotency-Key": key})}
        async with httpx.AsyncClient(transport=self.door, base_url="http://s") as client:
            return await client.post(path, content=body, headers=headers)


async def test_the_same_request_has_the_same_answer_in_every_process(valkey: Valkey):
    first = await Process(valkey).post()
    again = await Process(valkey).post()
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert [answer.headers.get("idempotent-replayed") for answer in (first, again)] == [None, "true"]
    assert len(made) == 1
    (kept,) = await valkey.keys("*")
    assert 23 * 3600 < await valkey.ttl(kept) <= 24 * 3600


@pytest.mark.parametrize(
    "other",
    [{"key": "l"}, {"key": None}, {"who": "b"}, {"path": "/stores"}, {"who": "a+b", "path": "/stores"}],
    ids=["another key", "no key", "another tenant", "another path", "a caller of several tenants"],
)
async def test_another_request_is_done(valkey: Valkey, other: dict[str, Any]):
    process = Process(valkey)
    await process.post()
    assert (await process.post(**other)).status_code == 201
    assert len(made) == 2


async def test_who_has_several_stores_has_keys_of_their_own(valkey: Valkey):
    process = Process(valkey)
    answers = [await process.post(path="/stores", who=who) for who in ("a+b", "a+b", "a+c")]
    assert [answer.json()["store"] for answer in answers] == [made[0], made[0], made[1]]


@pytest.mark.parametrize("other", [{"body": b"y"}, {"path": "/things?name=y"}], ids=["body", "question"])
async def test_the_same_key_for_something_else_is_refused(valkey: Valkey, other: dict[str, Any]):
    process = Process(valkey)
    await process.post()
    answer = await process.post(**other)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(made) == 1


async def test_while_it_runs_it_is_not_begun_again(valkey: Valkey):
    running = asyncio.create_task(Process(valkey).post(body=b"slow"))
    await gates[-1].begun.wait()
    early = await Process(valkey).post(body=b"slow")
    assert (early.status_code, early.json()["code"], early.headers["Retry-After"]) == (
        409,
        "idempotency_key_in_use",
        "1",
    )
    gates[-1].go.set()
    done = await running
    assert (await Process(valkey).post(body=b"slow")).content == done.content
    assert len(made) == 1


async def test_what_was_refused_may_be_asked_better(valkey: Valkey):
    process = Process(valkey)
    assert (await process.post(body=b"wrong")).status_code == 400
    assert (await process.post(body=b"right")).status_code == 201


async def test_a_request_that_was_given_up_may_be_asked_again(valkey: Valkey):
    running = asyncio.create_task(Process(valkey).post(body=b"slow"))
    await gates[-1].begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gates[-1].go.set()
    assert (await Process(valkey).post(body=b"slow")).status_code == 201


async def test_routes_that_know_repetitions_themselves_take_no_notice(valkey: Valkey):
    process = Process(valkey)
    first, again = [await process.post(path="/events") for _ in range(2)]
    assert first.content != again.content


async def test_nobody_reads_answers_in_the_store(valkey: Valkey):
    answer = await Process(valkey).post()
    (name,) = await valkey.keys("*")
    kept = await valkey.get(name)
    assert answer.json()["thing"].encode() not in cast("bytes", kept)
    stranger = await Process(valkey, new_secret()).post()
    assert stranger.status_code == 409
    assert len(made) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
async def test_a_key_has_a_form(valkey: Valkey, key: str):
    answer = await Process(valkey).post(key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


async def test_permission_is_asked_first(valkey: Valkey):
    process = Process(valkey)
    await process.post()
    answer = await process.post(path="/things?store_id=theirs")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_body_over_the_limit_is_refused(valkey: Valkey):
    answer = await Process(valkey).post(body=b"x" * 1001)
    assert msgspec.json.decode(answer.content)["code"] == "too_large"

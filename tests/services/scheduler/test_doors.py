"""Jobs over HTTP, on a real database: offered, seen, paused, run by hand, fired when due."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from recoup.kit.clock import ManualClock, SystemClock
from recoup.kit.config import new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.migrate import migrate
from recoup.kit.postgres import Postgres
from recoup.kit.service import Service
from recoup.kit.tokens import Signer, Verifier
from recoup.messages.access import Permission, Principal
from recoup.services.scheduler.jobs import api
from recoup.services.scheduler.jobs.domain import Offer, State
from recoup.services.scheduler.jobs.store import Store

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SEED = new_secret()
OWNER = Principal(subject="ada", kind="person", stores={"shop": [Permission.JOBS_READ, Permission.JOBS_WRITE]})
VIEWER = Principal(subject="bob", kind="person", stores={"shop": [Permission.JOBS_READ]})
TRAIN = Offer(name="train", cron="0 3 * * *", timeout_seconds=1800)
CLEAN = Offer(name="clean", cron="*/5 * * * *", timeout_seconds=60)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    await migrate(database, ["scheduler"])
    postgres = Postgres(database, "scheduler")
    yield Store(postgres)
    await postgres.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def client(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    service = Service(name="scheduler", routers=[api.router(store, clock)])
    app = create_app(service, HttpSettings(), Verifier(SEED, Principal, SystemClock()).verify)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://scheduler", headers=token(OWNER)) as client:
        yield client


def token(principal: Principal) -> dict[str, str]:
    return {"X-Recoup-Identity": Signer(SEED, SystemClock(), timedelta(minutes=5)).sign(principal)}


async def runs(client: httpx.AsyncClient, job: str) -> list[dict[str, Any]]:
    return (await client.get(f"/jobs/{job}/history")).json()["items"]


async def test_what_is_due_becomes_one_run_and_what_was_missed_is_made_up_for_once(store: Store, client) -> None:
    await store.offer("ai", [TRAIN], NOON)
    assert await store.fire(NOON) == 0
    assert await store.fire(NOON + timedelta(days=3)) == 1
    assert await store.fire(NOON + timedelta(days=3)) == 0

    (run,) = await runs(client, "train")
    assert (run["due_at"], run["cause"], run["state"]) == ("2026-06-02T03:00:00Z", "schedule", "queued")
    (job,) = (await client.get("/jobs")).json()["items"]
    assert (job["id"], job["next_run"], job["last_run"]["id"]) == ("ai.train", "2026-06-05T03:00:00Z", run["id"])


async def test_a_job_still_going_on_is_not_begun_a_second_time(store: Store, client) -> None:
    await store.offer("ai", [CLEAN], NOON)
    await store.fire(NOON + timedelta(minutes=5))
    await store.fire(NOON + timedelta(minutes=10))
    assert [run["state"] for run in await runs(client, "clean")] == ["skipped", "queued"]

    stuck_for_an_hour = NOON + timedelta(hours=1)
    await store.fire(stuck_for_an_hour)
    assert (await runs(client, "clean"))[0]["state"] == "queued"


async def test_a_paused_job_is_not_fired_and_its_missed_times_are_not_made_up_for(store: Store, client, clock) -> None:
    await store.offer("ai", [TRAIN], NOON)
    assert (await client.post("/jobs/ai.train/pause")).json()["paused"] is True
    clock.advance(timedelta(days=2))
    assert await store.fire(clock.now()) == 0
    assert (await client.post("/jobs/ai.train/resume")).json()["next_run"] == "2026-06-04T03:00:00Z"
    assert await store.fire(clock.now()) == 0


async def test_a_run_by_hand_repeats_under_the_same_key_only_in_name(store: Store, client) -> None:
    await store.offer("ai", [TRAIN], NOON)
    first = await client.post("/jobs/train/run", headers={"Idempotency-Key": "k"})
    again = await client.post("/jobs/train/run", headers={"Idempotency-Key": "k"})
    other = await client.post("/jobs/train/run")
    assert first.status_code == 202
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]

    seen = await client.get(f"/runs/{first.json()['id']}")
    assert (seen.json()["job"], seen.json()["cause"]) == ("ai.train", "manual")


async def test_a_job_that_is_no_longer_offered_rests_and_says_so(store: Store, client) -> None:
    await store.offer("ai", [TRAIN, CLEAN], NOON)
    await store.offer("ai", [CLEAN], NOON)
    assert await store.fire(NOON + timedelta(days=1)) == 1
    refused = await client.post("/jobs/train/run")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_not_offered")


async def test_a_changed_time_counts_from_now_on(store: Store, client) -> None:
    await store.offer("ai", [TRAIN], NOON)
    await store.offer("ai", [Offer(name="train", cron="30 13 * * *", timeout_seconds=1800)], NOON)
    (job,) = (await client.get("/jobs")).json()["items"]
    assert job["next_run"] == "2026-06-01T13:30:00Z"


async def test_runs_that_ended_long_ago_are_forgotten(store: Store, client) -> None:
    await store.offer("ai", [CLEAN], NOON)
    await store.fire(NOON + timedelta(minutes=5))
    (run,) = await runs(client, "clean")
    assert await store.forget(NOON + timedelta(days=1)) == 0, "it has not ended"
    await store.finish(run["id"], NOON, result="clean", error=None)
    assert await store.forget(NOON + timedelta(days=1)) == 1


async def test_a_finished_run_keeps_its_first_answer(store: Store, client) -> None:
    await store.offer("ai", [TRAIN], NOON)
    run = (await client.post("/jobs/train/run")).json()["id"]
    await store.begin(run, NOON)
    await store.finish(run, NOON + timedelta(seconds=3), result="a better model", error=None)
    await store.finish(run, NOON + timedelta(seconds=9), result=None, error="too late")

    (seen,) = await runs(client, "train")
    assert (seen["state"], seen["result"], seen["duration_seconds"]) == (State.SUCCEEDED, "a better model", 3.0)


async def test_who_may_only_look_runs_nothing(store: Store, client) -> None:
    await store.offer("ai", [TRAIN], NOON)
    viewer = token(VIEWER)
    assert (await client.get("/jobs", headers=viewer)).status_code == 200
    for act in ("run", "pause", "resume"):
        assert (await client.post(f"/jobs/train/{act}", headers=viewer)).status_code == 403
    assert (await client.get("/jobs", headers={"X-Recoup-Identity": ""})).status_code == 401
    assert (await client.get("/jobs/polish/history")).status_code == 404


async def test_history_comes_page_by_page_newest_first(store: Store, client) -> None:
    await store.offer("ai", [CLEAN], NOON)
    for hours in range(1, 6):
        await store.fire(NOON + timedelta(hours=hours))
    first = (await client.get("/jobs/clean/history", params={"limit": 2})).json()
    rest = (await client.get("/jobs/clean/history", params={"limit": 9, "cursor": first["next_cursor"]})).json()
    due = [run["due_at"] for run in (*first["items"], *rest["items"])]
    assert len(due) == 5
    assert due == sorted(due, reverse=True)

"""One house for every file here: each has a store of its own in it, with keys of its own, as if it were alone."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import httpx
import msgspec
import pytest
from bench.lib.house import House, Keys, house

PATIENT = {
    "RECOUP_PLATFORM__CALL_SECONDS": "60",
    "RECOUP_PLATFORM__COLLECT_SECONDS": "60",
    "RECOUP_PIPELINE__LOG_PATIENCE_SECONDS": "50",
}
"""What these tests are about is not how long a busy machine takes for an answer."""


@pytest.fixture(scope="package")
def started() -> Iterator[House]:
    with house(None, **PATIENT) as running:
        yield running


@pytest.fixture(scope="module")
def running(started: House) -> House:
    """The house, its keys those of a store to which nothing has happened yet."""
    with httpx.Client(base_url=f"http://127.0.0.1:{started.port}", timeout=60) as client:
        sign_in(started, client)
        store_id = client.post("/api/stores", json={"name": f"shop {uuid4()}"}).raise_for_status().json()["store_id"]
        sign_in(started, client)  # a sign-in knows the stores there were
        made = {
            kind: client.post("/api/api-keys", params={"store_id": store_id}, json={"kind": kind, "name": "of a test"})
            for kind in ("secret_key", "publishable_key")
        }
    keys = {kind: answer.raise_for_status().json()["key"] for kind, answer in made.items()}
    return replace(started, keys=Keys(url=started.keys.url, store_id=store_id, **keys))


def sign_in(running: House, client: httpx.Client) -> None:
    """As the person of the first start."""
    told = msgspec.json.decode((running.folder / "first-run.json").read_bytes(), type=dict[str, str])
    proof = {"email": told["admin_email"], "password": told["admin_password"]}
    client.headers["Authorization"] = f"Bearer {client.post('/api/auth/login', json=proof).json()['access_token']}"

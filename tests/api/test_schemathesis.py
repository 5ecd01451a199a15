"""Every documented operation of every service, asked with made-up input, right and wrong: never a server error.

The documents are those the services write when they are built, so that each operation is a test with a name; the
platform that answers is a real one, started once, and asked through its gateway as anybody would.
"""

import tempfile
from collections.abc import Iterator
from typing import Any, cast

import httpx
import msgspec
import pytest
import requests
import schemathesis
from bench.lib.house import House
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from recoup import app
from recoup.kit.config import new_secret
from recoup.processes import PROCESSES
from recoup.services.platform.docs.domain.documents import merged

pytestmark = pytest.mark.api
EXAMPLES = 15
LONG = {"/api/models/train", "/api/jobs/{job}/run"}
"""Work of seconds: asked for once, below, not over and over."""
DOORS = ("/api/auth/log", "/api/auth/sessions")
"""Logging in and out is for nobody in particular: who ends their own sign-in asks no more."""


def _documents() -> Iterator[tuple[str, bytes]]:
    nowhere = "127.0.0.1:9"
    with tempfile.TemporaryDirectory() as data:
        given = app.Settings(
            internal_key=new_secret(), postgres_url=f"postgresql://{nowhere}/x", valkey_url=f"redis://{nowhere}/0",
            warehouse_url=f"chdb:///{data}/warehouse", data=data,
        )  # fmt: skip
        for name in PROCESSES:
            deps = app.dependencies(name, given)
            built = app.application(app.build(name, given, deps), given, deps)
            yield name, msgspec.json.encode(built.openapi_schema.to_schema())


DOCUMENT = merged("Recoup", "0", dict(_documents()))
# The test says who asks: made-up credentials would stop nearly every example at the door.
DOCUMENT.pop("security")
schema = schemathesis.openapi.from_dict(DOCUMENT)
TRY = settings(
    max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
# Sorted: routes with several paths keep them in a set, and every worker must see the same tests.
OPERATIONS = sorted(
    (cast("Any", found).ok() for found in schema.exclude(path=list(LONG), method="POST").get_all_operations()),
    key=lambda operation: operation.label,
)


@pytest.fixture(scope="module")
def owner(running: House) -> Iterator[requests.Session]:
    first_run: dict[str, str] = msgspec.json.decode((running.folder / "first-run.json").read_bytes())
    who = {"email": first_run["admin_email"], "password": first_run["admin_password"]}
    answer = httpx.post(f"http://127.0.0.1:{running.port}/api/auth/login", json=who, timeout=60)
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        session.params = {"store_id": running.keys.store_id}
        yield session


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_input_makes_a_server_error(operation: Any, running: House, owner: requests.Session) -> None:
    session = None if operation.path.startswith(DOORS) else owner

    @seed(1)
    @settings(TRY)
    @given(
        case=st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )
    )
    def asked(case: Any) -> None:
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{running.port}", session=session, checks=[not_a_server_error], timeout=60
        )

    asked()


def test_the_gateway_serves_the_document_that_was_tried(running: House) -> None:
    served = httpx.get(f"http://127.0.0.1:{running.port}/docs/openapi.json", timeout=60).json()
    assert served["paths"].keys() == msgspec.to_builtins(DOCUMENT["paths"]).keys()


def test_long_work_is_asked_for_once(running: House, owner: requests.Session) -> None:
    base = f"http://127.0.0.1:{running.port}/api"
    assert owner.post(f"{base}/models/train", json={}).status_code < 500
    for job in owner.get(f"{base}/jobs").json()["items"]:
        assert owner.post(f"{base}/jobs/{job['name']}/run", json={}).status_code < 500

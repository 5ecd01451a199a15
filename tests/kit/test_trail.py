"""When a change is noted, and what the caller is told where that cannot be done."""

from collections.abc import Sequence

import pytest
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.testing import AsyncTestClient

from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.service import Service
from recoup.kit.trail import Stage, Trail

done: list[str] = []


class Ada:
    subject = "ada"
    kind = "person"

    def demand(self, permission: str) -> None:
        if permission == "nobody's":
            raise Conflict("no")

    def tenant(self, requested: str | None, permission: str) -> str:
        if requested == "foreign":
            raise Conflict(permission)
        return "ours"


@post("/things", opt={"permission": "things:write"})
async def make() -> None:
    done.append("made")


@delete("/things", opt={"permission": "things:write"})
async def refuse() -> None:
    raise Conflict("it is in use")


@post("/others", opt={"permission": "nobody's"})
async def forbidden() -> None:
    done.append("forbidden")


@post("/tenants", opt={"permission": "things:write"})
async def make_there(store_id: NamedDependency[str]) -> None:
    done.append(store_id)


@get("/things", opt={"permission": "things:write"})
async def read() -> None:
    done.append("read")


async def asked(method: str, path: str, away: Sequence[Stage] = ()) -> tuple[int, str, list[Stage]]:
    """Status, code of the problem and what was noted; stages in `away` cannot be."""
    done.clear()
    noted: list[Stage] = []

    def note(stage: Stage) -> None:
        noted.append(stage)
        if stage in away:
            raise Unavailable("nobody writes it down")

    async def begin(_doer: object, _change: object):
        note(Stage.BEGUN)

        async def end(stage: Stage, _status: int) -> None:
            note(stage)

        return end

    service = Service(name="things", routers=(Router("/", route_handlers=[make, make_there, refuse, forbidden, read]),))
    trail = Trail(begin, lambda _permission, _method: True, "store_id")
    app = create_app(service, HttpSettings(), lambda _token: Ada(), trail=trail)
    async with AsyncTestClient(app) as client:
        answer = await client.request(method, path, headers={IDENTITY_HEADER: "ada"})
    return answer.status_code, answer.json()["code"] if answer.status_code >= 400 else "", noted


CASES = {
    "a change": ("POST", "/things", (), 201, "", ["made"], ["begun", "made"]),
    "a refusal": ("DELETE", "/things", (), 409, "conflict", [], ["begun", "refused"]),
    "reading": ("GET", "/things", (), 200, "", ["read"], []),
    "a change for a tenant": ("POST", "/tenants", (), 201, "", ["ours"], ["begun", "made"]),
    "a change for another's tenant": ("POST", "/tenants?store_id=foreign", (), 409, "conflict", [], []),
    "what nobody may": ("POST", "/others", (), 409, "conflict", [], []),
    "a change whose beginning cannot be noted": (
        "POST", "/things", ["begun"], 503, "trail_unavailable", [], ["begun"],
    ),
    "a change whose end cannot be noted": (
        "POST", "/things", ["made"], 503, "change_unrecorded", ["made"], ["begun", "made"],
    ),
    "a refusal that cannot be noted": ("DELETE", "/things", ["refused"], 409, "conflict", [], ["begun", "refused"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_is_noted_and_answered(case):
    method, path, away, status, code, did, noted = case
    assert await asked(method, path, [Stage(each) for each in away]) == (status, code, noted)
    assert done == did

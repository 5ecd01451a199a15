"""No route of any service lets one store see or touch another's data: a loop over all of them, as they are wired."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from typing_extensions import override

from recoup import app as house
from recoup.kit.config import Secret, new_secret
from recoup.kit.http import PUBLIC
from recoup.messages.access import Permission, Principal
from recoup.processes import PROCESSES

HOLDS_NOTHING_OF_A_STORE = {
    "/auth/me",  # answers about the caller, as do the next
    "/auth/password",
    "/auth/second-factor",
    "/auth/second-factor/confirm",
    "/auth/second-factor/disable",
    "/auth/second-factor/recovery-codes",
    "/auth/sessions",
    "/auth/sessions/{session_id:uuid}",
    "/signing-keys/{kid:str}/distrust",  # of the whole installation
    "/stores",  # lists the caller's own, and makes new ones
    "/pipeline/status",  # figures of the machinery
    "/features/definitions",
    "/services/status",
    "/infrastructure",
    "/status",
    "/metrics/history",
    "/metrics/latest",
    "/jobs",
    "/jobs/{job:str}/run",
    "/jobs/{job:str}/pause",
    "/jobs/{job:str}/resume",
    "/jobs/{job:str}/history",
    "/runs/{run:uuid}",
}
ASKS_BY_ITSELF = {
    "/stores/{store:str}",  # the store stands in the path
    "/events/stream",
    "/events/tail",
    "/ws/user/{user_id:str}",
}
OURS, THEIRS = "store-of-the-caller", "store-of-somebody-else"
# Everything there is to be allowed, in a store that the request is not about.
CALLER = Principal(subject=str(uuid4()), kind="person", stores={OURS: list(Permission)})


@dataclass(frozen=True)
class Route:
    """One method on one path of one service."""

    service: str
    method: str
    path: str
    takes_store: bool

    @override
    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"

    @property
    def url(self) -> str:
        """The path with something in every place, and the foreign store asked for."""
        segments = [self._filled(segment) for segment in self.path.split("/")]
        return f"{'/'.join(segments)}?store_id={THEIRS}"

    @staticmethod
    def _filled(segment: str) -> str:
        if not segment.startswith("{"):
            return segment
        name, _, kind = segment.strip("{}").partition(":")
        return THEIRS if name == "store" else {"uuid": str(uuid4()), "int": "1"}.get(kind, "x")


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Litestar, str]]:
    """Every service as it is wired, with the caller's token. No engine runs: a refusal needs none."""
    return _houses(str(tmp_path_factory.mktemp("data")))


def _houses(data: str, seed: Secret | None = None) -> dict[str, tuple[Litestar, str]]:
    nowhere = "127.0.0.1:9"
    settings = house.Settings(
        internal_key=seed or new_secret(), postgres_url=f"postgresql://{nowhere}/x", valkey_url=f"redis://{nowhere}/0",
        warehouse_url=f"chdb:///{data}/warehouse", data=data,
    )  # fmt: skip
    built: dict[str, tuple[Litestar, str]] = {}
    for name in PROCESSES:
        deps = house.dependencies(name, settings)
        service = replace(house.build(name, settings, deps), front=None)
        built[name] = (house.application(service, settings, deps), deps.signer.sign(CALLER))
    return built


def _routes() -> Iterator[Route]:
    for service, (app, _) in _houses("/nowhere").items():
        for route in app.routes:
            for handler in getattr(route, "route_handlers", None) or [route.route_handler]:  # pyright: ignore[reportAttributeAccessIssue] - one or several, by kind
                permission = handler.opt.get("permission")
                if permission in {None, PUBLIC, Permission.INTERNAL}:
                    continue
                takes_store = "store_id" in handler.parsed_fn_signature.parameters
                for method in sorted(getattr(handler, "http_methods", {"SOCKET"})):
                    yield Route(service, method, route.path, takes_store)


# In one order, whatever order the handlers come in: the test processes must agree on it.
ROUTES = sorted(_routes(), key=str)


def test_every_service_is_looked_at() -> None:
    assert {route.service for route in ROUTES} >= set(PROCESSES) - {"processor"}


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_every_route_takes_its_store_from_the_door_or_has_none(route: Route) -> None:
    assert route.takes_store or route.path in HOLDS_NOTHING_OF_A_STORE | ASKS_BY_ITSELF


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.path not in HOLDS_NOTHING_OF_A_STORE and route.method != "SOCKET"],
    ids=str,
)
async def test_a_foreign_store_is_refused_before_anything_is_looked_up(route: Route, houses) -> None:
    app, token = houses[route.service]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.request(
            route.method, route.url, headers={"X-Recoup-Identity": token},
            json=None if route.method in {"GET", "DELETE"} else {"name": "n"},
        )  # fmt: skip
    assert answer.status_code in {403, 404}, answer.text
    assert answer.json()["code"] in {"forbidden", "missing"}


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.method == "SOCKET"],
    ids=str,
)
async def test_a_socket_about_a_foreign_store_does_not_open(route: Route, houses) -> None:
    app, token = houses[route.service]
    sent = await _knock(app, route, token)
    assert sent
    assert "websocket.accept" not in [message["type"] for message in sent]


async def _knock(app: Litestar, route: Route, token: str) -> list[dict[str, Any]]:
    """What a service answers to a handshake."""
    sent: list[dict[str, Any]] = []
    path, _, query = route.url.partition("?")
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "subprotocols": [],
        "headers": [(b"x-recoup-identity", token.encode())], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        "extensions": {}, "state": {},
    }  # fmt: skip
    waiting = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)  # pyright: ignore[reportArgumentType] - a scope as a server makes it
    return sent

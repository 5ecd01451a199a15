"""Every route of every service, asked by every role, both kinds of key, nobody, and bearers of bad tokens.

The services as they are wired, without engines: a refusal needs none, and who is let through is let through whatever
comes of it. Callers belong to one store and ask about another, so that nothing is looked up where a store is asked for:
the permission is judged first, in words of its own.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import httpx
import pytest
from litestar import Litestar
from tests.api.test_tenant_isolation import HOLDS_NOTHING_OF_A_STORE, OURS, Route, _houses, _knock, _routes

from recoup.kit.clock import SystemClock
from recoup.kit.config import Secret, new_secret
from recoup.kit.http import PUBLIC
from recoup.kit.tokens import Signer
from recoup.messages.access import GRANTS, PUBLISHABLE_KEY, SECRET_KEY, TABLE, Permission, Principal, Role
from recoup.processes import PROCESSES

PEOPLE = {
    role.value: Principal(subject=role.value, kind="person", stores={OURS: sorted(GRANTS[role])}) for role in Role
}
KEYS = {
    "secret_key": Principal(subject="key:1", kind="secret_key", stores={OURS: sorted(SECRET_KEY)}),
    "publishable_key": Principal(subject="key:2", kind="publishable_key", stores={OURS: sorted(PUBLISHABLE_KEY)}),
    "key without scopes": Principal(subject="key:3", kind="secret_key", stores={OURS: []}),
}
CALLERS: Mapping[str, Principal] = {**PEOPLE, **KEYS}
BAD_TOKENS = ("none", "expired", "foreign signature", "our key's name on a foreign signature")


class Asked(NamedTuple):
    """A route and what it declares."""

    route: Route
    permission: Permission


def _asked() -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for service, (app, _) in _houses("/nowhere").items():
        for route in app.routes:
            for handler in getattr(route, "route_handlers", None) or [route.route_handler]:  # pyright: ignore[reportAttributeAccessIssue] - one or several, by kind
                permission = handler.opt.get("permission")
                for method in sorted(getattr(handler, "http_methods", {"SOCKET"})):
                    if permission in {None, PUBLIC}:
                        continue
                    one = Asked(Route(service, method, route.path, takes_store=False), Permission(permission))
                    found.setdefault(service, []).append(one)
    return found


ASKED = _asked()
HTTP = {service: [each for each in asked if each.route.method != "SOCKET"] for service, asked in ASKED.items()}
SOCKETS = [each for asked in ASKED.values() for each in asked if each.route.method == "SOCKET"]


@pytest.fixture(scope="module")
def seed() -> Secret:
    return new_secret()


@pytest.fixture(scope="module")
def apps(seed: Secret, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Litestar]:
    return {name: app for name, (app, _) in _houses(str(tmp_path_factory.mktemp("data")), seed).items()}


def signed(seed: Secret, caller: Principal, lifetime: timedelta = timedelta(minutes=5)) -> str:
    return Signer(seed, SystemClock(), lifetime).sign(caller)


def bad_tokens(seed: Secret) -> dict[str, str | None]:
    """An owner's, or one of our services', if only they were good."""
    ours = Principal(subject="service:ai", kind="service")
    foreign, own = signed(new_secret(), ours), signed(seed, ours)
    renamed = ".".join([*foreign.split(".")[:-1], own.rpartition(".")[2]])
    expired = signed(seed, ours, timedelta(minutes=-1))
    return dict(zip(BAD_TOKENS, (None, expired, foreign, renamed), strict=True))


def client_of(app: Litestar) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # pyright: ignore[reportArgumentType] - ASGI, in other types
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def ask(client: httpx.AsyncClient, route: Route, token: str | None) -> httpx.Response:
    return await client.request(
        route.method, route.url, headers={"X-Recoup-Identity": token} if token else {},
        json=None if route.method in {"GET", "DELETE"} else {"name": "n"},
    )  # fmt: skip


def lacks_permission(answer: httpx.Response) -> bool:
    """Refused for what the caller is, not for the store it asks about."""
    return answer.status_code == 403 and "in store" not in answer.text


def test_the_walk_sees_what_the_other_walk_sees() -> None:
    walked = {str(each.route) for asked in ASKED.values() for each in asked if each.permission != Permission.INTERNAL}
    assert walked == {str(route) for route in _routes()}
    assert set(ASKED) == set(PROCESSES)


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("service", HTTP)
async def test_a_caller_passes_where_the_table_says_so_and_nowhere_else(service: str, who: str, apps, seed) -> None:
    granted = CALLERS[who].stores[OURS]
    token = signed(seed, CALLERS[who])
    wrong: list[str] = []
    async with client_of(apps[service]) as client:
        for route, permission in HTTP[service]:
            if permission in granted and route.path in HOLDS_NOTHING_OF_A_STORE:
                continue  # nothing stops it before the engines, of which there are none here
            answer = await ask(client, route, token)
            if answer.status_code != 403 or lacks_permission(answer) is (permission in granted):
                wrong.append(f"{route} wants {permission}: {answer.status_code} {answer.text}")
    assert not wrong


@pytest.mark.parametrize("kind", BAD_TOKENS)
@pytest.mark.parametrize("service", HTTP)
async def test_without_an_identity_of_ours_every_route_is_shut(service: str, kind: str, apps, seed) -> None:
    token = bad_tokens(seed)[kind]
    async with client_of(apps[service]) as client:
        answers = {str(route): await ask(client, route, token) for route, _ in HTTP[service]}
    assert not {route: answer.text for route, answer in answers.items() if answer.status_code != 401}


@pytest.mark.parametrize("asked", SOCKETS, ids=lambda asked: str(asked.route))
async def test_a_socket_opens_for_nobody_who_may_not(asked: Asked, apps, seed) -> None:
    lacking = [signed(seed, caller) for caller in CALLERS.values() if asked.permission not in caller.stores[OURS]]
    for token in [*lacking, *filter(None, bad_tokens(seed).values())]:
        sent = await _knock(apps[asked.route.service], asked.route, token)
        assert "websocket.accept" not in [message["type"] for message in sent]


def test_the_table_has_every_permission_and_no_role_the_internal_one() -> None:
    assert set(TABLE) == set(Permission)
    assert not any(Permission.INTERNAL in granted for granted in (*GRANTS.values(), SECRET_KEY, PUBLISHABLE_KEY))
    assert all(granted.meaning for granted in TABLE.values())


def test_what_a_lesser_role_may_an_admin_and_an_owner_may_too() -> None:
    for role in Role:
        assert GRANTS[role] <= GRANTS[Role.OWNER]
    assert GRANTS[Role.ADMIN] == GRANTS[Role.OWNER] - {Permission.STORES_WRITE, Permission.SIGNING_WRITE}
    assert GRANTS[Role.VIEWER] <= frozenset.intersection(*(GRANTS[role] for role in Role))


def test_no_key_makes_keys_lets_people_in_or_makes_stores() -> None:
    for permission in (Permission.KEYS_WRITE, Permission.TEAM_WRITE, Permission.STORES_WRITE):
        assert permission not in SECRET_KEY | PUBLISHABLE_KEY

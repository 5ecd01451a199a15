"""The part of Vault's HTTP API that Recoup speaks, after its published documentation; Vault itself is not at hand.

Tokens expire, are renewed up to a limit, and are refused as Vault refuses them; KV version 2 has versions, deletions
and 403 for what a token may not read. https://developer.hashicorp.com/vault/api-docs
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Lease:
    """A token: how long it lasts, and how often it may be made to last longer."""

    seconds: float
    longest: float = 0.0
    """How long it may last however often it is renewed; 0: for ever."""
    began: float = field(default_factory=time.monotonic)
    until: float = field(init=False)

    def __post_init__(self) -> None:
        self.until = self.began + self.seconds if self.seconds else float("inf")

    def renew(self) -> None:
        end = self.began + self.longest if self.longest else float("inf")
        self.until = min(time.monotonic() + self.seconds, end)

    @property
    def left(self) -> int:
        return round(self.until - time.monotonic()) if self.seconds else 0


@dataclass
class FakeVault:
    """What the server knows, for a test to look at and change."""

    tokens: dict[str, Lease]
    jwts: dict[str, dict[str, Lease]] = field(default_factory=dict)
    """The roles that each service account's token may take, and how long such a sign-in lasts."""
    secrets: dict[str, list[dict[str, object] | None]] = field(default_factory=dict)
    """Versions by `mount/path`; None for a deleted one."""
    readable: tuple[str, ...] = ("kv/",)
    """Beginnings of what tokens may read."""
    namespace: str = ""
    sealed: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._door])
        app.router.add_get("/v1/auth/token/lookup-self", self._lookup)
        app.router.add_post("/v1/auth/token/renew-self", self._renew)
        app.router.add_post("/v1/auth/{mount}/login", self._login)
        app.router.add_get("/v1/{mount}/data/{path:.+}", self._read)
        return app

    @web.middleware
    async def _door(self, request: web.Request, handler) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.sealed:
            return errors(503, "Vault is sealed")
        if (
            request.headers.get("X-Vault-Request") != "true"
            or request.headers.get("X-Vault-Namespace", "") != self.namespace
        ):
            return errors(404)
        if not request.path.endswith("/login") and self._lease(request) is None:
            return errors(403, "permission denied")
        return await handler(request)

    def _lease(self, request: web.Request) -> Lease | None:
        lease = self.tokens.get(request.headers.get("X-Vault-Token", ""))
        return lease if lease is not None and time.monotonic() < lease.until else None

    async def _lookup(self, request: web.Request) -> web.Response:
        lease = self._lease(request)
        assert lease is not None
        data = {"ttl": lease.left, "renewable": lease.seconds > 0, "type": "service"}
        return web.json_response({"request_id": "r", "data": data})

    async def _renew(self, request: web.Request) -> web.Response:
        lease = self._lease(request)
        assert lease is not None
        lease.renew()
        return self._auth(request.headers["X-Vault-Token"], lease)

    async def _login(self, request: web.Request) -> web.Response:
        said = await request.json()
        role = self.jwts.get(said["jwt"], {}).get(said["role"])
        if role is None or request.match_info["mount"] != "kubernetes":
            return errors(403, "permission denied")
        token = f"hvs.login-{len(self.tokens)}"
        self.tokens[token] = Lease(role.seconds, role.longest)
        return self._auth(token, self.tokens[token])

    @staticmethod
    def _auth(token: str, lease: Lease) -> web.Response:
        auth = {
            "client_token": token,
            "accessor": "a",
            "policies": ["p"],
            "lease_duration": lease.left,
            "renewable": True,
        }
        return web.json_response({"request_id": "r", "auth": auth, "data": None})

    async def _read(self, request: web.Request) -> web.Response:
        place = f"{request.match_info['mount']}/{request.match_info['path']}"
        if not place.startswith(self.readable):
            return errors(403, "1 error occurred:\n\t* permission denied\n\n")
        versions = self.secrets.get(place)
        if versions is None:
            return errors(404)
        newest = versions[-1]
        metadata = {"version": len(versions), "destroyed": False, "created_time": "2026-01-01T00:00:00Z"}
        body = {
            "request_id": "r",
            "lease_id": "",
            "renewable": False,
            "lease_duration": 0,
            "data": {
                "data": newest,
                "metadata": {**metadata, "deletion_time": "" if newest else "2026-01-02T00:00:00Z"},
            },
        }
        return web.json_response(body, status=200 if newest is not None else 404)


def errors(status: int, *said: str) -> web.Response:
    return web.json_response({"errors": list(said)}, status=status)


@asynccontextmanager
async def serving(vault: FakeVault) -> AsyncGenerator[FakeVault]:
    runner = web.AppRunner(vault.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    vault.url = f"http://{host}:{port}"
    try:
        yield vault
    finally:
        await runner.cleanup()

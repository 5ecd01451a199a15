"""Vault for the contract: our stand-in always, HashiCorp's own server where `RECOUP_VAULT_BINARY` names one.

Both have a KV mount of version 2 named `kv`, a policy that lets tokens read `kv/shop/…`, and the service account
`recoup` of Kubernetes, who may sign in for a minute, or as `hasty` for two seconds at the longest.
"""

import asyncio
import base64
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from tests.contracts.waiting import until
from tests.kit.vault_server import FakeVault, Lease, serving

from recoup.kit.ports import free_port

BINARY = os.environ.get("RECOUP_VAULT_BINARY", "")
ROOT = "the-administrators-token"
ROLES = {"recoup": 60, "hasty": 2}
"""Seconds."""
ACCOUNT = {
    "iss": "kubernetes/serviceaccount",
    "kubernetes.io/serviceaccount/namespace": "shop",
    "kubernetes.io/serviceaccount/service-account.name": "recoup",
    "kubernetes.io/serviceaccount/service-account.uid": "3f1c",
    "sub": "system:serviceaccount:shop:recoup",
}


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


JWT = f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(ACCOUNT)}.c2lnbmF0dXJl"
POLICY = 'path "kv/data/shop/*" { capabilities = ["read"] }'


class Desk(Protocol):
    """What an administrator of Vault does."""

    @property
    def url(self) -> str: ...

    async def keep(self, path: str, fields: dict[str, Any]) -> None:
        """A new version of a secret in `kv`."""

    async def delete(self, path: str) -> None:
        """The newest version of it."""

    async def token(self, seconds: int) -> str:
        """One that can be renewed."""
        ...

    async def ends(self, token: str) -> float:
        """When it does, by some clock."""
        ...

    async def revoke_logins(self) -> None: ...

    async def logins(self) -> int:
        """How often the service account has signed in."""
        ...

    async def seal(self) -> None: ...

    async def unseal(self) -> None: ...


@dataclass
class StandIn:
    """Ours, written after the documents."""

    vault: FakeVault

    @property
    def url(self) -> str:
        return self.vault.url

    async def keep(self, path: str, fields: dict[str, Any]) -> None:
        self.vault.secrets.setdefault(f"kv/{path}", []).append(fields)

    async def delete(self, path: str) -> None:
        self.vault.secrets[f"kv/{path}"][-1] = None

    async def token(self, seconds: int) -> str:
        name = f"hvs.made-{len(self.vault.tokens)}"
        self.vault.tokens[name] = Lease(seconds)
        return name

    async def ends(self, token: str) -> float:
        return self.vault.tokens[token].until

    async def revoke_logins(self) -> None:
        for name in [name for name in self.vault.tokens if name.startswith("hvs.login")]:
            self.vault.tokens[name].until = 0.0

    async def logins(self) -> int:
        return self.vault.asked.count("POST /v1/auth/kubernetes/login")

    async def seal(self) -> None:
        self.vault.sealed = True

    async def unseal(self) -> None:
        self.vault.sealed = False


@asynccontextmanager
async def stand_in() -> AsyncGenerator[Desk]:
    roles = {name: Lease(seconds, longest=2 if name == "hasty" else 0) for name, seconds in ROLES.items()}
    async with serving(FakeVault(tokens={ROOT: Lease(0)}, jwts={JWT: roles}, readable=("kv/shop/",))) as vault:
        yield StandIn(vault)


@dataclass
class Real:
    """HashiCorp's, asked as its administrator."""

    url: str
    http: aiohttp.ClientSession
    unseal_key: str = ""
    reviews: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        headers = {"X-Vault-Token": ROOT}
        async with self.http.request(method, f"{self.url}/v1/{path}", json=body, headers=headers) as answer:
            said = await answer.text()
            assert answer.status < HTTPStatus.BAD_REQUEST, (method, path, said)
            return json.loads(said) if said else {}

    async def keep(self, path: str, fields: dict[str, Any]) -> None:
        await self.ask("POST", f"kv/data/{path}", {"data": fields})

    async def delete(self, path: str) -> None:
        await self.ask("DELETE", f"kv/data/{path}")

    async def token(self, seconds: int) -> str:
        wanted = {"policies": ["shop"], "ttl": f"{seconds}s", "renewable": True}
        return (await self.ask("POST", "auth/token/create", wanted))["auth"]["client_token"]

    async def ends(self, token: str) -> float:
        found = await self.ask("POST", "auth/token/lookup", {"token": token})
        return datetime.fromisoformat(found["data"]["expire_time"]).timestamp()

    async def revoke_logins(self) -> None:
        await self.ask("PUT", "sys/leases/revoke-prefix/auth/kubernetes/login")

    async def logins(self) -> int:
        return len(self.reviews)

    async def seal(self) -> None:
        await self.ask("PUT", "sys/seal")

    async def unseal(self) -> None:
        await self.ask("PUT", "sys/unseal", {"key": self.unseal_key})

    async def furnish(self, cluster: str) -> None:
        await self.ask("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        await self.ask("PUT", "sys/policies/acl/shop", {"policy": POLICY})
        await self.ask("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        told = {"kubernetes_host": cluster, "token_reviewer_jwt": JWT, "disable_local_ca_jwt": True}
        await self.ask("POST", "auth/kubernetes/config", told)
        for name, seconds in ROLES.items():
            role = {
                "bound_service_account_names": ["recoup"],
                "bound_service_account_namespaces": ["shop"],
                "token_policies": ["shop"],
                "token_ttl": f"{seconds}s",
                **({"token_max_ttl": f"{seconds}s"} if name == "hasty" else {}),
            }
            await self.ask("POST", f"auth/kubernetes/role/{name}", role)
        # A new KV mount takes a moment to become one of version 2.
        await until(self._takes_secrets)

    async def _takes_secrets(self) -> bool:
        headers = {"X-Vault-Token": ROOT}
        async with self.http.post(f"{self.url}/v1/kv/data/probe", json={"data": {}}, headers=headers) as answer:
            return answer.status == HTTPStatus.OK


@asynccontextmanager
async def real() -> AsyncGenerator[Desk]:
    url = f"http://127.0.0.1:{free_port()}"
    with running(url) as output:
        async with aiohttp.ClientSession() as http:
            desk = Real(url, http)
            await until(partial(said_its_key, output))
            desk.unseal_key = unseal_key(output)
            async with cluster(desk.reviews) as address:
                await desk.furnish(address)
                yield desk


@contextmanager
def running(url: str) -> Generator[Path]:
    """A Vault of its own that keeps everything in memory, and the file of what it says."""
    with tempfile.TemporaryDirectory(prefix="rc-") as folder:
        output = Path(folder, "output")
        command = [BINARY, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT}"]
        command += [f"-dev-listen-address={url.removeprefix('http://')}"]
        with output.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env={"HOME": folder})
        try:
            yield output
        finally:
            process.kill()
            process.wait(30)


async def said_its_key(output: Path) -> bool:
    """It says the last of it once it answers."""
    return "Root Token:" in await asyncio.to_thread(output.read_text)


def unseal_key(output: Path) -> str:
    return output.read_text().partition("Unseal Key:")[2].split()[0]


@asynccontextmanager
async def cluster(reviews: list[str]) -> AsyncGenerator[str]:
    """Kubernetes as Vault asks it whose a token is."""

    async def review(request: web.Request) -> web.Response:
        token = (await request.json())["spec"]["token"]
        reviews.append(token)
        user = {"username": ACCOUNT["sub"], "uid": "3f1c", "groups": ["system:serviceaccounts"]}
        status = {"authenticated": token == JWT, "user": user if token == JWT else {}}
        said = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
        return web.json_response(said, status=HTTPStatus.CREATED)

    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()

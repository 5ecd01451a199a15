"""HashiCorp Vault: reads KV version 2, signs in by a token or as a Kubernetes service account, and stays signed in.

https://developer.hashicorp.com/vault/api-docs: /secret/kv/kv-v2, /auth/token, /auth/kubernetes. Writes nothing. Errors
say what Vault was asked for and with which status it answered; never a token, nor anything of an answer that was good.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct

from recoup.kit.config import Secret
from recoup.kit.errors import Failure, Invalid, Unavailable
from recoup.kit.telemetry import logger

T = TypeVar("T", bound=Struct)
log = logger(__name__)
_SHORTEST_PAUSE: Final = 0.2
_RENEWED_AT: Final = 2 / 3
"""Of a lease's life."""


class VaultSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Vault is and who we are to it."""

    address: str = ""
    """`https://vault.example:8200`; empty: no setting may refer to Vault."""
    namespace: str = ""
    """Of Vault Enterprise."""
    auth: Literal["token", "kubernetes"] = "token"
    token: Secret = Secret("")
    """For `token`; may be `env:NAME` or `file:/path`."""
    role: str = ""
    """For `kubernetes`: the role of Vault's that our service account may take."""
    mount: str = "kubernetes"
    """For `kubernetes`: where the method is mounted."""
    jwt_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    """For `kubernetes`: the service account's own token; read again at every sign-in."""
    ca_file: str = ""
    """Certificates to trust, in PEM; empty for the system's."""
    timeout_seconds: float = 10.0
    """How long one answer may take."""
    refresh_seconds: float = 300.0
    """How often it is looked whether a secret has changed, and at the latest whether we are still signed in."""


class _Auth(Struct):
    client_token: str
    lease_duration: int = 0
    renewable: bool = False


class _SignedIn(Struct):
    auth: _Auth


class _Self(Struct):
    ttl: int = 0
    renewable: bool = False


class _LookedUp(Struct):
    data: _Self


class _Metadata(Struct):
    version: int


class _Versioned(Struct):
    data: dict[str, object] | None
    metadata: _Metadata


class _Kept(Struct):
    data: _Versioned


class _Errors(Struct):
    errors: list[str] = []


@dataclass(frozen=True, slots=True)
class _Place:
    """`mount/path#field`."""

    mount: str
    path: str
    field: str

    @classmethod
    def of(cls, text: str) -> Self:
        where, _, field_ = text.partition("#")
        mount, _, path = where.strip("/").partition("/")
        if not mount or not path or not field_:
            raise Invalid("a place in Vault is written mount/path#field")
        return cls(mount, path, field_)


@dataclass(slots=True)
class Vault:
    """One sign-in. Open it with `async with`."""

    settings: VaultSettings
    _session: aiohttp.ClientSession | None = None
    _token: Secret = field(default_factory=Secret)
    _lease_seconds: float = 0.0
    """How long the sign-in lasts if it is not renewed; 0 for one that does not end or can't be renewed."""
    _versions: dict[_Place, int] = field(default_factory=dict)
    _signing_in: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> Self:
        settings = self.settings
        if settings.auth == "token" and not settings.token:
            raise Invalid("settings: vault.token is missing")
        if settings.auth == "kubernetes" and not settings.role:
            raise Invalid("settings: vault.role is missing")
        trusted = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
            connector=aiohttp.TCPConnector(ssl=trusted), cookie_jar=aiohttp.DummyCookieJar(),
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self, place: str) -> Secret:
        """The newest version of a field; raises Invalid for what is not there, Unavailable without an answer."""
        where = _Place.of(place)
        found, version = await self._read(where)
        self._versions[where] = version
        return found

    async def watch(self) -> None:
        """Stays signed in, and says when a secret has changed since it was read; for ever."""
        while True:
            lease = self._lease_seconds * _RENEWED_AT or self.settings.refresh_seconds
            await asyncio.sleep(max(_SHORTEST_PAUSE, min(lease, self.settings.refresh_seconds)))
            try:
                await self._renew()
                await self._look()
            except Failure as failure:
                log.warning("Vault: what was read stays in use", why=failure.detail)

    async def _look(self) -> None:
        for where, known in list(self._versions.items()):
            _, version = await self._read(where)
            if version != known:
                self._versions[where] = version
                log.warning(
                    "a secret has changed in Vault; a restart takes it over", mount=where.mount, path=where.path,
                    field=where.field, version=version,
                )  # fmt: skip

    async def _read(self, where: _Place) -> tuple[Secret, int]:
        async with self._signing_in:
            if not self._token:
                await self._sign_in()
        path = f"/v1/{quote(where.mount)}/data/{quote(where.path)}"
        kept = (await self._ask("GET", path, _Kept)).data
        value = (kept.data or {}).get(where.field)
        if not isinstance(value, str) or not value:
            known = ", ".join(sorted(kept.data or {})) or "none"
            raise Invalid(f"version {kept.metadata.version} has no text under {where.field!r}; its fields: {known}")
        return Secret(value), kept.metadata.version

    async def _sign_in(self) -> None:
        if self.settings.auth == "token":
            self._token = self.settings.token
            mine = (await self._ask("GET", "/v1/auth/token/lookup-self", _LookedUp)).data
            self._lease_seconds = mine.ttl if mine.renewable else 0.0
            return
        body = {"role": self.settings.role, "jwt": (await self._jwt()).reveal()}
        path = f"/v1/auth/{quote(self.settings.mount)}/login"
        self._take((await self._ask("POST", path, _SignedIn, body, signed=False)).auth)

    async def _renew(self) -> None:
        """Makes the sign-in last longer; where that is refused, signs in anew."""
        async with self._signing_in:
            if self._token and self._lease_seconds:
                try:
                    return self._take((await self._ask("POST", "/v1/auth/token/renew-self", _SignedIn, {})).auth)
                except Invalid as refused:
                    log.warning("Vault does not renew our sign-in", why=refused.detail)
            if self.settings.auth == "kubernetes":
                await self._sign_in()
        return None

    def _take(self, auth: _Auth) -> None:
        self._token = Secret(auth.client_token)
        self._lease_seconds = float(auth.lease_duration)

    async def _jwt(self) -> Secret:
        try:
            return Secret((await asyncio.to_thread(Path(self.settings.jwt_file).read_text)).strip())
        except OSError as error:
            raise Invalid(f"vault.jwt_file {self.settings.jwt_file} cannot be read: {error.strerror}") from error

    async def _ask(
        self, method: str, path: str, kind: type[T], body: Mapping[str, str] | None = None, *, signed: bool = True
    ) -> T:
        if self._session is None:
            raise Unavailable("Vault is not open")
        headers = {"X-Vault-Request": "true"}
        headers |= {"X-Vault-Token": self._token.reveal()} if signed else {}
        headers |= {"X-Vault-Namespace": self.settings.namespace} if self.settings.namespace else {}
        url = self.settings.address.rstrip("/") + path
        try:
            async with self._session.request(
                method, url, headers=headers, json=body, allow_redirects=False
            ) as answer:  # fmt: skip
                return _understood(answer.status, await answer.read(), kind, f"{method} {path}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"Vault does not answer: {str(error) or type(error).__name__}") from error


def _understood(status: int, body: bytes, kind: type[T], asked: str) -> T:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Unavailable(f"Vault answered {status} to {asked}{_why(body)}")
    if status == HTTPStatus.NOT_FOUND:
        raise Invalid(f"Vault has nothing there, or its newest version was deleted ({asked})")
    if status != HTTPStatus.OK:
        raise Invalid(f"Vault answered {status} to {asked}{_why(body)}")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError:
        # Not `from`: the error of a decoder may quote what it read.
        raise Invalid(f"Vault's answer to {asked} is not as expected; is this a KV mount of version 2?") from None


def _why(body: bytes) -> str:
    """What Vault says was wrong; it never repeats what it was sent."""
    try:
        said = "; ".join(msgspec.json.decode(body, type=_Errors).errors)
    except msgspec.MsgspecError:
        return ""
    return f": {said[:200]}" if said else ""

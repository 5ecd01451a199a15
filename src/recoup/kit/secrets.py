"""Where secret settings come from: as they stand, or by a reference to the environment, a file or Vault.

`env:NAME`, `file:/path` and `vault:mount/path#field` are references; anything else is the secret itself. A setting
takes one if it is a `Secret` or a `SecretUrl`. What a reference leads to is never printed and never logged: errors name
the setting and the reference, and nothing that came back.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Protocol, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from recoup.kit.config import Secret
from recoup.kit.errors import Invalid, Refused, Unavailable
from recoup.kit.telemetry import logger
from recoup.kit.vault import Vault, VaultSettings

S = TypeVar("S", bound=msgspec.Struct)
log = logger(__name__)

SecretUrl = Annotated[str, Meta(extra={"secret": True})]
"""A URL that may hold a password; it may be given by reference like a `Secret`."""
_LARGEST_FILE: Final = 65_536


class Source(Protocol):
    """One place secrets are kept in."""

    async def read(self, place: str) -> Secret:
        """What is there; raises Invalid or Missing for what is not, Unavailable where nobody answers."""
        ...


@dataclass(frozen=True, slots=True)
class Environment:
    """`env:NAME`."""

    environ: Mapping[str, str]

    async def read(self, place: str) -> Secret:
        value = self.environ.get(place, "")
        if not value:
            raise Invalid(f"the environment has no {place}")
        return Secret(value)


@dataclass(frozen=True, slots=True)
class Files:
    """`file:/path`; what ends the last line does not belong to it."""

    async def read(self, place: str) -> Secret:
        if not place.startswith("/"):
            raise Invalid("a file is named by its whole path, from / on")
        try:
            found = await asyncio.to_thread(_beginning, Path(place))
        except OSError as error:
            raise Invalid(f"{place} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise Invalid(f"{place} is not text") from None
        value = found.rstrip("\r\n")
        if not value or len(found) > _LARGEST_FILE:
            raise Invalid(f"{place} is empty" if not value else f"{place} is longer than {_LARGEST_FILE} signs")
        return Secret(value)


@dataclass(slots=True)
class Secrets:
    """Every source, by the word that stands before the colon."""

    sources: Mapping[str, Source]
    vault: Vault | None = field(default=None)

    async def resolved(self, settings: S, prefix: str = "") -> S:
        """The settings with every reference replaced by what it leads to."""
        changed: dict[str, object] = {}
        for each in msgspec.structs.fields(settings):
            value: object = getattr(settings, each.name)
            name = f"{prefix}{each.name}"
            if isinstance(value, msgspec.Struct):
                changed[each.name] = await self.resolved(value, f"{name}.")
            elif isinstance(value, str) and _is_secret(each.type):
                found = await self._read(name, value if isinstance(value, Secret) else Secret(value))
                changed[each.name] = found if isinstance(value, Secret) else found.reveal()
        return msgspec.structs.replace(settings, **changed)

    async def _read(self, name: str, given: Secret) -> Secret:
        word, colon, place = given.reveal().partition(":")
        if not colon or word not in self.sources:
            return given
        try:
            return await self.sources[word].read(place)
        except Refused as error:
            raise Invalid(f"settings: {name} ({word}:{place}): {error.detail}") from error
        except Unavailable as error:
            raise Unavailable(f"settings: {name} ({word}:{place}): {error.detail}") from error


@asynccontextmanager
async def opened(environ: Mapping[str, str], vault: VaultSettings) -> AsyncGenerator[Secrets]:
    """All sources; Vault only where it has an address, and signed in to only when something is asked of it."""
    sources: dict[str, Source] = {"env": Environment(environ), "file": Files(), "vault": _NoVault()}
    if not vault.address:
        yield Secrets(sources)
        return
    # What opens Vault may itself be kept in the environment or in a file.
    proven = await Secrets({name: sources[name] for name in ("env", "file")}).resolved(vault, "vault.")
    async with Vault(proven) as client:
        yield Secrets({**sources, "vault": client}, client)


class _NoVault:
    """Says what is missing."""

    async def read(self, place: str) -> Secret:
        raise Invalid(f"vault.address is not set, so nothing can be read from {place.partition('#')[0]}")


def _is_secret(kind: Any) -> bool:  # noqa: ANN401 - a type as written in a Struct
    if kind is Secret:
        return True
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return any(isinstance(mark, Meta) and (mark.extra or {}).get("secret") is True for mark in marks)


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_LARGEST_FILE + 1)

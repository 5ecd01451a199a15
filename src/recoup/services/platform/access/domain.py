"""What a key looks like, and what it allows. A key is `rk_live_` or `rk_pub_`, 43 random signs, and 6 of checksum.

The checksum tells a mistyped or made-up key from a revoked one without asking the database. A key of a browser may be
bound to the pages that use it; refused is whatever comes from elsewhere, and whatever does not say where it comes from.
"""

import hmac
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID
from zlib import crc32

from msgspec import Struct

from recoup.kit.errors import Conflict, Forbidden, Invalid, Unauthenticated
from recoup.messages.access import PUBLISHABLE_KEY, SECRET_KEY, TABLE, Permission, Principal

KeyKind = Literal["secret_key", "publishable_key"]

PREFIXES: Final[dict[KeyKind, str]] = {"secret_key": "rk_live_", "publishable_key": "rk_pub_"}
GRANTS: Final[dict[KeyKind, frozenset[Permission]]] = {"secret_key": SECRET_KEY, "publishable_key": PUBLISHABLE_KEY}
SIGNS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_BYTES: Final = 32
RANDOM_SIGNS: Final = 43
CHECKSUM_SIGNS: Final = 6
SHOWN_SIGNS: Final = 6

_ORIGIN: Final = re.compile(r"(https?)://((?:\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(?::(\d{1,5}))?")
_USUAL_PORTS: Final = {"http": "80", "https": "443"}


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as it is listed: never the key itself."""

    id: UUID
    store_id: str
    kind: KeyKind
    name: str
    prefix: str
    created_at: datetime
    scopes: tuple[str, ...]
    """What it may do; never more than keys of its kind may."""
    allowed_origins: tuple[str, ...] = ()
    """Of pages that may use it; empty for any."""
    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    """Its own limit; without one the setting for all keys holds."""
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: UUID | None = None
    """The key it was rotated into."""


class Scope(Struct, frozen=True, kw_only=True):
    """Something a key may be allowed to do."""

    scope: Permission
    meaning: str
    kinds: Sequence[KeyKind]


def spelled(kind: KeyKind, randomness: bytes) -> str:
    """The key made of so many random bytes."""
    body = PREFIXES[kind] + _signs(int.from_bytes(randomness), RANDOM_SIGNS)
    return body + _checksum(body)


def plausible(key: str) -> bool:
    """Whether it can be one of ours at all."""
    prefix = next((prefix for prefix in PREFIXES.values() if key.startswith(prefix)), None)
    if prefix is None or len(key) != len(prefix) + RANDOM_SIGNS + CHECKSUM_SIGNS or not key.isascii():
        return False
    return _checksum(key[:-CHECKSUM_SIGNS]) == key[-CHECKSUM_SIGNS:]


def shown(key: str, kind: KeyKind) -> str:
    """As much of a key as may be shown again."""
    return key[: len(PREFIXES[kind]) + SHOWN_SIGNS]


def principal(key: ApiKey) -> Principal:
    """Who acts when the key is used. A scope that its kind no longer has counts for nothing."""
    scopes = sorted(GRANTS[key.kind].intersection(key.scopes))
    return Principal(subject=f"key:{key.id}", kind=key.kind, stores={key.store_id: scopes})


def admit(key: ApiKey | None, now: datetime, origin: str | None) -> ApiKey:
    """The key, if it may be used now from there; raises Unauthenticated or Forbidden."""
    if key is None:
        raise Unauthenticated("this API key does not exist", code="key_invalid")
    if key.revoked_at is not None:
        raise Unauthenticated("this API key was revoked", code="key_revoked")
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthenticated("this API key has expired", code="key_expired")
    if key.allowed_origins and not from_one_of(key.allowed_origins, origin):
        said = f"from {origin}" if origin else "without an Origin header"
        raise Forbidden(f"this API key may not be used {said}", code="origin_refused")
    return key


def admit_page(allowed: Sequence[str], origin: str) -> None:
    """Raises Forbidden for a page that is not among those a store has registered, where it has registered any."""
    if allowed and not from_one_of(allowed, origin):
        raise Forbidden(f"this store's keys may not be used from {origin}", code="origin_refused")


def from_one_of(allowed: Iterable[str], origin: str | None) -> bool:
    """Whether a page of this origin is meant; `https://*.shop.example` means every host below shop.example."""
    if origin is None:
        return False
    origin = origin.lower()
    for each in allowed:
        scheme, star, rest = each.partition("*")
        if origin == each or (star and origin.startswith(scheme) and origin.endswith(rest)):
            return True
    return False


def origins(kind: KeyKind, asked: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers write them; raises Invalid."""
    if asked and kind == "secret_key":
        raise Invalid("a secret key is for servers, which send no Origin", code="origin_invalid")
    return tuple(dict.fromkeys(_origin(each.strip().lower()) for each in asked))


def scopes(
    kind: KeyKind, asked: Collection[Permission] | None, maker: Collection[Permission]
) -> tuple[Permission, ...]:
    """What a new key may do: what was asked for, or all that its kind and its maker may. Raises Invalid or Forbidden.

    What publishable keys may is open to everybody who sees a page of the shop, so anybody may hand it out.
    """
    grantable = _grantable(kind, maker)
    if asked is None:
        return tuple(sorted(grantable))
    never = sorted(frozenset(asked) - GRANTS[kind])
    if never or not asked:
        said = f"never have the scope '{never[0]}'" if never else "need a scope"
        raise Invalid(f"keys of the kind {kind} {said}", code="scope_invalid")
    beyond = sorted(frozenset(asked) - grantable)
    if beyond:
        raise Forbidden(f"nobody hands out what he may not do himself: '{beyond[0]}'", code="scope_beyond")
    return tuple(sorted(frozenset(asked)))


def offered(maker: Collection[Permission]) -> list[Scope]:
    """Every scope this maker may hand out."""
    grantable: dict[KeyKind, frozenset[Permission]] = {kind: _grantable(kind, maker) for kind in GRANTS}
    found = (
        Scope(scope=scope, meaning=granted.meaning, kinds=[kind for kind in grantable if scope in grantable[kind]])
        for scope, granted in TABLE.items()
    )
    return [scope for scope in found if scope.kinds]


def _grantable(kind: KeyKind, maker: Collection[Permission]) -> frozenset[Permission]:
    return GRANTS[kind] & (PUBLISHABLE_KEY | frozenset(maker))


def rotatable(key: ApiKey, maker: Collection[Permission], now: datetime) -> ApiKey:
    """The key, if this maker may have its like; raises Conflict or Forbidden."""
    if key.replaced_by is not None:
        raise Conflict(f"this key was rotated into {key.replaced_by} already", code="key_rotated")
    if key.expires_at is not None and key.expires_at <= now:
        raise Conflict("this key has expired: make another", code="key_expired")
    scopes(key.kind, GRANTS[key.kind].intersection(key.scopes), maker)
    return key


def expiry(asked: datetime | None, now: datetime) -> datetime | None:
    """A time until which a key is in force; raises Invalid unless it is to come."""
    if asked is not None and asked <= now:
        raise Invalid(f"{asked.isoformat()} is over already", code="expiry_invalid")
    return asked


def proof(key_digest: bytes, user_id: str) -> str:
    """What a shop shows for a user: HMAC-SHA256 of the user's id under the SHA-256 of one of its secret keys."""
    return hmac.digest(key_digest, user_id.encode(), "sha256").hex()


def proven(key_digests: Iterable[bytes], user_id: str, user_hash: str) -> bool:
    """Whether one of these keys made the hash."""
    given = user_hash.encode()
    return any(hmac.compare_digest(proof(each, user_id).encode(), given) for each in key_digests)


def _origin(text: str) -> str:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise Invalid(f"{text!r} is no origin such as https://shop.example", code="origin_invalid")
    scheme, host, _, port = found.groups()
    return f"{scheme}://{host}" if port in {None, _USUAL_PORTS[scheme]} else f"{scheme}://{host}:{int(port)}"


def _checksum(body: str) -> str:
    return _signs(crc32(body.encode()), CHECKSUM_SIGNS)


def _signs(number: int, length: int) -> str:
    signs = ""
    while number:
        number, digit = divmod(number, len(SIGNS))
        signs = SIGNS[digit] + signs
    return signs.rjust(length, SIGNS[0])

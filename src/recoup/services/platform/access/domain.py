"""What a key looks like, and what it allows. A key is `rk_live_` or `rk_pub_`, 43 random signs, and 6 of checksum.

The checksum tells a mistyped or made-up key from a revoked one without asking the database.
"""

import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal
from uuid import UUID
from zlib import crc32

from msgspec import Struct

from recoup.messages.access import PUBLISHABLE_KEY, SECRET_KEY, Permission, Principal

KeyKind = Literal["secret_key", "publishable_key"]

PREFIXES: Final[dict[KeyKind, str]] = {"secret_key": "rk_live_", "publishable_key": "rk_pub_"}
GRANTS: Final[dict[KeyKind, frozenset[Permission]]] = {"secret_key": SECRET_KEY, "publishable_key": PUBLISHABLE_KEY}
SIGNS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_BYTES: Final = 32
RANDOM_SIGNS: Final = 43
CHECKSUM_SIGNS: Final = 6
SHOWN_SIGNS: Final = 6


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as it is listed: never the key itself."""

    id: UUID
    store_id: str
    kind: KeyKind
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


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
    """Who acts when the key is used."""
    return Principal(subject=f"key:{key.id}", kind=key.kind, stores={key.store_id: sorted(GRANTS[key.kind])})


def proof(key_digest: bytes, user_id: str) -> str:
    """What a shop shows for a user: HMAC-SHA256 of the user's id under the SHA-256 of one of its secret keys."""
    return hmac.digest(key_digest, user_id.encode(), "sha256").hex()


def proven(key_digests: Iterable[bytes], user_id: str, user_hash: str) -> bool:
    """Whether one of these keys made the hash."""
    given = user_hash.encode()
    return any(hmac.compare_digest(proof(each, user_id).encode(), given) for each in key_digests)


def _checksum(body: str) -> str:
    return _signs(crc32(body.encode()), CHECKSUM_SIGNS)


def _signs(number: int, length: int) -> str:
    signs = ""
    while number:
        number, digit = divmod(number, len(SIGNS))
        signs = SIGNS[digit] + signs
    return signs.rjust(length, SIGNS[0])

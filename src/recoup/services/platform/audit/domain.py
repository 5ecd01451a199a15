"""One line of the audit trail, and the chain the lines make.

What is hashed is stated here as it is in the database, in other words, so that a trail that was exported can be checked
where there is no database: SHA-256 of the hash before (32 bytes, zero for a store's first line), and after it each of
seq, id, store_id, at (UTC, microseconds), actor, action, subject, address and request_id, then every name and value of
the detail by the bytes of its name; each as its length in bytes in decimal, a colon, its UTF-8, and a comma.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

Action = Literal[
    "login", "logout", "refresh_reused", "session_ended", "password_changed", "password_reset", "second_factor_begun",
    "second_factor_enabled",
    "second_factor_disabled", "recovery_code_used", "recovery_codes_made", "member_invited", "invitation_revoked",
    "invitation_accepted",
    "key_made", "key_revoked", "key_rotated", "settings_changed", "store_made",
    "store_renamed", "member_changed", "member_removed", "schema_registered", "schema_deleted",
    "schema_purged", "schema_settings_changed", "schema_migration_set", "schema_migration_removed",
    "flag_changed", "flag_deleted", "signing_key_distrusted",
]  # fmt: skip
"""What the platform's own rooms call their changes; those of other services are called by their method and path."""
FIRST: Final = "00" * 32
"""What stands before the first line."""


class Actor(Struct, frozen=True):
    """Who acts, from where, with which request."""

    subject: str
    address: str = ""
    request_id: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """Something that was done in a store. Never holds a secret or what a request said."""

    id: UUID
    store_id: str
    seq: int
    """Which line of the store's trail, from 1."""
    at: datetime
    actor: str
    action: str
    subject: str
    """What it was done to."""
    address: str = ""
    request_id: str = ""
    detail: dict[str, str | int] = {}
    previous: str
    """The hash of the line before."""
    hash: str


class Wanted(Struct, frozen=True, kw_only=True):
    """Which lines are asked for; what is None does not matter."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a chain holds; where not, which line is the first that does not, and why."""

    intact: bool
    lines: int
    """How many were looked at."""
    last_seq: int = 0
    last_hash: str = FIRST
    """To be noted down elsewhere: a trail whose end was cut off is a chain as well."""
    broken_at: int | None = None
    why: str = ""


def digest(entry: Entry) -> str:
    """The hash a line must have."""
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    said = (
        str(entry.seq), str(entry.id), entry.store_id, at, entry.actor, entry.action, entry.subject, entry.address,
        entry.request_id,
    )  # fmt: skip
    detail = sorted(entry.detail.items(), key=lambda pair: pair[0].encode())
    parts = b"".join(_part(str(part)) for part in (*said, *chain.from_iterable(detail)))
    return sha256(bytes.fromhex(entry.previous) + parts).hexdigest()


def verified(entries: Iterable[Entry], *, gaps: bool = False) -> Verdict:
    """Checks lines of one store, in order; with `gaps` some may be missing between them, as in a filtered export."""
    lines, seq, last = 0, 0, FIRST
    for entry in entries:
        why = _broken(entry, seq, last, gaps=gaps)
        if why:
            return Verdict(intact=False, lines=lines, last_seq=seq, last_hash=last, broken_at=entry.seq, why=why)
        lines, seq, last = lines + 1, entry.seq, entry.hash
    return Verdict(intact=True, lines=lines, last_seq=seq, last_hash=last)


def _broken(entry: Entry, seq: int, last: str, *, gaps: bool) -> str:
    if digest(entry) != entry.hash:
        return "its content is not what was hashed"
    follows = entry.seq == seq + 1
    if follows and entry.previous != last:
        return "it does not carry the hash of the line before"
    if entry.seq <= seq or not (follows or gaps):
        return f"line {seq + 1} should stand here"
    return ""


def _part(text: str) -> bytes:
    said = text.encode()
    return b"%d:%b," % (len(said), said)

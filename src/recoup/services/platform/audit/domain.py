"""One line of the audit trail."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

Action = Literal[
    "login", "logout", "refresh_reused", "key_made", "key_revoked", "key_rotated", "settings_changed", "store_made",
    "store_renamed", "member_added", "member_changed", "member_removed", "schema_registered", "schema_deleted",
    "schema_purged", "schema_settings_changed", "schema_migration_set", "schema_migration_removed",
]  # fmt: skip


class Actor(Struct, frozen=True):
    """Who acts, and from where."""

    subject: str
    address: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """Something that was done in a store. Never holds a secret."""

    id: UUID
    store_id: str
    at: datetime
    actor: str
    action: Action
    subject: str
    address: str = ""
    detail: dict[str, str | int] = {}

"""Who may do what: permissions, roles and the verified caller. The one permission table of the house."""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from recoup.kit.errors import Forbidden, Invalid


class Permission(StrEnum):
    """One thing a caller may do in a store. Routes declare these; `public` routes ask for none."""

    SELF_READ = "self:read"
    """Who one is, and which stores one belongs to."""
    EVENTS_WRITE = "events:write"
    EVENTS_READ = "events:read"
    DLQ_READ = "dlq:read"
    """Dead letters, with everything the shop sent in them."""
    DLQ_WRITE = "dlq:write"
    PREDICT_READ = "predict:read"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    INTERVENTIONS_RECEIVE = "interventions:receive"
    INTERVENTIONS_READ = "interventions:read"
    INTERVENTIONS_WRITE = "interventions:write"
    ANALYTICS_READ = "analytics:read"
    EXPORT_READ = "export:read"
    SCHEMAS_READ = "schemas:read"
    SCHEMAS_WRITE = "schemas:write"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    TEAM_READ = "team:read"
    TEAM_WRITE = "team:write"
    STORES_WRITE = "stores:write"
    MONITORING_READ = "monitoring:read"
    MONITORING_WRITE = "monitoring:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    INTERNAL = "internal"
    """Between our own services only; no role and no key has it."""


_READS = frozenset(permission for permission in Permission if permission.endswith(":read"))
_PEOPLE = frozenset(Permission) - {Permission.INTERNAL, Permission.INTERVENTIONS_RECEIVE}


class Role(StrEnum):
    """What a person is in a store."""

    OWNER = "owner"
    ANALYST = "analyst"
    VIEWER = "viewer"


GRANTS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: _PEOPLE,
    Role.ANALYST: _READS - {Permission.KEYS_READ}
    | {Permission.MODELS_WRITE, Permission.JOBS_WRITE, Permission.MONITORING_WRITE, Permission.DLQ_WRITE},
    Role.VIEWER: _READS
    - {Permission.KEYS_READ, Permission.TEAM_READ, Permission.EXPORT_READ, Permission.SETTINGS_READ},
}

SECRET_KEY = _PEOPLE - {Permission.TEAM_WRITE, Permission.STORES_WRITE, Permission.KEYS_WRITE}
PUBLISHABLE_KEY = frozenset({Permission.EVENTS_WRITE, Permission.INTERVENTIONS_RECEIVE})


class Principal(Struct, frozen=True, kw_only=True):
    """A verified caller: a person, an API key, or one of our services. Carried inside the internal token."""

    subject: str
    kind: Literal["person", "secret_key", "publishable_key", "service"]
    stores: dict[str, list[Permission]] = {}
    """What it may do, by store."""
    session: str | None = None
    """The sign-in a person acts under."""

    def demand(self, permission: str) -> None:
        """Raises Forbidden unless this caller has the permission in some store."""
        if self.kind == "service" or any(permission in granted for granted in self.stores.values()):
            return
        raise Forbidden(f"this identity lacks {permission!r}")

    def tenant(self, requested: str | None, permission: str) -> str:
        """The store a request is about: the one it names, or the caller's only one."""
        if self.kind == "service":
            if requested is None:
                raise Invalid("store_id is missing")
            return requested
        if requested is None:
            if len(self.stores) != 1:
                raise Invalid("store_id is missing: this identity belongs to several stores")
            (requested,) = self.stores
        if permission not in self.stores.get(requested, ()):
            raise Forbidden(f"this identity lacks {permission!r} in store {requested!r}")
        return requested


def service_principal(name: str) -> Principal:
    """The identity of one of our services."""
    return Principal(subject=f"service:{name}", kind="service")

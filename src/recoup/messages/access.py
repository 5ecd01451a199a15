"""Who may do what: permissions, roles and the verified caller. The one permission table of the house."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from recoup.kit.errors import Forbidden, Invalid


class Permission(StrEnum):
    """One thing a caller may do in a store. Routes declare these; `public` routes ask for none."""

    SELF_READ = "self:read"
    SELF_WRITE = "self:write"
    EVENTS_WRITE = "events:write"
    EVENTS_READ = "events:read"
    DLQ_READ = "dlq:read"
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
    FLAGS_READ = "flags:read"
    FLAGS_WRITE = "flags:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    TEAM_READ = "team:read"
    TEAM_WRITE = "team:write"
    STORES_WRITE = "stores:write"
    SIGNING_WRITE = "signing:write"
    MONITORING_READ = "monitoring:read"
    MONITORING_WRITE = "monitoring:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    INTERNAL = "internal"


class Role(StrEnum):
    """What a person is in a store."""

    OWNER = "owner"
    ADMIN = "admin"
    MARKETER = "marketer"
    ANALYST = "analyst"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Granted(NamedTuple):
    """A row of the table: what a permission opens, and to whom."""

    meaning: str
    people: frozenset[Role] = frozenset()
    secret_key: bool = False
    publishable_key: bool = False


_INITIALS: Final = dict(zip(Role, "oamndv", strict=True))


def _to(people: str, keys: Literal["", "secret", "secret publishable", "publishable"], meaning: str) -> Granted:
    """People by the letters of `_INITIALS`: n is the analyst."""
    roles = frozenset(role for role in Role if _INITIALS[role] in people)
    return Granted(meaning, roles, secret_key="secret" in keys.split(), publishable_key="publishable" in keys)


TABLE: Final[Mapping[Permission, Granted]] = {
    Permission.SELF_READ: _to("oamndv", "secret", "Who one is, and which stores one belongs to."),
    Permission.SELF_WRITE: _to("oamndv", "", "One's own password, second factor and sign-ins."),
    Permission.EVENTS_WRITE: _to("oad", "secret publishable", "Send events."),
    Permission.EVENTS_READ: _to("oamndv", "secret", "See events arrive, and counts of them."),
    Permission.DLQ_READ: _to("oamndv", "secret", "Dead letters and parked records, with all the shop sent in them."),
    Permission.DLQ_WRITE: _to("oand", "secret", "Mend, retry and drop dead letters; put parked records back."),
    Permission.PREDICT_READ: _to("oamndv", "secret", "Predictions of carts and their reasons."),
    Permission.MODELS_READ: _to("oamndv", "secret", "Models and their figures."),
    Permission.MODELS_WRITE: _to("oand", "secret", "Train models, put them in force or out of it."),
    Permission.INTERVENTIONS_RECEIVE: _to("", "publishable", "Get messages shown in a shopper's page."),
    Permission.INTERVENTIONS_READ: _to("oamndv", "secret", "Decisions, messages and templates."),
    Permission.INTERVENTIONS_WRITE: _to("oam", "secret", "Change templates, shoppers' wishes and messages."),
    Permission.ANALYTICS_READ: _to("oamndv", "secret", "Figures, carts and their stories."),
    Permission.EXPORT_READ: _to("oamnd", "secret", "Take data out in bulk."),
    Permission.SCHEMAS_READ: _to("oamndv", "secret", "Schemas of events."),
    Permission.SCHEMAS_WRITE: _to("oad", "secret", "Register, change and retire schemas."),
    Permission.SETTINGS_READ: _to("oamnd", "secret", "A store's settings."),
    Permission.SETTINGS_WRITE: _to("oa", "secret", "Change a store's settings."),
    Permission.FLAGS_READ: _to("oamndv", "secret", "Feature flags, and what they would serve."),
    Permission.FLAGS_WRITE: _to("oad", "secret", "Change feature flags."),
    Permission.KEYS_READ: _to("oad", "secret", "API keys by their first signs, never whole."),
    Permission.KEYS_WRITE: _to("oad", "", "Make, rotate and revoke API keys; none that may do more than oneself."),
    Permission.TEAM_READ: _to("oamnd", "secret", "Who belongs to a store, and its audit trail."),
    Permission.TEAM_WRITE: _to("oa", "", "Let people in and out; nobody into a role that may do more than oneself."),
    Permission.STORES_WRITE: _to("o", "", "Make stores and rename them."),
    Permission.SIGNING_WRITE: _to("o", "", "Distrust a key that signs access tokens, for owners of all stores."),
    Permission.MONITORING_READ: _to("oamndv", "secret", "Health, figures of the machinery, alerts."),
    Permission.MONITORING_WRITE: _to("oand", "secret", "Report and settle alerts."),
    Permission.JOBS_READ: _to("oamndv", "secret", "Jobs and their runs."),
    Permission.JOBS_WRITE: _to("oand", "secret", "Run, pause and resume jobs."),
    Permission.INTERNAL: _to("", "", "Between Recoup's own services; no role and no key has it."),
}
"""The one permission table: everything else is derived from it, and docs/guides/permissions.md is drawn from it."""

GRANTS: Final = {
    role: frozenset(permission for permission, granted in TABLE.items() if role in granted.people) for role in Role
}
SECRET_KEY: Final = frozenset(permission for permission, granted in TABLE.items() if granted.secret_key)
PUBLISHABLE_KEY: Final = frozenset(permission for permission, granted in TABLE.items() if granted.publishable_key)


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

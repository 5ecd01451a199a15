"""The platform joined together."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import cast

from litestar import Router
from litestar.di import Provide
from litestar.types import ASGIApp

from recoup.kit.balancing import Balancer
from recoup.kit.health import HealthChecks
from recoup.kit.http import caller_of
from recoup.kit.mail import mailer_of
from recoup.kit.passwords import Passwords
from recoup.kit.postgres import Postgres
from recoup.kit.proxy import Proxy
from recoup.kit.sealing import Sealer
from recoup.kit.service import Check, Consumer, Service, Worker
from recoup.kit.upload import ProxyLimits
from recoup.kit.valkey import ping
from recoup.messages.access import Principal
from recoup.messages.changes import CHANGES_MADE, CONFIG_CHANGES
from recoup.messages.deps import Deps
from recoup.services.platform.access import api as access_api
from recoup.services.platform.access.actions import KeyMaking, KeyRing
from recoup.services.platform.access.store import Keys
from recoup.services.platform.audit import api as audit_api
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.audit.handlers import Told as ChangesTold
from recoup.services.platform.audit.jobs import Begun
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.docs import api as docs_api
from recoup.services.platform.docs.actions import Library
from recoup.services.platform.first_run import api as first_run_api
from recoup.services.platform.first_run.api import Told
from recoup.services.platform.first_run.domain import FirstRun
from recoup.services.platform.first_run.store import Beginnings
from recoup.services.platform.flags import api as flags_api
from recoup.services.platform.flags.actions import FlagActions
from recoup.services.platform.flags.domain import Limits as FlagLimits
from recoup.services.platform.flags.store import Flags
from recoup.services.platform.gateway.actions import Edge, Identities, Routes
from recoup.services.platform.gateway.api import Gateway
from recoup.services.platform.gateway.domain import COLLECTING, PATIENT, networks
from recoup.services.platform.health import api as health_api
from recoup.services.platform.health.api import EnginesAndPeers
from recoup.services.platform.identity.actions.factors import SecondFactor
from recoup.services.platform.identity.actions.guard import Guard, Limits
from recoup.services.platform.identity.actions.keys import KeyChange
from recoup.services.platform.identity.actions.letters import LetterWriter, Postage
from recoup.services.platform.identity.actions.passwords import PasswordChange, Rules
from recoup.services.platform.identity.actions.sign_in import SignIn
from recoup.services.platform.identity.actions.team import Invitations, Team
from recoup.services.platform.identity.actions.tokens import AccessTokens
from recoup.services.platform.identity.api import account as account_api
from recoup.services.platform.identity.api import sign_in as sign_in_api
from recoup.services.platform.identity.api import team as team_api
from recoup.services.platform.identity.api.asking import Asking, address_of
from recoup.services.platform.identity.domain import normalised
from recoup.services.platform.identity.jobs import Upkeep
from recoup.services.platform.identity.store.attempts import Attempts
from recoup.services.platform.identity.store.credentials import Credentials
from recoup.services.platform.identity.store.factors import Factors
from recoup.services.platform.identity.store.letters import Letters
from recoup.services.platform.identity.store.people import People
from recoup.services.platform.identity.store.sessions import Sessions
from recoup.services.platform.identity.store.signing import SigningKeys
from recoup.services.platform.pages import api as pages_api
from recoup.services.platform.pages.store import Pages
from recoup.services.platform.ratelimits.actions import Limiter
from recoup.services.platform.ratelimits.domain import Rates, endpoints
from recoup.services.platform.ratelimits.store import RateWindows
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.api import confluent, confluent_words
from recoup.services.platform.schemas.api import graphql as graphql_api
from recoup.services.platform.schemas.api import migrations as migrations_api
from recoup.services.platform.schemas.api import rest as schemas_api
from recoup.services.platform.schemas.api.graphql import GraphLimits
from recoup.services.platform.schemas.domain import Limits as SchemaLimits
from recoup.services.platform.schemas.store import Schemas
from recoup.services.platform.settings import Settings
from recoup.services.platform.stores import api as stores_api
from recoup.services.platform.stores.actions import StoreActions
from recoup.services.platform.stores.store import Stores


@dataclass(frozen=True, slots=True)
class _Rooms:
    """Everything of the platform that remembers something."""

    db: Postgres
    audit: AuditLog
    people: People
    stores: Stores
    keys: Keys
    sessions: Sessions
    letters: Letters
    signing: SigningKeys
    schemas: Schemas
    passwords: Passwords


def build(deps: Deps, settings: Settings) -> Service:
    rooms = _rooms(deps, settings)
    ring = KeyRing(rooms.keys, deps.clock, deps.stores)
    tokens = AccessTokens(rooms.signing, rooms.sessions, deps.clock, timedelta(minutes=settings.access_minutes))
    key_change = KeyChange(rooms.signing, tokens, deps.clock)
    writer = LetterWriter(
        rooms.letters, mailer_of(settings.smtp_url, Path(deps.data) / "mail"), deps.clock,
        Postage(settings.mail_from, deps.public_url, timedelta(minutes=settings.reset_minutes)),
    )  # fmt: skip
    engines = (Check("postgresql", rooms.db.ping), Check("valkey", partial(ping, deps.valkey)))
    parts = EnginesAndPeers(deps.peers, engines)
    routes = Routes(Path(settings.routes) if settings.routes else None, tuple(deps.peers.addresses))
    limiter = Limiter(RateWindows.on(deps.valkey), _rates(settings))
    begun = Begun(rooms.audit, timedelta(seconds=settings.change_outcome_seconds))
    health = HealthChecks(Balancer.of(deps.peers.addresses), deps.peers)

    async def begin() -> None:
        await rooms.passwords.prepare()
        await _begin(deps, settings, rooms)
        await tokens.open()

    return Service(
        name="platform",
        routers=_routers(
            {**_given(deps, settings, rooms, ring, parts), **_identity(deps, settings, rooms, tokens, key_change)}
        ),
        front=_front(deps, settings, Identities(ring, tokens, deps.signer), routes, limiter, rooms.stores),
        consumes=(Consumer(CHANGES_MADE, on_messages=ChangesTold(rooms.audit).on_changes),),
        emits=(CONFIG_CHANGES, CHANGES_MADE),
        workers=(
            Worker("last uses of keys", ring.note_uses),
            Worker("changed keys", ring.watch),
            Worker("rate limits", limiter.watch),
            Worker("ended sign-ins and signing keys", tokens.watch),
            Worker("letters", writer.watch),
            Worker("health of instances", health.watch),
            Worker("routes", routes.watch),
            Worker("changes without outcome", begun.watch),
        ),
        jobs=Upkeep(key_change, rooms.sessions, deps.clock).jobs(),
        checks=parts.checks,
        notes_changes=True,
        on_start=(begin,),
        on_stop=(rooms.db.close, ring.flush, writer.mailer.close),
    )


async def bootstrap(deps: Deps, settings: Settings) -> FirstRun | None:
    """Begins a new installation, as the platform does when it starts; None when there is somebody already."""
    rooms = _rooms(deps, settings)
    try:
        return await _begin(deps, settings, rooms)
    finally:
        await rooms.db.close()


def _rooms(deps: Deps, settings: Settings) -> _Rooms:
    db = Postgres(deps.postgres_url, "platform")
    audit = AuditLog(db)
    return _Rooms(
        db=db, audit=audit, people=People(db, audit), stores=Stores(db, audit), keys=Keys(db, audit),
        sessions=Sessions(db, audit, timedelta(days=settings.refresh_days)), letters=Letters(db, audit),
        signing=SigningKeys(
            db, audit, Sealer(deps.signer.seed, "signing keys"), timedelta(seconds=settings.key_lead_seconds)
        ),
        schemas=Schemas(db, audit),
        passwords=Passwords(),
    )  # fmt: skip


async def _begin(deps: Deps, settings: Settings, rooms: _Rooms) -> FirstRun | None:
    beginnings = Beginnings(rooms.db, rooms.people, rooms.stores, rooms.keys, rooms.passwords, _first_run_file(deps))
    made = await beginnings.begin(
        url=deps.public_url,
        email=normalised(settings.admin_email),
        store_name=settings.store_name,
        now=deps.clock.now(),
    )
    if made is not None:
        await deps.publish(CONFIG_CHANGES, [await rooms.stores.configured(made.store_id)])
    return made


def _first_run_file(deps: Deps) -> Path:
    return Path(deps.data) / "first-run.json"


def _identity(
    deps: Deps, settings: Settings, rooms: _Rooms, tokens: AccessTokens, key_change: KeyChange
) -> Mapping[str, object]:
    """What the doors of sign-in may ask for, by name."""
    limits = Limits(
        per_account_and_address=settings.login_attempts, per_account=settings.login_attempts_per_account,
        per_address=settings.login_attempts_per_address, codes=settings.code_attempts, letters=settings.letters,
    )  # fmt: skip
    people, passwords, clock = rooms.people, rooms.passwords, deps.clock
    guard = Guard(Attempts(deps.valkey), limits)
    factors = Factors(rooms.db, people, Sealer(deps.signer.seed, "second factors"))
    second_factor = SecondFactor(people, factors, passwords, guard, clock)
    credentials = Credentials(rooms.db, people, rooms.sessions, rooms.letters)
    rules = Rules(passwords, settings.password_signs)
    invited_for = timedelta(days=settings.invitation_days)
    return {
        "people": people,
        "sessions": rooms.sessions,
        "letters": rooms.letters,
        "key_change": key_change,
        "factors": factors,
        "second_factor": second_factor,
        "sign_in": SignIn(people, rooms.sessions, tokens, second_factor, passwords, guard, clock),
        "password_change": PasswordChange(people, credentials, rooms.letters, tokens, passwords, rules, guard, clock),
        "team": Team(people, tokens, clock),
        "invitations": Invitations(rooms.letters, credentials, passwords, rules, clock, invited_for),
    }


def _given(
    deps: Deps, settings: Settings, rooms: _Rooms, ring: KeyRing, parts: EnginesAndPeers
) -> Mapping[str, object]:
    """What a handler of anything else may ask for, by name."""
    package = Path(str(files("recoup")))
    stores = StoreActions(rooms.stores, deps.peers, deps.publish, deps.clock)
    return {
        "audit": rooms.audit,
        "stores": rooms.stores,
        "keys": rooms.keys,
        "ring": ring,
        "making": KeyMaking(rooms.keys, ring, deps.clock),
        "clock": deps.clock,
        "actions": stores,
        "schemas": rooms.schemas,
        "registry": Registry(rooms.schemas, stores.tell, deps.clock, _schema_limits(settings)),
        "graph_limits": GraphLimits(depth=settings.graphql_depth, cost=settings.graphql_cost),
        "flags": FlagActions(Flags(rooms.db, rooms.audit), stores.tell, deps.clock, _flag_limits(settings)),
        "parts": parts,
        "library": Library(deps.peers),
        "console": Pages(package / "console"),
        "storefront": Pages(package / "storefront"),
        "told": Told(_first_run_file(deps)),
    }


def _routers(given: Mapping[str, object]) -> Sequence[Router]:
    dependencies = {name: Provide(_always(value), sync_to_thread=False) for name, value in given.items()}
    features = {
        "sign-in": (*sign_in_api.HANDLERS, *account_api.HANDLERS),
        "team": team_api.HANDLERS,
        "keys": access_api.HANDLERS,
        "stores": stores_api.HANDLERS,
        "flags": flags_api.HANDLERS,
        "audit": audit_api.HANDLERS,
        "schemas": (*schemas_api.HANDLERS, *migrations_api.HANDLERS, *graphql_api.HANDLERS),
        "health": health_api.HANDLERS,
        "pages": (*pages_api.HANDLERS, *docs_api.HANDLERS, *first_run_api.HANDLERS),
    }
    dependencies["actor"] = Provide(_actor, sync_to_thread=False)
    stock = Router(
        "/registry", route_handlers=confluent.HANDLERS, tags=["registry"], dependencies=dependencies,
        exception_handlers={Exception: confluent_words.fault},
    )  # fmt: skip
    own = (
        Router("/", route_handlers=handlers, tags=[tag], dependencies=dependencies)
        for tag, handlers in features.items()
    )
    return [*own, stock]


def _flag_limits(settings: Settings) -> FlagLimits:
    return FlagLimits(
        flags=settings.flags, bytes=settings.flag_bytes, depth=settings.flag_depth,
        stale_after=timedelta(days=settings.flag_stale_days),
    )  # fmt: skip


def _schema_limits(settings: Settings) -> SchemaLimits:
    return SchemaLimits(
        schema_bytes=settings.schema_bytes, versions=settings.schema_versions, subjects=settings.schema_subjects,
        reference_depth=settings.schema_reference_depth,
    )  # fmt: skip


def _rates(settings: Settings) -> Rates:
    return Rates(
        user=settings.rate_user, key=settings.rate_key, store=settings.rate_store, endpoint=settings.rate_endpoint,
        address=settings.rate_address, endpoints=endpoints(settings.rate_endpoints),
    )  # fmt: skip


def _front(
    deps: Deps, settings: Settings, identities: Identities, routes: Routes, limiter: Limiter, stores: Stores
) -> Callable[[ASGIApp], ASGIApp]:
    limits = ProxyLimits(
        body_bytes=settings.body_limit_bytes, frame_bytes=settings.frame_limit_bytes,
        connect_seconds=settings.connect_seconds, call_seconds=settings.call_seconds,
        upload_seconds=settings.upload_seconds, silence_seconds=settings.silence_seconds,
        total_seconds=settings.total_seconds,
    )  # fmt: skip
    proxy = Proxy(deps.peers.session, Balancer.of(deps.peers.addresses), limits, _chance, deps.peers.ssl)
    trusted = networks(settings.trusted_proxies)
    edge = Edge(stores.allowed_origins, is_secure=deps.public_url.startswith("https:"))

    def front(own: ASGIApp) -> ASGIApp:
        return Gateway(
            own, identities, deps.peers, proxy, routes, limiter, trusted, edge, settings.webhook_limit_bytes,
            {
                **dict.fromkeys(COLLECTING, settings.collect_seconds),
                **dict.fromkeys(PATIENT, settings.patient_seconds),
            },
        )  # fmt: skip

    return front


def _chance() -> float:
    """From 0 up to 1."""
    return int.from_bytes(os.urandom(4)) / 2**32


def _always(value: object) -> Callable[[], object]:
    return lambda: value


def _actor(request: Asking) -> Actor:
    """Who is acting, for the audit trail."""
    subject = cast("Principal", caller_of(request)).subject
    return Actor(subject, address_of(request), request.headers.get("x-request-id", ""))

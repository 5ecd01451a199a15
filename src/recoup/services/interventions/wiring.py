"""Puts the interventions service together. The only place where its parts meet."""

import asyncio
from dataclasses import dataclass
from functools import partial

from recoup.kit.config import Secret
from recoup.kit.postgres import Postgres
from recoup.kit.service import Check, Consumer, Service, Worker
from recoup.kit.smtp import Smtp
from recoup.kit.valkey import ping
from recoup.messages.deps import Deps
from recoup.messages.proofs import Proofs
from recoup.messages.stores import Channel
from recoup.messages.topics import (
    CONVERSION_EVENTS,
    EVENTS_ENRICHED,
    INTERVENTION_EVENTS,
    PREDICTION_RESULTS,
    RISK_SIGNALS,
)
from recoup.services.interventions.announcements.jobs import Announcer
from recoup.services.interventions.announcements.store import Announcements
from recoup.services.interventions.attribution.actions import Attribution
from recoup.services.interventions.attribution.store import Orders
from recoup.services.interventions.channels import api as channels_api
from recoup.services.interventions.channels.api import Switchboard
from recoup.services.interventions.channels.domain import Channel as Way
from recoup.services.interventions.channels.email import OutboxChannel, SmtpChannel
from recoup.services.interventions.channels.proofs import Seating
from recoup.services.interventions.channels.sockets import Hub, SocketChannel
from recoup.services.interventions.channels.store import Outbox, Sockets
from recoup.services.interventions.clocks.store import Clocks
from recoup.services.interventions.decisions.handlers import Handlers as Decisions
from recoup.services.interventions.decisions.store.interventions import Interventions
from recoup.services.interventions.decisions.store.slots import Slots
from recoup.services.interventions.deliveries import api as deliveries_api
from recoup.services.interventions.deliveries.actions import Endings
from recoup.services.interventions.deliveries.jobs import Courier, Known
from recoup.services.interventions.deliveries.parcels import Parcels
from recoup.services.interventions.deliveries.store import Deliveries
from recoup.services.interventions.preferences import api as preferences_api
from recoup.services.interventions.preferences.handlers import Handlers as Risks
from recoup.services.interventions.preferences.store import People
from recoup.services.interventions.settings import Settings
from recoup.services.interventions.shoppers.domain import COLUMNS
from recoup.services.interventions.shoppers.handlers import Handlers as Shoppers
from recoup.services.interventions.templates.store import builtin
from recoup.services.interventions.tracking import api as tracking_api
from recoup.services.interventions.tracking.actions import Tracking
from recoup.services.interventions.tracking.domain import key_from
from recoup.services.interventions.tracking.jobs import Settler
from recoup.services.interventions.tracking.store import Touches


@dataclass(frozen=True, slots=True)
class Bells:
    """What wakes the loops: something to send, something to tell, something touched."""

    due: asyncio.Event
    announced: asyncio.Event
    touched: asyncio.Event


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the service is made of."""

    people: People
    clocks: Clocks
    interventions: Interventions
    slots: Slots
    deliveries: Deliveries
    touches: Touches
    outbox: Outbox
    hub: Hub
    attribution: Attribution
    endings: Endings
    tracking: Tracking
    courier: Courier
    announcer: Announcer
    settler: Settler
    shoppers: Shoppers
    decisions: Decisions
    postgres: Postgres
    server: Smtp | None


def assemble(deps: Deps, settings: Settings) -> Parts:
    """The parts, joined; opens nothing yet."""
    postgres = Postgres(deps.postgres_url, "interventions", settings.connections)
    bells = Bells(asyncio.Event(), asyncio.Event(), asyncio.Event())
    people, touches, slots = People(postgres), Touches(postgres), Slots(deps.valkey)
    clocks = Clocks(postgres, deps.clock, deps.log.partitions)
    interventions, deliveries = Interventions(postgres), Deliveries(postgres, deps.log.partitions)
    sockets, outbox = Sockets(deps.valkey, deps.clock), Outbox(postgres)
    attribution = Attribution(Orders(postgres), touches, people, deps.stores, bells.announced)
    endings = Endings(deliveries, interventions, slots, people, deps.stores, clocks, deps.clock, bells.announced)
    key = key_from(deps.signer.seed.reveal())
    server = Smtp(Secret(settings.smtp_url.reveal())) if settings.smtp_url.reveal() else None
    ways: dict[Channel, Way] = {
        "websocket": SocketChannel(sockets),
        "email": SmtpChannel(server) if server else OutboxChannel(outbox),
    }
    return Parts(
        people=people, clocks=clocks, interventions=interventions, slots=slots, deliveries=deliveries, touches=touches,
        outbox=outbox, hub=Hub(sockets), attribution=attribution, endings=endings, postgres=postgres, server=server,
        tracking=Tracking(touches, interventions, people, deps.stores, clocks, deps.clock, key, bells.touched),
        courier=Courier(
            deliveries, Known(interventions, people, sockets, attribution, deps.stores), slots,
            Parcels(builtin(), key, deps.public_url.rstrip("/")), ways, deps.clock, bells.due, bells.announced,
        ),
        announcer=Announcer(Announcements(postgres), deps.publish, bells.announced),
        settler=Settler(touches, deps.clock, bells.touched, bells.announced),
        shoppers=Shoppers(people, interventions, attribution, endings, clocks, deps.stores, bells.due),
        decisions=Decisions(
            interventions, slots, people, sockets, attribution, deps.stores, deps.clock, (bells.due, bells.announced),
            settings.patience_seconds,
        ),
    )  # fmt: skip


def build(deps: Deps, settings: Settings) -> Service:
    """The service's doors, loops and engines."""
    parts = assemble(deps, settings)
    return Service(
        name="interventions",
        routers=(
            deliveries_api.router(parts.endings, parts.clocks, parts.touches, parts.attribution.orders),
            channels_api.router(
                Switchboard(parts.hub, parts.endings, Seating(Proofs(deps.peers)), deps.clock), parts.outbox
            ),
            tracking_api.router(parts.tracking),
            preferences_api.router(parts.people, deps.clock),
        ),
        consumes=(
            Consumer(PREDICTION_RESULTS, on_messages=parts.decisions.on_carts_scored),
            Consumer(
                EVENTS_ENRICHED.only(*COLUMNS),
                on_batch=parts.shoppers.on_events,
                gather_seconds=settings.gather_seconds,
            ),
            Consumer(RISK_SIGNALS, on_messages=Risks(parts.people).on_risk_signals),
        ),
        emits=(INTERVENTION_EVENTS, CONVERSION_EVENTS),
        workers=(
            Worker("deliver", parts.courier.run),
            Worker("announce", parts.announcer.run),
            Worker("judge touches", parts.settler.run),
            Worker("relay frames", parts.hub.run),
        ),
        checks=(
            Check("postgresql", parts.postgres.ping),
            Check("valkey", partial(ping, deps.valkey)),
            Check("log", deps.log.ping),
        ),
        on_stop=(parts.postgres.close, *((parts.server.close,) if parts.server else ())),
    )

"""What each process of the house is given: settings, dependencies, an HTTP face.

Which processes there are: `processes`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from litestar import Litestar
from msgspec import Struct
from msgspec.structs import replace as revised

from recoup.kit.balancing import Balancer, Balancing
from recoup.kit.breaker import BreakerSettings, RetrySettings
from recoup.kit.clock import SystemClock
from recoup.kit.config import Secret
from recoup.kit.discovery import Discovery, DiscoverySettings, provider_of
from recoup.kit.doors import Doors, Tls
from recoup.kit.errors import Invalid, Refused, Unavailable
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.idempotency import Answers
from recoup.kit.lean import without
from recoup.kit.log.open import open_log
from recoup.kit.niceness import step_back
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.process import run
from recoup.kit.runner import Publisher
from recoup.kit.secrets import SecretUrl, opened
from recoup.kit.service import Consumer, Service, Worker
from recoup.kit.spiffe import Identity, MutualTls
from recoup.kit.telemetry import configure_logs, export_to, logger
from recoup.kit.tokens import Signer, Verifier
from recoup.kit.trail import Change, Doer, End, Stage, Trail
from recoup.kit.valkey import connect
from recoup.kit.vault import VaultSettings
from recoup.messages.access import Principal, service_principal
from recoup.messages.changes import CHANGES_MADE, CONFIG_CHANGES, changes_begun, is_change
from recoup.messages.deps import Deps
from recoup.messages.keys import IDEMPOTENT_ANSWERS
from recoup.messages.stores import StoreDirectory, UsesNoted
from recoup.processes import PROCESSES, Process
from recoup.services.ai.settings import Settings as Ai
from recoup.services.intelligence.settings import Settings as Intelligence
from recoup.services.interventions.settings import Settings as Interventions
from recoup.services.monitoring.settings import Settings as Monitoring
from recoup.services.pipeline.settings import Settings as Pipeline
from recoup.services.platform.settings import Settings as Platform
from recoup.services.scheduler.settings import Settings as Scheduler

INTERNAL_TOKEN_LIFETIME = timedelta(minutes=5)
USES_EVERY = timedelta(minutes=1)
log = logger(__name__)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, by the environment: RECOUP_NAME, or RECOUP_SECTION__NAME."""

    internal_key: Secret
    """Seed of the key pair that signs identities between services; the same for all of one installation."""
    postgres_url: SecretUrl
    valkey_url: SecretUrl
    warehouse_url: SecretUrl
    log_url: SecretUrl = ""
    """kafka://host:port,… for Apache Kafka; empty means Valkey Streams in the Valkey above."""
    partitions: int = 8
    data: str = "data"
    public_url: str = "http://127.0.0.1:8080"
    host: str = "127.0.0.1"
    port: int = 8080
    member: str = "0"
    """Which of several processes of one service this is; a restarted one keeps its name."""
    niceness: int | None = None
    """How far the process steps back for others on its machine; None for what `processes.py` says."""
    log_level: str = "INFO"
    otlp_endpoint: str | None = None
    starts_after: str | None = None
    """A file to wait for before anything is opened; `recoup up` makes it when the databases are up to date."""
    peers: dict[str, str] = {}
    """Base URL by process name: RECOUP_PEERS__AI=http://127.0.0.1:9003; of several instances, with commas."""
    inner_port: int = 0
    """A second door of the platform for our own services, where the public one speaks TLS: plain on this machine
    alone, or with mutual TLS. The others' ports become such doors themselves by mutual TLS."""
    tls: Tls = Tls()
    mutual_tls: MutualTls = MutualTls()
    vault: VaultSettings = VaultSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    balancing: Balancing = Balancing()
    breaker: BreakerSettings = BreakerSettings()
    retries: RetrySettings = RetrySettings()
    http: HttpSettings = HttpSettings()
    platform: Platform = Platform()
    pipeline: Pipeline = Pipeline()
    ai: Ai = Ai()
    interventions: Interventions = Interventions()
    intelligence: Intelligence = Intelligence()
    monitoring: Monitoring = Monitoring()
    scheduler: Scheduler = Scheduler()


def dependencies(name: str, settings: Settings) -> Deps:
    """What a process may use; opens no connection yet."""
    clock = SystemClock()
    signer = Signer(settings.internal_key, clock, INTERNAL_TOKEN_LIFETIME)
    identity = TokenSource(
        make=lambda: signer.sign(service_principal(name)),
        renew_after_seconds=INTERNAL_TOKEN_LIFETIME.total_seconds() / 2,
    )
    log = open_log(settings.log_url or settings.valkey_url, settings.partitions, settings.valkey_url)
    balancer = Balancer(settings.balancing, settings.breaker, settings.retries)
    if settings.discovery.url:
        balancer.update(dict.fromkeys(PROCESSES, ""))  # known by name; where they are will be told
    balancer.update(settings.peers)
    mutual = Identity(settings.mutual_tls) if settings.mutual_tls.certificate else None
    peers = Peers(balancer, identity, mutual=mutual)
    return Deps(
        member=f"{name}-{settings.member}",
        postgres_url=settings.postgres_url,
        warehouse_url=settings.warehouse_url,
        valkey=connect(settings.valkey_url),
        log=log,
        publish=Publisher(log),
        clock=clock,
        peers=peers,
        stores=StoreDirectory(peers),
        signer=signer,
        public_url=settings.public_url,
        data=settings.data,
    )


def build(name: str, settings: Settings, deps: Deps) -> Service:
    """The service of a process; raises Invalid for an unknown name."""
    process = _process(name)
    module, _, function = process.builder.partition(":")
    builder = cast("Callable[[Deps, Struct], Service]", getattr(import_module(module), function))
    return builder(deps, cast("Struct", getattr(settings, process.section)))


def _process(name: str) -> Process:
    if name not in PROCESSES:
        raise Invalid(f"no service {name!r}; there are {', '.join(PROCESSES)}")
    return PROCESSES[name]


def application(service: Service, settings: Settings, deps: Deps) -> Litestar:
    """Its HTTP face."""
    verifier = Verifier(settings.internal_key, Principal, SystemClock())
    answers = Answers(
        deps.valkey, settings.internal_key, lambda name: IDEMPOTENT_ANSWERS.key(service=service.name, request=name)
    )
    return create_app(service, settings.http, verifier.verify, answers=answers, trail=trail(service, deps))


def trail(service: Service, deps: Deps) -> Trail:
    """Tells the platform what people and keys change in a service: before it does so, and what became of it."""

    async def begin(who: Doer, change: Change) -> End:
        begun = changes_begun(service.name, cast("Principal", who), change, deps.clock.now())
        if not service.notes_changes:
            await deps.publish(CHANGES_MADE, begun)

        async def end(stage: Stage, status: int) -> None:
            if stage is not Stage.MADE and service.notes_changes:
                return
            now = deps.clock.now()
            ended = [revised(each, stage=stage, status=status, occurred_at=now) for each in begun]
            await deps.publish(CHANGES_MADE, ended)

        return end

    return Trail(begin, is_change, "store_id")


async def with_secrets(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with every secret that they only refer to."""
    async with opened(environ, settings.vault) as secrets:
        return await secrets.resolved(settings)


async def serve(name: str, settings: Settings, environ: Mapping[str, str]) -> None:
    """Runs one process until it is told to stop, signed in to Vault where secrets are kept there."""
    async with opened(environ, settings.vault) as secrets:
        watching = () if secrets.vault is None else (Worker("vault", secrets.vault.watch),)
        await _serve(name, await secrets.resolved(settings), watching)


async def _serve(name: str, settings: Settings, watching: Sequence[Worker]) -> None:
    process = _process(name)
    if not process.needs_pandas:
        without("pandas")
    configure_logs(name, settings.log_level)
    await step_back(process.niceness if settings.niceness is None else settings.niceness)
    if settings.otlp_endpoint is not None:
        from recoup.kit.spans import OtlpExporter

        export_to(OtlpExporter(name, settings.otlp_endpoint))
    deps = dependencies(name, settings)
    service = build(name, settings, deps)
    if settings.starts_after is not None:
        await _made(Path(settings.starts_after))
    changes = Consumer(CONFIG_CHANGES, on_messages=deps.stores.on_configured, group=f"{deps.member}-config")
    closing = (deps.valkey.aclose, deps.log.close, deps.peers.close)
    listening = replace(
        service, consumes=(*service.consumes, changes), on_stop=(*closing, *service.on_stop),
        workers=(*service.workers, *watching, Worker("uses of flags", partial(tell_uses, deps)),
                 *_sisters(settings.discovery, deps.peers)),
    )  # fmt: skip
    doors = Doors(
        host=settings.host, port=settings.port, inner_port=settings.inner_port,
        header_seconds=settings.http.header_seconds, tls=settings.tls, identity=deps.peers.mutual,
        callers=tuple(PROCESSES),
    )  # fmt: skip
    await run(listening, application(service, settings, deps), deps.log, deps.member, doors)


async def tell_uses(deps: Deps, every: timedelta = USES_EVERY) -> None:
    """Tells the platform from time to time which flags this process has asked for."""
    while True:
        await asyncio.sleep(every.total_seconds())
        uses = deps.stores.take_uses()
        if not uses.stores:
            continue
        try:
            await deps.peers.post("platform", "/internal/flag-uses", uses, UsesNoted)
        except (Unavailable, Refused) as error:
            log.warning("uses of flags wait", why=error.detail)
            deps.stores.give_back(uses)


def _sisters(settings: DiscoverySettings, peers: Peers) -> Sequence[Worker]:
    """Keeps our certificate and the instances of all processes up to date, where anybody tells them."""
    provider = provider_of(settings, peers.session)
    renewing = () if peers.mutual is None else (Worker("certificates", peers.mutual.watch),)
    if provider is None:
        return renewing
    take = Balancer.of(peers.addresses).replace
    discovery = Discovery(provider, tuple(PROCESSES), take, settings.retry_seconds, settings.refresh_seconds)
    return (*renewing, Worker("discovery", discovery.run))


async def _made(file: Path) -> None:
    while True:
        if await asyncio.to_thread(file.exists):
            return
        await asyncio.sleep(0.05)

"""Gathers what is known of a store, here and at our sisters, and judges it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.messages.stores import StoreDirectory
from recoup.services.pipeline.arrivals.store import Arrivals
from recoup.services.pipeline.readiness.domain import verdicts
from recoup.services.pipeline.readiness.domain.verdicts import Check, Delay, Hook, Reach, Verdict
from recoup.services.pipeline.readiness.domain.warnings import Warned, warnings_of
from recoup.services.pipeline.webhooks.domain.signing import Platform
from recoup.services.pipeline.webhooks.store import Secrets

log = logger(__name__)
_PLATFORMS: Final = tuple(Platform)


class Readiness(Struct, frozen=True, kw_only=True):
    """How well a shop is connected, as of `at`."""

    at: datetime
    verdict: Verdict
    checks: Sequence[Check]
    warnings: Sequence[Warned]
    order_delay: Delay | None
    """Null while no order came within a day."""
    reach: Reach | None
    """Null while the service that knows does not answer."""


class Sister(Protocol):
    """Asks another service, as `kit.peers` does."""

    async def get(self, service: str, path: str, kind: type[Reach], params: Mapping[str, str]) -> Reach: ...


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks at a store when asked."""

    arrivals: Arrivals
    secrets: Secrets
    stores: StoreDirectory
    peers: Sister
    clock: Clock

    async def inspect(self, store_id: str) -> Readiness:
        """The checklist and what is wrong."""
        now = self.clock.now()
        store = await self.stores.settings(store_id)
        lately = await self.arrivals.read(store_id)
        reach = await self._reach(store_id)
        delay = verdicts.delay_of(lately)
        known = {secret.platform for secret in await self.secrets.known(store_id, now)}
        checks = [
            *verdicts.of_kinds(lately),
            verdicts.of_delay(delay, store),
            verdicts.of_reach(reach, store),
            *(verdicts.of_hook(Hook(platform, platform in known), lately) for platform in _PLATFORMS),
        ]
        return Readiness(
            at=now, verdict=verdicts.overall(checks), checks=checks, warnings=warnings_of(lately, reach, now),
            order_delay=None if store.clock == "event" else delay, reach=reach,
        )  # fmt: skip

    async def _reach(self, store_id: str) -> Reach | None:
        """As the service says that writes to people; without it, everything else is still worth knowing."""
        try:
            return await self.peers.get("interventions", "/interventions/reach", Reach, {"store_id": store_id})
        except Failure as failure:
            log.warning("reach is not known", store_id=store_id, why=failure.detail)
            return None

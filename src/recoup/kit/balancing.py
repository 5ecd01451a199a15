"""Which instance of a service is asked next: in turn or the least busy one, without those that are out.

An instance is out while its health check fails, for a while after it refused a connection or broke off several calls
in a row, and while its breaker is open. Where all that are left are out for their health they are asked nevertheless:
leaving an instance out must never make an outage longer. Where breakers are open nobody is asked: that is what they
are for.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Final, Literal

from msgspec import Struct
from prometheus_client import Counter, Gauge
from typing_extensions import override

from recoup.kit.breaker import Breaker, BreakerSettings, Budget, RetrySettings
from recoup.kit.clock import stopwatch
from recoup.kit.errors import Missing, Unavailable
from recoup.kit.telemetry import logger

log = logger(__name__)
INSTANCES = Gauge("gateway_instances", "Instances of a service that are asked, and that are left out", ["to", "state"])
OPENED = Counter(
    "gateway_breaker_opened_total", "Breakers that opened: of an instance, or of a whole service", ["to", "scope"]
)
RETRIES = Counter("gateway_retries_total", "Calls made again: refused connection, or broken off", ["to", "why"])
_PREFERENCE: Final = ((False, False), (False, True), (True, False), (True, True))
"""Whether an instance was tried for this request, and whether it is out: the first kind is asked before the next."""


class Balancing(Struct, frozen=True, kw_only=True):
    """How calls are spread over the instances of a service."""

    policy: Literal["round_robin", "least_outstanding"] = "round_robin"
    check_seconds: float = 10.0
    """How often each instance's /health is asked; one that is out is asked every second."""
    check_timeout_seconds: float = 2.0
    unhealthy_after: int = 2
    """So many health checks in a row fail before an instance is out; one that passes brings it back."""
    eject_after: int = 5
    """So many calls broken off in a row put an instance out; a refused connection does at once."""
    eject_seconds: float = 10.0
    """How long, the first time; longer by as much each time in a row, up to ten times."""


class Instance:
    """One process of a service: where it is, and how it has been doing."""

    __slots__ = ("breaker", "broken", "checks_failed", "ejections", "out_until", "outstanding", "url")

    def __init__(self, url: str, breaker: Breaker) -> None:
        self.url = url
        self.breaker = breaker
        self.outstanding = 0
        self.checks_failed = 0
        self.broken = 0
        self.ejections = 0
        self.out_until = 0.0


class Pool:
    """The instances of one service."""

    __slots__ = ("breaker", "budget", "instances", "name", "turn")

    def __init__(self, name: str, breaker: Breaker, budget: Budget) -> None:
        self.name = name
        self.breaker = breaker
        self.budget = budget
        self.instances: tuple[Instance, ...] = ()
        self.turn = 0


class Call:
    """One call on its way to one instance; the first of its endings counts."""

    __slots__ = ("_balancer", "_ended", "_judged", "_pool", "instance")

    def __init__(self, balancer: "Balancer", pool: Pool, instance: Instance) -> None:
        self._balancer = balancer
        self._pool = pool
        self._ended = False
        self._judged = False
        self.instance = instance

    def answered(self, *, well: bool | None) -> None:
        """It was answered: well, badly, or in a way that says nothing about the service's health."""
        if self._judge(None if well is None else not well) and well is not False:
            self.instance.broken = self.instance.ejections = 0
        self._end()

    def opened(self) -> None:
        """It was answered well, and goes on: a socket may last for days, and a trial call must not."""
        if self._judge(failed=False):
            self.instance.broken = self.instance.ejections = 0

    def refused(self) -> None:
        """Nobody was there: the call never happened, and this instance is out at once."""
        if self._judge(None):
            self._balancer.eject(self._pool, self.instance, "refuses connections")
        self._end()

    def broke(self) -> None:
        """It took too long or was broken off."""
        if self._judge(failed=True):
            self.instance.broken += 1
            if self.instance.broken >= self._balancer.settings.eject_after:
                self._balancer.eject(self._pool, self.instance, "breaks off")
        self._end()

    def dropped(self) -> None:
        """It is over, or we gave it up for reasons of our own."""
        self._judge(None)
        self._end()

    def may_repeat(self, why: str) -> bool:
        """Whether the service's budget allows for another call in its place."""
        allowed = self._pool.budget.spend(stopwatch())
        if allowed:
            RETRIES.labels(self._pool.name, why).inc()
        return allowed

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.instance.outstanding -= 1

    def _judge(self, failed: bool | None) -> bool:  # noqa: FBT001 - three values, not two
        """Says once how it went."""
        if self._judged:
            return False
        self._judged = True
        for breaker, scope in ((self.instance.breaker, "instance"), (self._pool.breaker, "service")):
            if breaker.leave(failed=failed):
                OPENED.labels(self._pool.name, scope).inc()
                log.warning("breaker opened", to=self._pool.name, scope=scope, instance=self.instance.url)
        return True


class Balancer(MutableMapping[str, str]):
    """All services and their instances. As a mapping it gives the base URL of the instance whose turn it is."""

    def __init__(
        self,
        settings: Balancing | None = None,
        breakers: BreakerSettings | None = None,
        retries: RetrySettings | None = None,
    ) -> None:
        self.settings = settings or Balancing()
        self.retries = retries or RetrySettings()
        self._breakers = breakers or BreakerSettings()
        self._pools: dict[str, Pool] = {}

    @classmethod
    def of(cls, addresses: Mapping[str, str]) -> "Balancer":
        """What is given if it is one already; else one of these addresses."""
        if isinstance(addresses, Balancer):
            return addresses
        made = cls()
        made.update(addresses)
        return made

    def replace(self, service: str, urls: Sequence[str]) -> None:
        """From now on these are the instances of a service; those that were there before keep what is known of them."""
        pool = self._pools.get(service)
        if pool is None:
            pool = self._pools[service] = Pool(service, Breaker(service, self._breakers), Budget(self.retries))
        known = {instance.url: instance for instance in pool.instances}
        pool.instances = tuple(
            known.get(url) or Instance(url, Breaker(url, self._breakers))
            for url in dict.fromkeys(url.rstrip("/") for url in urls)
        )
        self.count(pool)

    def begin(self, service: str, tried: Iterable[Instance] = ()) -> Call:
        """A call to the instance whose turn it is, none of `tried` if there is another.

        Raises Missing for a service nobody knows, Unavailable where breakers say that nobody is to be asked.
        """
        pool = self._pools.get(service)
        if pool is None:
            raise Missing(f"no address is known for service {service!r}")
        now = stopwatch()
        if not pool.instances:
            raise _empty(pool)
        if not pool.breaker.enter():
            raise _open(pool, pool.breaker.wait(now))
        for instance in self._in_order(pool, tuple(tried), now):
            if instance.breaker.enter():
                if not tried:
                    pool.budget.pay_in()
                instance.outstanding += 1
                return Call(self, pool, instance)
        pool.breaker.leave(failed=None)
        raise _open(pool, min(instance.breaker.wait(now) for instance in pool.instances))

    def pools(self) -> Iterable[Pool]:
        return self._pools.values()

    def refused(self, service: str, url: str) -> None:
        """An instance that was taken from the mapping refused a connection: it is out at once."""
        pool = self._pools[service]
        for instance in pool.instances:
            if instance.url == url:
                self.eject(pool, instance, "refuses connections")

    def eject(self, pool: Pool, instance: Instance, why: str) -> None:
        """Leaves an instance out for a while."""
        now = stopwatch()
        instance.broken = 0
        if instance.out_until > now:
            return
        instance.ejections = min(instance.ejections + 1, 10)
        instance.out_until = now + self.settings.eject_seconds * instance.ejections
        log.warning("instance left out", to=pool.name, instance=instance.url, why=why)
        self.count(pool)

    def checked(self, pool: Pool, instance: Instance, *, well: bool) -> None:
        """A health check came back."""
        was_out = self.is_out(instance, stopwatch())
        instance.checks_failed = 0 if well else instance.checks_failed + 1
        if well:
            instance.out_until = 0.0
        is_out = self.is_out(instance, stopwatch())
        if is_out != was_out:
            log.warning("instance left out" if is_out else "instance is back", to=pool.name, instance=instance.url)
        self.count(pool)

    def is_out(self, instance: Instance, now: float) -> bool:
        """Whether an instance is left out for its health; its breaker is another matter."""
        return instance.out_until > now or instance.checks_failed >= self.settings.unhealthy_after

    def count(self, pool: Pool) -> None:
        """Writes down how many are asked."""
        now = stopwatch()
        out = sum(self.is_out(instance, now) for instance in pool.instances)
        INSTANCES.labels(pool.name, "out").set(out)
        INSTANCES.labels(pool.name, "in").set(len(pool.instances) - out)

    def _in_order(self, pool: Pool, tried: tuple[Instance, ...], now: float) -> Iterator[Instance]:
        """Those whose breaker is not open, from the one whose turn it is to the last resort."""
        willing = [instance for instance in pool.instances if not instance.breaker.wait(now)]
        pool.turn += 1
        for was_tried, is_out in _PREFERENCE:
            yield from self._turned(
                [
                    instance
                    for instance in willing
                    if (instance in tried) is was_tried and self.is_out(instance, now) is is_out
                ],
                pool.turn,
            )

    def _turned(self, instances: list[Instance], turn: int) -> list[Instance]:
        if len(instances) < 2:  # noqa: PLR2004 - nothing to choose
            return instances
        turned = instances[turn % len(instances) :] + instances[: turn % len(instances)]
        if self.settings.policy == "least_outstanding":
            turned.sort(key=lambda instance: instance.outstanding)
        return turned

    @override
    def __getitem__(self, service: str) -> str:
        pool, now = self._pools[service], stopwatch()
        if not pool.instances:
            raise _empty(pool)
        for instance in self._in_order(pool, (), now):
            return instance.url
        raise _open(pool, min(instance.breaker.wait(now) for instance in pool.instances))

    @override
    def __setitem__(self, service: str, urls: str) -> None:
        """Base URLs, with commas between them."""
        self.replace(service, [url.strip() for url in urls.split(",") if url.strip()])

    @override
    def __delitem__(self, service: str) -> None:
        del self._pools[service]

    @override
    def __contains__(self, service: object) -> bool:
        return service in self._pools

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    @override
    def __len__(self) -> int:
        return len(self._pools)


def _empty(pool: Pool) -> Unavailable:
    return Unavailable(f"{pool.name} has no instances", code="service_unavailable")


def _open(pool: Pool, wait: float) -> Unavailable:
    return Unavailable(f"{pool.name} failed too often; nobody asks it for {wait:.0f} s", code="circuit_open")

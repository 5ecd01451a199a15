"""A store's settings as every service sees them, and the directory that keeps them fresh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal, Protocol, TypeVar

from msgspec import Meta, Struct

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Refused, Unavailable
from recoup.kit.flags.model import Flag
from recoup.kit.flags.snapshot import Snapshot

T = TypeVar("T")


def _in(unit: str) -> Meta:
    return Meta(extra_json_schema={"x-unit": unit})


MINUTES, DAYS, PERCENT, MESSAGES = _in("minutes"), _in("days"), _in("percent"), _in("messages")
MINOR_UNITS = _in("minor units of the currency")
HourMinute = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$"), _in("HH:MM")]
Share = Annotated[float, Meta(ge=0, le=1), _in("share of 1")]
Channel = Literal["websocket", "email"]
Origin = Annotated[str, Meta(max_length=300, pattern=r"^https?://(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$")]


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a store can set, with its default."""

    clock: Literal["wall", "event"] = "wall"
    """What everything that waits goes by: our clock, or the newest `occurred_at` of the store's own events."""
    timezone: Annotated[str, Meta(max_length=64), _in("IANA name")] = "UTC"
    """The shop's; for shoppers whose own is not known, and for business hours."""
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$"), _in("ISO 3166 alpha-2")] = ""
    """Where the shop is at home, ISO 3166 alpha-2; decides which days are holidays. Empty: none is."""
    business_from: HourMinute = "00:00"
    """From when on somebody is there, in the shop's time zone."""
    business_until: HourMinute = "00:00"
    """Until when somebody is there. The same as `business_from` means that nobody said."""
    business_days: tuple[Annotated[int, Meta(ge=1, le=7), _in("day of the week, 1 is Monday")], ...] = (1, 2, 3, 4, 5)
    """The days on which these hours hold, 1 being Monday; holidays are none of them."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$"), _in("ISO 4217")] = "USD"
    """In which figures are told; orders in others are counted by themselves."""
    idle_minutes: Annotated[int, Meta(ge=1, le=10_080), MINUTES] = 30
    """A cart with items and without activity for so long is abandoned."""
    recovery_days: Annotated[int, Meta(ge=1, le=90), DAYS] = 7
    """An order within so many days of the abandonment recovers the cart; after them the cart expires."""
    oldest_event_days: Annotated[int, Meta(ge=1, le=3_650), DAYS] = 30
    """Older events are refused; not on an event clock."""
    flood_events_per_minute: Annotated[int, Meta(ge=300, le=1_000_000), _in("events a minute")] = 3_000
    """A visitor with more events than this within a minute floods: his wait in the overflow lane, so that nobody else's
    do. Not on an event clock."""
    threshold: Share = 0.3
    """Contact only above this probability of buying."""
    holdout: Share = 0.1
    """Share of people who are never contacted, so that the effect can be measured."""
    min_cart_value: Annotated[int, Meta(ge=0), MINOR_UNITS] = 0
    """Smallest cart worth a message."""
    delay_minutes: Annotated[int, Meta(ge=0, le=10_080), MINUTES] = 0
    """How long to wait after the abandonment before a message."""
    quiet_from: HourMinute = "21:00"
    """No e-mail from then on, in the shopper's time zone or else the store's."""
    quiet_until: HourMinute = "08:00"
    """E-mail again from then on. The same as `quiet_from` means never quiet."""
    max_per_hour: Annotated[int, Meta(ge=0, le=1000), MESSAGES] = 1
    """Marketing messages a person gets within an hour at most, over all channels."""
    max_per_day: Annotated[int, Meta(ge=0, le=1000), MESSAGES] = 2
    """The same within 24 hours."""
    max_per_week: Annotated[int, Meta(ge=0, le=1000), MESSAGES] = 5
    """The same within seven days."""
    discount_percent: Annotated[int, Meta(ge=0, le=100), PERCENT] = 10
    """The discount a message may offer; 0 means none."""
    channels: tuple[Channel, ...] = ("websocket", "email")
    """By which shoppers may be contacted, in order of preference."""
    excluded_products: tuple[Annotated[str, _in("product id")], ...] = ()
    """Carts that hold one of these are left alone."""
    attribution_days: Annotated[int, Meta(ge=1, le=90), DAYS] = 7
    """An order within so many days of a message counts as its doing, or after a decision as one of its arm."""
    sender: Annotated[str, Meta(max_length=320)] = "shop@example.com"
    """The address e-mail comes from."""
    name: Annotated[str, Meta(max_length=200)] = "the shop"
    """What messages call the shop."""
    shop_url: Annotated[str, Meta(max_length=2048)] = ""
    """Where a message's button leads; the cart id is appended as `?cart=`."""
    allowed_origins: Annotated[tuple[Origin, ...], Meta(max_length=100)] = ()
    """Pages that may use the store's publishable keys, as browsers name them: `https://shop.example`, or
    `https://*.shop.example` for every host below it. Empty: pages of any site."""
    contact_requires_consent: bool = True
    """E-mail only those whose consent to marketing is known."""
    repair_threshold: Share = 0.95
    """A broken event is mended and sent by itself only where the repairer is at least so sure."""
    unplanned_events: Literal["accept", "warn", "reject"] = "accept"
    """What becomes of events of a type for which no schema is registered."""
    dead_letter_limit: Annotated[int, Meta(ge=0), _in("dead letters")] = 1_000
    """More dead letters than this within minutes stop automatic repairs and retries and raise an alert; 0: never."""


class StoreConfigured(Struct, frozen=True, kw_only=True):
    """A store was made, or its settings, schemas or flags changed; carries settings and flags whole."""

    store_id: str
    version: int
    settings: StoreSettings
    schemas: int = 0
    """How often the store's schemas have changed: whoever keeps them asks for them again when this has grown."""
    flags: dict[str, Flag] = {}
    flags_revision: int = 0
    """How often the store's flags have changed."""


class FlagUses(Struct, frozen=True, kw_only=True):
    """How often a process asked for flags since it last said so, by store and flag."""

    stores: dict[str, dict[str, int]]


class UsesNoted(Struct, frozen=True):
    """That it was noted."""

    flags: int


class Asks(Protocol):
    """Asks a sister service, as `kit.peers` does; a pure domain may know settings, but no client of HTTP."""

    async def get(self, service: str, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T: ...


class Remembers(Protocol):
    """Keeps what the platform said, for a process that begins while it is away. Raises nothing."""

    async def find(self, store_id: str) -> StoreConfigured | None: ...

    async def keep(self, told: StoreConfigured) -> None: ...


@dataclass(slots=True)
class StoreDirectory:
    """Settings and flags by store, from the platform's API.

    They are kept until `config-changes` says otherwise or they are a minute old. When the platform does not answer,
    what is known is served on, or what `memory` knows from before; a store that is unknown raises Unavailable.
    """

    peers: Asks
    lifetime: timedelta = timedelta(minutes=1)
    memory: Remembers | None = None
    _kept: dict[str, StoreConfigured] = field(default_factory=dict)
    _known: dict[str, tuple[float, StoreSettings]] = field(default_factory=dict)
    _told: dict[str, StoreConfigured] = field(default_factory=dict)
    _flags: dict[str, Snapshot] = field(default_factory=dict)
    _uses: dict[str, dict[str, int]] = field(default_factory=dict)

    async def settings(self, store_id: str) -> StoreSettings:
        """A store's settings; raises Missing for no such store."""
        known = self._known.get(store_id)
        asked_at = stopwatch()
        if known is not None and asked_at - known[0] < self.lifetime.total_seconds():
            return known[1]
        if known is not None:
            # Whoever asks meanwhile goes by what is known: a platform that does not answer holds up one a minute.
            self._known[store_id] = (asked_at, known[1])
        try:
            found = await self.peers.get("platform", f"/internal/stores/{store_id}", StoreConfigured)
        except Refused:
            self._known.pop(store_id, None)
            raise
        except Unavailable:
            if known is not None:
                return known[1]
            remembered = await self.memory.find(store_id) if self.memory is not None else None
            if remembered is None:
                raise
            return self._take(remembered)
        if self.memory is not None and self._kept.get(store_id) != found:
            self._kept[store_id] = found
            await self.memory.keep(found)
        meanwhile = self._known.get(store_id)
        told = meanwhile is not None and meanwhile[0] > asked_at
        # An answer may be older than what was announced while it was on its way.
        return self._take(_newest(self._told[store_id], found) if told else found)

    async def schemas(self, store_id: str) -> int:
        """The revision of a store's schemas; raises Missing for no such store."""
        await self.settings(store_id)
        told = self._told.get(store_id)
        return 0 if told is None else told.schemas

    async def flags(self, store_id: str) -> Snapshot | None:
        """A store's flags, None where it has none; raises Missing for no such store."""
        await self.settings(store_id)
        return self._flags.get(store_id)

    async def on_configured(self, changes: Sequence[StoreConfigured]) -> None:
        """Takes over what the platform announced; an older word that comes later changes nothing."""
        for change in changes:
            told = self._told.get(change.store_id)
            self._take(change if told is None else _newest(told, change))

    def take_uses(self) -> FlagUses:
        """How often flags were asked for since this was called last."""
        counted = {store_id: dict(uses) for store_id, uses in self._uses.items() if uses}
        for uses in self._uses.values():
            uses.clear()
        return FlagUses(stores=counted)

    def give_back(self, uses: FlagUses) -> None:
        """What was taken but could not be told; it is told the next time."""
        for store_id, counts in uses.stores.items():
            kept = self._uses[store_id]
            for flag, count in counts.items():
                kept[flag] = kept.get(flag, 0) + count

    def _take(self, found: StoreConfigured) -> StoreSettings:
        store_id, before = found.store_id, self._told.get(found.store_id)
        self._known[store_id] = (stopwatch(), found.settings)
        self._told[store_id] = found
        if before is None or before.flags != found.flags:
            uses = self._uses.setdefault(store_id, {})
            if found.flags:
                self._flags[store_id] = Snapshot(found.flags, uses)
            else:
                self._flags.pop(store_id, None)
        return found.settings


def _newest(left: StoreConfigured, right: StoreConfigured) -> StoreConfigured:
    """Of each part what is newer, of equals the right one's: words of two changes may come in the wrong order."""
    settings = left if left.version > right.version else right
    flags = left if left.flags_revision > right.flags_revision else right
    return StoreConfigured(
        store_id=right.store_id, version=settings.version, settings=settings.settings,
        schemas=max(left.schemas, right.schemas), flags=flags.flags, flags_revision=flags.flags_revision,
    )  # fmt: skip

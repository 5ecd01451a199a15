"""Repairs broken events with known truth: how many come back right, how many wrong, beside the same without learning.

    python -m bench repair [--events 400]

Events are recorded ones where RECOUP_SHARED has them, and those of two made-up shops. Each shop's profile is learned
from events that are never damaged. Kinds of damage are in groups: those the repairer was built against, those it was
not, of which only the sum is looked at while it is worked on, those that somebody else judged it by, in two halves, and
three sets thought of one after the other, each when the mending by the one before was done.
"""

import argparse
import csv
import json
import math
import os
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from bench.lib.damage import DEVELOPED, HELD_OUT, HOPELESS, Damage
from bench.lib.damage_bodies import BODIES, BODIES_HOPELESS, halves
from bench.lib.damage_fifth import FIFTH, FIFTH_TRAPS
from bench.lib.damage_fourth import FOURTH
from bench.lib.damage_fourth_hopeless import FOURTH_HOPELESS
from bench.lib.damage_more import EXPLORED, HOPELESS_TOO
from bench.lib.damage_third import THIRD
from bench.lib.damage_values import VALUES, VALUES_HOPELESS
from recoup.demo.rees46 import to_event
from recoup.messages.events import Event
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.collect.domain.limits import SHOP_TYPES, limits_of
from recoup.services.pipeline.deadletters.domain.checks import check
from recoup.services.pipeline.deadletters.domain.repair.profile import Profile
from recoup.services.pipeline.deadletters.domain.repair.search import propose
from recoup.services.pipeline.deadletters.domain.repair.values import World
from recoup.services.pipeline.settings import Settings

_LEARNED = 1_500
_RECORDING = "data/clickstream_rees46_multicategory/2019-Oct-01_first17k.csv"
THRESHOLD = StoreSettings().repair_threshold
_SHELVES = {
    "EUR": [("becher", "Steingut-Becher für Tee", 18_00), ("kännchen", "Milchkännchen, weiß", 24_50),
            ("decke", "Wolldecke Größe L", 79_00), ("lampe", "Leselampe", 1_289_00), ("stift", "Füller", 9_95)],
    "USD": [("A-100", "Linen notebook", 12_50), ("A-101", "Café au lait bowl", 32_00), ("B-7", "Kettle", 64_00),
            ("B-9", "Waxed backpack", 119_00), ("C-3", "Pencil", 95), ("C-4", "Desk", 1_450_00)],
}  # fmt: skip


@dataclass
class Shop:
    """A shop's events, its settings, and what was learned of it."""

    name: str
    events: list[dict[str, Any]]
    currency: str
    zone: str
    profile: Profile = field(default_factory=Profile)

    def learn(self) -> None:
        """From the first events; the others are damaged."""
        rows = [_row(event) for event in self.events[:_LEARNED]]
        self.profile.learn(rows)
        self.events = self.events[_LEARNED:]


@dataclass
class Score:
    """What became of damaged events of a group."""

    right: int = 0
    wrong: int = 0
    left: int = 0
    seconds: float = 0.0
    by_kind: dict[str, list[int]] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.right + self.wrong + self.left


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z = 1.96
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def recorded() -> Iterator[Shop]:
    """The recorded shop, where it is here."""
    file = Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / _RECORDING
    if not file.exists():
        return
    with file.open(newline="") as lines:
        names, *rows = csv.reader(lines)
    events = [msgspec.to_builtins(to_event(names, row)) for row in rows]
    rare = [event for event in events if event["type"] != "product_viewed"]
    chance = random.Random(5)
    mixed = chance.sample(events, 4_000) + rare * 3
    chance.shuffle(mixed)
    yield Shop("recorded", mixed, "USD", "UTC")


def made_up(currency: str, zone: str, seed: int, count: int) -> Shop:
    """A shop of our own, with contexts, names with accents, sums and coupons."""
    chance = random.Random(seed)
    start = datetime(2026, 6, 1, 8, tzinfo=UTC)
    return Shop(
        f"made up, {currency}", [_event(chance, currency, start + timedelta(seconds=37 * n)) for n in range(count)],
        currency, zone,
    )  # fmt: skip


def _event(chance: random.Random, currency: str, at: datetime) -> dict[str, Any]:
    kind = chance.choice(
        ["page_viewed", "product_viewed", "product_added", "product_removed", "cart_viewed", "checkout_started",
         "order_completed", "coupon_entered"]
    )  # fmt: skip
    person = chance.randrange(5_000)
    event: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "type": kind,
        "occurred_at": (at + timedelta(milliseconds=chance.randrange(1_000))).isoformat(),
        "anonymous_id": f"v-{chance.getrandbits(48):012x}",
        "session_id": f"s{chance.randrange(10**9):09}",
    }
    if person % 3 == 0:
        event["user_id"] = str(100_000 + person)
    if kind not in {"page_viewed", "product_viewed"}:
        event["cart_id"] = f"cart-{person}-{chance.randrange(99)}"
        event["currency"] = currency
    if kind not in {"page_viewed", "coupon_entered"}:
        lines = chance.sample(_SHELVES[currency], 1 if kind.startswith("product") else chance.randrange(1, 4))
        event["items"] = [
            {"product_id": product, "quantity": chance.choice([1, 1, 1, 2, 3]), "price": price, "name": name}
            for product, name, price in lines
        ]
    if kind in {"checkout_started", "order_completed"}:
        event["amount"] = sum(int(item["price"]) * int(item["quantity"]) for item in event["items"])
    if kind == "order_completed":
        event["order_id"] = f"{2_000_000 + chance.randrange(10**6)}"
    if kind == "coupon_entered":
        event["coupon"] = chance.choice(["WELCOME10", "SUMMER", "FRIENDS5"])
    event["context"] = {
        "page_url": f"https://shop.example/{kind}/{chance.randrange(40)}",
        "locale": chance.choice(["de-DE", "en-GB", "fr-FR"]),
        "device_type": chance.choice(["mobile", "desktop"]),
    }
    if chance.random() < 0.4:
        event["properties"] = {"list_position": chance.randrange(20)}
    return event


def _row(event: Mapping[str, Any]) -> dict[str, object]:
    """An event as a row of the raw topic."""
    at = datetime.fromisoformat(event["occurred_at"])
    late = timedelta(seconds=crc32(event["event_id"].encode()) % 7 + 0.4)
    row: dict[str, object] = {"schema_version": 1, **event, **event.get("context", {})}
    row |= {"occurred_at": at, "received_at": at + late}
    if "properties" in event:
        row["properties"] = json.dumps(event["properties"])
    return row


def same(truth: Mapping[str, Any], text: str) -> bool:
    """Whether a repaired event means what the true one does.

    What was added to its properties does no harm, and a notation of time without fractions cannot give them back.
    """
    left, right = (msgspec.json.decode(one, type=Event) for one in (json.dumps(truth), text))
    own, given = (json.loads(bytes(one.properties) or b"{}") for one in (left, right))
    plain = [msgspec.structs.replace(one, properties=msgspec.Raw(b""), store_id=None) for one in (left, right)]
    if abs(plain[0].occurred_at - plain[1].occurred_at) >= timedelta(seconds=1):
        return False
    plain[1] = msgspec.structs.replace(plain[1], occurred_at=plain[0].occurred_at)
    return plain[0] == plain[1] and own.items() <= given.items()


def judge(score: Score, kind: str, damage: Damage, shop: Shop, profile: Profile, chance: random.Random) -> None:
    """Damages one event, lets it be repaired and compares."""
    truth = chance.choice(shop.events)
    body = damage(truth, chance)
    received = datetime.fromisoformat(truth["occurred_at"]) + timedelta(seconds=chance.choice([0.3, 1, 2, 6]))
    held_to = limits_of("shop", StoreSettings(oldest_event_days=3_650), Settings(), received)
    if body is None or check(body, held_to) is None:
        return
    # What the topic keeps of bytes that are no text.
    world = World(profile, SHOP_TYPES, "shop", shop.currency, shop.zone, received, str(uuid.uuid4()))
    started = time.perf_counter()
    proposals = propose(body, world, lambda text: check(text, held_to))
    score.seconds += time.perf_counter() - started
    counts = score.by_kind.setdefault(kind, [0, 0, 0])
    best = proposals[0] if proposals else None
    if best is None or not best.valid or best.confidence < THRESHOLD:
        score.left += 1
        counts[2] += 1
        why = best.changes if best else "nothing"
        score.examples.append(
            f"LEFT {kind} [{shop.name}] {best and (best.confidence, best.problem)} {why}\n{body[:700]}"
        )
    elif same(truth, best.body):
        score.right += 1
        counts[0] += 1
    else:
        score.wrong += 1
        counts[1] += 1
        score.examples.append(
            f"WRONG {kind} [{shop.name}] {best.confidence}\n{body[:900]}\n{best.body}\n{json.dumps(truth)}"
        )


def run(kinds: Mapping[str, Damage], shops: list[Shop], each: int, *, learned: bool, seed: int = 11) -> Score:
    """Every kind on every shop."""
    score = Score()
    for kind, damage in kinds.items():
        for shop in shops:
            chance = random.Random(f"{seed} {kind} {shop.name}")
            for _ in range(each):
                judge(score, kind, damage, shop, shop.profile if learned else Profile(), chance)
    return score


def _line(name: str, score: Score) -> str:
    low, high = wilson(score.right, score.total)
    wrong_low, wrong_high = wilson(score.wrong, score.total)
    return (
        f"{name:<28} {score.total:>7,} {score.right / max(1, score.total):>8.2%} ({low:.2%} to {high:.2%})  "
        f"wrong {score.wrong:>3} {score.wrong / max(1, score.total):>7.3%} ({wrong_low:.3%} to {wrong_high:.3%})  "
        f"{1000 * score.seconds / max(1, score.total):.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100, help="damaged events of each kind and shop")
    parser.add_argument("--only", default="", help="the name of one group")
    parser.add_argument("--show", type=int, default=0, help="print so many examples of the developed kinds")
    options, _ = parser.parse_known_args()
    shops = [*recorded(), made_up("EUR", "Europe/Berlin", 1, 4_000), made_up("USD", "America/New_York", 2, 4_000)]
    for shop in shops:
        shop.learn()
    looked_at, counted = halves({**VALUES, **BODIES})
    groups = {
        "developed": {**DEVELOPED, **EXPLORED},
        "held-out": HELD_OUT,
        "accepted by, looked at": looked_at,
        "accepted by, counted": counted,
        "third": THIRD,
        "fourth": FOURTH,
        "fifth, not mended by": FIFTH,
        "hopeless": {**HOPELESS, **HOPELESS_TOO, **VALUES_HOPELESS, **BODIES_HOPELESS},
        "hopeless, fourth and fifth": {**FOURTH_HOPELESS, **FIFTH_TRAPS},
    }
    print(f"{'group':<28} {'events':>7} recovered (95 %)")
    for name, kinds in groups.items():
        if options.only and name != options.only:
            continue
        score = run(kinds, shops, options.events, learned=True)
        print(_line(f"{name}, {len(kinds)} kinds", score), flush=True)
        if name.startswith("hopeless"):
            continue
        if options.show:
            for kind, (right, wrong, left) in score.by_kind.items():
                print(f"    {kind:<40} {right:>5} {wrong:>5} {left:>5}")
            for example in random.Random(options.show).sample(score.examples, min(options.show, len(score.examples))):
                print(example)
        else:
            plain = run(kinds, shops, options.events, learned=False)
            print(_line("  the same, nothing learned", plain))
            print(f"  recovered {score.right / max(1, plain.right):.2f} times as many as without learning")


if __name__ == "__main__":
    main()

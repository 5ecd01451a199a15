"""What asking for a flag costs: evaluations a second on one core, beside a look-up in a plain dict.

    python -m bench flags                  200,000 evaluations each, the best of seven rounds
    python -m bench flags --count 20000    a quick look

Every evaluation is for another person. Baseline: a dict from key to value, which knows neither people nor rules. The
OpenFeature client is the library's own, asking our provider.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from recoup.kit.flags.model import Condition, Context, Flag, Prerequisite, Rule, Split
from recoup.kit.flags.provider import FlagProvider
from recoup.kit.flags.snapshot import Snapshot

PEOPLE = 1_000
ON = (Split(variant="on"),)
HALF = (Split(variant="on", percent=50), Split(variant="off", percent=50))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ASKED = (
    Condition(attribute="country", values=("SE", "NO", "DK")),
    Condition(attribute="email", operator="ends_with", values=("@example.org",)),
    Condition(attribute="cart_value", operator="ge", values=(1_000_000,)),
    Condition(attribute="identified", values=(False,)),
    Condition(attribute="since", operator="before", values=("2020-01-01T00:00:00Z",)),
)
FIVE_RULES = tuple(Rule(when=(condition,), serve=ON) for condition in ASKED)
FLAGS = {
    "on-off": Flag(enabled=True),
    "share": Flag(enabled=True, serve=HALF),
    "five-rules": Flag(enabled=True, rules=FIVE_RULES),
    "five-rules-share": Flag(enabled=True, rules=FIVE_RULES, serve=HALF),
    "prerequisite": Flag(enabled=True, prerequisites=(Prerequisite(flag="on-off", variants=("on",)),)),
    "schedule": Flag(enabled=True, starts_at=NOON),
}


class Way(NamedTuple):
    """One thing to ask, by the number of who asks."""

    name: str
    ask: Callable[[int], object]


def ways() -> Sequence[Way]:
    """None of the five rules fits anybody, so that all are asked."""
    snapshot, plain = Snapshot(FLAGS), dict.fromkeys(FLAGS, True)
    attributes = {
        "country": "US", "email": "ann@example.com", "cart_value": 4_200, "identified": True,
        "since": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    names = [f"visitor-{n}" for n in range(PEOPLE)]
    people = [Context(targeting_key=name, attributes={**attributes}) for name in names]
    theirs = [EvaluationContext(name, attributes) for name in names]
    api.set_provider(FlagProvider(lambda: snapshot, lambda: NOON), domain="bench")
    client = api.get_client(domain="bench")

    def now() -> datetime:
        return NOON

    def asking(key: str) -> Way:
        return Way(key, lambda n: snapshot.is_on(key, people[n], now, default=False))

    return (
        Way("plain dict", lambda _: plain["on-off"]),
        *(asking(key) for key in FLAGS),
        Way("OpenFeature, on-off", lambda n: client.get_boolean_value("on-off", False, theirs[n])),
        Way("OpenFeature, share", lambda n: client.get_boolean_value("share", False, theirs[n])),
    )


def best_us(way: Way, count: int, rounds: int) -> float:
    """Microseconds of processor an evaluation, in the fastest round."""
    numbers = [n % PEOPLE for n in range(count)]
    found = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for n in numbers:
            way.ask(n)
        found = min(found, time.process_time() - started)
    return found / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    options, _ = parser.parse_known_args()
    print(f"{'asked':<24} {'us each':>8} {'a second':>12} {'of the dict':>12}")
    baseline = 0.0
    for way in ways():
        cost = best_us(way, options.count, options.rounds)
        baseline = baseline or cost
        print(f"{way.name:<24} {cost:>8.2f} {1e6 / cost:>12,.0f} {cost / baseline:>11.1f}x", flush=True)


if __name__ == "__main__":
    main()

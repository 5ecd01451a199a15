"""Made-up histories of shops for the laws of carts: late, repeated and careless events, cut into batches anywhere."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from hypothesis import strategies as st
from tests.services.pipeline.plain import DAY, MINUTE, Piece, Told

IDLE = 30 * MINUTE
RECOVERY = DAY
START = 20_000 * DAY
WALL, EVENT = "on-the-wall", "on-events"
"""Two stores, by their clocks."""

After = Literal["more", "cut", "take over", "write down"]


class Batch(NamedTuple):
    """What the processor finds waiting, how late it is then, and what befalls the processor afterwards."""

    told: Sequence[Told]
    now: int
    after: After


class _Step(NamedTuple):
    kind: str
    store: str
    cart: str | None
    user: str | None
    visitor: str | None
    pieces: tuple[Piece, ...]
    currency: str | None
    gap: int
    late: int
    repeats: int | None
    after: After
    pause: int


_GAPS = tuple(
    minutes * MINUTE + off
    for minutes, off in [(0, 0), (0, 1), (1, 0), (20, 0), (30, -1), (30, 0), (31, 0), (700, 0), (1_440, 0), (1_471, 1)]
)
_PIECES = st.builds(
    Piece, st.sampled_from(["mug", "pen"]), st.sampled_from([None, "red"]), st.integers(0, 3), st.integers(0, 900)
)
_KINDS = [
    "product_added", "product_added", "product_added", "product_removed", "cart_updated", "cart_viewed",
    "checkout_started", "order_completed", "page_viewed", "page_viewed", "exit_intent", "user_identified", "clock",
]  # fmt: skip
_STEPS = st.builds(
    _Step,
    kind=st.sampled_from(_KINDS),
    store=st.sampled_from([WALL, EVENT]),
    cart=st.sampled_from(["a", "a", "a", "b", None]),
    user=st.sampled_from([None, None, None, "ann", "bob"]),
    visitor=st.sampled_from([None, "phone", "laptop"]),
    pieces=st.lists(_PIECES, max_size=2).map(tuple),
    currency=st.sampled_from([None, None, "EUR", "EUR", "CHF"]),
    gap=st.sampled_from(_GAPS),
    late=st.sampled_from([0, 0, 0, 0, 1, 5 * MINUTE, 45 * MINUTE, 2 * DAY]),
    repeats=st.one_of(st.none(), st.none(), st.none(), st.integers(1, 5)),
    after=st.sampled_from(["more", "more", "more", "cut", "cut", "take over", "write down"]),
    pause=st.sampled_from([0, 0, MINUTE, IDLE, RECOVERY + IDLE]),
)


def _batches(steps: Sequence[_Step]) -> list[Batch]:
    now, everything = START, list[Told]()
    waiting, found = list[Told](), list[Batch]()
    for number, step in enumerate(steps, 1):
        now += step.gap
        told = _told(number, step, now)
        if step.repeats is not None and step.repeats <= len(everything):
            told = everything[-step.repeats]
        everything.append(told)
        waiting.append(told)
        if step.after != "more":
            now += step.pause
            found.append(Batch(waiting, now, step.after))
            waiting = []
    # In the end time passes for all that is left.
    end = now + 3 * (IDLE + RECOVERY)
    ending = Told(len(steps) + 1, "clock", end, EVENT)
    return [*found, Batch([*waiting, ending], end, "cut")]


def _told(number: int, step: _Step, now: int) -> Told:
    if step.kind == "clock":
        return Told(number, "clock", now, EVENT)
    return Told(
        number, step.kind, now - step.late, step.store, step.cart, step.user, step.visitor, step.pieces, step.currency
    )


def _in_order(steps: Sequence[_Step]) -> list[Told]:
    calm = [step._replace(store=WALL, late=0, repeats=None, user=None) for step in steps if step.kind != "clock"]
    return [event for batch in _batches(calm) for event in batch.told if event.type != "clock"]


HISTORIES = st.lists(_STEPS, min_size=1, max_size=20).map(_batches)
IN_ORDER = st.lists(_STEPS, min_size=1, max_size=12).map(_in_order)
"""The events of one store on the wall's clock, by visitors without a name, as they happened."""

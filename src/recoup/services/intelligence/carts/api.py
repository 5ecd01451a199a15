"""The board and the story over HTTP."""

import asyncio

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from recoup.kit.clock import milliseconds
from recoup.kit.errors import Invalid
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, position
from recoup.messages.access import Permission
from recoup.services.intelligence.carts.domain import Card, Stage, Story, contents
from recoup.services.intelligence.carts.store import Place, Store

READ = {"permission": Permission.ANALYTICS_READ}
FIRST = Place(2**62, "", 0)
MOST_EVENTS = 1_000


@get("/", opt=READ)
async def board(
    store_id: NamedDependency[str], carts: NamedDependency[Store], stage: FromQuery[Stage | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[str | None] = None,
) -> Page[Card]:  # fmt: skip
    """Carts of a stage, or all of them, those with the latest activity first."""
    cards = await carts.page(store_id, stage, _place(cursor) if cursor else FIRST, limit + 1)
    if len(cards) <= limit:
        return Page(cards)
    last = cards[limit - 1]
    return Page(cards[:limit], cursor_after(str(milliseconds(last.last_activity_at)), last.cart_id, str(last.number)))


def _place(cursor: str) -> Place:
    at, cart_id, number = position(cursor, 3)
    if not (at.isdecimal() and number.isdecimal()):
        raise Invalid("the cursor belongs to another list", code="cursor_invalid")
    return Place(int(at), cart_id, int(number))


@get("/{cart_id:str}", opt=READ)
async def story(store_id: NamedDependency[str], carts: NamedDependency[Store], cart_id: FromPath[str]) -> Story:
    """One cart from its first event to its outcome: what happened, what was predicted and decided, and why."""
    card = await carts.latest(store_id, cart_id)
    events, predictions, decisions, deliveries, conversions = await asyncio.gather(
        carts.events(store_id, cart_id, MOST_EVENTS), carts.predictions(store_id, cart_id),
        carts.decisions(store_id, cart_id), carts.deliveries(store_id, cart_id), carts.conversions(store_id, cart_id),
    )  # fmt: skip
    return Story(
        cart_id=card.cart_id, number=card.number, stage=card.stage, value=card.value, currency=card.currency,
        item_count=card.item_count, items=contents(card, events), user_id=card.user_id,
        anonymous_id=card.anonymous_id, last_activity_at=card.last_activity_at, events=events,
        predictions=predictions, decisions=decisions, deliveries=deliveries, conversions=conversions,
    )  # fmt: skip


def router(carts: Store) -> Router:
    """The routes under /carts."""
    return Router(
        "/carts", route_handlers=[board, story], tags=["carts"],
        dependencies={"carts": Provide(lambda: carts, sync_to_thread=False)},
    )  # fmt: skip

"""The step that adds what we know of an event besides what it says. Works by column; asks nobody.

What takes more than arithmetic is worked out once for each distinct value of a batch, and remembered.
"""

from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.messages.events import EventType
from recoup.services.pipeline.carts.domain.cart import MOST_WORTH
from recoup.services.pipeline.stream.domain import arrivals
from recoup.services.pipeline.stream.domain.calendar import holidays_between
from recoup.services.pipeline.stream.domain.goods import fill_items
from recoup.services.pipeline.stream.domain.people import show_users
from recoup.services.pipeline.stream.domain.work import Known, Work

_ORDERS: Final = frozenset({EventType.ORDER_COMPLETED.value})
_MINUTES_A_DAY: Final = 1_440
_MINUTE_MS: Final = 60_000
_MEDIA: Final = ("search", "social", "email", "paid", "referral", "direct", "other")
_NONE: Final = -1
_PAID: Final = _MEDIA.index("paid")
_DIRECT: Final = _MEDIA.index("direct")
_SOURCES: Final = ("user_agent", "holidays", "user_profile", "product_facts")
"""What may fail to answer; `enrichment_missing` names them."""


def enrich(work: Work, known: Known) -> None:
    """Money, local time, device class, how the visit came about, the user's past, and what lines lack."""
    missing = np.zeros(len(work.occurred), dtype=np.int64)
    _money(work, known)
    _local_time(work, known, missing)
    _device_class(work, known, missing)
    _traffic(work)
    _note(missing, show_users(work, known), "user_profile")
    _note(missing, fill_items(work, known), "product_facts")
    work.columns["enrichment_missing"] = _names(missing)


def _money(work: Work, known: Known) -> None:
    """The items' value and count; an order's amount and the currency where the event leaves them out."""
    items = work.rows.column("items").combine_chunks()
    offsets = items.offsets.to_numpy()
    inner = items.values
    quantity = inner.field("quantity").to_numpy(zero_copy_only=False)
    price = inner.field("price").to_numpy(zero_copy_only=False)
    # Of two numbers that an event may say, the product may be too much for 64 bits.
    dear = quantity.astype(np.float64) * price > MOST_WORTH
    value = _sums(np.where(dear, MOST_WORTH, quantity * price), offsets)
    pieces = _sums(quantity, offsets)
    work.columns["cart_value"] = pa.array(value)
    work.columns["item_count"] = pa.array(pieces)
    from_items = pa.array(value, mask=~(work.of_types(_ORDERS) & (pieces > 0)))
    work.columns["amount"] = pc.coalesce(work.rows.column("amount").combine_chunks(), from_items)
    own = pa.array([known.store(name).currency for name in work.store_names], pa.string())
    fallback = pc.take(own, pa.array(work.store_codes))
    work.columns["currency"] = pc.coalesce(work.rows.column("currency").combine_chunks(), fallback)


def _sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The sum of each list, from running totals."""
    totals = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return totals[offsets[1:]] - totals[offsets[:-1]]


def _local_time(work: Work, known: Known, missing: np.ndarray) -> None:
    """Hour, weekday, holidays and business hours in each shop's zone."""
    day, minute = np.divmod(_local_minutes(work, known), _MINUTES_A_DAY)
    weekday = (day + 3) % 7 + 1  # 1970 began on a Thursday
    holiday, unknown = _holidays(work, known, day, missing)
    work.columns["local_hour"] = pa.array(minute // 60)
    work.columns["local_weekday"] = pa.array(weekday)
    work.columns["is_weekend"] = pa.array(weekday >= 6)  # noqa: PLR2004 - Saturday and Sunday
    work.columns["is_holiday"] = pa.array(holiday, mask=unknown)
    work.columns["in_business_hours"] = _business_hours(work, known, minute, np.where(holiday, 0, weekday))


def _local_minutes(work: Work, known: Known) -> np.ndarray:
    """Minutes since 1970 by the clock on each shop's wall; one conversion a zone, not one a row."""
    zones = [known.store(name).timezone for name in work.store_names]
    minutes = work.occurred // _MINUTE_MS
    for zone in set(zones) - {"UTC"}:
        mine = _of_stores(work, [name == zone for name in zones])
        local = pc.call_function("local_timestamp", [pa.array(work.occurred[mine]).cast(pa.timestamp("ms", zone))])
        minutes[mine] = local.cast(pa.int64()).to_numpy() // _MINUTE_MS
    return minutes


def _of_stores(work: Work, marked: list[bool]) -> np.ndarray:
    """Marks the rows of the marked stores."""
    return np.array(marked, dtype=bool)[work.store_codes]


def _holidays(work: Work, known: Known, day: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Marks rows on a holiday, and rows of which that is not known."""
    countries = [known.store(name).country for name in work.store_names]
    holiday = np.zeros(len(day), dtype=bool)
    unknown = np.ones(len(day), dtype=bool)
    for country in set(countries) - {""}:
        mine = _of_stores(work, [name == country for name in countries])
        days = day[mine]
        found = holidays_between(country, int(days.min()), int(days.max()))
        if found is None:
            _note(missing, mine, "holidays")
            continue
        holiday[mine] = np.isin(days, found)
        unknown[mine] = False
    return holiday, unknown


def _business_hours(work: Work, known: Known, minute: np.ndarray, weekday: np.ndarray) -> pa.Array:
    """Whether somebody was at the shop; `weekday` is 0 on holidays."""
    open_ = np.zeros(len(minute), dtype=bool)
    unknown = np.ones(len(minute), dtype=bool)
    for code, name in enumerate(work.store_names):
        store = known.store(name)
        begin, end = _minute(store.business_from), _minute(store.business_until)
        if begin == end:
            continue
        mine = work.store_codes == code
        since = (minute[mine] - begin) % _MINUTES_A_DAY
        open_[mine] = (since < (end - begin) % _MINUTES_A_DAY) & np.isin(weekday[mine], store.business_days)
        unknown[mine] = False
    return pa.array(open_, mask=unknown)


def _minute(hour_minute: str) -> int:
    hour, _, minute = hour_minute.partition(":")
    return int(hour) * 60 + int(minute)


def _device_class(work: Work, known: Known, missing: np.ndarray) -> None:
    """What the shop said, else what the agent says; a crawler is one whatever it said of itself."""
    agents = _distinct(work, "user_agent")
    classes = known.agents.classes(agents.dictionary.to_pylist())
    guessed = pa.array(classes, pa.string()).take(agents.indices)
    stated = work.rows.column("device_type").combine_chunks()
    if stated.null_count < len(stated):
        crawlers = pc.equal(guessed, "crawler").fill_null(False)  # noqa: FBT003 - the value to fill in
        guessed = pc.if_else(crawlers, guessed, pc.coalesce(pc.utf8_lower(stated), guessed))
    work.columns["device_class"] = guessed
    if None in classes:
        late = np.array([found is None for found in classes] + [False])
        _note(missing, late[_codes(agents)], "user_agent")


def _traffic(work: Work) -> None:
    """Source and medium: the campaign's where there is one, else by click id and referrer."""
    pages, before = _distinct(work, "page_url"), _distinct(work, "referrer")
    sources, media = _distinct(work, "utm_source"), _distinct(work, "utm_medium")
    seen = [arrivals.page(url) for url in pages.dictionary.to_pylist()]
    left = [arrivals.referrer(url) for url in before.dictionary.to_pylist()]
    hosts = {found.host: number for number, found in enumerate([*seen, *left])}
    inside = _spread([hosts[page.host] for page in seen], pages) == _spread([hosts[page.host] for page in left], before)
    here = _codes(pages) >= 0
    referred = _codes(before) >= 0
    medium = _first_known(
        _spread([_number(arrivals.medium_of(name)) for name in media.dictionary.to_pylist()], media),
        _spread([_number(page.medium) for page in seen], pages),
        _spread([_PAID if page.paid else _NONE for page in seen], pages),
        _spread([_number(arrivals.medium_by_source(name)) for name in sources.dictionary.to_pylist()], sources),
        _spread([_number(page.source and arrivals.medium_by_source(page.source)) for page in seen], pages),
        np.where(here & inside, _NONE, _spread([_number(page.medium) for page in left], before)),
        np.where(here & ~referred, _DIRECT, _NONE),
    )
    named = pa.array(_MEDIA).take(pa.array(medium, mask=medium == _NONE))
    in_address = pa.array([page.source for page in seen], pa.string()).take(pages.indices)
    work.columns["traffic_medium"] = named
    work.columns["traffic_source"] = pc.coalesce(work.rows.column("utm_source").combine_chunks(), in_address, named)


def _number(medium: str | None) -> int:
    return _MEDIA.index(medium) if medium else _NONE


def _first_known(*choices: np.ndarray) -> np.ndarray:
    """By row the first that is not -1."""
    found = choices[0]
    for choice in choices[1:]:
        found = np.where(found == _NONE, choice, found)
    return found


def _distinct(work: Work, column: str) -> pa.DictionaryArray:
    return cast("pa.DictionaryArray", work.rows.column(column).combine_chunks().dictionary_encode())


def _codes(column: pa.DictionaryArray) -> np.ndarray:
    """Each row's place among the distinct values; -1 for null."""
    return column.indices.fill_null(_NONE).to_numpy(zero_copy_only=False)


def _spread(numbers: list[int], column: pa.DictionaryArray) -> np.ndarray:
    """Numbers of the distinct values to their rows; -1 for null."""
    return np.array([*numbers, _NONE], dtype=np.int64)[_codes(column)]


def _note(missing: np.ndarray, rows: np.ndarray, source: str) -> None:
    missing |= np.where(rows, 1 << _SOURCES.index(source), 0)


def _names(missing: np.ndarray) -> pa.Array:
    """The marked sources by name; null where none is."""
    if not missing.any():
        return pa.nulls(len(missing), pa.string())
    sets = [",".join(name for bit, name in enumerate(_SOURCES) if at >> bit & 1) for at in range(1 << len(_SOURCES))]
    return pa.array([None, *sets[1:]], pa.string()).take(pa.array(missing))

"""The step that adds what we know of an event besides what it says. Works by column; asks nobody."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.messages.events import EventType
from recoup.services.pipeline.stream.domain.work import Known, Work

_MOBILE: Final = "(?i)mobile|iphone|android.+mobile|windows phone"
_TABLET: Final = "(?i)ipad|tablet|kindle|silk"
_CRAWLER: Final = "(?i)bot|crawl|spider|slurp|headless|facebookexternalhit"
_SEARCH: Final = r"(?i)//([^/]*\.)?(google|bing|duckduckgo|yahoo|ecosia|baidu|yandex)\."
_SOCIAL: Final = r"(?i)//([^/]*\.)?(facebook|instagram|tiktok|pinterest|twitter|x|reddit|youtube)\."
_ORDERS: Final = frozenset({EventType.ORDER_COMPLETED.value})


def enrich(work: Work, known: Known) -> None:
    """Money, local time, device class and traffic source, for every row."""
    _money(work, known)
    _local_time(work, known)
    work.columns["device_class"] = _device_class(work.rows)
    work.columns["traffic_source"] = _traffic_source(work.rows)


def _money(work: Work, known: Known) -> None:
    """The items' value and count; an order's amount and the currency where the event leaves them out."""
    items = work.rows.column("items").combine_chunks()
    offsets = items.offsets.to_numpy()
    inner = items.values
    quantity = inner.field("quantity").to_numpy(zero_copy_only=False)
    price = inner.field("price").to_numpy(zero_copy_only=False)
    value = _sums(quantity * price, offsets)
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


def _local_time(work: Work, known: Known) -> None:
    """Hour and weekday in each shop's zone; one conversion a zone, not one a row."""
    occurred = work.rows.column("occurred_at").combine_chunks()
    zones = [known.store(name).timezone for name in work.store_names]
    hour = np.zeros(len(occurred), dtype=np.int64)
    weekday = np.zeros(len(occurred), dtype=np.int64)
    for zone in set(zones):
        codes = [code for code, name in enumerate(zones) if name == zone]
        mine = np.isin(work.store_codes, codes)
        local = occurred.cast(pa.timestamp("ms", zone))
        hour = np.where(mine, pc.hour(local).to_numpy(), hour)
        weekday = np.where(mine, pc.day_of_week(local, count_from_zero=False).to_numpy(), weekday)
    work.columns["local_hour"] = pa.array(hour)
    work.columns["local_weekday"] = pa.array(weekday)
    work.columns["is_weekend"] = pa.array(weekday >= 6)  # noqa: PLR2004 - Saturday and Sunday, counted from Monday = 1


def _device_class(rows: pa.Table) -> pa.Array:
    """desktop, mobile, tablet, crawler, or what the shop said; null where nobody said anything."""
    stated = rows.column("device_type").combine_chunks()
    agent = rows.column("user_agent").combine_chunks()
    if agent.null_count == len(agent):
        return stated
    guessed = pc.case_when(
        pc.make_struct(
            pc.match_substring_regex(agent, _CRAWLER),
            pc.match_substring_regex(agent, _TABLET),
            pc.match_substring_regex(agent, _MOBILE),
            pc.is_valid(agent),
        ),
        "crawler",
        "tablet",
        "mobile",
        "desktop",
    )
    return pc.coalesce(stated, guessed)


def _traffic_source(rows: pa.Table) -> pa.Array:
    """The campaign's source where there is one, else search, social, referral by the referrer; null where unknown."""
    source = rows.column("utm_source").combine_chunks()
    referrer = rows.column("referrer").combine_chunks()
    if referrer.null_count == len(referrer):
        return source
    guessed = pc.case_when(
        pc.make_struct(
            pc.match_substring_regex(referrer, _SEARCH),
            pc.match_substring_regex(referrer, _SOCIAL),
            pc.is_valid(referrer),
        ),
        "search",
        "social",
        "referral",
    )
    return pc.coalesce(source, guessed)

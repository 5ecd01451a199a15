"""Facts of products, and which lines of a batch's items want them or tell them. Lines are counted through the batch."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

import numpy as np
import pyarrow as pa

FIELDS: Final = ("name", "category", "brand")
MOST_TOLD: Final = 200
"""Lines of a batch from which facts are learned: a busy shop says the same again and again."""


class Product(NamedTuple):
    """A product of a store."""

    store_id: str
    product_id: str


class Facts(NamedTuple):
    """What the shop said of a product."""

    name: str | None = None
    category: str | None = None
    brand: str | None = None


def learned(before: Facts, said: Facts) -> Facts:
    """What is said counts; what is not said stays."""
    return Facts(*(new or old for new, old in zip(said, before, strict=True)))


class Mentions(NamedTuple):
    """The products that a batch's lines are about, once each; and the lines, with the number of each one's product."""

    products: Sequence[Product] = ()
    wanting: np.ndarray = np.zeros(0, dtype=np.int64)
    """Lines that lack a fact."""
    wanted: np.ndarray = np.zeros(0, dtype=np.int64)
    telling: np.ndarray = np.zeros(0, dtype=np.int64)
    """Lines by which the shop itself tells one, not more than so many."""
    told: np.ndarray = np.zeros(0, dtype=np.int64)


class Lines(NamedTuple):
    """The lines of all items of a batch, and the row of each; where rows lie sliced, only theirs."""

    values: pa.StructArray
    offsets: np.ndarray
    rows: np.ndarray


def lines_of(rows: pa.Table) -> Lines:
    """The lines of these rows' items."""
    items = rows.column("items").combine_chunks()
    offsets = items.offsets.to_numpy()
    values = cast("pa.StructArray", items.values.slice(offsets[0], offsets[-1] - offsets[0]))
    return Lines(values, offsets - offsets[0], np.repeat(np.arange(len(rows)), np.diff(offsets)))


def mentions_of(
    rows: pa.Table, store_codes: np.ndarray, store_names: list[str], has_facts: Callable[[str], bool]
) -> Mentions:
    """What the lines of these rows want and tell. Stores of whose products nothing is known want nothing."""
    asks = np.array([has_facts(name) for name in store_names], dtype=bool)
    said = rows.column("from_shop").combine_chunks().fill_null(False)  # noqa: FBT003 - the value to fill in
    from_shop = said.to_numpy(zero_copy_only=False)
    if not asks.any() and not from_shop.any():
        return Mentions()
    lines = lines_of(rows)
    known = [lines.values.field(name).is_valid().to_numpy(zero_copy_only=False) for name in FIELDS]
    wanting = np.flatnonzero(~np.logical_and.reduce(known) & asks[store_codes[lines.rows]])
    telling = np.flatnonzero(np.logical_or.reduce(known) & from_shop[lines.rows])
    telling = telling[:: len(telling) // MOST_TOLD + 1]
    if not len(wanting) and not len(telling):
        return Mentions()
    chosen = np.concatenate([wanting, telling])
    ids = cast("pa.DictionaryArray", lines.values.field("product_id").take(pa.array(chosen)).dictionary_encode())
    pairs = ids.indices.to_numpy(zero_copy_only=False).astype(np.int64) * len(store_names)
    pairs += store_codes[lines.rows[chosen]]
    distinct, codes = np.unique(pairs, return_inverse=True)
    names: list[str] = ids.dictionary.to_pylist()
    product_at, store_at = np.divmod(distinct, len(store_names))
    products = [
        Product(store_names[store], names[product])
        for product, store in zip(product_at.tolist(), store_at.tolist(), strict=True)
    ]
    return Mentions(products, wanting, codes[: len(wanting)], telling, codes[len(wanting) :])

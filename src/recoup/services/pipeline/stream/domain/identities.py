"""Who a visitor is: an event that names both links its `anonymous_id` to its `user_id`; of several, the newest counts.

A cart that knows its user keeps them. Where a cart only knows a visitor, what becomes true of it is told of that
visitor's user, as far as known by then. Carts are never joined: two devices that name one user have two carts, unless
the shop gives both the same cart id.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from recoup.services.pipeline.stream.domain.work import Known, Visitor, Work


def link_visitors(work: Work, _: Known) -> None:
    """Notes which visitors this batch names users for."""
    work.links |= links_of(work)


def links_of(work: Work) -> dict[Visitor, str]:
    """The users of those visitors that rows name one for."""
    links: dict[Visitor, str] = {}
    users, visitors = (work.rows.column(name).combine_chunks() for name in ("user_id", "anonymous_id"))
    if users.null_count == len(users):
        return links
    named = (users.is_valid().to_numpy(zero_copy_only=False)) & (visitors.is_valid().to_numpy(zero_copy_only=False))
    rows = np.flatnonzero(named & work.kept)
    encoded = visitors.take(pa.array(rows)).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    whose = codes * len(work.store_names) + work.store_codes[rows]
    # The last of each in order of time: the first when that order is reversed.
    order = np.lexsort((work.occurred[rows], whose))[::-1]
    distinct, firsts = np.unique(whose[order], return_index=True)
    names = encoded.dictionary.to_pylist()
    known_as = users.take(pa.array(rows[order[firsts]])).to_pylist()
    for pair, user in zip(distinct.tolist(), known_as, strict=True):
        visitor, store = divmod(pair, len(work.store_names))
        links[Visitor(work.store_names[store], names[visitor])] = user
    return links


def unnamed(work: Work) -> set[Visitor]:
    """Visitors without a user of whose carts something became true."""
    return {
        Visitor(key.store_id, fact.anonymous_id)
        for key, fact in work.derived
        if fact.user_id is None and fact.anonymous_id is not None
    }


def name(work: Work, users: dict[Visitor, str]) -> None:
    """Tells what became true of the users that the visitors are, the ones linked just now first."""
    known_as = users | work.links
    work.derived = [
        (key, replace(fact, user_id=known_as.get(Visitor(key.store_id, fact.anonymous_id))))
        if fact.user_id is None and fact.anonymous_id is not None
        else (key, fact)
        for key, fact in work.derived
    ]

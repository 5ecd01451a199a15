"""Products of a batch: lines that lack a name, category or brand get what the shop said before; what it says is new."""

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.messages.events import RAW
from recoup.services.pipeline.products.domain import FIELDS, Facts, Lines, Product, learned, lines_of
from recoup.services.pipeline.stream.domain.work import Known, Work

_ITEMS: Final = RAW.field("items")


def fill_items(work: Work, known: Known) -> np.ndarray:
    """Fills in the lines; marks the rows for which nobody answered in time."""
    mentions = work.mentions
    late_rows = np.zeros(len(work.occurred), dtype=bool)
    if not len(mentions.wanting):
        return late_rows
    answers = [known.products.get(product) for product in mentions.products]
    lines = lines_of(work.rows)
    late = np.array([answer is None for answer in answers], dtype=bool)
    late_rows[lines.rows[mentions.wanting[late[mentions.wanted]]]] = True
    if any(answer is not None and any(answer) for answer in answers):
        place = np.full(len(lines.rows), -1, dtype=np.int64)
        place[mentions.wanting] = mentions.wanted
        _replace(work, lines, [answer or Facts() for answer in answers], pa.array(place, mask=place < 0))
    return late_rows


def _replace(work: Work, lines: Lines, answers: Sequence[Facts], at: pa.Array) -> None:
    kind = cast("pa.StructType", lines.values.type)
    columns = {kind.field(place).name: lines.values.field(place) for place in range(kind.num_fields)}
    for name in FIELDS:
        facts = pa.array([getattr(answer, name) for answer in answers], pa.string())
        columns[name] = pc.coalesce(columns[name], facts.take(at))
    # Where an offset is null, so is the list.
    nowhere = work.rows.column("items").combine_chunks().is_null().to_numpy(zero_copy_only=False)
    offsets = pa.array(lines.offsets, pa.int32(), mask=np.append(nowhere, [False]))
    items = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(columns.values()), fields=list(kind)))
    work.rows = work.rows.set_column(work.rows.schema.get_field_index("items"), _ITEMS, items)


def told_of(work: Work, known: Known) -> dict[Product, Facts]:
    """What the kept rows tell of products, with what was known of them besides."""
    mentions = work.mentions
    if not len(mentions.telling):
        return {}
    lines = lines_of(work.rows)
    kept = work.kept[lines.rows[mentions.telling]]
    at = pa.array(mentions.telling[kept])
    said = zip(*(lines.values.field(name).take(at).to_pylist() for name in FIELDS), strict=True)
    found: dict[Product, Facts] = {}
    for code, facts in zip(mentions.told[kept].tolist(), said, strict=True):
        product = mentions.products[code]
        before = found.get(product) or known.products.get(product)
        if before is not None:
            found[product] = learned(before, Facts(*facts))
    return found

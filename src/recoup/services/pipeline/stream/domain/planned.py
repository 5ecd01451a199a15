"""Rows whose store registered a schema for their type: held against it, raised by its migrations, or set aside.

Row by row, as schemas are: only rows of such types pay for it, and nothing is done for a store that registered none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.messages.events import RAW, EventType
from recoup.messages.schemas import OnViolation
from recoup.services.pipeline.schemas.domain.catalog import Catalog, Subject
from recoup.services.pipeline.schemas.domain.documents import columns_for, event_of
from recoup.services.pipeline.schemas.domain.judging import Verdict, judge, reason, unplanned
from recoup.services.pipeline.stream.domain.work import Dead, Known, Work

_LARGEST_VERSION: Final = 2**20
_CLOCK: Final = EventType.CLOCK.value
UNCHECKED: Final = "schema:unchecked"
"""The warning of a row that could not be held against anything, as the registry did not answer."""
_WARNING: Final = "schema:{}"
"""The warning of a row that is kept although it breaks its schema, by the name of what is wrong first."""


@dataclass(slots=True)
class _Raised:
    """Rows that migrations made something else of."""

    versions: dict[int, int] = field(default_factory=dict)
    properties: dict[int, str] = field(default_factory=dict)


def types_and_versions(work: Work, store: int) -> list[tuple[str, int]]:
    """What the store with this code sent, each type and version once."""
    mine = (work.store_codes == store) & work.kept
    versions = pc.fill_null(work.rows.column("schema_version"), 1).to_numpy()[mine].astype(np.int64)
    found = np.unique(work.type_codes[mine].astype(np.int64) * _LARGEST_VERSION + versions)
    pairs = [(work.type_names[code], version) for code, version in (divmod(one, _LARGEST_VERSION) for one in found)]
    return [(name, int(version)) for name, version in pairs if name != _CLOCK]


def hold_against_schemas(work: Work, known: Known) -> None:
    """Judges the rows of stores that registered schemas, or want none that are not registered."""
    raised = _Raised()
    for store, store_id in enumerate(work.store_names):
        catalog = known.catalogs.get(store_id)
        if catalog is None:
            continue
        for code, name in enumerate(work.type_names):
            rows = np.flatnonzero(work.kept & (work.store_codes == store) & (work.type_codes == code))
            if not len(rows) or name == _CLOCK:
                continue
            subject = catalog.subjects.get(name)
            if subject is None:
                _unregistered(work, known, store_id, name, rows)
            else:
                _registered(work, subject, catalog, rows, raised)
    if raised.versions:
        _replace(work, raised)


def _unregistered(work: Work, known: Known, store_id: str, name: str, rows: np.ndarray) -> None:
    wanted = known.store(store_id).unplanned_events
    found = unplanned(f"no schema is registered for {name!r}")
    if known.catalogs[store_id].revision < 0 or (wanted != "accept" and not known.catalogs[store_id].current):
        work.warned[store_id, UNCHECKED] += len(rows)
    elif wanted == "warn":
        work.warned[store_id, _WARNING.format(found.kind)] += len(rows)
    elif wanted == "reject":
        _set_aside(work, name, {row: Verdict([found]) for row in rows.tolist()})


def _registered(work: Work, subject: Subject, catalog: Catalog, rows: np.ndarray, raised: _Raised) -> None:
    refused: dict[int, Verdict] = {}
    store_id = work.store_names[work.store_codes[rows[0]]]
    for row, event in zip(rows.tolist(), _events(work, subject, rows), strict=True):
        verdict = judge(subject, event, catalog)
        if not verdict.checked:
            work.warned[store_id, UNCHECKED] += 1
        elif verdict.violations and subject.rules.on_violation is OnViolation.WARN:
            work.warned[store_id, _WARNING.format(verdict.violations[0].kind)] += 1
        elif verdict.violations:
            refused[row] = verdict
        elif verdict.version is not None:
            raised.versions[row] = verdict.version
            if verdict.properties:
                raised.properties[row] = msgspec.json.encode(verdict.properties).decode()
    _set_aside(work, subject.name, refused)


def _events(work: Work, subject: Subject, rows: np.ndarray) -> Sequence[Mapping[str, object]]:
    """The rows as events, with as much of each as any of the schemas speaks of."""
    versions = set(pc.fill_null(work.rows.column("schema_version"), 1).take(pa.array(rows)).to_pylist())
    judges = {one.version for version in versions for one in subject.judges(version)}
    names = [validator.names for version in judges if (validator := subject.validator(version)) is not None]
    wanted = columns_for(frozenset[str]().union(*names))
    chosen = work.rows.select([name for name in RAW.names if name in wanted]).take(pa.array(rows))
    return [event_of(cast("Mapping[str, object]", row)) for row in chosen.to_pylist()]


def _set_aside(work: Work, name: str, refused: Mapping[int, Verdict]) -> None:
    for row, verdict in refused.items():
        first = verdict.violations[0]
        work.dead.append(Dead(row, "schema_violation", first.path, reason(name, verdict), first.kind.value))
    work.kept[list(refused)] = False


def _replace(work: Work, raised: _Raised) -> None:
    """Puts what migrations made into the rows' place; the raw topic keeps what came."""
    changed = sorted(raised.versions)
    places = np.arange(len(work.rows))
    places[changed] = len(work.rows) + np.arange(len(changed))
    news = {
        "schema_version": [raised.versions[row] for row in changed],
        "properties": [raised.properties.get(row) for row in changed],
    }
    for name, values in news.items():
        kind = RAW.field(name)
        both = pa.concat_arrays([work.rows.column(name).combine_chunks(), pa.array(values, kind.type)])
        place = work.rows.schema.get_field_index(name)
        work.rows = work.rows.set_column(place, kind, both.take(pa.array(places)))

"""Parked records over HTTP: list, look, put back, dismiss. Shows nothing of another store's rows."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct
from msgspec.structs import asdict

from recoup.kit.errors import Invalid, Refused
from recoup.kit.log.port import ONLY_FOR
from recoup.kit.pages import DEFAULT_LIMIT, Limit, cursor_after, position
from recoup.messages.access import Permission, Principal
from recoup.services.pipeline.parked.actions import Returns, Row, rows_of
from recoup.services.pipeline.parked.domain import Kept, Status
from recoup.services.pipeline.parked.store import Store

_LOOK: Final = {"permission": Permission.DLQ_READ}
_ACT: Final = {"permission": Permission.DLQ_WRITE}
_MOST_ROWS: Final = 50
_MOST_AT_ONCE: Final = 100


class ParkedLine(Struct, frozen=True, kw_only=True):
    """A parked record without what is in it."""

    id: UUID
    group: str
    """The reader that could not handle it; the others have."""
    topic: str
    partition: int
    offset: int
    size: int
    """In bytes."""
    error: str
    """What kind of error it was."""
    status: Status
    was_put_back: bool
    """Whether it had been put back before, and failed again."""
    parked_at: datetime
    settled_at: datetime | None
    settled_by: str | None


class ParkedView(ParkedLine, frozen=True, kw_only=True):
    """A parked record with the store's own rows."""

    reason: str | None
    """The error's words; null where rows of other stores are in the record, which they might quote."""
    rows: list[Row]
    """The first of the store's rows; none where the record cannot be read."""
    own_rows: int
    other_rows: int
    """Rows of other stores, or of none that can be told, which are not shown."""


class ParkedRecords(Struct, frozen=True, kw_only=True):
    """A page of parked records, and how many are open."""

    items: list[ParkedLine]
    next_cursor: str | None
    open: int
    elsewhere: int
    """Open ones that hold rows of other stores only, and are not listed."""


class Several(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records to put back."""

    ids: Annotated[list[UUID], Meta(min_length=1, max_length=_MOST_AT_ONCE)]


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one of several."""

    id: UUID
    status: Status | None
    why: str | None = None
    """Why it was not put back."""


@get("/", opt=_LOOK)
async def list_parked(
    store_id: NamedDependency[str],
    parked: NamedDependency[Store],
    status: FromQuery[Status] = Status.OPEN,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> ParkedRecords:
    """Records with rows of the store's, or that nobody can read, which some reader has set aside; newest first."""
    found = await parked.page(store_id, status, None if cursor is None else _before(cursor), limit)
    counts = await parked.counts(store_id)
    last = found[-1] if len(found) == limit else None
    return ParkedRecords(
        items=[_line(one) for one in found],
        next_cursor=None if last is None else cursor_after(last.parked_at.isoformat(), str(last.id)),
        open=counts.open,
        elsewhere=counts.elsewhere,
    )


@get("/{record:uuid}", opt=_LOOK)
async def one_parked(
    store_id: NamedDependency[str], record: FromPath[UUID], parked: NamedDependency[Store]
) -> ParkedView:
    """One record with its reason and the store's rows in it."""
    return _view(await parked.record(store_id, record), store_id)


@post("/{record:uuid}/put-back", opt=_ACT, status_code=200)
async def put_back_one(
    store_id: NamedDependency[str],
    record: FromPath[UUID],
    caller: NamedDependency[Principal],
    returns: NamedDependency[Returns],
) -> ParkedView:
    """Puts a record back on its topic for the reader that could not handle it. Asked twice, it is put back once."""
    return _view(await returns.put_back(store_id, record, caller.subject), store_id)


@post("/put-back", opt=_ACT, status_code=200)
async def put_back_several(
    store_id: NamedDependency[str],
    data: JSONBody[Several],
    caller: NamedDependency[Principal],
    returns: NamedDependency[Returns],
) -> list[Outcome]:
    """Puts several records back; one that cannot be does not hold the others up."""
    outcomes: list[Outcome] = []
    for id_ in dict.fromkeys(data.ids):
        try:
            record = await returns.put_back(store_id, id_, caller.subject)
            outcomes.append(Outcome(id=id_, status=record.status))
        except Refused as refused:
            outcomes.append(Outcome(id=id_, status=None, why=refused.detail))
    return outcomes


@delete("/{record:uuid}", opt=_ACT, status_code=200)
async def dismiss_parked(
    store_id: NamedDependency[str],
    record: FromPath[UUID],
    caller: NamedDependency[Principal],
    returns: NamedDependency[Returns],
) -> ParkedView:
    """Takes a record off the list of open ones; it is kept for a while and can still be put back."""
    return _view(await returns.dismiss(store_id, record, caller.subject), store_id)


def router(store: Store, returns: Returns) -> Router:
    """Everything under /pipeline/parked."""
    return Router(
        "/pipeline/parked",
        route_handlers=[list_parked, one_parked, put_back_one, put_back_several, dismiss_parked],
        dependencies={
            "parked": Provide(lambda: store, sync_to_thread=False),
            "returns": Provide(lambda: returns, sync_to_thread=False),
        },
        tags=["parked records"],
    )


def _line(one: Kept) -> ParkedLine:
    return ParkedLine(
        id=one.id, group=one.reader, topic=one.topic, partition=one.partition, offset=one.position,
        size=len(one.body), error=one.error, status=one.status, was_put_back=ONLY_FOR in one.headers,
        parked_at=one.parked_at, settled_at=one.settled_at, settled_by=one.settled_by,
    )  # fmt: skip


def _view(one: Kept, store_id: str) -> ParkedView:
    rows = rows_of(one.body)
    own = [row for row in rows if row.get("store_id") == store_id]
    return ParkedView(
        **asdict(_line(one)),
        reason=one.reason if set(one.stores) <= {store_id} else None,
        rows=own[:_MOST_ROWS], own_rows=len(own), other_rows=len(rows) - len(own),
    )  # fmt: skip


def _before(cursor: str) -> tuple[datetime, UUID]:
    parked_at, record = position(cursor, 2)
    try:
        return datetime.fromisoformat(parked_at), UUID(record)
    except ValueError as error:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid") from error

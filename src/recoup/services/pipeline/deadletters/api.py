"""The workbench over HTTP: look, try out, send one or many again, set aside."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.errors import Invalid
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, position
from recoup.messages.access import Permission, Principal
from recoup.services.pipeline.deadletters.actions import Mender, Replayed, Trial, Workbench
from recoup.services.pipeline.deadletters.domain.filters import Filter
from recoup.services.pipeline.deadletters.domain.letters import Entry, Kind, Letter, Proposal, Status, text_of
from recoup.services.pipeline.deadletters.store import Count, Stopped, Store

_LOOK = {"permission": Permission.DLQ_READ}
_ACT = {"permission": Permission.DLQ_WRITE}
_EXCERPT = 240
_MOST_AT_ONCE = 1_000


class LetterLine(Struct, frozen=True, kw_only=True):
    """A letter in the list."""

    id: UUID
    event_id: str
    type: str
    stage: str
    kind: Kind
    code: str
    field: str
    reason: str
    status: Status
    attempts: int
    retries: int
    excerpt: str
    confidence: float | None
    """Of the best repair that would be taken; null where there is none."""
    received_at: datetime
    dead_at: datetime
    next_retry_at: datetime | None


class LetterView(LetterLine, frozen=True, kw_only=True):
    """A letter in full: what came, what was sent of it, what happened, and what the repairer proposes."""

    body: str
    sent_body: str | None
    examined_at: datetime | None
    proposals: list[Proposal]
    history: list[Entry]


class Summary(Struct, frozen=True, kw_only=True):
    """What lies on the workbench, and whether anything is sent by itself."""

    counts: list[Count]
    stopped: Stopped | None


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to send a letter again."""

    body: dict[str, object] | str | None = None
    """The event as it should be sent, or its text. Left out: as it came."""
    dry_run: bool = False
    """Answer what would be sent and whether it would be taken, and send nothing."""


class ReplayMany(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which letters to send again."""

    filter: Filter = Filter()
    limit: Annotated[int, Meta(ge=1, le=_MOST_AT_ONCE)] = 100
    dry_run: bool = False


class Note(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    note: Annotated[str, Meta(max_length=4096)] = ""


async def filtered(
    kind: FromQuery[Kind | None] = None,
    stage: FromQuery[str | None] = None,
    field: FromQuery[str | None] = None,
    code: FromQuery[str | None] = None,
    type: FromQuery[str | None] = None,  # noqa: A002 - the name of the parameter in the address
    status: FromQuery[Status | None] = None,
) -> Filter:
    """What the query of a list asks for, without its times."""
    return Filter(kind=kind, stage=stage, field=field, code=code, type=type, status=status)


@get("/", opt=_LOOK)
async def list_letters(
    store_id: NamedDependency[str],
    letters: NamedDependency[Store],
    wanted: NamedDependency[Filter],
    times: NamedDependency["Times"],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[LetterLine]:
    """A store's dead letters, newest first."""
    wanted = msgspec.structs.replace(wanted, since=times.since, until=times.until)
    found = await letters.page(store_id, wanted, None if cursor is None else _before(cursor), limit)
    last = found[-1] if len(found) == limit else None
    after = None if last is None else cursor_after(last.dead_at.isoformat(), str(last.id))
    return Page([msgspec.convert(_line(letter), LetterLine) for letter in found], after)


class Times(Struct, frozen=True):
    """Between which moments."""

    since: datetime | None
    until: datetime | None


async def between(since: FromQuery[datetime | None] = None, until: FromQuery[datetime | None] = None) -> Times:
    """The times of a list's query, in UTC where they name no offset."""
    return Times(_zoned(since), _zoned(until))


@get("/summary", opt=_LOOK)
async def summary(store_id: NamedDependency[str], letters: NamedDependency[Store]) -> Summary:
    """How many letters of each kind and status, and whether automatic sending is stopped."""
    stopped = [one for one in await letters.stopped() if one.store_id == store_id]
    return Summary(counts=await letters.counts(store_id, Filter()), stopped=stopped[0] if stopped else None)


@get("/{letter:uuid}", opt=_LOOK)
async def one_letter(
    store_id: NamedDependency[str], letter: FromPath[UUID], letters: NamedDependency[Store]
) -> LetterView:
    """One letter in full."""
    return _view(await letters.letter(store_id, letter))


@post("/{letter:uuid}/retry", opt=_ACT, status_code=200)
async def retry_letter(
    store_id: NamedDependency[str],
    letter: FromPath[UUID],
    data: JSONBody[Retry],
    caller: NamedDependency[Principal],
    workbench: NamedDependency[Workbench],
) -> Trial:
    """Sends one letter again, edited or as it came, or says what would be sent. Asked twice, it is sent once."""
    found = await workbench.store.letter(store_id, letter)
    body = _edited(data.body)
    if data.dry_run:
        return await workbench.try_out(found, body)
    return await workbench.send(found, body, caller.subject)


@post("/{letter:uuid}/examine", opt=_ACT, status_code=200)
async def examine_letter(
    store_id: NamedDependency[str],
    letter: FromPath[UUID],
    letters: NamedDependency[Store],
    mender: NamedDependency[Mender],
) -> LetterView:
    """Lets the repairer look again, with what it has learned since; sends nothing."""
    await mender.examine(await letters.letter(store_id, letter))
    return _view(await letters.letter(store_id, letter))


@post("/replay", opt=_ACT, status_code=200)
async def replay_many(
    store_id: NamedDependency[str],
    data: JSONBody[ReplayMany],
    caller: NamedDependency[Principal],
    workbench: NamedDependency[Workbench],
) -> Replayed:
    """Sends the newest letters that match, `limit` at most; those with a sure proposal as the repairer proposes."""
    return await workbench.replay(store_id, data.filter, data.limit, caller.subject, dry_run=data.dry_run)


@post("/resume", opt=_ACT, status_code=200)
async def resume(store_id: NamedDependency[str], letters: NamedDependency[Store]) -> Summary:
    """Lets letters be repaired and sent by themselves again after a flood stopped that."""
    await letters.resume(store_id)
    return Summary(counts=await letters.counts(store_id, Filter()), stopped=None)


@delete("/{letter:uuid}", opt=_ACT, status_code=200)
async def dismiss_letter(
    store_id: NamedDependency[str],
    letter: FromPath[UUID],
    caller: NamedDependency[Principal],
    workbench: NamedDependency[Workbench],
) -> LetterView:
    """Sets a letter aside; it is kept, and can be taken up again, until its time is over."""
    await workbench.set_aside(await workbench.store.letter(store_id, letter), caller.subject, "")
    return _view(await workbench.store.letter(store_id, letter))


@post("/{letter:uuid}/reopen", opt=_ACT, status_code=200)
async def reopen_letter(
    store_id: NamedDependency[str],
    letter: FromPath[UUID],
    data: JSONBody[Note],
    caller: NamedDependency[Principal],
    workbench: NamedDependency[Workbench],
) -> LetterView:
    """Takes a letter up again with its original text: a repair is undone on the workbench, and stays in the history."""
    await workbench.take_up(await workbench.store.letter(store_id, letter), caller.subject, data.note)
    return _view(await workbench.store.letter(store_id, letter))


def router(store: Store, workbench: Workbench, mender: Mender) -> Router:
    """Everything under /dlq."""
    return Router(
        "/dlq",
        route_handlers=[
            list_letters, summary, one_letter, retry_letter, examine_letter, replay_many, resume, dismiss_letter,
            reopen_letter,
        ],
        dependencies={
            "letters": Provide(lambda: store, sync_to_thread=False),
            "workbench": Provide(lambda: workbench, sync_to_thread=False),
            "mender": Provide(lambda: mender, sync_to_thread=False),
            "wanted": Provide(filtered),
            "times": Provide(between),
        },
        tags=["dead letters"],
    )  # fmt: skip


def _edited(body: dict[str, object] | str | None) -> bytes | None:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return None if body is None else msgspec.json.encode(body)


def _line(letter: Letter) -> dict[str, object]:
    return {
        "id": letter.id,
        "event_id": letter.event_id,
        "type": letter.event_type,
        "stage": letter.stage,
        "kind": letter.kind,
        "code": letter.code,
        "field": letter.field,
        "reason": letter.reason,
        "status": letter.status,
        "attempts": letter.attempts,
        "retries": letter.retries,
        "excerpt": text_of(letter.body[:_EXCERPT]),
        "confidence": max((one.confidence for one in letter.proposals if one.valid), default=None),
        "received_at": letter.received_at,
        "dead_at": letter.dead_at,
        "next_retry_at": letter.next_retry_at,
    }


def _view(letter: Letter) -> LetterView:
    more = {
        "body": text_of(letter.body),
        "sent_body": None if letter.sent_body is None else text_of(letter.sent_body),
        "examined_at": letter.examined_at,
        "proposals": letter.proposals,
        "history": letter.history,
    }
    return msgspec.convert({**_line(letter), **more}, LetterView, from_attributes=True)


def _zoned(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _before(cursor: str) -> tuple[datetime, UUID]:
    dead_at, letter = position(cursor, 2)
    try:
        return datetime.fromisoformat(dead_at), UUID(letter)
    except ValueError as error:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid") from error

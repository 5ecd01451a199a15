"""The tables `audit_logs`, and `changes_begun` for what others began and have not said the end of."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres, Session
from recoup.kit.trail import Stage, noted
from recoup.messages.changes import ChangeMade
from recoup.services.platform.audit.domain import FIRST, Action, Actor, Entry, Verdict, Wanted

_LINES: Final = (
    "select id, store_id, seq, at, actor, action, subject, address, request_id, detail,"
    " encode(previous, 'hex') as previous, encode(digest, 'hex') as hash from audit_logs where store_id = $1"
    " and ($2::text is null or actor = $2) and ($3::text is null or action = $3)"
    " and ($4::text is null or subject = $4) and ($5::text is null or request_id = $5)"
    " and ($6::timestamptz is null or at >= $6) and ($7::timestamptz is null or at < $7)"
)
_CHECKED: Final = (
    "select seq, encode(digest, 'hex') as hash, digest = audit_digest(audit_logs) as true_to_itself,"
    " previous = lag(digest, 1, decode($3, 'hex')) over (order by seq) as follows"
    " from audit_logs where store_id = $1 and seq > $2 order by seq limit 5000"
)
_AT_ONCE: Final = 1000
_ROW: Final = (
    "insert into audit_logs (id, store_id, at, actor, action, subject, address, request_id, detail)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing"
)
_BEGUN: Final = (
    "insert into changes_begun (id, store_id, at, actor, action, subject, address, request_id, detail)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing"
)


class _Begun(Struct, frozen=True, kw_only=True):
    """A change whose outcome nobody has said."""

    store_id: str
    at: datetime
    actor: str
    action: str
    subject: str
    address: str
    request_id: str
    detail: dict[str, str | int]


class _Checked(Struct, frozen=True):
    """One line as the database judges it."""

    seq: int
    hash: str
    true_to_itself: bool
    follows: bool


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Adds in the transaction of the change itself, so that neither is there without the other."""

    db: Postgres

    async def add(  # noqa: PLR0913, PLR0917 - who, what, to what, when: a line of an audit trail has these
        self, session: Session, store_id: str, at: datetime, actor: Actor, action: Action, subject: str,
        detail: Mapping[str, str | int] | None = None,
    ) -> None:  # fmt: skip
        await session.execute(
            _ROW, new_id(), store_id, at, actor.subject, action, subject, actor.address, actor.request_id,
            dict(detail or {}),
        )  # fmt: skip
        noted()

    async def take(self, changes: Sequence[ChangeMade]) -> None:
        """What services say of changes; the same told twice is one line. One that was refused leaves none."""
        ended = {change.id for change in changes if change.stage is not Stage.BEGUN}
        begun = [change for change in changes if change.stage is Stage.BEGUN and change.id not in ended]
        lines = [change for change in changes if change.stage in {Stage.MADE, Stage.UNKNOWN}]
        # Trails are locked until the commit: in one order, whoever locks several.
        lines.sort(key=lambda change: change.store_id)
        async with self.db.transaction() as session:
            await session.execute_many(_BEGUN, [_told(change) for change in begun])
            await session.execute_many(_ROW, [_told(change) for change in lines])
            await session.execute("delete from changes_begun where id = any($1)", list(ended))

    async def close(self, patience: timedelta) -> int:
        """Writes down what was begun and has had no outcome for so long; how many lines that made."""
        async with self.db.transaction() as session:
            left = await session.rows(
                _Begun,
                "delete from changes_begun where told_at < now() - $1::interval"
                " returning store_id, at, actor, action, subject, address, request_id, detail",
                patience,
            )
            rows = [
                (
                    new_id(), one.store_id, one.at, one.actor, one.action, one.subject, one.address, one.request_id,
                    {**one.detail, "outcome": Stage.UNKNOWN},
                )
                for one in sorted(left, key=lambda one: (one.store_id, one.at))
            ]  # fmt: skip
            await session.execute_many(_ROW, rows)
            return len(rows)

    async def page(self, store_id: str, wanted: Wanted, before: int | None, limit: int) -> Sequence[Entry]:
        """Newest first."""
        return await self.db.rows(
            Entry,
            _LINES + " and ($8::bigint is null or seq < $8) order by seq desc limit $9",
            *_values(store_id, wanted), before, limit,
        )  # fmt: skip

    async def every(self, store_id: str, wanted: Wanted) -> AsyncGenerator[Sequence[Entry]]:
        """All lines, oldest first, some at a time."""
        after = 0
        while True:
            lines = await self.db.rows(
                Entry, _LINES + " and seq > $8 order by seq limit $9", *_values(store_id, wanted), after, _AT_ONCE
            )
            if not lines:
                return
            yield lines
            after = lines[-1].seq

    async def hash_of(self, store_id: str, seq: int) -> str | None:
        """The hash of one line; None where there is no such line."""
        return await self.db.find(
            str, "select encode(digest, 'hex') from audit_logs where store_id = $1 and seq = $2", store_id, seq
        )

    async def verify(self, store_id: str) -> Verdict:
        """Follows the store's whole chain in the database."""
        lines, last = 0, FIRST
        while True:
            checked = await self.db.rows(_Checked, _CHECKED, store_id, lines, last)
            for line in checked:
                why = _broken(line, lines + 1)
                if why:
                    return Verdict(
                        intact=False, lines=lines, last_seq=lines, last_hash=last, broken_at=line.seq, why=why
                    )
                lines, last = line.seq, line.hash
            if not checked:
                return Verdict(intact=True, lines=lines, last_seq=lines, last_hash=last)


def _told(change: ChangeMade) -> Sequence[object]:
    detail: dict[str, str | int] = {"service": change.service, "permission": change.permission}
    if change.status:
        detail["status"] = change.status
    if change.stage is Stage.UNKNOWN:
        detail["outcome"] = Stage.UNKNOWN
    return (
        change.id, change.store_id, change.occurred_at, change.actor, f"{change.method} {change.route}", change.path,
        change.address, change.request_id, detail,
    )  # fmt: skip


def _values(store_id: str, wanted: Wanted) -> Sequence[object]:
    return (
        store_id, wanted.actor, wanted.action, wanted.subject, wanted.request_id, wanted.since, wanted.until,
    )  # fmt: skip


def _broken(line: _Checked, expected: int) -> str:
    if line.seq != expected:
        return f"line {expected} should stand here"
    if not line.true_to_itself:
        return "its content is not what was hashed"
    return "" if line.follows else "it does not carry the hash of the line before"

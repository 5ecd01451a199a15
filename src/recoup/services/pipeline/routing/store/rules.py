"""Rules by version, destinations and their sealed secrets. Every change counts up, so that readers notice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Conflict, Missing
from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres, Session
from recoup.services.pipeline.routing.domain.rules import (
    Destination,
    Rule,
    State,
    decoded_rules,
    missing_destinations,
)

_DESTINATION = (
    "id, store_id, name, kind, url, form, concurrency, retention_hours, state, reason, failures, failing_since,"
    " blocked_until, dropped, created_at"
)


class Version(Struct, frozen=True, kw_only=True):
    """A store's rules as they were from a moment on."""

    version: int
    rules: tuple[Rule, ...] = ()
    changed_by: str = ""
    changed_at: datetime | None = None


class _Kept(Struct, frozen=True, kw_only=True):
    version: int
    rules: list[dict[str, object]]
    changed_by: str
    changed_at: datetime


class Changed(Struct, frozen=True):
    """How often what is in force in a store has changed."""

    store_id: str
    number: int


class _Sealed(Struct, frozen=True):
    sealed: bytes


Edit = Callable[[Sequence[Rule]], Sequence[Rule]]


@dataclass(frozen=True, slots=True)
class RuleStore:
    """Everything but what is on its way."""

    db: Postgres
    versions_kept: int

    async def changes(self) -> dict[str, int]:
        """A number for each store that routes; one that has grown says that there is something new."""
        rows = await self.db.rows(Changed, "select store_id, number from routing_changes")
        return {row.store_id: row.number for row in rows}

    async def current(self, store_id: str) -> Version:
        async with self.db.transaction() as session:
            return await _current(session, store_id)

    async def versions(self, store_id: str, before: int | None, limit: int) -> list[Version]:
        """A store's versions, newest first."""
        rows = await self.db.rows(
            _Kept,
            "select version, rules, changed_by, changed_at from routing_rules where store_id = $1"
            " and ($2::int is null or version < $2) order by version desc limit $3",
            store_id, before, limit,
        )  # fmt: skip
        return [_version(row) for row in rows]

    async def version(self, store_id: str, number: int) -> Version:
        """One version; raises Missing."""
        found = await self.db.find(
            _Kept,
            "select version, rules, changed_by, changed_at from routing_rules where store_id = $1 and version = $2",
            store_id, number,
        )  # fmt: skip
        if found is None:
            raise Missing(f"no version {number} of the rules")
        return _version(found)

    async def edit(self, store_id: str, edit: Edit, who: str, now: datetime) -> Version:
        """Makes a new version of what the last one is edited to; raises Conflict for rules that lead nowhere."""
        async with self.db.transaction() as session:
            await _alone(session, store_id)
            before = await _current(session, store_id)
            rules = tuple(edit(before.rules))
            known = {one.id: one for one in await _destinations(session, store_id)}
            missing = missing_destinations(rules, known)
            if missing:
                raise Conflict(f"no destination {missing[0]}", code="destination_missing")
            after = Version(version=before.version + 1, rules=rules, changed_by=who, changed_at=now)
            await session.execute(
                "insert into routing_rules (store_id, version, rules, changed_by, changed_at)"
                " values ($1, $2, $3, $4, $5)",
                store_id, after.version, list(rules), who, now,
            )  # fmt: skip
            await session.execute(
                "delete from routing_rules where store_id = $1 and version <= $2",
                store_id, after.version - self.versions_kept,
            )  # fmt: skip
            await _count_up(session, store_id)
        return after

    async def destinations(self, store_id: str) -> list[Destination]:
        async with self.db.transaction() as session:
            return await _destinations(session, store_id)

    async def destination(self, store_id: str, id_: UUID) -> Destination:
        """One destination; raises Missing."""
        found = await self.db.find(
            Destination, f"select {_DESTINATION} from routing_destinations where store_id = $1 and id = $2",  # noqa: S608 - column names of ours
            store_id, id_,
        )  # fmt: skip
        if found is None:
            raise Missing(f"no destination {id_}")
        return found

    async def topics(self) -> list[Destination]:
        """Every store's topics, for the clock that lets go of what is old."""
        return await self.db.rows(
            Destination,
            f"select {_DESTINATION} from routing_destinations where kind = 'topic'",  # noqa: S608 - column names of ours
        )

    async def add(self, made: Destination, sealed: bytes | None, most: int) -> None:
        """Adds a destination, with its secret where it has one; raises Conflict for a name taken or too many."""
        async with self.db.transaction() as session:
            await _alone(session, made.store_id)
            known = await _destinations(session, made.store_id)
            if len(known) >= most:
                raise Conflict(f"a store has at most {most} destinations", code="too_many")
            _ensure_free(made, known)
            await session.execute(
                "insert into routing_destinations (id, store_id, name, kind, url, form, concurrency, retention_hours,"
                " created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                made.id, made.store_id, made.name, made.kind, made.url, made.form, made.concurrency,
                made.retention_hours, made.created_at,
            )  # fmt: skip
            if sealed is not None:
                await _add_secret(session, made.store_id, made.id, sealed, made.created_at)
            await _count_up(session, made.store_id)

    async def change(self, changed: Destination) -> None:
        """Writes what a person may change."""
        async with self.db.transaction() as session:
            await _alone(session, changed.store_id)
            touched = await session.execute(
                "update routing_destinations set url = $3, form = $4, concurrency = $5, retention_hours = $6"
                " where store_id = $1 and id = $2",
                changed.store_id, changed.id, changed.url, changed.form, changed.concurrency, changed.retention_hours,
            )  # fmt: skip
            if touched == 0:
                raise Missing(f"no destination {changed.id}")
            await _count_up(session, changed.store_id)

    async def remove(self, store_id: str, id_: UUID) -> None:
        """Removes a destination with all that waits for it; raises Conflict while a rule leads there."""
        async with self.db.transaction() as session:
            await _alone(session, store_id)
            rules = (await _current(session, store_id)).rules
            using = [rule.name for rule in rules if id_ in rule.to]
            if using:
                raise Conflict(f"the rule {using[0]!r} leads there", code="destination_in_use")
            touched = await session.execute(
                "delete from routing_destinations where store_id = $1 and id = $2", store_id, id_
            )
            if touched == 0:
                raise Missing(f"no destination {id_}")
            await _count_up(session, store_id)

    async def set_state(self, store_id: str, id_: UUID, state: State, reason: str) -> None:
        """Pauses or resumes by hand; resumed, it starts with a clean slate."""
        touched = await self.db.execute(
            "update routing_destinations set state = $3, reason = $4, failures = 0, failing_since = null,"
            " blocked_until = null, told = true where store_id = $1 and id = $2",
            store_id, id_, state, reason,
        )  # fmt: skip
        if touched == 0:
            raise Missing(f"no destination {id_}")

    async def secrets(self, store_id: str, id_: UUID, now: datetime) -> list[bytes]:
        """Sealed secrets in force, the newest first."""
        rows = await self.db.rows(
            _Sealed,
            "select sealed from routing_secrets where store_id = $1 and destination_id = $2"
            " and (good_until is null or good_until > $3) order by set_at desc, id desc",
            store_id, id_, now,
        )  # fmt: skip
        return [row.sealed for row in rows]

    async def replace_secret(self, store_id: str, id_: UUID, sealed: bytes, now: datetime, grace: timedelta) -> None:
        """A new secret; the one before it signs along for `grace` more, those before that no longer."""
        async with self.db.transaction() as session:
            await session.execute(
                "delete from routing_secrets where store_id = $1 and destination_id = $2 and good_until is not null",
                store_id, id_,
            )  # fmt: skip
            await session.execute(
                "update routing_secrets set good_until = $3 where store_id = $1 and destination_id = $2",
                store_id, id_, now + grace,
            )  # fmt: skip
            await _add_secret(session, store_id, id_, sealed, now)


async def _alone(session: Session, store_id: str) -> None:
    """Changes of one store's routing happen one after the other."""
    await session.execute("select pg_advisory_xact_lock(hashtextextended($1, 28))", store_id)


async def _count_up(session: Session, store_id: str) -> None:
    await session.execute(
        "insert into routing_changes (store_id, number) values ($1, 1)"
        " on conflict (store_id) do update set number = routing_changes.number + 1",
        store_id,
    )


async def _current(session: Session, store_id: str) -> Version:
    found = await session.find(
        _Kept,
        "select version, rules, changed_by, changed_at from routing_rules where store_id = $1"
        " order by version desc limit 1",
        store_id,
    )  # fmt: skip
    return Version(version=0) if found is None else _version(found)


async def _destinations(session: Session, store_id: str) -> list[Destination]:
    return await session.rows(
        Destination, f"select {_DESTINATION} from routing_destinations where store_id = $1 order by name",  # noqa: S608 - column names of ours
        store_id,
    )  # fmt: skip


async def _add_secret(session: Session, store_id: str, id_: UUID, sealed: bytes, now: datetime) -> None:
    await session.execute(
        "insert into routing_secrets (id, store_id, destination_id, sealed, set_at) values ($1, $2, $3, $4, $5)",
        new_id(), store_id, id_, sealed, now,
    )  # fmt: skip


def _ensure_free(made: Destination, known: Sequence[Destination]) -> None:
    if any(one.name == made.name for one in known):
        raise Conflict(f"a destination {made.name!r} exists", code="name_taken")


def _version(row: _Kept) -> Version:
    return Version(
        version=row.version, rules=decoded_rules(row.rules), changed_by=row.changed_by, changed_at=row.changed_at
    )

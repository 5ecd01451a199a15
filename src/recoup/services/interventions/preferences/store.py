"""People, the ids they go by, and their wishes, in PostgreSQL. Decides nothing about whom to contact."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from recoup.kit.postgres import Postgres, Session
from recoup.messages.facts import RiskSignal
from recoup.services.interventions.preferences.domain import Contact, Person, Seen, Wishes, merged

RISK_FROM = 0.8
_LEARN = """
    insert into people (store_id, person_id, email, phone, name, locale, timezone, consent, consent_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, case when $8::bool is null then null else $9::timestamptz end, $9)
    on conflict (store_id, person_id) do update set
        email = case when $10::bool then coalesce(excluded.email, people.email)
                     else coalesce(people.email, excluded.email) end,
        phone = case when $10 then coalesce(excluded.phone, people.phone)
                     else coalesce(people.phone, excluded.phone) end,
        name = case when $10 then coalesce(excluded.name, people.name)
                    else coalesce(people.name, excluded.name) end,
        locale = coalesce(excluded.locale, people.locale), timezone = coalesce(excluded.timezone, people.timezone),
        (consent, consent_at) = (
            select case when taken then excluded.consent else people.consent end,
                   case when taken then excluded.consent_at else people.consent_at end
            from (select excluded.consent is not null
                     and excluded.consent_at >= coalesce(people.consent_at, '-infinity')
                     and ($10 or people.consent is null or not excluded.consent)) as word (taken)
        ),
        updated_at = greatest(people.updated_at, excluded.updated_at)
"""
Ids = tuple[str | None, str | None]
"""A user id and an anonymous id, as a cart or an order carries them."""


class _Link(Struct, frozen=True):
    anonymous_id: str
    user_id: str


class _UserWishes(Wishes, frozen=True, kw_only=True):
    user_id: str


class _Risk(Struct, frozen=True):
    subject: str
    kind: str


@dataclass(frozen=True, slots=True)
class People:
    """Who is who."""

    postgres: Postgres

    async def learn(self, store_id: str, seen: Sequence[Seen]) -> None:
        """Takes over what events said, the newest word last; saying it again changes nothing.

        What cannot be trusted fills blanks, and may withdraw consent.
        """
        async with self.postgres.transaction() as session:
            await self._link(session, store_id, [each for each in seen if each.user_id and each.anonymous_id])
            await self._meet(session, store_id, [each for each in seen if not each.is_told])
            await session.execute_many(
                _LEARN,
                [
                    (
                        store_id,
                        each.person_id,
                        each.traits.email,
                        each.traits.phone,
                        each.traits.name,
                        each.locale,
                        each.timezone,
                        each.traits.consent,
                        each.at,
                        each.is_trusted,
                    )
                    for each in sorted(seen, key=lambda each: each.at)
                    if each.person_id and each.is_told
                ],
            )
            await self._lift(session, store_id, [each for each in seen if each.traits.consent and each.is_trusted])

    @staticmethod
    async def _meet(session: Session, store_id: str, seen: Sequence[Seen]) -> None:
        """Notes when people were last there: nearly all that most events say of anybody, so in one statement."""
        latest = {each.person_id: each.at for each in sorted(seen, key=lambda each: each.at) if each.person_id}
        await session.execute(
            """
            insert into people (store_id, person_id, updated_at)
            select $1, * from unnest($2::text[], $3::timestamptz[])
            on conflict (store_id, person_id) do update set updated_at = excluded.updated_at
            where people.updated_at < excluded.updated_at
            """,
            store_id,
            sorted(latest),
            [latest[person_id] for person_id in sorted(latest)],
        )

    @staticmethod
    async def _link(session: Session, store_id: str, seen: Sequence[Seen]) -> None:
        """A device that was used by two people belongs to the later one."""
        latest = {each.anonymous_id: each for each in sorted(seen, key=lambda each: each.at)}
        await session.execute(
            """
            insert into identities (store_id, anonymous_id, user_id, linked_at)
            select $1, * from unnest($2::text[], $3::text[], $4::timestamptz[])
            on conflict (store_id, anonymous_id) do update set
                user_id = excluded.user_id, linked_at = excluded.linked_at
            where identities.linked_at <= excluded.linked_at
            """,
            store_id,
            list(latest),
            [each.user_id for each in latest.values()],
            [each.at for each in latest.values()],
        )

    @staticmethod
    async def _lift(session: Session, store_id: str, seen: Sequence[Seen]) -> None:
        """Consent given anew, later than an unsubscription, lifts it."""
        await session.execute_many(
            """
            delete from suppressions s using people p
            where s.store_id = $1 and p.store_id = $1 and p.person_id = $2
              and s.address = p.email and s.reason = 'unsubscribed' and s.added_at < $3
            """,
            [(store_id, each.person_id, each.at) for each in seen],
        )

    async def people(self, store_id: str, ids: Sequence[Ids]) -> list[Person]:
        """The person behind each pair of ids, in the same order, with everything known under any id of theirs."""
        async with self.postgres.transaction() as session:
            users = await self._users(session, store_id, [anonymous for _, anonymous in ids if anonymous])
            heads = [user or users.get(anonymous or "") or anonymous or "" for user, anonymous in ids]
            linked = await self._linked(session, store_id, heads, ids)
            everyone = sorted({each for group in linked.values() for each in group})
            contacts = await self._by_id(session, store_id, everyone)
            return await self._assembled(session, store_id, heads, linked, contacts)

    async def _users(self, session: Session, store_id: str, anonymous: Sequence[str]) -> dict[str, str]:
        links = await session.rows(
            _Link,
            "select anonymous_id, user_id from identities where store_id = $1 and anonymous_id = any($2)",
            store_id,
            anonymous,
        )
        return {link.anonymous_id: link.user_id for link in links}

    async def _linked(
        self, session: Session, store_id: str, heads: Sequence[str], ids: Sequence[Ids]
    ) -> dict[str, dict[str, None]]:
        """Every id by person: devices linked to the same user, and whoever has the same e-mail address."""
        linked: dict[str, dict[str, None]] = defaultdict(dict)
        for head, (_, anonymous) in zip(heads, ids, strict=True):
            linked[head][head] = None
            if anonymous:
                linked[head][anonymous] = None
        for link in await session.rows(
            _Link,
            "select anonymous_id, user_id from identities where store_id = $1 and user_id = any($2)",
            store_id,
            heads,
        ):
            linked[link.user_id][link.anonymous_id] = None
        owner = {each: head for head, group in linked.items() for each in group}
        for same in await session.rows(
            _Link,
            """
            select distinct mine.person_id as anonymous_id, other.person_id as user_id from people mine
            join people other on other.store_id = mine.store_id and other.email = mine.email
            where mine.store_id = $1 and mine.person_id = any($2) and mine.email is not null
            """,
            store_id,
            list(owner),
        ):
            linked[owner[same.anonymous_id]][same.user_id] = None
        return linked

    async def _by_id(self, session: Session, store_id: str, everyone: Sequence[str]) -> dict[str, Contact]:
        contacts = await session.rows(
            Contact,
            """
            select person_id, email, name, locale, timezone, consent, consent_at, updated_at from people
            where store_id = $1 and person_id = any($2)
            """,
            store_id,
            everyone,
        )
        return {contact.person_id: contact for contact in contacts}

    async def _assembled(
        self,
        session: Session,
        store_id: str,
        heads: Sequence[str],
        linked: Mapping[str, Mapping[str, None]],
        contacts: Mapping[str, Contact],
    ) -> list[Person]:
        everyone = sorted({each for group in linked.values() for each in group})
        wishes = {
            each.user_id: each
            for each in await session.rows(
                _UserWishes,
                """
                select user_id, channels, quiet_from, quiet_until, timezone, opted_out from preferences
                where store_id = $1 and user_id = any($2)
                """,
                store_id,
                everyone,
            )
        }
        suppressed = set(
            await session.rows(
                str,
                "select address from suppressions where store_id = $1 and address = any($2)",
                store_id,
                [contact.email for contact in contacts.values() if contact.email],
            )
        )
        risks = {
            risk.subject: risk.kind
            for risk in await session.rows(
                _Risk,
                "select subject, kind from risks where store_id = $1 and subject = any($2) and score >= $3",
                store_id,
                everyone,
                RISK_FROM,
            )
        }
        return [
            merged(
                head,
                list(linked[head]),
                [contacts[each] for each in linked[head] if each in contacts],
                [wishes[each] for each in linked[head] if each in wishes],
                suppressed=any(each in contacts and contacts[each].email in suppressed for each in linked[head]),
                risk=next((risks[each] for each in linked[head] if each in risks), None),
            )
            for head in heads
        ]

    async def find_wishes(self, store_id: str, user_id: str) -> Wishes | None:
        return await self.postgres.find(
            Wishes,
            """
            select channels, quiet_from, quiet_until, timezone, opted_out from preferences
            where store_id = $1 and user_id = $2
            """,
            store_id,
            user_id,
        )

    async def record_wishes(self, store_id: str, user_id: str, wishes: Wishes, at: datetime) -> None:
        """Takes over what somebody asked for; asking to be written to again lifts an unsubscription."""
        async with self.postgres.transaction() as session:
            await session.execute(
                """
                insert into preferences (store_id, user_id, channels, quiet_from, quiet_until, timezone, opted_out,
                    updated_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                on conflict (store_id, user_id) do update set
                    channels = excluded.channels, quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until,
                    timezone = excluded.timezone, opted_out = excluded.opted_out, updated_at = excluded.updated_at
                """,
                store_id,
                user_id,
                None if wishes.channels is None else list(wishes.channels),
                wishes.quiet_from,
                wishes.quiet_until,
                wishes.timezone,
                wishes.opted_out,
                at,
            )
            if not wishes.opted_out:
                await session.execute(
                    """
                    delete from suppressions s using people p
                    where s.store_id = $1 and p.store_id = $1 and p.person_id = $2
                      and s.address = p.email and s.reason = 'unsubscribed'
                    """,
                    store_id,
                    user_id,
                )

    async def unsubscribe(self, store_id: str, address: str, at: datetime) -> bool:
        """Whoever has this address gets no more marketing; False if that was so already."""
        added = await self.postgres.execute(
            """
            insert into suppressions (store_id, address, reason, added_at) values ($1, $2, 'unsubscribed', $3)
            on conflict (store_id, address) do nothing
            """,
            store_id,
            address,
            at,
        )
        return added > 0

    async def note_risks(self, signals: Sequence[RiskSignal]) -> None:
        await self.postgres.execute_many(
            """
            insert into risks (store_id, subject, kind, score, reasons, signalled_at) values ($1, $2, $3, $4, $5, $6)
            on conflict (store_id, subject, kind) do update set
                score = excluded.score, reasons = excluded.reasons, signalled_at = excluded.signalled_at
            where risks.signalled_at <= excluded.signalled_at
            """,
            [
                (signal.store_id, signal.subject, signal.kind, signal.score, signal.reasons, signal.occurred_at)
                for signal in signals
            ],
        )

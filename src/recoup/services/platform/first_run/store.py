"""Makes the first person, store and keys in one transaction, and writes the file that tells them."""

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from recoup.kit.ids import new_id
from recoup.kit.passwords import Passwords
from recoup.kit.postgres import Postgres, Session
from recoup.messages.stores import StoreSettings
from recoup.services.platform.access import domain as access
from recoup.services.platform.access.domain import ApiKey, KeyKind
from recoup.services.platform.access.store import Keys
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.first_run.domain import FirstRun
from recoup.services.platform.identity.domain import Person
from recoup.services.platform.identity.store.people import People
from recoup.services.platform.stores.domain import Store
from recoup.services.platform.stores.store import Stores

ACTOR: Final = Actor("first-run")


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Of several processes that start at once on an empty database, one begins; the others find it done."""

    db: Postgres
    people: People
    stores: Stores
    keys: Keys
    passwords: Passwords
    file: Path

    async def begin(self, *, url: str, email: str, store_name: str, now: datetime) -> FirstRun | None:
        """Makes everything and tells it in the file; None when there is somebody already."""
        password = secrets.token_urlsafe(18)
        person = Person(id=new_id(), email=email, password_hash=await self.passwords.hash(password))
        async with self.db.transaction() as session:
            await session.execute("select pg_advisory_xact_lock(hashtext('recoup-first-run'))")
            if await self.people.any(session):
                return None
            await self.people.add(session, person, now)
            store = await self.stores.add(session, store_name, StoreSettings(name=store_name), person.id, ACTOR, now)
            made = FirstRun(
                url=url, admin_email=email, admin_password=password, store_id=store.store_id,
                secret_key=await self._key(session, "secret_key", store, now),
                publishable_key=await self._key(session, "publishable_key", store, now),
            )  # fmt: skip
            # Written before the commit: a crash between the two leaves a file without rows, and the next start
            # writes both anew. The other way round it would leave keys that nobody knows.
            _write(self.file, msgspec.json.format(msgspec.json.encode(made)))
            return made

    async def _key(self, session: Session, kind: KeyKind, store: Store, now: datetime) -> str:
        key = access.spelled(kind, secrets.token_bytes(access.RANDOM_BYTES))
        made = ApiKey(
            id=new_id(),
            store_id=store.store_id,
            kind=kind,
            name="first",
            prefix=access.shown(key, kind),
            created_at=now,
            scopes=tuple(sorted(access.GRANTS[kind])),
        )
        await self.keys.add(session, made, key, ACTOR)
        return key


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and for nobody else to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)

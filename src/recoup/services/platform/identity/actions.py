"""Signing in, refreshing, signing out, and verifying access tokens."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Missing, TooMany, Unauthenticated, Unavailable
from recoup.kit.ids import new_id
from recoup.kit.passwords import Passwords
from recoup.kit.tokens import Signer, Verifier
from recoup.messages.access import Principal, Role
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.domain import Access, Change, Person, Refresh, Session
from recoup.services.platform.identity.store import WINDOW, Attempts, People, Sessions

POLL_SECONDS: Final = 5.0
PRINCIPALS: Final = 10_000


class Tokens(Struct, frozen=True, kw_only=True):
    """A fresh pair. The refresh token can be used once; using it again ends the sign-in."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until the access token expires."""
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme, not a secret


@dataclass(slots=True)
class AccessTokens:
    """Signs and verifies access tokens; one of an ended sign-in is refused here at once, elsewhere within seconds."""

    people: People
    sessions: Sessions
    clock: Clock
    lifetime: timedelta
    _signer: Signer | None = None
    _verifier: Verifier[Access] | None = None
    _ended: set[str] = field(default_factory=set)
    _principals: dict[str, Principal] = field(default_factory=dict)

    async def open(self) -> None:
        """Loads the signing key; before that no token is made or taken."""
        seed = await self.people.signing_seed(self.clock.now())
        self._signer = Signer(seed, self.clock, self.lifetime)
        self._verifier = Verifier(seed, Access, self.clock)
        await self.learn_ended()

    def sign(self, session: Session, roles: Mapping[str, Role]) -> str:
        if self._signer is None:
            raise Unavailable("the signing key is not loaded yet")
        return self._signer.sign(Access(user_id=str(session.user_id), session_id=str(session.id), roles=dict(roles)))

    def principal(self, token: str) -> Principal:
        """Who bears the token; raises Unauthenticated."""
        if self._verifier is None:
            raise Unavailable("the signing key is not loaded yet")
        access = self._verifier.verify(token)
        if access.session_id in self._ended:
            raise Unauthenticated("this sign-in has ended", code="session_ended")
        found = self._principals.get(token)
        if found is None:
            if len(self._principals) >= PRINCIPALS:
                self._principals.clear()
            found = self._principals[token] = domain.principal(access)
        return found

    def end(self, session_id: UUID) -> None:
        self._ended.add(str(session_id))

    async def learn_ended(self) -> None:
        """Takes over who signed out on other instances; older ends concern only tokens that have expired."""
        horizon = self.clock.now() - self.lifetime - timedelta(seconds=POLL_SECONDS)
        self._ended = set(await self.sessions.ended_since(horizon))

    async def watch(self) -> None:
        """The same again and again, for ever. While the database is away nobody can sign out either."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.learn_ended()
            except Unavailable:
                continue


class Joined(Struct, frozen=True, kw_only=True):
    """A new member. `password` is there for somebody who had no account, and is shown this once."""

    email: str
    role: Role
    password: str | None


@dataclass(frozen=True, slots=True)
class Team:
    """Who is what in a store."""

    people: People
    tokens: AccessTokens
    passwords: Passwords
    clock: Clock

    async def join(self, store_id: str, email: str, role: Role, actor: Actor) -> Joined:
        """Raises Conflict for somebody who is a member already."""
        password = secrets.token_urlsafe(18)
        hashed = await self.passwords.hash(password)
        person = Person(id=new_id(), email=domain.normalised(email), password_hash=hashed)
        new = await self.people.join(store_id, person, role, actor, self.clock.now())
        return Joined(email=person.email, role=role, password=password if new else None)

    async def change(self, store_id: str, user_id: UUID, role: Role | None, actor: Actor) -> None:
        """Another role, or none any more; signs the person out. Raises Missing, or Conflict for the last owner."""
        match await self.people.change(store_id, user_id, role, actor, self.clock.now()):
            case Change.NOBODY:
                raise Missing(f"no member {user_id}")
            case Change.LAST_OWNER:
                raise Conflict("a store keeps at least one owner", code="last_owner")
            case Change.DONE:
                await self.tokens.learn_ended()


@dataclass(frozen=True, slots=True)
class Limits:
    """How many failed sign-ins are borne in five minutes."""

    per_account: int
    per_address: int


@dataclass(frozen=True, slots=True)
class SignIn:
    """From a password to tokens, and from a refresh token to the next pair."""

    people: People
    sessions: Sessions
    attempts: Attempts
    tokens: AccessTokens
    passwords: Passwords
    clock: Clock
    limits: Limits

    async def login(self, email: str, password: str, address: str) -> Tokens:
        """Raises Unauthenticated in the same words and after the same work, whether or not there is such an account."""
        account = domain.normalised(email)
        await self._count(account, address)
        person = await self.people.named(account)
        if not await self.passwords.matches(password, person.password_hash if person else None) or person is None:
            raise Unauthenticated("e-mail or password is wrong", code="login_failed")
        await self.attempts.forgive(f"{account}\x1f{address}", address)
        return await self._begin(person, address)

    async def refresh(self, refresh_token: str, address: str) -> Tokens:
        """The next pair; raises Unauthenticated, and ends the sign-in when the token was used before."""
        new = secrets.token_urlsafe(32)
        outcome = await self.sessions.rotate(refresh_token, new, Actor("refresh", address), self.clock.now())
        if isinstance(outcome, Refresh):
            await self.tokens.learn_ended()
            raise Unauthenticated("this refresh token is not in force: sign in again", code=outcome.value)
        return await self._pair(outcome, new)

    async def logout(self, session_id: UUID, actor: Actor) -> None:
        await self.sessions.end(session_id, actor, self.clock.now())
        self.tokens.end(session_id)

    async def _count(self, account: str, address: str) -> None:
        of_account, of_address = await self.attempts.count(f"{account}\x1f{address}", address)
        if of_account > self.limits.per_account or of_address > self.limits.per_address:
            raise TooMany("too many failed sign-ins; wait a little", retry_after=WINDOW, code="login_limited")

    async def _begin(self, person: Person, address: str) -> Tokens:
        token = secrets.token_urlsafe(32)
        session = await self.sessions.begin(person.id, token, Actor(str(person.id), address), self.clock.now())
        return await self._pair(session, token)

    async def _pair(self, session: Session, refresh_token: str) -> Tokens:
        access = self.tokens.sign(session, await self.people.roles(session.user_id))
        seconds = int(self.tokens.lifetime.total_seconds())
        return Tokens(access_token=access, refresh_token=refresh_token, expires_in=seconds)

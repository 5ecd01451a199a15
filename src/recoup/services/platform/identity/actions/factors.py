"""The second factor: taking one on, proving it, giving it up."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Forbidden, Missing
from recoup.kit.passwords import Passwords
from recoup.kit.totp import new_totp_secret, totp_step, totp_uri
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.actions.guard import Guard
from recoup.services.platform.identity.domain import Factor, Person
from recoup.services.platform.identity.store.factors import Factors
from recoup.services.platform.identity.store.people import People

ISSUER = "Recoup"


class Enrolment(Struct, frozen=True, kw_only=True):
    """What an authenticator app is given; shown this once, and not asked for until a code confirms it."""

    secret: str
    uri: str
    """The same for the app to read: `otpauth://totp/…`."""


class RecoveryCodes(Struct, frozen=True, kw_only=True):
    """Each stands for one code of the app. Shown this once."""

    codes: Sequence[str]


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A code counts once, whoever brings it."""

    people: People
    factors: Factors
    passwords: Passwords
    guard: Guard
    clock: Clock

    async def begin(self, user_id: UUID, password: str, actor: Actor) -> Enrolment:
        """Raises Conflict where one is in force."""
        person = await self._prove(user_id, password)
        secret = new_totp_secret()
        if not await self.factors.begin(user_id, secret, actor, self.clock.now()):
            raise Conflict("a second factor is in force already", code="second_factor_exists")
        return Enrolment(secret=secret.reveal(), uri=totp_uri(secret, person.email, ISSUER))

    async def confirm(self, user_id: UUID, code: str, actor: Actor) -> RecoveryCodes:
        """From now on it is asked for; raises Missing where none waits for it."""
        await self.guard.proof(user_id)
        factor = await self.factors.find(user_id)
        if factor is None or factor.is_confirmed:
            raise Missing("no second factor waits to be confirmed")
        now = self.clock.now()
        step = totp_step(factor.secret, domain.plain_code(code), now)
        if step is None:
            raise Forbidden("this code is not the one of now", code="second_factor_wrong")
        codes = _new_codes()
        if not await self.factors.confirm(user_id, step, codes, actor, now):
            raise Missing("no second factor waits to be confirmed")
        await self.guard.proved(user_id)
        return RecoveryCodes(codes=codes)

    async def renew(self, user_id: UUID, password: str, code: str, actor: Actor) -> RecoveryCodes:
        """Other recovery codes instead of all before."""
        await self._prove(user_id, password, code, actor)
        codes = _new_codes()
        await self.factors.renew(user_id, codes, actor, self.clock.now())
        return RecoveryCodes(codes=codes)

    async def end(self, user_id: UUID, password: str, code: str, actor: Actor) -> None:
        await self._prove(user_id, password, code, actor)
        await self.factors.end(user_id, actor, self.clock.now())

    async def in_force(self, user_id: UUID) -> Factor | None:
        """The one somebody is asked for."""
        factor = await self.factors.find(user_id)
        return factor if factor is not None and factor.is_confirmed else None

    async def takes(self, factor: Factor, code: str, actor: Actor) -> bool:
        """Whether a code is good, of the app or for recovery; from then on it is not."""
        plain, now = domain.plain_code(code), self.clock.now()
        if len(plain) == domain.RECOVERY_SIGNS:
            return await self.factors.take_recovery(factor.user_id, plain, actor, now)
        step = totp_step(factor.secret, plain, now)
        return step is not None and await self.factors.take_step(factor.user_id, step)

    async def _prove(self, user_id: UUID, password: str, code: str | None = None, actor: Actor | None = None) -> Person:
        """That it is really them, and not somebody at their open screen."""
        await self.guard.proof(user_id)
        person = await self.people.find(user_id)
        if not await self.passwords.matches(password, person.password_hash if person else None) or person is None:
            raise Forbidden("the password is wrong", code="password_wrong")
        if code is not None and actor is not None:
            factor = await self.in_force(user_id)
            if factor is None:
                raise Missing("no second factor is in force")
            if not await self.takes(factor, code, actor):
                raise Forbidden("this code is not the one of now", code="second_factor_wrong")
        await self.guard.proved(user_id)
        return person


def _new_codes() -> Sequence[str]:
    return [domain.recovery_code(secrets.token_bytes(domain.RECOVERY_SIGNS)) for _ in range(domain.RECOVERY_CODES)]

"""New passwords: what they must be, and whom they sign out."""

from dataclasses import dataclass
from uuid import UUID

from recoup.kit.clock import Clock
from recoup.kit.errors import Forbidden, Invalid, Problem, Unauthenticated
from recoup.kit.passwords import Passwords
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.actions.guard import Guard
from recoup.services.platform.identity.actions.tokens import AccessTokens
from recoup.services.platform.identity.domain import Person, Visit
from recoup.services.platform.identity.store.credentials import Credentials
from recoup.services.platform.identity.store.letters import Letters
from recoup.services.platform.identity.store.people import People

PRODUCT = "recoup"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a new password must be; those of before stay good."""

    passwords: Passwords
    shortest: int

    async def check(self, password: str, email: str) -> None:
        """Raises Invalid, naming every rule that is broken."""
        problems = list(domain.password_problems(password, email, self.shortest))
        if not problems and await self.passwords.is_common(password, [email, *email.split("@"), PRODUCT]):
            detail = "this password, or one much like it, is among the first that anybody would try"
            problems.append(Problem(code="password_common", field="password", detail=detail))
        if problems:
            raise Invalid("this password breaks a rule", code="password_weak", problems=problems)


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """With the old one, or with a letter."""

    people: People
    credentials: Credentials
    letters: Letters
    tokens: AccessTokens
    passwords: Passwords
    rules: Rules
    guard: Guard
    clock: Clock

    async def change(self, user_id: UUID, current: UUID, old: str, new: str, actor: Actor) -> None:
        """Another password; every other sign-in ends."""
        await self.guard.proof(user_id)
        person = await self.people.find(user_id)
        if not await self.passwords.matches(old, person.password_hash if person else None) or person is None:
            raise Forbidden("the password is wrong", code="password_wrong")
        await self.rules.check(new, person.email)
        await self.guard.proved(user_id)
        hashed = await self.passwords.hash(new)
        self.tokens.end(await self.credentials.change(user_id, hashed, current, actor, self.clock.now()))

    async def forgotten(self, email: str, address: str) -> None:
        """Sends a letter to whoever has the address; what is done here is the same for anybody's and nobody's."""
        account = domain.normalised(email)
        await self.guard.letter(account, address)
        await self.letters.ask_reset(account, self.clock.now())

    async def reset(self, token: str, password: str, visit: Visit) -> None:
        """Sets a password with a letter's token; every sign-in ends. A second factor is still asked for."""
        now = self.clock.now()
        person = await self.letters.reset_of(token, now)
        if person is None:
            raise Unauthenticated("this link has been used or is too old", code="reset_invalid")
        await self.rules.check(password, person.email)
        changed = Person(id=person.id, email=person.email, password_hash=await self.passwords.hash(password))
        actor = Actor(str(person.id), visit.address, visit.request_id)
        ended = await self.credentials.reset(token, changed, actor, now)
        if ended is None:
            raise Unauthenticated("this link has been used or is too old", code="reset_invalid")
        self.tokens.end(ended)

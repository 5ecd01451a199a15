"""One's own password and second factor."""

from typing import Annotated

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from recoup.kit.http import PUBLIC
from recoup.messages.access import Permission, Principal
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity.actions.factors import Enrolment, RecoveryCodes, SecondFactor
from recoup.services.platform.identity.actions.passwords import PasswordChange
from recoup.services.platform.identity.api.asking import Asking, address_of, visit_of, who

Password = Annotated[str, Meta(min_length=1, max_length=1024)]
Code = Annotated[str, Meta(min_length=1, max_length=40)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]


class NewPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one in force, and the one to be."""

    current_password: Password
    new_password: Password


class Forgotten(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose password."""

    email: Annotated[str, Meta(min_length=1, max_length=320)]


class Heard(Struct, frozen=True):
    """The same for everybody's address, and for nobody's."""

    detail: str = "If somebody has this address here, a letter is on its way."


class Reset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stood in the letter, and the password to be."""

    token: Token
    password: Password


class Proof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That it is really oneself."""

    password: Password


class FullProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with the second factor: a code of the app, or a recovery code."""

    password: Password
    code: Code


class Confirmation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the app shows."""

    code: Code


@post("/auth/password", opt={"permission": Permission.SELF_WRITE}, status_code=204)
async def change_password(
    data: JSONBody[NewPassword],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    password_change: NamedDependency[PasswordChange],
) -> None:
    """Another password; one's other sign-ins end."""
    mine = who(caller)
    await password_change.change(mine.user_id, mine.session_id, data.current_password, data.new_password, actor)


@post("/auth/password/forgotten", opt={"permission": PUBLIC}, status_code=202)
async def forgotten(
    data: JSONBody[Forgotten], request: Asking, password_change: NamedDependency[PasswordChange]
) -> Heard:
    """Sends a letter with a link that lets its reader choose a password."""
    await password_change.forgotten(data.email, address_of(request))
    return Heard()


@post("/auth/password/reset", opt={"permission": PUBLIC}, status_code=204)
async def reset_password(
    data: JSONBody[Reset], request: Asking, password_change: NamedDependency[PasswordChange]
) -> None:
    """Sets a password with what stood in a letter; all sign-ins end."""
    await password_change.reset(data.token, data.password, visit_of(request))


@post("/auth/second-factor", opt={"permission": Permission.SELF_WRITE})
async def begin_second_factor(
    data: JSONBody[Proof],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    second_factor: NamedDependency[SecondFactor],
) -> Enrolment:
    """A secret for an authenticator app; it counts once a code of it has confirmed it."""
    return await second_factor.begin(who(caller).user_id, data.password, actor)


@post("/auth/second-factor/confirm", opt={"permission": Permission.SELF_WRITE}, status_code=200)
async def confirm_second_factor(
    data: JSONBody[Confirmation],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    second_factor: NamedDependency[SecondFactor],
) -> RecoveryCodes:
    """From now on a code is asked for at sign-in. Answers with recovery codes, shown this once."""
    return await second_factor.confirm(who(caller).user_id, data.code, actor)


@post("/auth/second-factor/recovery-codes", opt={"permission": Permission.SELF_WRITE})
async def renew_recovery_codes(
    data: JSONBody[FullProof],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    second_factor: NamedDependency[SecondFactor],
) -> RecoveryCodes:
    """Other recovery codes instead of all before, shown this once."""
    return await second_factor.renew(who(caller).user_id, data.password, data.code, actor)


@post("/auth/second-factor/disable", opt={"permission": Permission.SELF_WRITE}, status_code=204)
async def end_second_factor(
    data: JSONBody[FullProof],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    second_factor: NamedDependency[SecondFactor],
) -> None:
    """From now on the password is enough again."""
    await second_factor.end(who(caller).user_id, data.password, data.code, actor)


HANDLERS = (
    change_password, forgotten, reset_password, begin_second_factor, confirm_second_factor, renew_recovery_codes,
    end_second_factor,
)  # fmt: skip

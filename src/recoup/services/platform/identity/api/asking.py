"""What the doors of this feature find out about a request: where it came from, and which person makes it."""

from typing import Final
from uuid import UUID

from litestar import Request
from litestar.datastructures import State
from msgspec import Struct

from recoup.kit.errors import Forbidden
from recoup.messages.access import Principal
from recoup.services.platform.identity.domain import Visit

Asking = Request[object, object, State]
DEVICE_SIGNS: Final = 200


class Who(Struct, frozen=True):
    """A person at one of their sign-ins."""

    user_id: UUID
    session_id: UUID


def address_of(request: Asking) -> str:
    """Where a request came from; the gateway has put the right one there."""
    return request.client.host if request.client is not None else ""


def visit_of(request: Asking) -> Visit:
    """Where, and with what."""
    device = "".join(sign for sign in request.headers.get("user-agent", "") if sign.isprintable())
    return Visit(address_of(request), device[:DEVICE_SIGNS], request.headers.get("x-request-id", ""))


def who(caller: Principal) -> Who:
    """Raises Forbidden for an API key: what is here belongs to people."""
    if caller.kind != "person" or caller.session is None:
        raise Forbidden("only a person who has signed in has this", code="person_needed")
    return Who(UUID(caller.subject), UUID(caller.session))

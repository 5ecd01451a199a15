"""Lists by cursor: one page and where the next begins. A cursor is opaque to callers; a foreign one is refused."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter
from msgspec import Struct

from recoup.kit.errors import Invalid

T = TypeVar("T")

# Litestar's own parameter: it doesn't look at msgspec's `Meta` inside a `FromQuery`.
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="most rows in the answer")]
DEFAULT_LIMIT = 100


class Page(Struct, Generic[T], frozen=True):
    """Some rows of a list; `next_cursor` asks for those that follow, null at the end."""

    items: list[T]
    next_cursor: str | None = None


def cursor_after(*last: str) -> str:
    """Where a page ended, by what its rows are sorted by."""
    return base64.urlsafe_b64encode(msgspec.json.encode(last)).decode().rstrip("=")


def position(cursor: str, parts: int) -> list[str]:
    """What `cursor_after` was given; raises Invalid for anything it did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=list[str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid") from error
    if len(found) != parts:
        raise Invalid("the cursor belongs to another list", code="cursor_invalid")
    return found


def version_before(cursor: str | None) -> int | None:
    """Before which version a page of a history begins; None for the newest."""
    if cursor is None:
        return None
    (last,) = position(cursor, 1)
    if not last.isascii() or not last.isdigit() or len(last) > 9:  # noqa: PLR2004 - more never fits a version
        raise Invalid("the cursor belongs to another list", code="cursor_invalid")
    return int(last)

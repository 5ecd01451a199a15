"""What a JSON body may be before anything is made of it: said to be JSON, not nested too deep, not of too many parts.

Counting signs tells at the speed of memory that most bodies are far from any limit; only the others are looked through.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from recoup.kit.errors import Invalid, Unsupported

_SUFFIX: Final = "+json"
_JSON: Final = "application/json"


def demand_json(content_type: str) -> None:
    """Raises Unsupported unless a body is said to be JSON: a page of another site can't say so without being asked."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != _JSON and not (kind.startswith("application/") and kind.endswith(_SUFFIX)):
        said = f"not {kind}" if kind else "and says so in Content-Type"
        raise Unsupported(f"the body is {_JSON}, {said}", code="content_type")


def is_plain(body: bytes, depth: int, members: int) -> bool:
    """Whether a body cannot be over a limit, whatever stands in it; false where one has to look."""
    opened = body.count(b"{") + body.count(b"[")
    return opened <= depth and opened + body.count(b",") <= members


def demand_shape(document: object, depth: int, members: int) -> None:
    """Raises Invalid for a document nested deeper than `depth` or of more members and items than `members`."""
    level: list[object] = [document]
    deep, found = 0, 0
    while level:
        inner: list[object] = []
        for each in level:
            if isinstance(each, Mapping):
                inner += cast("Mapping[str, object]", each).values()
            elif isinstance(each, Sequence) and not isinstance(each, str | bytes):
                inner += cast("Sequence[object]", each)
        is_nested = any(isinstance(each, Mapping | list) for each in level)
        deep, found, level = deep + is_nested, found + len(inner), inner
        if deep > depth:
            raise Invalid(f"the body is nested deeper than {depth}", code="json_too_deep")
        if found > members:
            raise Invalid(f"the body has more than {members} members and items", code="json_too_many")

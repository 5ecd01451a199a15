"""Takes JSON apart along its brackets and commas where a decoder gives up.

So that one event nobody can read does not cost its neighbours: half an emoji as pages cut it, NaN as Python writes it,
bytes of another encoding. Judges nothing it cuts out, and gives up itself where the brackets or quotes do not close.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
_KEY: Final = re.compile(rb'\s*"(\w+)"\s*:(.*)', re.DOTALL)
_OPENING: Final = (b"[", b"{")
_CLOSING: Final = (b"]", b"}")
_DEEPEST: Final = 500
"""Brackets within brackets; decoders end before a thousand."""


def elements(body: bytes) -> list[bytes] | None:
    """The elements of what looks like an array; None where its ends cannot be told."""
    return _inside(body.strip(), b"[]")


def members(body: bytes) -> dict[bytes, bytes] | None:
    """The values of what looks like an object, by their plain names; None where they cannot be told apart."""
    parts = _inside(body.strip(), b"{}")
    if parts is None:
        return None
    found = [(match[1], match[2]) for part in parts if (match := _KEY.fullmatch(part))]
    return dict(found) if len(found) == len(parts) else None


def _inside(body: bytes, brackets: bytes) -> list[bytes] | None:
    if body[:1] != brackets[:1] or body[-1:] != brackets[1:]:
        return None
    inner, parts, start, depth = body[1:-1], list[bytes](), 0, 0
    for token in _TOKEN.finditer(inner):
        said = token[0]
        if said == b"," and depth == 0:
            parts.append(inner[start : token.start()])
            start = token.end()
        elif said in _OPENING:
            depth += 1
        elif said in _CLOSING:
            depth -= 1
        if said == b'"' or not 0 <= depth <= _DEEPEST:
            return None
    parts.append(inner[start:])
    return parts if depth == 0 and all(map(bytes.strip, parts)) else None

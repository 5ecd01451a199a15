"""Undoes what text is put through on its way: transfer codings, tokens, what is escaped more than once, frames.

Each is a rule about the text alone; whether something came of it, whoever asks finds by reading it.
"""

import base64
import binascii
import html
import quopri
import re
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from recoup.services.pipeline.deadletters.domain.repair.notation import Table, strictly

_HEX: Final = re.compile(r"(?:0x|\\x)?(?:[0-9a-fA-F]{2}\s?){24,}")
_TOKEN: Final = re.compile(r"[\w-]{8,}\.([\w-]{24,})\.[\w-]*")
_DATA: Final = re.compile(r"data:[\w/+.;=-]*,", re.IGNORECASE)
_SOFT_BREAK: Final = re.compile(r"=\r?\n|=3D")
_FRAME: Final = re.compile(r"\d{1,4}(?=[\[{])")
_ENTITIES: Final = re.compile(r"&(?:amp;)+(?:quot|#34|#x22);")
_SHORTEST: Final = 60
"""So many letters an event at least has."""

_MOST_STARTS: Final = 40
"""So many brackets are tried: an event does not begin deep inside of a text."""


class Whole(NamedTuple):
    """An object that stands whole in a text that is not, and what is left of the text behind it."""

    document: Table
    rest: str


def undone(text: str) -> Iterator[tuple[str, str]]:
    """The text before something was done to it, with what that was; each way that its look suggests."""
    if _SOFT_BREAK.search(text):
        yield quopri.decodestring(text.encode()).decode("utf-8", "replace"), "decoded from quoted-printable"
    if (inner := from_hexadecimal(text)) is not None:
        yield inner, "decoded from hexadecimal"
    if (token := _TOKEN.fullmatch(text)) is not None:
        yield _from_base64(token[1]), "taken out of a signed token"
    if (data := _DATA.match(text)) is not None and "base64" in data[0]:
        yield _from_base64(text[data.end() :]), "taken out of a data address"
    if _ENTITIES.search(text):
        yield html.unescape(re.sub(r"&(?:amp;)+", "&", text)), "HTML entities replaced more than once"
    if (frame := _FRAME.match(text)) is not None:
        yield text[frame.end() :], "the number of a frame taken off"


def from_hexadecimal(text: str) -> str | None:
    """The text that stands in hexadecimal, as databases show bytes; None where none does."""
    if not _HEX.fullmatch(text):
        return None
    return binascii.unhexlify(re.sub(r"^(0x|\\x)|\s", "", text)).decode("utf-8", "replace")


def inflated(body: bytes, largest: int) -> bytes:
    """A body packed with zlib's own frame as it was; nothing where it is none, or too large."""
    if body[:1] != b"\x78" or len(body) < 2 or int.from_bytes(body[:2], "big") % 31:  # noqa: PLR2004 - the frame's check
        return b""
    unzip = zlib.decompressobj()
    try:
        found = unzip.decompress(body, largest)
    except zlib.error:
        return b""
    return found if unzip.eof else b""


def whole_objects(text: str) -> Iterator[Whole]:
    """The largest objects that stand whole inside a text which is cut or has something around it."""
    start = text.find("{", 1)
    for _ in range(_MOST_STARTS):
        if not 0 <= start < len(text) - _SHORTEST:
            return
        end = _end(text, start)
        if end > start + _SHORTEST:
            found = strictly(text[start:end])
            if isinstance(found, dict):
                yield Whole(found, text[end:])
            start = end
        start = text.find("{", start + 1)


def _end(text: str, start: int) -> int:
    """Behind the bracket that closes the one at the start; -1 where none does."""
    depth, quoted, at = 0, False, start
    for found in re.finditer(r'\\.|["{}]', text[start:], re.DOTALL):
        sign = found[0]
        if sign == '"':
            quoted = not quoted
        elif not quoted and sign in "{}":
            depth += 1 if sign == "{" else -1
        at = start + found.end()
        if depth == 0:
            return at
    return -1


def _from_base64(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text.translate(str.maketrans("+/", "-_")) + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""

"""From bytes to documents: every reading of a damaged text that makes sense, with what it took and how likely it is.

Reads text that other programs wrote as nearly JSON: wrapped, escaped twice, cut off, in another encoding, or in the
notation of another language.
"""

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_plus

from recoup.kit.compression import coding_of, unpacked
from recoup.kit.errors import Refused
from recoup.services.pipeline.deadletters.domain.repair.layouts import tabled
from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Loose, Table, strictly
from recoup.services.pipeline.deadletters.domain.repair.transports import (
    from_hexadecimal,
    inflated,
    undone,
    whole_objects,
)

_LARGEST: Final = 4 * 2**20
"""So many bytes a packed body may become."""
_SHORT_REST: Final = 120
"""Behind a whole event may stand so much of its envelope; more may be another event."""
_SHORTEST_FOLDED: Final = 60
_NUMBERED_LETTER: Final = re.compile(r"\\u((?!d[89a-f])[0-9a-f]{4})", re.IGNORECASE)
_HEADLESS: Final = re.compile(r"""\s*["'][A-Za-z_][\w .-]*["']\s*:""")
_TWICE_ENCODED: Final = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]")
_FORM: Final = re.compile(r"[\w.%\[\]-]+=[^&={}]*(?:&[\w.%\[\]-]+=[^&={}]*){3,}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")


class Reading(NamedTuple):
    """A document, how it was read, and how sure one may be that this is what was meant."""

    document: Table
    steps: tuple[str, ...]
    sureness: float
    cut: bool
    """The text ended before the document did: more may have stood there."""


class _Text(NamedTuple):
    text: str
    steps: tuple[str, ...]
    sureness: float


def readings(body: bytes) -> Iterator[Reading]:
    """Every way of reading the bytes that gives an object."""
    for text in _texts(body):
        yield from _documents(text, 4)


def _texts(body: bytes) -> Iterator[_Text]:
    if coding_of(body):
        body, steps = _opened(body), ("unpacked",)
        yield from (_Text(text, (*steps, *more), sureness) for text, more, sureness in _encoded(body))
    elif opened := inflated(body, _LARGEST):
        yield from (_Text(text, ("unpacked", *more), sureness) for text, more, sureness in _encoded(opened))
    else:
        yield from _encoded(body)


def _opened(body: bytes) -> bytes:
    """A packed body as it was; nothing where it is damaged or too large."""
    try:
        return unpacked(body, coding_of(body), _LARGEST)
    except Refused:
        return b""


def _encoded(body: bytes) -> Iterator[_Text]:
    if body[:4] in {b"\xff\xfe\0\0", b"\0\0\xfe\xff"}:
        yield _Text(body.decode("utf-32", "replace"), ("read as UTF-32",), 0.99)
        return
    if body[:2] in {b"\xff\xfe", b"\xfe\xff"} or body[1:2] == b"\0" or body[:1] == b"\0":
        encoding = (
            "utf-16" if body[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-16-le" if body[1:2] == b"\0" else "utf-16-be"
        )
        yield _Text(body.decode(encoding, "replace"), ("read as UTF-16",), 0.99)
        return
    try:
        text = body.decode("utf-8-sig")
        yield _Text(text, ("byte order mark taken off",) if body[:3] == b"\xef\xbb\xbf" else (), 1.0)
    except UnicodeDecodeError:
        yield _Text(body.decode("cp1252", "replace"), ("read as Latin-1",), 0.99)


def _documents(given: _Text, deepest: int) -> Iterator[Reading]:
    text = given.text.lstrip("\ufeff\0 \t\r\n").rstrip("\0 \t\r\n")
    if not text or deepest == 0:
        return
    filled = ("what it was filled up with taken off",) if given.text[-1:] == "\0" else ()
    given = given._replace(steps=(*given.steps, *filled))
    if (form := _form(text)) is not None:
        yield Reading(form, (*given.steps, "a form's fields"), given.sureness, cut=False)
        return
    for value, steps, sureness, cut in _values(text):
        found = (*given.steps, *steps)
        if isinstance(value, dict):
            yield Reading(value, found, given.sureness * sureness, cut)
        elif isinstance(value, list):
            table, step = _listed(value)
            if table is not None:
                yield Reading(table, (*found, step), given.sureness * sureness, cut)
        elif isinstance(value, str) and value != text:
            again = _Text(value, (*found, "unescaped"), given.sureness * sureness)
            yield from _documents(again, deepest - 1)
    if strictly(text) is None:
        yield from _underneath(text, given, deepest)


def _underneath(text: str, given: _Text, deepest: int) -> Iterator[Reading]:
    for other, step in undone(text):
        yield from _documents(_Text(other, (*given.steps, step), given.sureness * 0.995), deepest - 1)
    yield from _inside(text, given)


def _inside(text: str, given: _Text) -> Iterator[Reading]:
    """Objects that are whole in a text that is not: the envelope was cut, the event was not."""
    for document, rest in whole_objects(text):
        if '"type"' not in rest and len(rest) < _SHORT_REST:
            yield Reading(document, (*given.steps, "whole inside of what was cut"), given.sureness * 0.98, cut=False)


def _listed(value: list[Json]) -> tuple[Table | None, str]:
    """The one table that a list means, and how."""
    if (message := _message(value)) is not None:
        return message, "a name and what it carries"
    if (table := tabled(value)) is not None:
        return table, "names and values put together"
    tables = [one for one in value if isinstance(one, dict)]
    return (tables[0] if len(tables) == 1 else None), "taken out of a list"


def _message(value: list[Json]) -> Table | None:
    """A list of a name and what it carries, as sockets send events."""
    if len(value) != 2:  # noqa: PLR2004 - a pair
        return None
    name, carried = value
    if not isinstance(name, str) or not isinstance(carried, dict):
        return None
    return carried if "type" in carried else {"type": name, **carried}


def _values(text: str) -> Iterator[tuple[Json, tuple[str, ...], float, bool]]:
    strict = strictly(text)
    if strict is not None:
        yield strict, (), 1.0, False
        return
    for other, step in _unwrapped(text):
        inner = strictly(other)
        if inner is not None:
            yield inner, (step,), 0.97 if _HEADLESS.match(text) else 0.99, False
            return
    for other, step in (("", ""), *_unwrapped(text)):
        loose = Loose(other or text)
        value = loose.read()
        if isinstance(value, dict | list) and value:
            steps = (step,) if step else ()
            notes = tuple(sorted(loose.notes))
            yield value, (*steps, *notes), 0.3 if loose.lost else 0.97 if _HEADLESS.match(text) else 0.995, loose.cut
            return


def _unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """The text without what was put around or over it: transfer codings, a field name, a call, a code block."""
    if "%7B" in text[:40].upper() or "%22" in text[:60]:
        yield unquote_plus(text).partition("=")[2] if "=" in text[:24] else unquote_plus(text), "percent-decoded"
    if "&quot;" in text or "&#34;" in text or "&#x22;" in text:
        yield html.unescape(text), "HTML entities replaced"
    if _BASE64.fullmatch(text):
        inner = _from_base64(text)
        if inner:
            yield inner, "decoded from base64"
    if '\\"' in text and '"' not in text.replace('\\"', ""):
        yield text.replace('\\"', '"').replace("\\\\", "\\"), "unescaped"
    if _HEADLESS.match(text):
        yield "{" + text, "the bracket it begins with put back"
    if text[:2] == '"{' and text[-2:] == '}"' and '""' in text:
        yield text[1:-1].replace('""', '"'), "a cell of a table"
    if (once := _once(text)) is not None:
        yield once, "came several times"
    start, end = text.find("{"), text.rfind("}")
    if 0 < start < end or 0 <= start < end < len(text) - 1:
        yield text[start : end + 1], "what stands around it left out"


def _once(text: str) -> str | None:
    """The line of which all lines of a text are repetitions."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if len(lines) > 1 and len(set(lines)) == 1 else None


def _form(text: str) -> Table | None:
    """The fields of a form, all of them text."""
    if not _FORM.fullmatch(text):
        return None
    fields = parse_qsl(text)
    found: Table = {**dict(fields)}
    return found if len(fields) == len(found) else None


def _from_base64(text: str) -> str:
    """The text that stands in base64, perhaps packed; empty where there is none."""
    try:
        body = base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4))
        return (_opened(body) if coding_of(body) else body).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def folded(text: str) -> Json:
    """What was folded into a text as JSON, perhaps in base64; None where nothing was."""
    if text[:1] in {"{", "["} and text[-1:] in {"}", "]"}:
        return strictly(text)
    if (inside := from_hexadecimal(text)) is not None:
        return strictly(inside)
    if len(text) > _SHORTEST_FOLDED and _BASE64.fullmatch(text):
        inner = strictly(_from_base64(text))
        return inner if isinstance(inner, dict | list) else None
    return None


def mended_text(text: str) -> str:
    """Text that was read in the wrong encoding, put right; as it is where it does not look like that."""
    text = _NUMBERED_LETTER.sub(lambda found: chr(int(found[1], 16)), text)
    for _ in range(2):
        if not _TWICE_ENCODED.search(text):
            break
        try:
            again = _bytes_of(text).decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            break
        text = again
    return text


def _bytes_of(text: str) -> bytes:
    """Each character as the byte it was read from: Windows' table where it has one, else Latin-1."""
    found = bytearray()
    for character in text:
        try:
            found += character.encode("cp1252")
        except UnicodeEncodeError:
            found += character.encode("latin-1")
    return bytes(found)

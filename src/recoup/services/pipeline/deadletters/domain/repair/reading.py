"""From bytes to documents: every reading of a damaged text that makes sense, with what it took and how likely it is.

Reads text that other programs wrote as nearly JSON: wrapped, escaped twice, cut off, in another encoding, or in the
notation of another language. What was cut off is never made up.
"""

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Table = dict[str, Json]

CUT: Final = "\ufffe"
"""Stands at the end of a text that was cut off."""
_DEEPEST: Final = 24
_LITERALS: Final[dict[str, Json]] = {
    "true": True, "false": False, "null": None, "none": None, "nan": None, "undefined": None, "nil": None,
    "infinity": None, "-infinity": None,
}  # fmt: skip
_QUOTES: Final = {
    '"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u201d": "\u201d", "\u201e": "\u201c",
    "\u2018": "\u2019", "\u2019": "\u2019", "\u00ab": "\u00bb",
}  # fmt: skip
_WORD: Final = re.compile(r"[^\s,:;={}\[\]()\"']+")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$")
_LETTER: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_PAIR: Final = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_TWICE_ENCODED: Final = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]")
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
        yield from _documents(text, 3)


def _texts(body: bytes) -> Iterator[_Text]:
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
    for value, steps, sureness, cut in _values(text):
        found = (*given.steps, *steps)
        if isinstance(value, dict):
            yield Reading(value, found, given.sureness * sureness, cut)
        elif isinstance(value, list):
            tables = [one for one in value if isinstance(one, dict)]
            if len(tables) == 1:
                yield Reading(tables[0], (*found, "taken out of a list"), given.sureness * sureness, cut)
        elif isinstance(value, str) and value != text:
            again = _Text(value, (*found, "unescaped"), given.sureness * sureness)
            yield from _documents(again, deepest - 1)


def _values(text: str) -> Iterator[tuple[Json, tuple[str, ...], float, bool]]:
    strict = _strict(text)
    if strict is not None:
        yield strict, (), 1.0, False
        return
    for other, step in _unwrapped(text):
        inner = _strict(other)
        if inner is not None:
            yield inner, (step,), 0.99, False
            return
    for other, step in (("", ""), *_unwrapped(text)):
        loose = Loose(other or text)
        value = loose.read()
        if isinstance(value, dict | list) and value:
            steps = (step,) if step else ()
            notes = tuple(sorted(loose.notes))
            yield value, (*steps, *notes), 0.3 if loose.lost else 0.995, loose.cut
            return


def _strict(text: str) -> Json:
    try:
        found: Json = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found


def _unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """The text without what was put around or over it: transfer codings, a field name, a call, a code block."""
    if "%7B" in text[:40].upper() or "%22" in text[:60]:
        yield unquote_plus(text).partition("=")[2] if "=" in text[:24] else unquote_plus(text), "percent-decoded"
    if "&quot;" in text or "&#34;" in text or "&#x22;" in text:
        yield html.unescape(text), "HTML entities replaced"
    if _BASE64.fullmatch(text):
        try:
            padded = text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4)
            yield base64.b64decode(padded).decode(), "decoded from base64"
        except (binascii.Error, UnicodeDecodeError):
            pass
    if '\\"' in text and '"' not in text.replace('\\"', ""):
        yield text.replace('\\"', '"').replace("\\\\", "\\"), "unescaped"
    start, end = text.find("{"), text.rfind("}")
    if 0 < start < end or 0 <= start < end < len(text) - 1:
        yield text[start : end + 1], "what stands around it left out"


class Loose:
    """Reads nearly JSON: other quotes, bare names, comments, commas too many or too few, brackets never closed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.notes: set[str] = set()
        self.cut = False
        self.lost = False
        """A value was cut in the middle, or it is not clear where one ends."""

    def read(self) -> Json:
        """The first value in the text."""
        value = self._value(0)
        self._skip()
        if self._at < len(self._text) and self._text[self._at] not in "}])":
            self.lost = True
        elif self._at < len(self._text):
            self.notes.add("closing brackets too many")
        return value

    def _skip(self) -> None:
        text = self._text
        while self._at < len(text):
            if text[self._at].isspace():
                self._at += 1
            elif text.startswith("/*", self._at):
                end = text.find("*/", self._at)
                self._at = len(text) if end < 0 else end + 2
                self.notes.add("comments left out")
            elif text.startswith(("//", "#"), self._at):
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end + 1
                self.notes.add("comments left out")
            else:
                return

    def _peek(self) -> str:
        self._skip()
        return self._text[self._at] if self._at < len(self._text) else ""

    def _value(self, depth: int) -> Json:
        first = self._peek()
        if depth > _DEEPEST or first == "":
            self.lost = self.cut = True
            return None
        if first == "{":
            return self._object(depth)
        if first in "[(":
            return self._list(depth)
        if first in _QUOTES:
            return self._string(first)
        return self._word()

    def _object(self, depth: int) -> Json:
        self._at += 1
        found: Table = {}
        while (here := self._peek()) and here not in "})]":
            if here in ",;":
                self._at += 1
                continue
            key = self._key()
            if key is None:
                return found
            found[key] = self._value(depth + 1)
            self._between("}")
        self._closed("}")
        return found

    def _key(self) -> str | None:
        first = self._peek()
        key = self._string(first) if first in _QUOTES else self._bare()
        sign = self._peek()
        if sign == "":
            self.lost = self.cut = True
            return None
        if sign in ":=":
            self._at += 2 if self._text.startswith(("=>", ":="), self._at) else 1
            if sign == "=":
                self.notes.add("other signs than colons")
            return key
        self.lost = True
        self._at += 1
        return key

    def _bare(self) -> str:
        found = _WORD.match(self._text, self._at)
        if found is None:
            self._at += 1
            self.lost = True
            return ""
        self._at = found.end()
        self.notes.add("names without quotes")
        return found[0]

    def _list(self, depth: int) -> Json:
        self._at += 1
        found: list[Json] = []
        while (here := self._peek()) and here not in "])}":
            if here in ",;":
                self._at += 1
                continue
            found.append(self._value(depth + 1))
            self._between("]")
        self._closed("]")
        return found

    def _between(self, end: str) -> None:
        sign = self._peek()
        if sign and sign in ",;":
            self._at += 1
            after = self._peek()
            if after == "":
                self.lost = self.cut = True
            elif after == end:
                self.notes.add("commas too many")
        elif sign and sign not in "})]":
            self.notes.add("commas too few")

    def _closed(self, end: str) -> None:
        here = self._peek()
        if here == "":
            self.cut = True
            self.notes.add("closed what was left open")
        elif here == end or (end == "]" and here == ")"):
            self._at += 1
        else:
            self.notes.add("closed what was left open")

    def _string(self, quote: str) -> str:
        end = {_QUOTES[quote], quote} if quote in "\u201c\u201d" else {_QUOTES[quote]}
        if quote != '"':
            self.notes.add("other quotes")
        parts: list[str] = []
        self._at += 1
        while self._at < len(self._text):
            here = self._text[self._at]
            if here == "\\":
                parts.append(self._escape())
            elif here in end and self._ends(self._at + 1):
                self._at += 1
                return "".join(parts)
            else:
                parts.append(here)
                self._at += 1
        self.cut = True
        return "".join(parts) + CUT

    def _ends(self, at: int) -> bool:
        """Whether a quote here closes the text: a name, value or bracket must follow, or nothing at all."""
        rest = self._text[at : at + 24].lstrip()
        if rest == "" or rest[0] in ",:;=}])":
            return True
        self.notes.add("quotes inside of text")
        return rest[0] in _QUOTES and ":" in self._text[at : at + 80]

    def _escape(self) -> str:
        following = self._text[self._at + 1 : self._at + 2]
        if following == "u":
            return self._letter()
        self._at += 2
        return _ESCAPES.get(following, following)

    def _letter(self) -> str:
        """A letter by its number; two that are one pair are one letter, and half a pair is a letter lost."""
        found = _PAIR.match(self._text, self._at) or _LETTER.match(self._text, self._at)
        if found is None:
            self._at += 2
            self.lost = True
            return ""
        self._at = found.end()
        units = [int(digits, 16) for digits in found.groups()]
        return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be", "replace")

    def _word(self) -> Json:
        found = _WORD.match(self._text, self._at)
        if found is None:
            self._at += 1
            self.lost = True
            return None
        self._at = found.end()
        word = found[0]
        if self._at == len(self._text):
            self.cut = self.lost = True
        if word.lower() in _LITERALS:
            if word not in {"true", "false", "null"}:
                self.notes.add("words of another language")
            return _LITERALS[word.lower()]
        if _NUMBER.match(word):
            strict = _strict(word)
            return strict if strict is not None else word
        self.notes.add("text without quotes")
        return word


def mended_text(text: str) -> str:
    """Text that was read in the wrong encoding, put right; as it is where it does not look like that."""
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

"""Reads what other programs wrote as nearly JSON: other quotes, bare names, comments, calls, brackets never closed.

What was cut off is never made up.
"""

import re
from typing import Final

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
_NAME: Final = re.compile(r"[A-Za-z_][\w.$]*")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$")
_LETTER: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_BYTE: Final = re.compile(r"\\x([0-9a-fA-F]{2})")
_PAIR: Final = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def strictly(text: str) -> Json:
    """The text as JSON; None where it is not."""
    try:
        found: Json = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found


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
            self._at = len(self._text)  # what is nested deeper is not looked at: nobody shall wait for its end
            return None
        if first == "{":
            return self._object(depth)
        if first in "[(":
            return self._list(depth)
        if first in _QUOTES:
            return self._string(first)
        if first == ":":
            self._at += 1  # a symbol of Ruby's
        return self._word(depth)

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
        if first == ":":
            self._at += 1
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

    def _list(self, depth: int, end: str = "]") -> Json:
        """A list; or, where its values have names as in PHP's arrays, a table or what the names count."""
        self._at += 1
        found: list[Json] = []
        pairs: Table = {}
        while (here := self._peek()) and here not in "])}":
            if here in ",;":
                self._at += 1
                continue
            value = self._value(depth + 1)
            if isinstance(value, str | int) and (sign := self._peek()) and sign in ":=":
                self._at += 2 if self._text.startswith(("=>", ":="), self._at) else 1
                pairs[str(value)] = self._value(depth + 1)
            else:
                found.append(value)
            self._between(end)
        self._closed(end)
        if not pairs:
            return found
        self.notes.add("names inside of lists")
        is_counted = list(pairs) == [str(number) for number in range(len(pairs))]
        return [*found, *pairs.values()] if found or is_counted else pairs

    def _call(self, depth: int) -> Json:
        """What a constructor is given, such as `UUID('…')` or `array(…)`."""
        self.notes.add("constructors")
        given = self._list(depth, ")")
        return given[0] if isinstance(given, list) and len(given) == 1 and not isinstance(given[0], dict) else given

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
        elif here == end or (here in "])" and end in "])"):
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
        if (byte := _BYTE.match(self._text, self._at)) is not None:
            self._at = byte.end()
            return chr(int(byte[1], 16))
        self._at += 2
        if following.isalnum() and following not in _ESCAPES:
            self.lost = True
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

    def _word(self, depth: int) -> Json:
        found = _WORD.match(self._text, self._at)
        if found is None:
            self._at += 1
            self.lost = True
            return None
        self._at = found.end()
        word = found[0]
        if word == "new":
            return self._value(depth)
        if (bracket := self._peek()) and bracket in "({" and _NAME.fullmatch(word):
            return self._call(depth + 1) if bracket == "(" else self._object(depth + 1)
        if self._at == len(self._text):
            self.cut = self.lost = True
        if word.lower() in _LITERALS:
            if word not in {"true", "false", "null"}:
                self.notes.add("words of another language")
            return _LITERALS[word.lower()]
        if _NUMBER.match(word):
            strict = strictly(word)
            return strict if strict is not None else word
        self.notes.add("text without quotes")
        return word

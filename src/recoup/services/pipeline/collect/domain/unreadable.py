"""Bodies that cannot be read at all, as dead letters: what is kept of them, and how many.

One letter a body, under the code of what was wrong. What came is kept byte for byte: as it is where it is UTF-8, else
as a `data:` URL in base64, since the topic carries text.
"""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from recoup.kit.errors import Problem, Refused
from recoup.services.pipeline.collect.domain.reading import Refusal

UNREADABLE: Final = frozenset({
    "malformed_json", "malformed_protobuf", "malformed_frame", "not_an_array", "bad_encoding", "unsupported_encoding",
    "unsupported_media_type",
})  # fmt: skip
"""Codes of what a shop meant as events and we could not read; of too much at once it knows by the answer."""
_BINARY: Final = "data:application/octet-stream;base64,"


@dataclass(slots=True)
class Ration:
    """So many a store and minute: whoever has a page's key must not push the store's own letters out."""

    most: int
    _minute: int = 0
    _kept: dict[str, int] = field(default_factory=dict)

    def grants(self, store_id: str, now: datetime) -> bool:
        """Whether one more is kept."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._kept = minute, {}
        kept = self._kept[store_id] = self._kept.get(store_id, 0) + 1
        return kept <= self.most


def unread(refusal: Refused, body: bytes, most: int) -> Refusal:
    """The body with what was wrong with it, at most `most` bytes of it."""
    detail = refusal.detail if len(body) <= most else f"{refusal.detail} (kept are {most} of {len(body)} bytes)"
    return Refusal(Problem(code=refusal.reason, detail=detail), _cut(body, most))


def _cut(body: bytes, most: int) -> bytes:
    try:
        body.decode()
    except UnicodeDecodeError:
        return body[:most]
    # A character that is cut through goes as a whole.
    return body[:most].decode(errors="ignore").encode()


def as_text(body: bytes) -> str:
    """What came, as text that `as_it_came` makes the same bytes of."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _BINARY + base64.b64encode(body).decode()


def as_it_came(text: str) -> bytes:
    """The bytes of a letter's text."""
    if text.startswith(_BINARY):
        try:
            return base64.b64decode(text.removeprefix(_BINARY), validate=True)
        except binascii.Error:
            pass
    return text.encode("utf-8", "surrogatepass")

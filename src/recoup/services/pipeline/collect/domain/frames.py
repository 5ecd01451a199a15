"""What the two sides of a socket say to each other, and what is remembered of it for those who come back."""

import re
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from recoup.kit.compression import coding_of, unpacked
from recoup.kit.errors import Invalid, Problem, TooLarge
from recoup.services.pipeline.collect.domain import protobuf
from recoup.services.pipeline.collect.domain.reading import Form, Outcome
from recoup.services.pipeline.collect.domain.splitting import elements, members

_Name = Annotated[str, Meta(max_length=128)]
# The id of a frame that is not read to its end, where it is plain.
_ID: Final = re.compile(rb'^\s*\{\s*"id"\s*:\s*"([ !#-\[\]-~]{1,128})"')
_HEAD: Final = 512


class _Said(Struct, frozen=True):
    """Any frame in JSON; one without `type` holds events."""

    type: Literal["events", "hello", "ping", "pong"] = "events"
    id: _Name | None = None
    events: Raw = Raw(b"")
    session: _Name = ""
    last: _Name = ""


class Events(Struct, frozen=True):
    """A frame of events, still unread; `id` comes back in the acknowledgement."""

    id: str
    body: bytes
    form: Form


class Hello(Struct, frozen=True):
    """A client that knows this conversation: what it calls it, and which of its frames it last saw acknowledged."""

    session: str
    last: str


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    """Asks for a sign of life."""


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """A sign of life."""


class Welcome(Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The answer to a hello: what need not be sent again, and what this connection takes."""

    session: str
    durable: Sequence[str]
    """Frames of this session that are durable, as far as is remembered, in their order, after the last one named."""
    max_unacknowledged: int
    max_frame_bytes: int
    max_events: int
    heartbeat_seconds: float


class Pause(Struct, frozen=True, tag_field="type", tag="pause"):
    """More frames wait than may; nothing is read until some are acknowledged."""


class Resume(Struct, frozen=True, tag_field="type", tag="resume"):
    """Frames are read again."""


class FrameResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a frame, by its place: accepted, or refused with the rule it broke."""

    index: int
    status: str
    event_id: str = ""
    problem: Problem | None = None


def heard(data: str | bytes, limit: int) -> Events | Hello | Ping | Pong:
    """What a frame says; raises Invalid or TooLarge."""
    body = data.encode() if isinstance(data, str) else data
    if len(body) > limit:
        raise TooLarge(f"a frame of {len(body)} bytes; at most {limit} are taken")
    if isinstance(data, bytes):
        body = unpacked(body, coding_of(body), limit)
        if not body.lstrip().startswith(b"{"):
            return Events(protobuf.batch(body).id, body, Form.PROTOBUF)
    try:
        return _meant(_decoded(body))
    except Invalid as refusal:
        return _apart(body, refusal)


def _decoded(body: bytes) -> _Said:
    try:
        return msgspec.json.decode(body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"a frame is {{id, events: […]}}: {error}", code="malformed_frame") from error


def _apart(body: bytes, refusal: Invalid) -> Events:
    """The frame's events, still unread, where only one of them can be to blame; else raises `refusal`."""
    parts = members(body) or {}
    events, name = parts.get(b"events", b""), parts.get(b"id", b"")
    if elements(events) is None or parts.keys() != {b"id", b"events"}:
        raise refusal
    return Events(_decoded(b'{"id":%b}' % name).id or "", events, Form.ARRAY)


def _meant(said: _Said) -> Events | Hello | Ping | Pong:
    match said.type:
        case "hello":
            return Hello(said.session, said.last)
        case "ping":
            return Ping()
        case "pong":
            return Pong()
        case "events":
            if said.id is None or not said.events:
                raise Invalid("a frame is {id, events: […]}: one of them is missing", code="malformed_frame")
            return Events(said.id, bytes(said.events), Form.ARRAY)


def id_of(data: str | bytes) -> str:
    """The id of a frame that cannot be read, where it stands first; else nothing."""
    found = _ID.match(data[:_HEAD].encode() if isinstance(data, str) else data[:_HEAD])
    return found[1].decode() if found else ""


def verdicts(outcome: Outcome) -> list[FrameResult]:
    """One result an event, in their order."""
    taken = [
        FrameResult(index=index, status="accepted", event_id=str(event_id))
        for index, event_id in zip(outcome.indexes, outcome.ids, strict=True)
    ]
    refused = [
        FrameResult(
            index=refusal.problem.index or 0, status="refused", event_id=refusal.event_id, problem=refusal.problem
        )
        for refusal in outcome.refusals
    ]
    return sorted([*taken, *refused], key=lambda result: result.index)


@dataclass(slots=True)
class Sessions:
    """The last durable frames of the sessions that were here last; whoever is forgotten sends everything again."""

    most: int
    frames: int
    _durable: "OrderedDict[tuple[str, str], deque[str]]" = field(default_factory=OrderedDict)

    def note(self, store_id: str, session: str, frame: str) -> None:
        """A frame of a session is durable."""
        if not frame:
            return
        found = self._durable.setdefault((store_id, session), deque(maxlen=self.frames))
        self._durable.move_to_end((store_id, session))
        if frame not in found:
            found.append(frame)
        if len(self._durable) > self.most:
            self._durable.popitem(last=False)

    def after(self, store_id: str, session: str, last: str) -> list[str]:
        """Durable frames that came after `last`; all that are remembered where that one is not."""
        found = list(self._durable.get((store_id, session), ()))
        return found[found.index(last) + 1 :] if last in found else found

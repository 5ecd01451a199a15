"""The socket: frames in, acknowledgements out in the same order, and signs of life both ways.

Frames are handed to the log as they come and share its groups; how many may wait for it is bounded, and beyond that
nothing is read. A connection is never closed because of what a frame holds.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from litestar import websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Failure, Refused, TooMany, Unavailable
from recoup.kit.http import Socket, caller_of
from recoup.kit.idempotency import ITSELF
from recoup.kit.problems import ProblemDocument, problem
from recoup.kit.telemetry import current_trace
from recoup.messages.access import Permission
from recoup.services.pipeline.collect.actions import Collector, Taken
from recoup.services.pipeline.collect.domain import frames
from recoup.services.pipeline.collect.domain.frames import (
    Events,
    FrameResult,
    Hello,
    Pause,
    Ping,
    Pong,
    Resume,
    Welcome,
    verdicts,
)
from recoup.services.pipeline.collect.domain.origin import Origin, origin_of

NO_SIGN_OF_LIFE = 4408
"""The close code for a peer that answers no ping: HTTP's 408, in the range left to applications."""


class FrameAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="ack"):
    """The acknowledgement of one frame: a verdict for each event, or one problem for the whole frame."""

    id: str
    accepted: int = 0
    results: Sequence[FrameResult] = ()
    problem: ProblemDocument | None = None
    retry_after: float | None = None
    """Seconds after which the same frame may be sent again; without it that would not help."""


@websocket("/stream", opt={"permission": Permission.EVENTS_WRITE, ITSELF: True})
async def stream_events(socket: Socket, collector: NamedDependency[Collector]) -> None:
    """Frames `{id, events: […]}` in, acknowledgements `{type: "ack", id, accepted, results: […]}` out, in order."""
    caller = caller_of(socket)
    store_id = caller.tenant(socket.query_params.get("store_id"), Permission.EVENTS_WRITE)
    await socket.accept()
    await Conversation(socket, collector, store_id, origin_of(caller.kind)).run()


class _Waiting(NamedTuple):
    """A frame on its way to the log, or what was wrong with it."""

    id: str
    taken: Taken | Failure


class Conversation:
    """One connection, from its opening to its end."""

    def __init__(self, socket: Socket, collector: Collector, store_id: str, origin: Origin) -> None:
        self._socket = socket
        self._collector = collector
        self._store_id = store_id
        self._origin = origin
        # One more is with the acknowledger.
        self._waiting: asyncio.Queue[_Waiting | None] = asyncio.Queue(max(1, collector.settings.socket_frames - 1))
        self._session: str | None = None
        self._heard_at = stopwatch()
        self._paused = False
        self._gone = False

    async def run(self) -> None:
        """Until the client leaves or shows no sign of life; what it sent until then is seen through."""
        acknowledging = asyncio.create_task(self._acknowledge())
        reading, watching = asyncio.create_task(self._read()), asyncio.create_task(self._watch())
        try:
            await asyncio.wait((reading, watching, acknowledging), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            acknowledging.cancel()
            raise
        finally:
            self._gone, silent = True, watching.done()
            reading.cancel()
            watching.cancel()
        # Nobody may be receiving any more when we close.
        await asyncio.wait((reading, watching))
        if silent:
            await self._socket.close(NO_SIGN_OF_LIFE, "no sign of life")
        if not acknowledging.done():
            await self._waiting.put(None)
        await acknowledging
        if not reading.cancelled():
            reading.result()

    async def _read(self) -> None:
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] != "websocket.receive":
                    return
                self._heard_at = stopwatch()
                text = message.get("text")
                await self._take(text if text is not None else message.get("bytes") or b"")
        except WebSocketDisconnect:
            return

    async def _take(self, data: str | bytes) -> None:
        try:
            said = frames.heard(data, self._collector.settings.batch_bytes)
        except Refused as refusal:
            await self._queue(_Waiting(frames.id_of(data), await self._unread(data, refusal)))
            return
        match said:
            case Events():
                await self._queue(_Waiting(said.id, await self._begun(said)))
            case Hello():
                await self._welcome(said)
            case Ping():
                await self._say(Pong())
            case Pong():
                pass

    async def _begun(self, said: Events) -> Taken | Failure:
        try:
            return await self._collector.begin(self._store_id, said.body, said.form, self._origin)
        except Failure as failure:
            return failure

    async def _unread(self, data: str | bytes, refusal: Refused) -> Failure:
        body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        try:
            await self._collector.set_aside(self._store_id, body, refusal, self._origin)
        except Failure as failure:
            return failure
        return refusal

    async def _queue(self, frame: _Waiting) -> None:
        if self._waiting.full() and self._session is not None:
            self._paused = True
            await self._say(Pause())
        await self._waiting.put(frame)
        # The time spent waiting here was ours.
        self._heard_at = stopwatch()

    async def _welcome(self, hello: Hello) -> None:
        self._session = hello.session
        settings = self._collector.settings
        welcome = Welcome(
            session=hello.session,
            durable=self._collector.sessions.after(self._store_id, hello.session, hello.last),
            max_unacknowledged=settings.socket_frames,
            max_frame_bytes=settings.batch_bytes,
            max_events=settings.batch_events,
            heartbeat_seconds=settings.socket_heartbeat_seconds,
        )
        await self._say(welcome)

    async def _acknowledge(self) -> None:
        while (frame := await self._waiting.get()) is not None:
            await self._say(await self._answer(frame))
            if self._paused and self._waiting.empty():
                self._paused = False
                await self._say(Resume())

    async def _answer(self, frame: _Waiting) -> FrameAnswer:
        try:
            if isinstance(frame.taken, Failure):
                raise frame.taken
            outcome = await self._collector.finish(frame.taken)
        except Failure as failure:
            here = current_trace()
            document = problem(failure, here.trace_id if here else "")
            return FrameAnswer(id=frame.id, problem=document, retry_after=_retry_after(failure))
        if self._session:
            self._collector.sessions.note(self._store_id, self._session, frame.id)
        return FrameAnswer(id=frame.id, accepted=len(outcome.ids), results=verdicts(outcome))

    async def _watch(self) -> None:
        """Ends when the client shows no sign of life. One that said no hello is not asked for any."""
        settings = self._collector.settings
        asked_at: float | None = None
        while True:
            await asyncio.sleep(settings.socket_heartbeat_seconds)
            if self._waiting.full():
                # Nothing is read just now.
                asked_at = None
                continue
            silence = stopwatch() - self._heard_at
            if self._session is None and silence > settings.socket_silence_seconds:
                return
            if asked_at is not None and self._heard_at < asked_at:
                return
            asked_at = None
            if self._session is not None and silence > settings.socket_heartbeat_seconds / 2:
                asked_at = stopwatch()
                await self._say(Ping())

    async def _say(self, message: Struct) -> None:
        if self._gone:
            return
        try:
            await self._socket.send_data(msgspec.json.encode(message).decode())
        except RuntimeError:
            # The server's word for a socket that closed meanwhile; the reader is about to learn of it.
            self._gone = True


def _retry_after(failure: Failure) -> float | None:
    if isinstance(failure, TooMany):
        return failure.retry_after.total_seconds()
    return 1.0 if isinstance(failure, Unavailable) else None

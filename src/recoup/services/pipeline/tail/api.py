"""The socket on which a person watches the events of a store. It takes nothing from the client."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import msgspec
from litestar import Router, websocket
from litestar.di import NamedDependency, Provide
from litestar.exceptions import WebSocketDisconnect
from msgspec import Struct

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Failure
from recoup.kit.http import Socket, caller_of
from recoup.kit.ids import new_id
from recoup.kit.telemetry import logger
from recoup.messages.access import Permission
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.tail.domain import Shown, Watch
from recoup.services.pipeline.tail.store import Watches

log = logger(__name__)
PACE_SECONDS: Final = 0.5
_HELD: Final = timedelta(seconds=15)
_RENEWED_SECONDS: Final = 5.0
_LONGEST_FILTER: Final = 128
TRY_LATER: Final = 1013


class _Gone(Exception):
    """The client has left."""


class Frame(Struct, frozen=True, kw_only=True):
    """What is said on the socket: `alive` once a processor looks and every few seconds after, events in between."""

    type: Literal["events", "alive"]
    matched: int = 0
    """Events that came and fit the filter; where there are fewer in `events`, those are a sample of them."""
    events: list[Shown] = []


@dataclass(frozen=True, slots=True)
class Tail:
    """What the socket's handler needs."""

    watches: Watches
    clock: Clock
    settings: Settings


@websocket("/events/tail", opt={"permission": Permission.EVENTS_READ})
async def tail_events(socket: Socket, tail: NamedDependency[Tail]) -> None:
    """Events as they are worked on: `{type: "events", matched, events: […]}`. Filters: `?type=`, `?visitor=` (any id).

    It ends by itself after some minutes, so that whoever may no longer look has to ask again.
    """
    asked = socket.query_params
    store_id = caller_of(socket).tenant(asked.get("store_id"), Permission.EVENTS_READ)
    await socket.accept()
    watch = Watch(
        id=str(new_id()), store_id=store_id, type=_filter(asked.get("type")), visitor=_filter(asked.get("visitor")),
        until=tail.clock.now() + _HELD,
    )  # fmt: skip
    try:
        if len(await tail.watches.current(tail.clock.now())) >= tail.settings.tail_watches:
            return await socket.close(TRY_LATER, "too many people watch already")
        with suppress(_Gone):
            await _until_first(_show(socket, tail, watch), _hear(socket))
        await tail.watches.drop(watch)
        # Only now, when nobody is receiving any more.
        with suppress(_Gone):
            await _close(socket)
    except Failure as failure:
        log.warning("a watch ends", store_id=store_id, why=failure.detail)
        await socket.close(TRY_LATER, "try again later")


def _filter(value: str | None) -> str | None:
    return value[:_LONGEST_FILTER] if value else None


async def _show(socket: Socket, tail: Tail, watch: Watch) -> None:
    started, renewed, is_heard = stopwatch(), float("-inf"), False
    while stopwatch() - started < tail.settings.tail_seconds:
        is_due = stopwatch() - renewed >= _RENEWED_SECONDS
        if is_due:
            watch = msgspec.structs.replace(watch, until=tail.clock.now() + _HELD)
            await tail.watches.put(watch)
            renewed = stopwatch()
        glimpses = await tail.watches.take(watch)
        if matched := sum(glimpse.matched for glimpse in glimpses):
            events = [event for glimpse in glimpses for event in glimpse.events]
            await _say(socket, Frame(type="events", matched=matched, events=events))
        elif glimpses or (is_due and is_heard):
            await _say(socket, Frame(type="alive"))
        is_heard |= bool(glimpses)
        await asyncio.sleep(PACE_SECONDS)


async def _say(socket: Socket, frame: Frame) -> None:
    try:
        await socket.send_text(msgspec.json.encode(frame).decode())
    except RuntimeError as error:
        # The server's word for a socket that closed meanwhile.
        raise _Gone from error


async def _close(socket: Socket) -> None:
    try:
        await socket.close()
    except RuntimeError as error:
        raise _Gone from error


async def _hear(socket: Socket) -> None:
    """Until the client leaves; whatever else it says is passed over."""
    while True:
        try:
            await socket.receive_text()
        except WebSocketDisconnect:
            return


async def _until_first(*parts: Coroutine[object, object, None]) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def router(tail: Tail) -> Router:
    """The feature's one route."""
    return Router(
        "/",
        route_handlers=[tail_events],
        dependencies={"tail": Provide(lambda: tail, sync_to_thread=False)},
        tags=["events"],
    )

"""The shopper's socket, and the local outbox."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from litestar import Router, WebSocket, get, websocket
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.http import caller_of
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after
from recoup.messages.access import Permission
from recoup.services.interventions.channels.domain import heartbeat
from recoup.services.interventions.channels.proofs import Seating
from recoup.services.interventions.channels.sockets import Connection, Hub
from recoup.services.interventions.channels.store import Letter, Outbox, place

HEARTBEAT_SECONDS = 20.0
_LONGEST_ACK = 1_000
Socket = WebSocket[object, object, State]


class Mailbox(Protocol):
    """What waits for a shopper's page."""

    async def waiting(self, store_id: str, person_id: str, held: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Messages offered and not acknowledged, oldest first: (message id, frame)."""
        ...

    async def acknowledge(self, store_id: str, message_id: str) -> None:
        """The page has it."""
        ...


@dataclass(frozen=True, slots=True)
class Switchboard:
    """What a socket's handler needs."""

    hub: Hub
    mailbox: Mailbox
    seating: Seating
    clock: Clock


class Ack(Struct, frozen=True):
    """What a page answers."""

    type: str = ""
    message_id: str = ""


@websocket("/ws/user/{user_id:str}", opt={"permission": Permission.INTERVENTIONS_RECEIVE})
async def shopper(user_id: FromPath[str], socket: Socket, switchboard: NamedDependency[Switchboard]) -> None:
    """One shopper's messages, each to be acknowledged; `?last_id=` (or `?after=`) names the last one received.

    For a user, `?user_hash=` has the shop's proof, and `&anonymous_id=` may name the visitor of the same page; without
    a proof the id is a visitor's, and has to be one that cannot be guessed.
    """
    asked = socket.query_params
    store_id = caller_of(socket).tenant(asked.get("store_id"), Permission.INTERVENTIONS_RECEIVE)
    seats = await switchboard.seating.seats(store_id, user_id, asked.get("user_hash"), asked.get("anonymous_id"))
    await socket.accept()
    connection, hub, mailbox = Connection(), switchboard.hub, switchboard.mailbox
    hub.enter(store_id, seats, connection)
    try:
        await hub.sockets.enter(store_id, seats)
        waiting = await mailbox.waiting(store_id, user_id, seats)
        await _resume(mailbox, store_id, connection, waiting, asked.get("last_id") or asked.get("after"))
        await _until_first(
            _write(socket, switchboard, (store_id, seats), connection), _read(socket, mailbox, store_id, connection)
        )
    finally:
        await hub.sockets.leave(store_id, hub.leave(store_id, seats, connection))


async def _resume(
    mailbox: Mailbox, store_id: str, connection: Connection, waiting: Sequence[tuple[str, str]], last_id: str | None
) -> None:
    """Offers again what was never acknowledged; what the page says it has counts as acknowledged."""
    for message_id, text in waiting:
        if message_id == last_id:
            await mailbox.acknowledge(store_id, message_id)
        else:
            connection.put(message_id, text)


async def _write(
    socket: Socket, switchboard: Switchboard, where: tuple[str, Sequence[str]], connection: Connection
) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                entry = await connection.queue.get()
        except TimeoutError:
            await socket.send_text(heartbeat(switchboard.clock.now()))
            await switchboard.hub.sockets.enter(*where)
            continue
        if entry is None:
            return await socket.close(code=1013, reason="too slow")
        connection.sent.add(entry[0])
        await socket.send_text(entry[1])


async def _read(socket: Socket, mailbox: Mailbox, store_id: str, connection: Connection) -> None:
    """Takes acknowledgements of what this very socket was sent; anything else is passed over."""
    while True:
        try:
            text = await socket.receive_text()
        except WebSocketDisconnect:
            return
        if len(text) > _LONGEST_ACK:
            continue
        try:
            ack = msgspec.json.decode(text, type=Ack)
        except msgspec.MsgspecError:
            continue
        if ack.type == "ack" and ack.message_id in connection.sent:
            connection.sent.discard(ack.message_id)
            await mailbox.acknowledge(store_id, ack.message_id)


async def _until_first(*parts: Coroutine[object, object, None]) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@get("/outbox", opt={"permission": Permission.INTERVENTIONS_READ})
async def read_outbox(
    store_id: NamedDependency[str],
    outbox: NamedDependency[Outbox],
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[Letter]:
    """The e-mails that were sent while no mail server is set, newest first."""
    letters = await outbox.letters(store_id, place(cursor), limit)
    last = letters[-1] if len(letters) == limit else None
    return Page(letters, cursor_after(last.sent_at.isoformat(), str(last.id)) if last else None)


def router(switchboard: Switchboard, outbox: Outbox) -> Router:
    """All routes of this feature."""
    return Router(
        "/",
        route_handlers=[shopper, read_outbox],
        dependencies={
            "switchboard": Provide(lambda: switchboard, sync_to_thread=False),
            "outbox": Provide(lambda: outbox, sync_to_thread=False),
        },
        tags=["channels"],
    )

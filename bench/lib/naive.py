"""The collector one would write first: FastAPI, pydantic, one command an event.

It checks and stores, and does no more.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis


class Item(BaseModel):
    """A line of a cart."""

    model_config = ConfigDict(extra="forbid")
    product_id: str = Field(min_length=1, max_length=128)
    quantity: int = Field(1, ge=0)
    price: int = Field(0, ge=0)


class Event(BaseModel):
    """The fields the load uses, checked as ours are."""

    model_config = ConfigDict(extra="forbid")
    event_id: UUID
    type: str = Field(min_length=1, max_length=64)
    occurred_at: datetime
    anonymous_id: str | None = Field(None, min_length=1, max_length=128)
    session_id: str | None = Field(None, min_length=1, max_length=128)
    cart_id: str | None = Field(None, min_length=1, max_length=128)
    order_id: str | None = Field(None, min_length=1, max_length=128)
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    items: list[Item] = []
    context: dict[str, str] = {}


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncGenerator[None]:
    app.state.valkey = Redis.from_url(os.environ["NAIVE_VALKEY"])
    yield
    await app.state.valkey.aclose()


app = FastAPI(lifespan=_connected)


@app.post("/events/batch", status_code=202)
async def post_batch(events: list[Event]) -> Response:
    """Stores each event under its own command."""
    for event in events:
        await app.state.valkey.xadd("events", {"event": event.model_dump_json()}, maxlen=100_000)
    return Response(status_code=202)

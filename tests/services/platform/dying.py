"""A service of the house that changes something, and dies, fails or refuses between its commit and its answer.

Arguments: PostgreSQL's URL, Valkey's URL, the installation's seed, the port.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Router, post
from litestar.params import FromPath
from tests.services.platform.conftest import make_deps

from recoup.app import trail
from recoup.kit.config import Secret
from recoup.kit.errors import Conflict
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.postgres import Postgres
from recoup.kit.service import Service
from recoup.kit.tokens import Verifier
from recoup.messages.access import Permission, Principal

db = Postgres(sys.argv[1], "platform")


@post("/things/{how:str}", opt={"permission": Permission.MODELS_WRITE})
async def change(how: FromPath[str]) -> None:
    if how == "refused":
        raise Conflict("it is there already")
    await db.execute("insert into things (how) values ($1)", how)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "failed":
        raise RuntimeError("after the commit")


async def main(database: str, valkey_url: str, seed: str, port: str) -> None:
    service = Service(name="ai", routers=(Router("/", route_handlers=[change]),))
    deps = make_deps(database, valkey_url, {}, Path(), Secret(seed), "")
    verifier = Verifier(Secret(seed), Principal, deps.clock)
    app = create_app(service, HttpSettings(), verifier.verify, trail=trail(service, deps))
    await Server(app, address="127.0.0.1", port=int(port), interface=Interfaces.ASGINL, log_enabled=False).serve()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""A service behind the gateway that does nothing but read and answer, so that what is measured is the gateway.

Run as a process of its own (`python -m bench.lib.upstream --port N`).
"""

import argparse
import asyncio

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

ANSWER = b'{"status":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope, receive, send) -> None:
    """Reads the body whole and answers with a few bytes."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER, "more_body": False})


async def _serve(port: int) -> None:
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False, backlog=1024)
    serving = asyncio.ensure_future(server.serve())
    await serving


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()

"""The command line, and the only reader of the environment."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from recoup import __version__
from recoup.kit import config
from recoup.kit.errors import Failure


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 when it went well, 1 when we know what went wrong."""
    options = _parser().parse_args(arguments)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        options.run(options)
    except Failure as failure:
        print(f"recoup: {failure.detail}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recoup", description="Real-time cart recovery.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="run everything on this machine, engines included")
    up.add_argument("--data", type=Path, default=Path("data"), help="folder that keeps everything (default: ./data)")
    up.add_argument("--port", type=int, default=8080, help="the one public port (default: 8080)")
    up.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    up.set_defaults(run=_up)
    migrate = commands.add_parser("migrate", help="bring the database of every service up to date")
    migrate.set_defaults(run=_migrate)
    serve = commands.add_parser("serve", help="run one service, engines by URL from the settings")
    serve.add_argument("service")
    serve.set_defaults(run=_serve)
    return parser


def _up(options: argparse.Namespace) -> None:
    from recoup.up import Options, up  # noqa: PLC0415 - a command loads only what it runs

    asyncio.run(up(Options(options.data, options.port, options.host), os.environ))


def _migrate(_: argparse.Namespace) -> None:
    from recoup.app import PROCESSES, Settings  # noqa: PLC0415
    from recoup.kit.migrate import migrate_now  # noqa: PLC0415

    schemas = sorted({process.schema for process in PROCESSES.values() if process.schema is not None})
    migrate_now(config.load(Settings, os.environ).postgres_url, schemas)


def _serve(options: argparse.Namespace) -> None:
    from recoup.app import Settings, serve  # noqa: PLC0415 - a command loads only what it runs

    asyncio.run(serve(options.service, config.load(Settings, os.environ)))


if __name__ == "__main__":
    sys.exit(main())

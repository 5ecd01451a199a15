"""The command line, and the only reader of the environment."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from recoup import __version__
from recoup.demo.command import add_replay_arguments, replay
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
    demo = commands.add_parser("demo", help="run everything with simulated shoppers, and compare with the truth")
    demo.add_argument("--data", type=Path, help="folder that keeps everything (default: a new one, removed at the end)")
    demo.add_argument("--port", type=int, default=8080, help="the one public port (default: 8080)")
    story.add_arguments(demo)
    demo.set_defaults(run=_demo)
    recorded = commands.add_parser("replay", help="send recorded events, on the store's event clock")
    replay.add_arguments(recorded)
    recorded.set_defaults(run=_replay)
    train = commands.add_parser("train", help="train, judge and maybe deploy a model now")
    train.add_argument("--url", default="http://127.0.0.1:8080", help="the platform (default: %(default)s)")
    train.add_argument("--key", required=True, help="a secret key of the store")
    train.set_defaults(run=_train)
    migrate = commands.add_parser("migrate", help="bring the database of every service up to date")
    migrate.set_defaults(run=_migrate)
    replaying = commands.add_parser("replay", help="send recorded events to a running Recoup")
    add_replay_arguments(replaying)
    replaying.set_defaults(run=_replay)
    serve = commands.add_parser("serve", help="run one service, engines by URL from the settings")
    serve.add_argument("service")
    serve.set_defaults(run=_serve)
    return parser


def _up(options: argparse.Namespace) -> None:
    from recoup.up import Options, up  # noqa: PLC0415 - a command loads only what it runs

    asyncio.run(up(Options(options.data, options.port, options.host), os.environ))


def _demo(options: argparse.Namespace) -> None:
    asyncio.run(demo_house(options, os.environ))


def _replay(options: argparse.Namespace) -> None:
    asyncio.run(replay.run(options))


def _train(options: argparse.Namespace) -> None:
    asyncio.run(train_now(options.url, options.key))


def _migrate(_: argparse.Namespace) -> None:
    from recoup.app import Settings
    from recoup.processes import PROCESSES
    from recoup.kit.migrate import migrate_now  # noqa: PLC0415

    schemas = sorted({process.schema for process in PROCESSES.values() if process.schema is not None})
    migrate_now(config.load(Settings, os.environ).postgres_url, schemas)


def _replay(options: argparse.Namespace) -> None:
    asyncio.run(replay(options))


def _serve(options: argparse.Namespace) -> None:
    from recoup.app import Settings, serve  # noqa: PLC0415 - a command loads only what it runs

    asyncio.run(serve(options.service, config.load(Settings, os.environ)))


if __name__ == "__main__":
    sys.exit(main())

"""The command line, and the only reader of the environment."""

import argparse
import gc
import getpass
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from recoup import __version__
from recoup.demo import command
from recoup.kit import config
from recoup.kit.errors import Conflict, Failure, Invalid
from recoup.kit.lean import without


class FirstRun(msgspec.Struct):
    """What the first start leaves in `first-run.json`."""

    secret_key: str
    publishable_key: str
    admin_email: str
    admin_password: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 when it went well, 1 when we know what went wrong."""
    options = _parser().parse_args(arguments)
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
    command.add_arguments(demo)
    demo.set_defaults(run=_demo)
    replay = commands.add_parser("replay", help="send recorded events, on the store's event clock")
    command.add_replay_arguments(replay)
    replay.set_defaults(run=_replay)
    train = commands.add_parser("train", help="train, judge and maybe deploy a model now")
    train.add_argument("--url", default="http://127.0.0.1:8080", help="the platform (default: %(default)s)")
    train.add_argument("--key", required=True, help="a secret key of the store")
    train.set_defaults(run=_train)
    _add_signing_keys(commands.add_parser)
    migrate = commands.add_parser("migrate", help="bring the database of every service up to date")
    migrate.set_defaults(run=_migrate)
    _add_papers(commands.add_parser)
    serve = commands.add_parser("serve", help="run one service, engines by URL from the settings")
    serve.add_argument("service")
    serve.set_defaults(run=_serve)
    return parser


def _add_signing_keys(add: Callable[..., argparse.ArgumentParser]) -> None:
    showing = add("signing-keys", help="show the keys that access tokens are signed by")
    distrusting = add("distrust", help="end all that a stolen signing key has signed, in all stores, within a second")
    distrusting.add_argument("kid", help="the key, as `recoup signing-keys` shows it")
    distrusting.add_argument("--email", required=True, help="you, an owner of all stores; the password is asked for")
    distrusting.add_argument("--yes", action="store_true", help="do not ask whether to go on")
    for each, run in ((showing, _show_signing_keys), (distrusting, _distrust)):
        each.add_argument("--url", default="http://127.0.0.1:8080", help="the platform (default: %(default)s)")
        each.set_defaults(run=run)


def _add_papers(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Commands that read or write a document and run nothing."""
    audit = add("audit", help="tell whether the chain of an exported audit trail holds")
    audit.add_argument("file", type=Path, help="lines of JSON, as the export gives them")
    audit.add_argument("--filtered", action="store_true", help="lines between those of the file may be missing")
    audit.set_defaults(run=_audit)
    for name, what, run in (
        ("picture", "draw the house into a document, from its own records", _picture),
        ("permissions", "draw who may do what into a document, from the one table", _permissions),
    ):
        drawing = add(name, help=what)
        drawing.add_argument("file", type=Path)
        drawing.set_defaults(run=run)


def _up(options: argparse.Namespace) -> None:
    from recoup.up import Options, up

    uvloop.run(up(Options(options.data, options.port, options.host), os.environ))


def _demo(options: argparse.Namespace) -> None:
    from recoup.up import FIRST_RUN, After, House, Options, up

    async def story(house: House) -> After:
        first_run = msgspec.json.decode((house.data / FIRST_RUN).read_bytes(), type=FirstRun)
        await command.run(house.url, first_run, options)
        return After.STOP if options.once else After.KEEP

    folder = options.data or Path(tempfile.mkdtemp(prefix="recoup-demo-", dir="/tmp"))
    try:
        uvloop.run(up(Options(folder, options.port), os.environ, story=story))
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _replay(options: argparse.Namespace) -> None:
    uvloop.run(command.replay(options))


def _train(options: argparse.Namespace) -> None:
    from recoup.demo.client import Client

    async def ask() -> str:
        async with Client(options.url, options.key) as client:
            return await client.train()

    print(uvloop.run(ask()))


def _show_signing_keys(options: argparse.Namespace) -> None:
    from recoup.kit.clock import SystemClock
    from recoup.signing_keys import show

    print(uvloop.run(show(options.url, SystemClock().now())))


def _distrust(options: argparse.Namespace) -> None:
    from recoup.kit.clock import SystemClock
    from recoup.signing_keys import Person, distrust

    who = Person(options.email, ask=(lambda _: "yes") if options.yes else _asked, ask_secret=_secret)
    print(uvloop.run(distrust(options.url, options.kid, who, SystemClock().now)))


def _asked(question: str) -> str:
    """What somebody says; nothing where nobody is there."""
    try:
        return input(question)
    except EOFError:
        return ""


def _secret(question: str) -> str:
    """Asked of a person unseen, of a program as a line of its output."""
    return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _migrate(_: argparse.Namespace) -> None:
    from recoup.app import Settings, with_secrets
    from recoup.kit.migrate import migrate
    from recoup.processes import PROCESSES

    schemas = sorted({process.schema for process in PROCESSES.values() if process.schema is not None})

    async def run() -> None:
        await migrate((await with_secrets(config.load(Settings, os.environ), os.environ)).postgres_url, schemas)

    uvloop.run(run())


def _audit(options: argparse.Namespace) -> None:
    from recoup.services.platform.audit.domain import Entry, verified

    decode = msgspec.json.Decoder(Entry).decode
    try:
        with options.file.open("rb") as lines:
            verdict = verified(map(decode, lines), gaps=options.filtered)
    except OSError as error:
        raise Invalid(f"{options.file} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise Invalid(f"{options.file} is no exported audit trail: {error}") from error
    if not verdict.intact:
        raise Conflict(f"the chain breaks at line {verdict.broken_at}: {verdict.why}")
    print(f"the chain holds: {verdict.lines} lines, the last is {verdict.last_seq} with hash {verdict.last_hash}")


def _picture(options: argparse.Namespace) -> None:
    from recoup.picture import redraw

    redraw(options.file)


def _permissions(options: argparse.Namespace) -> None:
    from recoup.permissions import draw

    draw(options.file)


def _serve(options: argparse.Namespace) -> None:
    # Nothing that is loaded at the start is garbage; looking for some takes an eighth of the time. `kit.process` turns
    # the collector on again. rich makes structlog slow to load and has no place in a JSON log; the Valkey client loads
    # OpenTelemetry where it finds it, 2 MB in each of eight processes.
    gc.disable()
    without("rich")
    if f"{config.PREFIX}OTLP_ENDPOINT" not in os.environ:
        without("opentelemetry")
    from recoup.app import Settings, serve

    uvloop.run(serve(options.service, config.load(Settings, os.environ), os.environ))


if __name__ == "__main__":
    sys.exit(main())

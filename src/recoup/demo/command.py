"""The options of `recoup demo` and `recoup replay`, and what they run. Starts no platform: the command line does.

Light to import: the parser of every command knows these options, so what they run is loaded only when it runs.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from recoup.demo.summary import Summary

SEED: Final = 7
SHOPPERS: Final = 3_000
DAYS: Final = 4


class FirstRun(Protocol):
    """What the first start of a platform leaves behind."""

    @property
    def secret_key(self) -> str: ...
    @property
    def publishable_key(self) -> str: ...
    @property
    def admin_email(self) -> str: ...
    @property
    def admin_password(self) -> str: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that shape the story of `recoup demo`."""
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, other people (%(default)s)")
    parser.add_argument("--shoppers", type=_count, default=SHOPPERS, help="how many visit (%(default)s)")
    parser.add_argument("--days", type=_count, default=DAYS, help="over how many days (%(default)s)")
    parser.add_argument("--once", action="store_true", help="end after the summary")


async def run(url: str, first_run: FirstRun, options: argparse.Namespace) -> "Summary":
    """Plays the story and prints what came of it; raises Failure with a sentence when it cannot."""
    from rich.console import Console  # noqa: PLC0415 - see the module's first lines

    from recoup.demo.simulator import Options, run_demo  # noqa: PLC0415
    from recoup.demo.summary import table  # noqa: PLC0415
    from recoup.kit.clock import SystemClock  # noqa: PLC0415

    story = Options(seed=options.seed, shoppers=options.shoppers, days=options.days)
    summary = await run_demo(url, first_run.secret_key, story, SystemClock().now())
    console = Console()
    console.print(table(summary))
    console.print(f"Of the incremental revenue: {summary.verdict.value}.")
    console.print(f"Console: {url}/  as {first_run.admin_email}, password {first_run.admin_password}", soft_wrap=True)
    console.print(f"Demo shop: {url}/shop?key={first_run.publishable_key}", soft_wrap=True)
    return summary


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `recoup replay`."""
    parser.add_argument("file", type=Path, help="the recording, a CSV file")
    parser.add_argument("--format", choices=("rees46",), required=True, help="how the file is to be read")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where Recoup runs (%(default)s)")
    parser.add_argument("--key", required=True, help="a secret key of the store that takes the events")
    parser.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait until the overview counts every event, and print it",
    )


async def replay(options: argparse.Namespace) -> None:
    """Replays the file that the options name; raises Failure with a sentence when it cannot."""
    from recoup.demo.replay import run as run_replay  # noqa: PLC0415 - see the module's first lines

    await run_replay(options)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number

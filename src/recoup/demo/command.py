"""`recoup demo`: its options, and the story once the platform is up. Starts and stops nothing."""

import argparse
from typing import Final, Protocol

from rich.console import Console

from recoup.demo.simulator import Options, run_demo
from recoup.demo.summary import Summary, table
from recoup.kit.clock import SystemClock

DEFAULTS: Final = Options()


class FirstRun(Protocol):
    """What the first start of a platform leaves behind."""

    @property
    def secret_key(self) -> str: ...
    @property
    def admin_email(self) -> str: ...
    @property
    def admin_password(self) -> str: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that shape the story."""
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed, help="another seed, other people (%(default)s)")
    parser.add_argument("--shoppers", type=_count, default=DEFAULTS.shoppers, help="how many visit (%(default)s)")
    parser.add_argument("--days", type=_count, default=DEFAULTS.days, help="over how many days (%(default)s)")
    parser.add_argument("--once", action="store_true", help="end after the summary")


async def run(url: str, first_run: FirstRun, options: argparse.Namespace) -> Summary:
    """Plays the story and prints what came of it; raises Failure with a sentence when it cannot."""
    story = Options(seed=options.seed, shoppers=options.shoppers, days=options.days)
    summary = await run_demo(url, first_run.secret_key, story, SystemClock().now())
    console = Console()
    console.print(table(summary))
    console.print(f"Of the incremental revenue: {summary.verdict.value}.")
    console.print(f"Console: {url}/  as {first_run.admin_email}, password {first_run.admin_password}", soft_wrap=True)
    console.print(f"Demo shop: {url}/shop/", soft_wrap=True)
    return summary


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number

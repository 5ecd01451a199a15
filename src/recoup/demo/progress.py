"""What the terminal shows: a bar, or a line every few seconds where the output goes to a file; and money."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from recoup.demo.client import Overview
from recoup.kit.clock import stopwatch

LINE_EVERY_SECONDS: Final = 5.0


@dataclass(slots=True)
class Progress:
    """Progress of one long act; a context."""

    title: str
    total: int
    console: Console = field(default_factory=Console)
    _bar: Bar | None = None
    _line_at: float = float("-inf")

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Bar(*columns, TimeElapsedColumn(), TextColumn("{task.fields[where]}"), console=self.console)
            self._bar.start()
            self._bar.add_task(self.title, total=self.total, where="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, where: str) -> None:
        """So much is done, and this is where we are."""
        if self._bar is not None:
            return self._bar.update(self._bar.task_ids[0], completed=done, where=where)
        if done >= self.total or stopwatch() - self._line_at > LINE_EVERY_SECONDS:
            self._line_at = stopwatch()
            print(f"{self.title}: {done:,} of {self.total:,}  {where}", flush=True)
        return None


def money(amount: int, currency: str) -> str:
    """Minor units as a person reads them; the platform's own currencies have two digits here."""
    return f"{amount / 100:,.2f} {currency}"


def figures(overview: Overview) -> Table:
    """The overview as a table."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    for name in ("events", "carts", "converted", "abandoned", "recovered", "orders"):
        table.add_row(name, f"{getattr(overview, name):,}")
    table.add_row("revenue", money(overview.revenue.amount, overview.revenue.currency))
    table.add_row("contacted", f"{overview.contacted:,}")
    table.add_row("held out", f"{overview.held_out:,}")
    return table

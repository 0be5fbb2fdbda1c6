"""What a terminal gets: names as text, and how far a command is, as a bar or as a line every few seconds."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from flexpeer.errors import printable

EVERY_S = 5.0
Tell = Callable[[int, int], None]


class Screen(Console):
    """Names are text: no markup, no emoji codes, no control characters."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Raise what is being handled: `_taken` tells it."""
        raise  # noqa: PLE0704 - called while it is handled

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Every segment as it is, or printable."""
        for segment in super().render(renderable, options):
            plain = segment.control or segment.text.isprintable()
            yield segment if plain else segment._replace(text=printable(segment.text, keep="\n"))


def with_progress(console: Console, work: Callable[[Tell], Any], what: str) -> Any:
    """Run `work` with what tells how many of how many `what` are done."""
    with _bar(console, what) if sys.stderr is not None and sys.stderr.isatty() else _lines(console, what) as tell:
        return work(tell)


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Tell]:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _lines(console: Console, what: str) -> Iterator[Tell]:
    """Also while nothing is counted, such as in a power flow of many hours."""
    began, ended, far = monotonic(), threading.Event(), [0, 0]

    def tell(done: int, total: int) -> None:
        """Note it for the next line."""
        far[:] = done, total

    def print_lines() -> None:
        """Until the work has ended."""
        while not ended.wait(EVERY_S):
            done, total = far
            counted = f"{what} {done:,} of {total:,}, " if total else ""
            with suppress(OSError):
                console.print(f"{counted}{monotonic() - began:.0f} s", soft_wrap=True)

    printer = threading.Thread(target=print_lines, daemon=True)
    printer.start()
    try:
        yield tell
    finally:
        ended.set()
        printer.join()

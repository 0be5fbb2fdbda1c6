"""What commands say: answers on standard output, everything else, progress too, on standard error."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flexpeer.errors import Unusable, printable
from flexpeer.narration import Screen

STANDARD_OUTPUT = "standard output"
EVERY_S = 5.0
Tell = Callable[[int, int], None]
ERRORS = Screen(stderr=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def say(text: str) -> None:
    """The answer, on standard output; names cannot do anything to a terminal. `Unusable` if nobody takes it."""
    with taken():
        typer.echo(printable(text, keep="\n"))


def show(picture: RenderableType) -> None:
    """The answer as tables."""
    with taken():
        Screen().print(picture)


@contextmanager
def taken() -> Iterator[None]:
    """`Unusable` if standard output is closed or full; then nothing more goes there."""
    if sys.stdout is None:
        raise Unusable(STANDARD_OUTPUT, "it is closed", "somewhere to write to")
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Unusable(STANDARD_OUTPUT, f"cannot be written: {error.strerror}", "somewhere to write to") from error


def told(text: str) -> None:
    """Something beside the answer."""
    with suppress(OSError):
        ERRORS.print(text, soft_wrap=True)


def with_progress(work: Callable[[Tell], Any], what: str = "orders") -> Any:
    """Run `work` with what tells how many of how many `what` are done."""
    with _bar(what) if sys.stderr is not None and sys.stderr.isatty() else _lines(what) as tell:
        return work(tell)


@contextmanager
def _bar(what: str) -> Iterator[Tell]:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERRORS, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _lines(what: str) -> Iterator[Tell]:
    """Also while nothing is counted, such as in a power flow of many hours."""
    began, ended, far = monotonic(), threading.Event(), [0, 0]

    def tell(done: int, total: int) -> None:
        """Note it for the next line."""
        far[:] = done, total

    def print_lines() -> None:
        """Until the work has ended."""
        while not ended.wait(EVERY_S):
            done, total = far
            counted = f"{what} {done:,} of {total:,}" if total else "working"
            with suppress(OSError):
                ERRORS.print(f"{counted}, {monotonic() - began:.0f} s", soft_wrap=True)

    printer = threading.Thread(target=print_lines, daemon=True)
    printer.start()
    try:
        yield tell
    finally:
        ended.set()
        printer.join()

"""What commands say: answers on standard output, everything else on standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from rich.console import RenderableType

from flexpeer.errors import Unusable, printable
from flexpeer.narration import Screen

STANDARD_OUTPUT = "standard output"
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

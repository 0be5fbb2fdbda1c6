"""An interrupt from the keyboard comes when the program can take it, and ends it with one status."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

INTERRUPT = 130


@contextmanager
def undisturbed() -> Iterator[None]:
    """An interrupt waits until this is over: while modules load, libraries may lose it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_interrupted() -> NoReturn:
    """End at once: Python would end by the signal if the interrupt had come while something was compiled from text."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(INTERRUPT)

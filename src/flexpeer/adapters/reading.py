"""How files are opened, and the one place for what reading them may raise.

A file is a plain file of bounded size: a device, a pipe or a folder under its name is refused before a byte is read.
Whatever a decoder raises about content is one finding; an `AttributeError`, `KeyError` or `AssertionError` is a bug.
"""

import csv
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

import msgspec

from flexpeer.errors import BadInput, bad_input

LARGEST_FILE_BYTES = 2 << 30
PIECE_BYTES = 4 << 20
MOST_FILES = 10_000
NO_MEMORY = "asks for more memory than there is"
TOO_DEEP = "is nested too deeply"

MALFORMED = (
    ValueError,
    ArithmeticError,
    EOFError,
    NotImplementedError,
    csv.Error,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    expat.ExpatError,
    msgspec.MsgspecError,
)
"""What decoders raise about content; texts that are no UTF-8 and JSON that is none are `ValueError`."""


class NotAFileError(OSError):
    """What stands under a name is no plain file, or a larger one than is read."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(None, problem, str(path))
        self.strerror = problem


def open_file(path: Path) -> BinaryIO:
    """A plain file to read, or `OSError`; never waits for whoever writes a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise NotAFileError(path, f"no file can be called that: {error}") from error
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise NotAFileError(path, "it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise NotAFileError(path, "it is a device or a pipe, not a file")
        if found.st_size > LARGEST_FILE_BYTES:
            raise NotAFileError(path, f"it is larger than {LARGEST_FILE_BYTES >> 20:,} MiB")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def bytes_of(path: Path) -> bytes:
    """The content of a plain file, or `OSError`."""
    content = bytearray()
    with open_file(path) as stream:
        while piece := stream.read(PIECE_BYTES):
            content += piece
            if len(content) > LARGEST_FILE_BYTES:
                raise NotAFileError(path, "it has no end")
    return bytes(content)


def files_below(folder: Path) -> list[Path]:
    """Every plain file in a folder and its folders, in order; `OSError` where there are more than are read."""
    found: list[Path] = []
    seen = 0
    for top, folders, files in os.walk(folder):
        folders.sort()
        seen += len(folders) + len(files)
        if seen > MOST_FILES:
            raise NotAFileError(folder, f"it holds more than {MOST_FILES:,} files and folders")
        found += [path for name in files if (path := Path(top, name)).is_file()]
    return sorted(found)


def problem_of(error: BaseException) -> str:
    """What reading raised, as findings say it, on one line."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, RecursionError):
        return TOO_DEEP
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return f"cannot be read: {' '.join(said.split())}"


@contextmanager
def reading(where: str, expected: str) -> Iterator[None]:
    """Whatever a reader raises about `where` becomes one finding; `BadInput` passes as it is."""
    try:
        yield
    except BadInput:
        raise
    except (OSError, MemoryError, RecursionError, *MALFORMED) as error:
        raise bad_input(where, problem_of(error), expected) from error

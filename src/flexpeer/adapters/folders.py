"""Output folders: whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexpeer.errors import bad_input


def require_fresh(out: Path) -> None:
    """`BadInput` unless `out` is new or an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise bad_input(str(out), "the output folder is not empty", "a new or empty folder")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to work in; its content is in `out` when all went well, and vanishes when not.

    Raises `BadInput` if it cannot be written.
    """
    beside = out if out.is_dir() else out.parent
    try:
        made = [folder for folder in (beside, *beside.parents) if not folder.exists()]
        beside.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=beside))
    except OSError as error:
        raise bad_input(str(out), f"cannot be written: {error.strerror}", "a folder that can be written") from error
    try:
        yield work
        work.chmod(0o755)
        if beside == out:
            for path in work.iterdir():
                path.rename(out / path.name)
        else:
            work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def private_folder(out: Path) -> Iterator[Path]:
    """The same, which only its owner can read, and all that is in it."""
    with new_folder(out) as work:
        yield work
        for path in work.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
    out.chmod(0o700)


def write_private(path: Path, content: bytes) -> None:
    """A new file, which never was readable by others than its owner."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)

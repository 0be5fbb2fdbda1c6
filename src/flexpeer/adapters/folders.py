"""Output folders and files: whole or not at all."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexpeer.errors import Unusable, bad_input

FRESH = "a new or empty folder"


def require_fresh(out: Path, expected: str = FRESH) -> None:
    """`BadInput`, which says what is `expected`, unless `out` is new or an empty folder."""
    try:
        if out.is_symlink() and not out.exists():
            raise Unusable(str(out), "it is a link to nothing", expected)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise bad_input(str(out), "the output folder is not empty", expected)
    except OSError as error:
        raise _unwritable(out, error) from error


def beside(folder: Path) -> Path:
    """Where a folder's results go unless somebody says otherwise."""
    name = f"{folder.resolve().name}-results"
    return folder.with_name(name) if folder.name not in ("", "..") else folder.resolve().with_name(name)


@contextmanager
def replaced_folder(out: Path, known: str) -> Iterator[Path]:
    """A new folder beside `out` that takes its place when all went well.

    What is there may go only if it has a file `known`, or nothing; `BadInput` where it holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        yield out
        return
    if out.is_symlink() or not (out / known).is_file():
        raise bad_input(str(out), f"holds other things than results: there is no {known} in it", "a folder of results")
    with tempfile.TemporaryDirectory(prefix=".flexpeer-", dir=out.parent) as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        yield fresh
        out.rename(old)
        fresh.rename(out)


def _unwritable(out: Path, error: OSError) -> Unusable:
    return Unusable(str(out), f"cannot be written: {error.strerror or error}", "a place that can be written")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to work in; its content is in `out` when all went well, and vanishes when not.

    Raises `Unusable` if it cannot be written, at the beginning or later, such as when the disk is full.
    """
    made: list[Path] = []
    work: Path | None = None
    try:
        beside = out if out.is_dir() else out.parent
        made = [folder for folder in (beside, *beside.parents) if not folder.exists()]
        beside.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".flexpeer-", dir=beside))
        yield work
        work.chmod(0o755)
        _move(work, out)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        for folder in made:
            if folder.exists() and not any(folder.iterdir()):
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


def _move(work: Path, out: Path) -> None:
    """All of a folder's content or, interrupted, none of it."""
    if work.parent != out:
        work.rename(out)
        return
    moved: list[Path] = []
    try:
        for path in sorted(work.iterdir()):
            moved.append(out / path.name)
            path.rename(moved[-1])
    except BaseException:
        for path in moved:
            _remove(path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes its place when all of it is on the disk, and vanishes when not.

    Raises `Unusable` if it cannot be written.
    """
    if path.is_symlink():
        path = path.resolve()
    if path.exists() and not path.is_file():
        raise Unusable(str(path), "it is no file", "a file that can be written")
    new = path.with_name(f".flexpeer-{os.getpid()}-{threading.get_ident()}")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        new.unlink(missing_ok=True)

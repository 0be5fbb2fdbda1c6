"""JSON files of one value each, indented for people."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flexpeer.errors import bad_input

T = TypeVar("T")


def write_json(value: Any, path: Path) -> None:
    """Replace the file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def read_json(path: Path, kind: type[T], wanted: str, wrong: str, expected: str) -> T:
    """`BadInput`: `wanted` if the file cannot be read; what is `wrong` with it, and `expected`, if it is no `kind`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise bad_input(str(path), f"cannot be read: {error.strerror}", wanted) from error
    except msgspec.DecodeError as error:
        raise bad_input(str(path), f"{wrong}: {error}", expected) from error

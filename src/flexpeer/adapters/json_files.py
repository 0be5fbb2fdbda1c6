"""JSON files of one value each, indented for people."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flexpeer.adapters.reading import bytes_of, problem_of, reading
from flexpeer.errors import bad_input

T = TypeVar("T")


def write_json(value: Any, path: Path) -> None:
    """Replace the file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def read_json(path: Path, kind: type[T], wanted: str, wrong: str, expected: str) -> T:
    """`BadInput`: `wanted` if the file cannot be read; what is `wrong` with it, and `expected`, if it is no `kind`."""
    with reading(str(path), wanted):
        content = bytes_of(path)
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise bad_input(str(path), f"{wrong}: {error}", expected) from error
    except RecursionError as error:
        raise bad_input(str(path), f"{wrong}: {problem_of(error)}", expected) from error

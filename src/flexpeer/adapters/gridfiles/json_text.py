"""JSON text with the place of its first mistake."""

import json
from pathlib import Path

from flexpeer.adapters.reading import bytes_of, reading
from flexpeer.errors import bad_input


def parse_json(text: str, where: str) -> object:
    """The parsed text; NaN and Infinity are let through, for the reader to name the field that has them."""
    with reading(where, "JSON"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as mistake:
            problem = f"{mistake.msg} at line {mistake.lineno}, column {mistake.colno}"
            raise bad_input(where, problem, "JSON", line=mistake.lineno, field=f"column {mistake.colno}") from mistake


def read_json(path: Path, where: str) -> object:
    """The parsed file."""
    with reading(where, "a readable file"):
        try:
            text = bytes_of(path).decode("utf-8-sig")
        except UnicodeDecodeError as mistake:
            raise bad_input(where, f"byte {mistake.start} is not UTF-8", "UTF-8 text") from mistake
    return parse_json(text, where)

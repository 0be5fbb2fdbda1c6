"""JSON text with the place of its first mistake."""

import json
from pathlib import Path

from flexpeer.errors import bad_input


def parse_json(text: str, where: str) -> object:
    """The parsed text; NaN and Infinity are let through, for the reader to name the field that has them."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as mistake:
        problem = f"{mistake.msg} at line {mistake.lineno}, column {mistake.colno}"
        raise bad_input(where, problem, "JSON", line=mistake.lineno, field=f"column {mistake.colno}") from mistake


def read_json(path: Path, where: str) -> object:
    """The parsed file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as mistake:
        raise bad_input(where, f"byte {mistake.start} is not UTF-8", "UTF-8 text") from mistake
    except OSError as mistake:
        raise bad_input(where, f"cannot be read: {mistake.strerror}", "a readable file") from mistake
    return parse_json(text, where)

"""The program as its user meets it: a command line in, exit status and two streams out."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from flexpeer.cli import app

PROGRESS = re.compile(r"^(?:[a-z]+ [0-9,]+ of [0-9,]+|working), [0-9]+ s\n", re.MULTILINE)
"""What a slow machine adds to standard error."""


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """Standard output as the one JSON object it must be."""
        assert self.out.endswith("}\n")
        assert self.out.count("\n") == 1
        found = json.loads(self.out, parse_constant=_refused)
        assert isinstance(found, dict)
        return found


def _refused(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


def flexpeer(*words: str | Path) -> Answer:
    """Run a command; a bug is an exception here."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return Answer(result.exit_code, result.stdout, result.stderr)


def everything_in(folder: Path) -> set[str]:
    """Every path below a folder, hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}

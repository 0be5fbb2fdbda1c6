"""What can be wrong with an input, reported all at once."""

from collections.abc import Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """One thing wrong with an input.

    `where` is a file (or a command), `line` counts from 1 with the header as line 1 (0: the whole
    file), `field` is a column or key, `expected` says what would have been accepted.
    """

    where: str
    line: int
    field: str
    problem: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        field = f" [{self.field}]" if self.field else ""
        return f"{place}{field}: {self.problem}; expected {self.expected}"


class BadInput(Exception):
    """Input that cannot be used; carries every finding, in file and line order."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


def bad_input(where: str, problem: str, expected: str, *, line: int = 0, field: str = "") -> BadInput:
    """A `BadInput` of one finding."""
    return BadInput([Finding(where, line, field, problem, expected)])

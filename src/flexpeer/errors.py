"""What can be wrong with an input, reported all at once."""

from collections.abc import Iterable
from typing import NamedTuple


def printable(text: str, keep: str = "") -> str:
    """The text with control characters written out, so that no terminal obeys them; `keep` stay.

    They are written as in JSON, so that a JSON text stays the same value.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


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
        """On one line, whatever characters names have."""
        place = f"{self.where}:{self.line}" if self.line else self.where
        field = f" [{self.field}]" if self.field else ""
        return printable(f"{place}{field}: {self.problem}; expected {self.expected}")


class BadInput(Exception):
    """Input that cannot be used; carries every finding, in file and line order."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


class Unusable(BadInput):
    """What the system does not give or take, whatever it holds: a full disk, a closed output, a dangling link."""

    def __init__(self, where: str, problem: str, expected: str) -> None:
        super().__init__([Finding(where, 0, "", problem, expected)])


def bad_input(where: str, problem: str, expected: str, *, line: int = 0, field: str = "") -> BadInput:
    """A `BadInput` of one finding."""
    return BadInput([Finding(where, line, field, problem, expected)])

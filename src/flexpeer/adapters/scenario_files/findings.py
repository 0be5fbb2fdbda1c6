"""The findings of one file, in line order and bounded in number."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from flexpeer.errors import Finding

FINDINGS_PER_FILE = 1_000


class Line(int):
    """A line of a wide table, of which one row is made for each of its columns: how those are called there."""

    columns: Mapping[str, str]

    def __new__(cls, line: int, columns: Mapping[str, str]) -> "Line":
        """The line as a number, with its columns."""
        found = super().__new__(cls, line)
        found.columns = columns
        return found


class Findings:
    """What is wrong with one file; `fields` gives the order of findings on the same line.

    `columns` is what the file calls its columns, where that is not what the layout calls them.
    """

    def __init__(self, file: str, fields: Sequence[str] = ()) -> None:
        self.file = file
        self._rank = {field: rank for rank, field in enumerate(fields)}
        self._found: list[Finding] = []
        self._told: set[tuple[str, str]] = set()
        self.columns: dict[str, str] = {}

    def add(self, line: int, field: str, problem: str, expected: str) -> None:
        """Note one finding; line 0 is the whole file. What a whole column of a wide table shares is told once."""
        if isinstance(line, Line):
            told = (line.columns.get(field, field), problem)
            if told in self._told:
                return
            self._told.add(told)
        self._found.append(Finding(self.file, line, field, problem, expected))

    def located(self, line: int, field: str) -> tuple[str, int, str]:
        """File, line and column as whoever made the file knows them."""
        columns = line.columns if isinstance(line, Line) else self.columns
        return self.file, int(line), columns.get(field, field)

    def extend(self, found: Iterable[tuple[int, str, str, str]]) -> None:
        """Note the findings of one check (line, field, problem, expected), as many as could be listed."""
        for line, field, problem, expected in islice(found, FINDINGS_PER_FILE + 1):
            self.add(line, field, problem, expected)

    @property
    def full(self) -> bool:
        """Whether there are more than will be listed."""
        return len(self._found) > FINDINGS_PER_FILE

    def in_order(self) -> list[Finding]:
        """By line, then by column; beyond `FINDINGS_PER_FILE` one last finding says that there are more."""
        ordered = sorted(self._found, key=lambda found: (found.line, self._rank.get(found.field, -1)))
        ordered = [Finding(*self.located(each.line, each.field), each.problem, each.expected) for each in ordered]
        if not self.full:
            return ordered
        listed = ordered[:FINDINGS_PER_FILE]
        more = f"there are more findings than these {FINDINGS_PER_FILE:,}; the rest are not listed"
        return [*listed, Finding(self.file, listed[-1].line, "", more, "these to be corrected first")]

"""The findings of one file, in line order and bounded in number."""

from collections.abc import Iterable, Sequence
from itertools import islice

from flexpeer.errors import Finding

FINDINGS_PER_FILE = 1_000


class Findings:
    """What is wrong with one file; `fields` gives the order of findings on the same line."""

    def __init__(self, file: str, fields: Sequence[str] = ()) -> None:
        self.file = file
        self._rank = {field: rank for rank, field in enumerate(fields)}
        self._found: list[Finding] = []

    def add(self, line: int, field: str, problem: str, expected: str) -> None:
        """Note one finding; line 0 is the whole file."""
        self._found.append(Finding(self.file, line, field, problem, expected))

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
        if not self.full:
            return ordered
        listed = ordered[:FINDINGS_PER_FILE]
        more = f"there are more findings than these {FINDINGS_PER_FILE:,}; the rest are not listed"
        return [*listed, Finding(self.file, listed[-1].line, "", more, "these to be corrected first")]

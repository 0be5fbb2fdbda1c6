"""The `from` of rows that hold for one MTU: instants become MTU indexes, and no MTU may be missing."""

from collections.abc import Callable, Iterator
from typing import Any

from flexpeer.adapters.scenario_files.tables import BAD, Table
from flexpeer.periods import MarketDay, local_text

FoundRow = tuple[int, str, str, str]


def index_days_mtus(table: Table, day: MarketDay) -> None:
    """Turn the column `from` into MTU indexes of the day; what is no start of an MTU of it becomes `BAD`."""
    first, last = day.local(0), day.local(day.mtu_count - 1)
    _index(table, day, lambda mtu: 0 <= mtu < day.mtu_count, f"a start of an MTU from {first} to {last}")


def index_mtus(table: Table, day: MarketDay) -> None:
    """Turn the column `from` into MTU indexes counted from the day's first, before and after the day too."""
    _index(table, day, lambda _: True, f"a start of an MTU, whole {day.mtu_minutes} minutes from {day.local(0)}")


def _index(table: Table, day: MarketDay, allowed: Callable[[int], bool], expected: str) -> None:
    problems: dict[Any, str] = {}
    indexes: dict[Any, Any] = {None: None, BAD: BAD}
    for instant in set(table.column("from")) - {None, BAD}:
        index, rest = divmod(instant - day.start, day.mtu_minutes)
        indexes[instant] = index if rest == 0 and allowed(index) else BAD
        if rest:
            problems[instant] = f"is not on a boundary of {day.mtu_minutes} minutes"
        elif not allowed(index):
            problems[instant] = "is outside the delivery day"
    if problems:
        table.findings.extend(
            (line, "from", f"{local_text(instant, day.timezone)} {problems[instant]}", expected)
            for line, instant in zip(table.lines, table.column("from"), strict=True)
            if instant in problems
        )
    table.columns["from"] = [indexes[instant] for instant in table.column("from")]


def missing_mtus(table: Table, key: str, day: MarketDay) -> Iterator[FoundRow]:
    """One finding, at its first row, for each name with rows in the day that has not one for every MTU.

    A name one of whose times could not be read is passed over: that has a finding already.
    """
    names, mtus = table.column(key), table.column("from")
    if table.partial or BAD in names:
        return
    begun: dict[str, int] = {}
    seen: dict[str, set[int]] = {}
    doubtful = {name for name, mtu in zip(names, mtus, strict=True) if mtu is BAD}
    for line, name, mtu in table.rows(key, "from"):
        if name is not None and 0 <= mtu < day.mtu_count:
            begun.setdefault(name, line)
            seen.setdefault(name, set()).add(mtu)
    for name, there in seen.items():
        if len(there) < day.mtu_count and name not in doubtful:
            first = min(set(range(day.mtu_count)) - there)
            count = day.mtu_count - len(there)
            problem = f"{key} {name} has no row for {count} of {day.mtu_count} MTUs, first {day.local(first)}"
            yield begun[name], "from", problem, "one row for every MTU of the delivery day"

"""The values of `scenario.toml`: where each key stands and what it may be.

A reader takes a TOML value and returns its exact value, or raises `ValueError` with the problem.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from flexpeer.adapters.scenario_files import cells
from flexpeer.adapters.scenario_files.findings import Findings
from flexpeer.market.timeline import Moment
from flexpeer.quantities import MINOR_PER_MAJOR

T = TypeVar("T")
Place = tuple[str, int, str]

DECIMAL_LIMIT: Final = Decimal(10) ** 15
DECIMAL_PLACES: Final = 12
_ARRAY = re.compile(r"\s*\[\[\s*([\w-]+)\s*\]\]")
_TABLE = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*(?:([\w-]+)\s*\.\s*)?\"?([\w-]+)\"?\s*=")


def key_lines(text: str) -> dict[Place, int]:
    """Line of each (table, how many tables of that name before, key); a table's own line has the key ""."""
    lines: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table, index = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        if found := _ARRAY.match(line):
            table = found[1]
            index = counts[table] = counts.get(table, -1) + 1
            lines[table, index, ""] = number
        elif found := _TABLE.match(line):
            table, index = found[1], 0
            lines[table, index, ""] = number
        elif found := _KEY.match(line):
            lines.setdefault((found[1] or table, index, found[2]), number)
    return lines


class TomlSection:
    """One TOML table being read: keys are taken one by one, `done` reports those nobody took."""

    def __init__(
        self, table: str, values: dict[str, Any], lines: dict[Place, int], findings: Findings, index: int = 0
    ) -> None:
        self._table = table
        self._values = dict(values)
        self._lines = lines
        self._findings = findings
        self._index = index
        self._known: list[str] = []

    def take(self, key: str, read: Callable[[Any], T], expected: str, default: T | None = None) -> T | None:
        """The value of a key that may be absent; None, with a finding, where it cannot be read."""
        self._known.append(key)
        if key not in self._values:
            return default
        try:
            return read(self._values.pop(key))
        except ValueError as error:
            self.add(key, str(error), expected)
            return None

    def need(self, key: str, read: Callable[[Any], T], expected: str) -> T | None:
        """The value of a key that must be there; None, with a finding, where there is none."""
        if key not in self._values:
            self._known.append(key)
            self.add(key, "the key is missing", expected)
            return None
        return self.take(key, read, expected)

    def done(self) -> None:
        """Report every key that was not taken."""
        what = {"": "key", "rulebook": "rule"}.get(self._table, f"key of [{self._table}]")
        for key in self._values:
            self.add(key, f"unknown {what} {cells.shown(key)}", "one of " + ", ".join(self._known))

    def add(self, key: str, problem: str, expected: str) -> None:
        """Note a finding at a key of this table (or at the table itself: an empty key)."""
        places = [(self._table, self._index, key), (self._table, self._index, "")]
        places += [("", 0, self._table)] if self._table else [(key, 0, "")]
        line = next((self._lines[place] for place in places if place in self._lines), 0)
        self._findings.add(line, ".".join(filter(None, (self._table, key))), problem, expected)


def toml_shown(value: Any) -> str:
    """A TOML value as findings quote it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**cells.SHOWN_CHARACTERS:
        return "the number"
    return cells.shown(value) if isinstance(value, str) else str(value)[: cells.SHOWN_CHARACTERS]


def text(value: Any) -> str:
    """A name: not empty, printable, no spaces around it."""
    if not isinstance(value, str):
        raise ValueError(f"{toml_shown(value)} is not a text")
    if not value:
        raise ValueError("the text is empty")
    try:
        return cells.label(value)
    except ValueError as error:
        raise ValueError(f"{toml_shown(value)} {error}") from None


def table(value: Any) -> dict[str, Any]:
    """A TOML table."""
    if not isinstance(value, dict):
        raise ValueError(f"{toml_shown(value)} is not a table")
    return value


def tables(value: Any) -> list[dict[str, Any]]:
    """An array of TOML tables."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("this is not an array of tables")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of names, at least one."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{toml_shown(value)} is not a list of texts")
    return tuple(text(item) for item in value)


def number_between(low: float, high: float) -> Callable[[Any], float]:
    """A reader of numbers from `low` to `high`, both included."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValueError(f"{toml_shown(value)} is not a number")
        if Decimal(value).is_nan() or not low <= value <= high:
            raise ValueError(f"{toml_shown(value)} is out of range")
        return float(value)

    return read


def zone(value: Any) -> str:
    """A time zone of the IANA database."""
    try:
        ZoneInfo(text(value))
    except (KeyError, OSError):
        raise ValueError(f"{toml_shown(value)} is not a known time zone") from None
    except ValueError:
        raise ValueError(f"{toml_shown(value)} is not a time zone") from None
    return str(value)


def currency(value: Any) -> str:
    """A currency code of three capitals."""
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
        raise ValueError(f"{toml_shown(value)} is not a currency code")
    return value


_MOMENT: Final = re.compile(r"D([+-][0-9]{1,3})? ([01][0-9]|2[0-3]):([0-5][0-9])")


def moment(value: Any) -> Moment:
    """A local time some days from delivery, such as "D-1 09:00"."""
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{toml_shown(value)} is not a time of the day of delivery or of one before or after")
    return Moment(int(found[1] or 0), f"{found[2]}:{found[3]}")


def moment_text(given: Moment) -> str:
    """A moment as it is written."""
    return f"D{given.days:+d} {given.clock}" if given.days else f"D {given.clock}"


def delivery_day(value: Any) -> date:
    """A date from 1970 to 2199, as a TOML date or a string."""
    try:
        found = cells.day(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{toml_shown(value)} {error}") from None
    if not isinstance(found, date) or isinstance(found, datetime):
        raise ValueError(f"{toml_shown(value)} is not a date")
    if not 1970 <= found.year < 2200:
        raise ValueError(f"{found} is out of range")
    return found


def instant(value: Any) -> int:
    """Minutes since 1970 UTC of a TOML date-time with offset, or of the same as a string."""
    written = value.isoformat() if isinstance(value, datetime) else value
    if not isinstance(written, str):
        raise ValueError(f"{toml_shown(value)} is not a time")
    try:
        found: int = cells.instant(written)
    except ValueError as error:
        raise ValueError(f"{cells.shown(written)} {error}") from None
    return found


def one_of(values: Iterable[T]) -> Callable[[Any], T]:
    """A reader of one of `values`, as written."""
    listed = list(values)

    def read(value: Any) -> T:
        for candidate in listed:
            if candidate == value and not isinstance(value, bool):
                return candidate
        raise ValueError(f"{toml_shown(value)} is not known")

    return read


def whole_between(low: int, high: int) -> Callable[[Any], int]:
    """A reader of integers from `low` to `high`, both included."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{toml_shown(value)} is not a whole number")
        if not low <= value <= high:
            raise ValueError(f"{toml_shown(value)} is out of range")
        return value

    return read


def number(value: Any) -> Decimal:
    """An exact decimal of at most `DECIMAL_PLACES` decimals."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{toml_shown(value)} is not a number")
    found = Decimal(value)
    if not found.is_finite():
        raise ValueError(f"{toml_shown(value)} is not a finite number")
    if abs(found) >= DECIMAL_LIMIT or found != round(found, DECIMAL_PLACES):
        raise ValueError(f"{toml_shown(value)} is out of range")
    return found


def amount(value: Any) -> Decimal:
    """A number that is zero or more."""
    found = number(value)
    if found < 0:
        raise ValueError(f"{toml_shown(value)} is negative")
    return found


def fraction(value: Any) -> Decimal:
    """A number from 0 up to, not including, 1."""
    found = amount(value)
    if found >= 1:
        raise ValueError(f"{toml_shown(value)} is not below 1")
    return found


def price_minor(low: int, high: int) -> Callable[[Any], int]:
    """A reader of prices in major units with at most two decimals, giving `low` to `high` minor units."""

    def read(value: Any) -> int:
        minor = number(value) * MINOR_PER_MAJOR
        if minor != int(minor):
            raise ValueError(f"{toml_shown(value)} has more than two decimals")
        if not low <= minor <= high:
            raise ValueError(f"{toml_shown(value)} is out of range")
        return int(minor)

    return read

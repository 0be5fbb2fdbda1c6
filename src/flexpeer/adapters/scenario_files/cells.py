"""Cells: what a text in a CSV file may be and the exact value it stands for.

A reader takes the text of a cell that is not empty and returns its value, or raises `ValueError` with a
problem that continues a sentence beginning with the cell ("is not a whole number").
"""

import math
import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, Final

from flexpeer.periods import parse_instant
from flexpeer.quantities import IMPACT_LIMIT_PPM, MINOR_PER_MAJOR, QUANTITY_LIMIT_W

Reader = Callable[[str], Any]

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_ANY_WHOLE = re.compile(r"-?[0-9]+")
_WITH_UNIT = re.compile(r"-?[0-9][0-9., ]* ?[kMG]?(W|Wh|VA|var|Var)")
_WITH_EXPONENT = re.compile(r"-?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_PRICE = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,2}))?")
_ANY_PRICE = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SHOWN_CHARACTERS: Final = 40
FIRST_INSTANT: Final = parse_instant("1900-01-01T00:00Z")
LAST_INSTANT: Final = parse_instant("2300-01-01T00:00Z")
"""What is beyond has no local time everywhere."""


class Doubt(ValueError):
    """What a cell says can mean two things, or nothing for a reason that many cells share: told once for a file."""

    def __init__(self, kind: str, problem: str, expected: str) -> None:
        super().__init__(problem)
        self.kind, self.expected = kind, expected


def shown(text: str) -> str:
    """A cell as findings quote it: on one line, printable, not too long."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")


def label(text: str) -> str:
    """A name or id: printable, no spaces around it."""
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    if text != text.strip():
        raise ValueError("has spaces around it")
    return text


def whole(text: str) -> int:
    """An integer of at most 18 digits, so of 64 bits."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if _WITH_UNIT.fullmatch(text):
        raise ValueError("is not a whole number: its unit goes into the name of the column, as in p_kw")
    if _WITH_EXPONENT.fullmatch(text):
        raise ValueError("is not a whole number: an exponent can hide digits")
    raise ValueError("is too large" if _ANY_WHOLE.fullmatch(text) else "is not a whole number")


def whole_between(low: int, high: int) -> Reader:
    """A reader of integers from `low` to `high`, both included."""

    def read(text: str) -> int:
        value = whole(text)
        if not low <= value <= high:
            raise ValueError("is negative" if value < 0 <= low else "is out of range")
        return value

    return read


power_w = whole_between(-QUANTITY_LIMIT_W, QUANTITY_LIMIT_W)
size = whole_between(0, QUANTITY_LIMIT_W)
ppm = whole_between(-IMPACT_LIMIT_PPM, IMPACT_LIMIT_PPM)


def price_minor(text: str) -> int:
    """Minor units of a price written in major units with at most two decimals."""
    found = _PRICE.fullmatch(text)
    if found is None:
        raise ValueError("has more than two decimals or is too large" if _ANY_PRICE.fullmatch(text) else "is no price")
    sign, units, decimals = found.groups()
    value = int(units) * MINOR_PER_MAJOR + int((decimals or "0").ljust(2, "0"))
    return -value if sign else value


LEAST_ABOVE_ZERO = 1e-3


def above_zero(text: str) -> float:
    """A finite number above zero, and not next to nothing."""
    value = number(text)
    if value < LEAST_ABOVE_ZERO:
        raise ValueError(f"is not a finite number above zero, at least {LEAST_ABOVE_ZERO}")
    return value


def number(text: str) -> float:
    """A finite number."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("is not a number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value


NUMBERS: Final = (whole, power_w, size, ppm, price_minor, above_zero, number)
"""The readers of numbers."""


def day(text: str) -> date:
    """A date as YYYY-MM-DD."""
    if not _DAY.fullmatch(text):
        raise ValueError("is not a date")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a date of the calendar") from None


def instant(text: str) -> int:
    """Minutes since 1970 UTC of an ISO 8601 time with offset."""
    try:
        found = parse_instant(text)
    except (ValueError, OverflowError) as error:
        reason = str(error)
    else:
        if FIRST_INSTANT <= found < LAST_INSTANT:
            return found
        reason = "out of range"
    known = {
        "no UTC offset": "has no UTC offset",
        "not a whole minute": "is not a whole minute",
        "out of range": "is out of range",
    }
    raise ValueError(known.get(reason, "is not a time"))


def choice(values: Iterable[str]) -> Reader:
    """A reader of one of `values`, in capitals or not, giving it as listed."""
    listed = {value.lower(): value for value in values}

    def read(text: str) -> str:
        try:
            return listed[text.lower()]
        except KeyError:
            raise ValueError("is not known") from None

    return read


def flag(text: str) -> bool:
    """True or false, in capitals or not."""
    value: bool | None = {"true": True, "false": False}.get(text.lower())
    if value is None:
        raise ValueError("is neither true nor false")
    return value

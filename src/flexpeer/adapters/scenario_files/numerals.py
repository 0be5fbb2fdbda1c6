"""How one file writes its numbers: which mark stands before decimals, and which, if any, between thousands.

A number may be written so that it shows (`0,5`, `1.234,50`, `12.3456`), or so that it does not (`1.234`, `1,234`): such
a one is read as the others of the file are, and in doubt not at all.
"""

import re
from collections.abc import Iterable
from typing import Final

from flexpeer.adapters.scenario_files.cells import Doubt, shown

MARKS: Final = (".", ",")
_OTHER: Final = {".": ",", ",": "."}
_SPACES: Final = "[ \u00a0\u202f']"
_SPACED: Final = re.compile(rf"-?[0-9]{{1,3}}(?:{_SPACES}[0-9]{{3}})+(?:[.,][0-9]+)?")
_ONE_MARK: Final = re.compile(r"-?[0-9]*([.,])[0-9]+")
_EITHER: Final = re.compile(r"-?[1-9][0-9]{0,2}[.,][0-9]{3}")
_GROUPED: Final = re.compile(r"-?[0-9]{1,3}(?:(?:\.[0-9]{3})+(?:,[0-9]+)?|(?:,[0-9]{3})+(?:\.[0-9]+)?)")
_PLAIN: Final = str.maketrans({"\u2212": "-"})
EXPECTED: Final = "numbers without thousands separators, whose decimals show that they are: 1.2340 or 1,2340"


class Number(str):
    """A number as a sheet itself holds it: a plain decimal, about which there is no doubt."""

    __slots__ = ()


class Numerals:
    """What the numbers of a file show of how they are written: the first text that shows each decimal mark."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._decimal: dict[str, str] = {}
        self._between_thousands: set[str] = set()
        for text in texts:
            readings = {} if isinstance(text, Number) else _readings(text.translate(_PLAIN))
            if len(readings) == 1:
                (mark,) = readings
                self._decimal.setdefault(mark, text)
                if _OTHER[mark] in text:
                    self._between_thousands.add(_OTHER[mark])

    def plain(self, text: str) -> str:
        """A number with a point before its decimals and nothing between thousands; any other text as it is."""
        if isinstance(text, Number):
            return text
        written = text.translate(_PLAIN)
        readings = _readings(written)
        if not readings:
            return _without_spaces(written) if _SPACED.fullmatch(written) else written
        if len(self._decimal) > 1:
            one, other = map(shown, self._decimal.values())
            raise Doubt("marks", f"cannot be read: {one} and {other} have different marks before decimals", EXPECTED)
        mark = next(iter(self._decimal), None)
        if len(readings) == 1:
            return next(iter(readings.values()))
        only = next(each for each in MARKS if each in written)
        if mark == only or (mark is not None and only in self._between_thousands):
            return readings[mark]
        raise Doubt("number", f"may be {readings[only]} or {readings[_OTHER[only]]}", EXPECTED)


def _without_spaces(text: str) -> str:
    return re.sub(_SPACES, "", text.translate(_PLAIN))


def _readings(text: str) -> dict[str, str]:
    """What a text with marks may be as a plain number, by the mark that stands before decimals then."""
    if _SPACED.fullmatch(text):
        text = _without_spaces(text)
        found = _ONE_MARK.fullmatch(text)
        return {found[1]: text.replace(",", ".")} if found else {}
    one = _ONE_MARK.fullmatch(text)
    readings = {one[1]: _with_zero(text.replace(",", "."))} if one else {}
    if _EITHER.fullmatch(text) or (one is None and _GROUPED.fullmatch(text)):
        between = next(each for each in text if each in MARKS)
        readings[_OTHER[between]] = text.replace(between, "").replace(",", ".")
    return readings


def _with_zero(text: str) -> str:
    return text.replace("-.", "-0.") if text.startswith("-.") else f"0{text}" if text.startswith(".") else text

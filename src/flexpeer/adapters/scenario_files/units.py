"""Units in the names of columns: `p_kw`, `p (kW)` and `p [kW]` are `p_w` in kilowatts, exact to the watt."""

import re
from typing import Final, NamedTuple

from flexpeer.adapters.scenario_files.cells import Reader

BASES: Final = {"w": "watts", "wh": "watt-hours", "var": "vars"}
PREFIXES: Final = {"": 1, "k": 1_000, "m": 1_000_000}
_UNIT: Final = re.compile(r"(.+?)(?:_| ?[(\[])([km]?)(w|wh|var)[)\]]?", re.IGNORECASE)
_BARE_UNIT: Final = re.compile(r"([km]?)(w|wh|var)", re.IGNORECASE)
_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,18}))?")


class Unit(NamedTuple):
    """What cells are in: `factor` of the base unit `w`, `wh` or `var`, which are one."""

    base: str
    factor: int
    written: str = ""


def unit_in(name: str) -> tuple[str, Unit | None]:
    """The name of a column without its unit, and the unit; the whole name where it has none."""
    found = _UNIT.fullmatch(name)
    if found is None:
        return name, None
    return found[1], _unit(found[2], found[3])


def unit_called(text: str) -> Unit | None:
    """The unit of this name, such as kW."""
    found = _BARE_UNIT.fullmatch(text)
    return None if found is None else _unit(found[1], found[2])


def _unit(prefix: str, base: str) -> Unit:
    return Unit(base.lower(), PREFIXES[prefix.lower()], prefix + base)


def whole_of(read: Reader, unit: Unit) -> Reader:
    """A reader of decimals in this unit that are whole numbers of its base unit, which `read` is given."""

    def scaled(text: str) -> object:
        found = _DECIMAL.fullmatch(text)
        if found is None:
            return read(text)
        sign, whole, decimals = found[1], found[2], found[3] or ""
        value, rest = divmod(int(whole + decimals) * unit.factor, 10 ** len(decimals))
        if rest:
            raise ValueError(f"{unit.written} is not a whole number of {BASES[unit.base]}")
        return read(f"{sign}{value}" if value else "0")

    return scaled

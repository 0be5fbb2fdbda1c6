"""Numbers and times as people read them: grouped digits, a unit that fits, local clock time."""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from flexpeer.periods import MarketDay

GROUP = "\u202f"
MINUS = "\u2212"
SPACE = "\u00a0"
NOTHING = "–"
GRID_SIDE, RESOURCE_SIDE = "grid side", "resource side"
NORMAL_DAY_MINUTES = 24 * 60
SIGNIFICANT = 4
LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d)[+-]\d\d:\d\d")
WATTS = re.compile(r"\d{5,}(?= W\b| of \d+ W\b)")

Number = int | float | Decimal


class ShownUnit(NamedTuple):
    """A unit to show powers or energies in: `name`, and how many watts (or Wh) are one of it."""

    name: str
    size: float

    def of(self, value: Number) -> float:
        """A value in watts (Wh) as this unit, to what a chart can show."""
        return round(float(value) / self.size, 4)

    def text(self, value: Number) -> str:
        """A value in watts (Wh) with the unit, to four digits."""
        shown = float(value) / self.size
        whole = len(str(int(abs(shown)))) if math.isfinite(shown) else 0
        return f"{number(shown, max(0, SIGNIFICANT - whole))}{SPACE}{self.name}"


POWER_UNITS = (ShownUnit("MW", 1e6), ShownUnit("kW", 1e3), ShownUnit("W", 1.0))
ENERGY_UNITS = (ShownUnit("MWh", 1e6), ShownUnit("kWh", 1e3), ShownUnit("Wh", 1.0))


def number(value: Number, places: int = 2) -> str:
    """At most `places` decimals, digits in groups of three, a true minus; a dash for what is not a number."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{abs(value):,.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    sign = MINUS if value < 0 and text != "0" else ""
    return sign + text.replace(",", GROUP)


def money(value: Number, currency: str, places: int = 0) -> str:
    """An amount in major units with its currency, always with `places` decimals."""
    text = f"{abs(value):,.{places}f}".replace(",", GROUP)
    negative = value < 0 and any(digit in text for digit in "123456789")
    return f"{MINUS if negative else ''}{text}{SPACE}{currency}"


def percent(fraction: Number, places: int = 1) -> str:
    """A fraction as per cent."""
    return f"{number(100 * float(fraction), places)}{SPACE}%"


def unit_for(values: Iterable[Number], units: tuple[ShownUnit, ...] = POWER_UNITS) -> ShownUnit:
    """The unit that shows the largest of `values` with one to three digits before the point."""
    largest = max((abs(float(value)) for value in values if math.isfinite(value)), default=0.0)
    return next((unit for unit in units if largest >= unit.size), units[0] if largest == 0 else units[-1])


def power(watts: Number) -> str:
    """A power on its own."""
    return unit_for([watts]).text(watts)


def energy(mwh: Number) -> str:
    """An energy given in MWh on its own."""
    watt_hours = float(mwh) * 1e6
    return unit_for([watt_hours], ENERGY_UNITS).text(watt_hours)


def readable(told: str) -> str:
    """What a table in a file says, as people read it: watts with grouped digits, of times the clock."""
    clocks = LOCAL_TIME.sub(lambda time: time[1], told)
    return WATTS.sub(lambda watts: f"{int(watts[0]):,}".replace(",", GROUP), clocks)


def words(identifier: str) -> str:
    """An enumerated value as words."""
    return identifier.replace("_", " ").lower()


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{number(count, 0)} {one if count == 1 else many or one + 's'}"


class LocalClock:
    """Local times of a delivery day. On a day with a changed clock they carry the offset."""

    def __init__(self, day: MarketDay) -> None:
        self.day = day
        self._changed = day.mtu_count * day.mtu_minutes != NORMAL_DAY_MINUTES
        self._texts = [day.local(mtu) for mtu in range(day.mtu_count + 1)]

    def at(self, mtu: int) -> str:
        """Start of an MTU; `mtu_count` is the end of the day."""
        text = self._texts[mtu]
        clock = "24:00" if mtu == self.day.mtu_count else text[11:16]
        return f"{clock} {text[16:]}" if self._changed else clock

    def during(self, mtu: int) -> str:
        """Start to end of an MTU."""
        return f"{self.at(mtu)}–{self.at(mtu + 1)}"

    def all(self) -> list[str]:
        """Every MTU from start to end."""
        return [self.during(mtu) for mtu in range(self.day.mtu_count)]

    def ticks(self, every_hours: int) -> list[tuple[int, str]]:
        """MTUs at full local hours divisible by `every_hours`, and the end of the day."""
        found = [
            (mtu, text[11:16])
            for mtu, text in enumerate(self._texts[:-1])
            if text[14:16] == "00" and int(text[11:13]) % every_hours == 0
        ]
        return [*found, (self.day.mtu_count, "24:00")]

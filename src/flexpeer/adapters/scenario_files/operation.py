"""How the grid is run on the delivery day, in `scenario.toml`: outages, switching, overhead lines, unbalance."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from flexpeer.adapters.scenario_files import toml_values as toml
from flexpeer.adapters.scenario_files.toml_values import TomlSection
from flexpeer.app.scenario import OutageRow, Overhead, Switching, Unbalance
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import QUANTITY_LIMIT_W

OPERATION_TABLES: Final = ("outage", "switching", "overhead", "unbalance")
STATES: Final = ("open", "closed")
_TIME: Final = "a time with offset, such as 2026-01-15T00:00:00+01:00"
_CELSIUS: Final = "degrees Celsius from -100 to 300"
_PERCENT: Final = "percent from 0 to 100"
Row = TypeVar("Row")


class Operation(NamedTuple):
    """What stands in those tables."""

    outages: tuple[OutageRow, ...]
    switching: tuple[Switching, ...]
    overhead: tuple[Overhead, ...]
    unbalance: tuple[Unbalance, ...]


def read_operation(sections: Mapping[str, list[TomlSection]], day: MarketDay | None) -> Operation:
    """The rows that could be read; findings stand with the sections."""

    def rows(table: str, read: Callable[[TomlSection, MarketDay | None], Row | None]) -> tuple[Row, ...]:
        return _read(read(section, day) for section in sections[table])

    return Operation(
        rows("outage", _outage),
        rows("switching", _switching),
        rows("overhead", _overhead),
        rows("unbalance", _unbalance),
    )


def _read(rows: Iterable[Row | None]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row is not None)


def _outage(section: TomlSection, day: MarketDay | None) -> OutageRow | None:
    element = section.need("element", toml.text, "an element of the grid")
    span = _span(section, day)
    limit_w = section.take("limit_w", toml.whole_between(0, QUANTITY_LIMIT_W), "whole watts, zero or more")
    section.done()
    return None if element is None or span is None else OutageRow(element, span, limit_w)


def _switching(section: TomlSection, day: MarketDay | None) -> Switching | None:
    element = section.need("element", toml.text, "a branch of the grid")
    state = section.need("state", toml.one_of(STATES), '"open" or "closed"')
    span = _span(section, day)
    section.done()
    return None if element is None or state is None or span is None else Switching(element, span, state == "closed")


def _span(section: TomlSection, day: MarketDay | None) -> Span | None:
    """The MTUs that `from` and `to` touch."""
    start = section.need("from", toml.instant, _TIME)
    end = section.need("to", toml.instant, _TIME)
    if start is None or end is None or day is None:
        return None
    if start >= end:
        section.add("to", "it ends before it begins", "a time after from")
        return None
    mtus = day.touched(start, end)
    if not mtus:
        section.add("from", "it does not touch the delivery day", "a time before the end of the day")
        return None
    return Span(mtus.start, mtus.stop)


def _overhead(section: TomlSection, _day: MarketDay | None) -> Overhead | None:
    elements = section.need("elements", toml.texts, "a list of branches of the grid")
    t_max_c = section.need("t_max_c", toml.number_between(-100, 300), _CELSIUS)
    t_ref_c = section.need("t_ref_c", toml.number_between(-100, 300), _CELSIUS)
    section.done()
    if elements is None or t_max_c is None or t_ref_c is None:
        return None
    if t_ref_c >= t_max_c:
        section.add("t_ref_c", f"{t_ref_c:g} is not below t_max_c {t_max_c:g}", "a temperature below t_max_c")
        return None
    return Overhead(elements, t_max_c, t_ref_c)


def _unbalance(section: TomlSection, _day: MarketDay | None) -> Unbalance | None:
    absent: Any = ""
    area = section.take("area", toml.text, "an area of the grid or a DSO", absent)
    current = section.take("current_percent", toml.number_between(0, 200), "percent from 0 to 200", 0.0)
    voltage = section.take("voltage_percent", toml.number_between(0, 50), "percent from 0 to 50", 0.0)
    section.done()
    return None if area is None or current is None or voltage is None else Unbalance(area or None, current, voltage)

"""The CSV files of a scenario folder and their columns; `docs/reference/scenario.md` explains each.

Columns stand in the order of the fields of the row types in `flexpeer.app.scenario`.
"""

from typing import Any, Final

import msgspec

from flexpeer.adapters.scenario_files import cells
from flexpeer.market.rulebook import BaselineMethod

MANDATORY: Final = object()
DSO_ROLES: Final = ("REGIONAL_DSO", "LOCAL_DSO")
ROLES: Final = (*DSO_ROLES, "MARKET_OPERATOR", "FSP", "AGGREGATOR", "BRP", "OBSERVER")
FLOW_DIRECTIONS: Final = ("export", "import")
VOLTAGE_DIRECTIONS: Final = ("high", "low")
PLACE, AMEND, WITHDRAW = ACTIONS = ("place", "amend", "withdraw")


class Column(msgspec.Struct, frozen=True):
    """One column: `read` turns a cell into its value, `expected` says what a cell may be.

    `default` is the value of an empty cell and of every row when the column is absent. A `required`
    column must be in the header; with `MANDATORY` as its default no cell of it may be empty.
    """

    name: str
    read: cells.Reader
    expected: str
    required: bool = True
    default: Any = MANDATORY


class Layout(msgspec.Struct, frozen=True):
    """One table: a CSV file, or a sheet; one that is not `required` may be absent.

    One with a `wide` column may have that column's values by names or by times, each in a column of its own.
    """

    file: str
    columns: tuple[Column, ...]
    required: bool
    wide: str = ""

    @property
    def table(self) -> str:
        """The name of the table, which a sheet of it has."""
        return self.file.removesuffix(".csv")

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(column.name for column in self.columns)


def _label(name: str, what: str) -> Column:
    return Column(name, cells.label, what)


def _optional(name: str, read: cells.Reader, expected: str, default: Any = None) -> Column:
    return Column(name, read, expected, required=False, default=default)


_TIME = "a time, such as 2026-01-15T00:00+01:00 or, local, 2026-01-15 00:00"
_WATTS = "whole watts, such as 8000000"
_NOT_NEGATIVE_W = "whole watts, zero or more"
_WATT_HOURS = "whole watt-hours, zero or more"
_PRICE = "a price in major units per MWh with at most two decimals, such as 250.50"
_VOLTAGE = "a voltage per unit above zero, such as 1.05"
_FROM = Column("from", cells.instant, _TIME)
_P_W = Column("p_w", cells.power_w, _WATTS)

ORGANISATIONS: Final = Layout(
    "organisations.csv",
    (
        _label("organisation", "an organisation's id"),
        Column("role", cells.choice(ROLES), "one of " + ", ".join(ROLES)),
        Column("parent", cells.label, "the organisation id of a DSO, or nothing", default=None),
    ),
    required=True,
)
AREAS: Final = Layout(
    "areas.csv", (_label("bus", "a bus of the grid"), _label("dso", "the organisation id of a DSO")), required=False
)
RESOURCES: Final = Layout(
    "resources.csv",
    (
        _label("resource", "a resource's id"),
        _label("fsp", "an organisation of organisations.csv"),
        Column("bus", cells.label, "a bus of the grid", default=""),
        _optional("kind", cells.label, "a label, such as wind", default=""),
        Column("p_min_w", cells.power_w, _WATTS),
        Column("p_max_w", cells.power_w, _WATTS),
        _optional("conditional", cells.flag, "true or false", default=False),
        _optional("agreement_date", cells.day, "a date as YYYY-MM-DD, or nothing"),
        _optional("cost", cells.price_minor, _PRICE),
        _optional("baseline", cells.choice(BaselineMethod), "one of " + ", ".join(BaselineMethod), BaselineMethod.PLAN),
        _optional("energy_wh", cells.size, _WATT_HOURS),
        _optional("energy_start_wh", cells.size, _WATT_HOURS),
    ),
    required=True,
)
PORTFOLIOS: Final = Layout(
    "portfolios.csv",
    (
        _label("portfolio", "a portfolio's id"),
        _label("fsp", "an organisation of organisations.csv"),
        _label("resource", "a resource of resources.csv"),
    ),
    required=False,
)
FORECAST: Final = Layout(
    "forecast.csv",
    (
        _FROM,
        _optional("bus", cells.label, "a bus of the grid"),
        _optional("resource", cells.label, "a resource of resources.csv"),
        _P_W,
        _optional("q_var", cells.power_w, "whole vars, or nothing for 0", default=0),
        _optional("p_low_w", cells.power_w, _WATTS + ", at most p_w"),
        _optional("p_high_w", cells.power_w, _WATTS + ", at least p_w"),
    ),
    required=True,
    wide="p_w",
)
CONGESTION_POINTS: Final = Layout(
    "congestion_points.csv",
    (
        _label("congestion_point", "a congestion point's id"),
        Column("element", cells.label, "an element of the grid", default=""),
        Column(
            "direction",
            cells.choice(FLOW_DIRECTIONS + VOLTAGE_DIRECTIONS),
            "one of " + ", ".join(FLOW_DIRECTIONS + VOLTAGE_DIRECTIONS),
        ),
        _optional("limit_w", cells.size, _NOT_NEGATIVE_W),
        _optional("limit_pu", cells.above_zero, _VOLTAGE),
        _optional("dso", cells.label, "the organisation id of a DSO, or nothing"),
    ),
    required=False,
)
RATINGS: Final = Layout(
    "ratings.csv",
    (
        _label("element", "a branch of the grid"),
        Column("from", cells.instant, _TIME),
        Column("to", cells.instant, _TIME),
        Column("rating_a", cells.above_zero, "amperes above zero, such as 270"),
    ),
    required=False,
)
VOLTAGE_BANDS: Final = Layout(
    "voltage_bands.csv",
    (
        _label("bus", "a bus of the grid"),
        Column("from", cells.instant, _TIME),
        Column("to", cells.instant, _TIME),
        _optional("v_min_pu", cells.above_zero, _VOLTAGE),
        _optional("v_max_pu", cells.above_zero, _VOLTAGE),
    ),
    required=False,
)
WEATHER: Final = Layout(
    "weather.csv",
    (_FROM, Column("temperature_c", cells.number, "degrees Celsius, such as -12.5")),
    required=False,
)
IMPACT_FACTORS: Final = Layout(
    "impact_factors.csv",
    (
        _label("congestion_point", "a congestion point's id"),
        _label("resource", "a resource of resources.csv"),
        Column("ppm", cells.ppm, "whole parts per million from -8000000 to 8000000, such as 650000"),
        _optional("from", cells.instant, _TIME + ", or nothing for the whole day"),
    ),
    required=False,
)
ALLOCATIONS: Final = Layout(
    "allocations.csv",
    (
        _label("resource", "a resource of resources.csv"),
        _FROM,
        Column("obligation_w", cells.size, _NOT_NEGATIVE_W),
    ),
    required=False,
    wide="obligation_w",
)
ORDERS: Final = Layout(
    "orders.csv",
    (
        _label("order", "an order's id"),
        Column("arrival", cells.whole, "a whole number above that of the row before"),
        Column("resource", cells.label, "a resource, a portfolio, or a DSO's organisation", default=None),
        Column("side", cells.choice(("BUY", "SELL")), "BUY or SELL", default=None),
        Column("from", cells.instant, _TIME, default=None),
        Column("to", cells.instant, _TIME, default=None),
        Column("quantity_w", cells.whole, _WATTS, default=None),
        Column("price", cells.price_minor, _PRICE, default=None),
        _optional("congestion_point", cells.label, "a congestion point's id, or nothing"),
        _optional("regulation", cells.choice(("UP", "DOWN")), "UP, DOWN or nothing"),
        _optional("min_quantity_w", cells.whole, _WATTS),
        _optional("time_in_force", cells.choice(("day", "fak", "fok")), "day, FAK or FOK"),
        _optional("action", cells.choice(ACTIONS), "one of " + ", ".join(ACTIONS) + ", or nothing", default=PLACE),
    ),
    required=True,
)
METER: Final = Layout(
    "meter.csv", (_label("resource", "a resource of resources.csv"), _FROM, _P_W), required=False, wide="p_w"
)

LAYOUTS: Final = (
    ORGANISATIONS,
    AREAS,
    RESOURCES,
    PORTFOLIOS,
    FORECAST,
    CONGESTION_POINTS,
    RATINGS,
    VOLTAGE_BANDS,
    WEATHER,
    IMPACT_FACTORS,
    ALLOCATIONS,
    ORDERS,
    METER,
)

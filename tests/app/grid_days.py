"""Market days on a grid, as texts of a scenario folder, run without the program around them; measured by Newton."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tests.adapters.scenario_folder import HOURS, Texts, folder_of
from tests.market.small_market import MemoryLog

from flexpeer.adapters.gridfiles import open_grid
from flexpeer.adapters.newton import NewtonFlow, newton_flow
from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.app.day import Day as MarketDay
from flexpeer.app.ports import Owners
from flexpeer.app.study.grid_day import GridInput
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.bootstrap import NewtonVerifier
from flexpeer.grid.network import Flags, Floats, Network
from flexpeer.market.machine import Event
from flexpeer.market.trades import Trade

WINDY = range(10, 14)
CALM = 0.2

_GRID = {
    "format": "flexpeer-grid-1",
    "buses": [
        {"name": "Substation", "v_kv": 110, "v_min_pu": 0.9, "v_max_pu": 1.1},
        {"name": "Busbar", "v_kv": 20, "v_min_pu": 0.95, "v_max_pu": 1.06},
        {"name": "A", "v_kv": 20, "v_min_pu": 0.95, "v_max_pu": 1.06},
        {"name": "B", "v_kv": 20, "v_min_pu": 0.95, "v_max_pu": 1.06},
        {"name": "C", "v_kv": 20, "v_min_pu": 0.95, "v_max_pu": 1.06},
        {"name": "Island", "v_kv": 20},
    ],
    "transformers": [
        {
            "name": "T1", "from": "Substation", "to": "Busbar", "sn_mva": 25, "v_from_kv": 110, "v_to_kv": 20,
            "vk_percent": 12, "vkr_percent": 0.4, "pfe_kw": 14, "i0_percent": 0.07, "shift_deg": 150,
        }
    ],
    "branches": [
        {"name": "Cable 1", "from": "Busbar", "to": "A", "r_ohm": 0.9, "x_ohm": 0.6, "b_us": 215, "rating_a": 250},
        {"name": "Cable 2", "from": "A", "to": "B", "r_ohm": 1.1, "x_ohm": 0.7, "b_us": 150, "rating_a": 250},
        {"name": "Cable 3", "from": "B", "to": "Busbar", "r_ohm": 0.8, "x_ohm": 0.5, "b_us": 180, "rating_a": 250},
        {"name": "Cable 4", "from": "B", "to": "C", "r_ohm": 1.6, "x_ohm": 0.8, "b_us": 120, "rating_a": 250},
    ],
    "aliases": {
        "buses": {"bus 1": "Busbar", "bus 2": "A", "bus 3": "B"},
        "branches": {"line 0": "Cable 1", "trafo 0": "T1", "line 2": "Cable 3"},
    },
    "sources": [{"name": "Overlying grid", "bus": "Substation", "v_pu": 1.02}],
}  # fmt: skip
SMALL_GRID = json.dumps(_GRID)


class Unit(NamedTuple):
    name: str
    fsp: str
    bus: str
    kind: str
    p_min_w: int
    p_max_w: int
    conditional: bool
    windy_w: int


SMALL_UNITS = (
    Unit("WA", "North", "A", "wind", 0, 9_000_000, True, 8_000_000),
    Unit("WB", "South", "B", "wind", 0, 9_000_000, True, 8_000_000),
    Unit("WC", "West", "C", "wind", 0, 6_000_000, True, 4_000_000),
    Unit("HA", "Heat", "A", "heat", -4_000_000, 0, False, -500_000),
    Unit("HB", "Warm", "B", "heat", -4_000_000, 0, False, -500_000),
    Unit("Bat", "Store", "Busbar", "battery", -3_000_000, 3_000_000, False, 0),
)
CIGRE_UNITS = (
    Unit("W7", "North", "Bus 7", "wind", 0, 8_000_000, True, 6_500_000),
    Unit("W9", "South", "Bus 9", "wind", 0, 5_000_000, True, 3_000_000),
    Unit("H8", "Heat", "Bus 8", "heat", -3_000_000, 0, False, -200_000),
    Unit("H5", "Warm", "Bus 5", "heat", -3_000_000, 0, False, -200_000),
    Unit("B12", "Store", "Bus 12", "battery", -3_000_000, 3_000_000, False, 0),
)
CIGRE_LOADS = {
    "Bus 3": (-501_700, -208_882), "Bus 4": (-431_650, -108_182), "Bus 5": (-727_500, -182_329),
    "Bus 6": (-548_050, -137_355), "Bus 9": (-573_750, -355_578), "Bus 12": (-6_000_000, -1_500_000),
    "Bus 14": (-540_050, -257_713),
}  # fmt: skip
SMALL_LOADS = {"B": (-900_000, -300_000)}

ORDERS_HEAD = "order,arrival,resource,side,from,to,quantity_w,price,congestion_point\n"


class Ask(NamedTuple):
    """One order from a windy hour on, for `hours`."""

    resource: str
    side: str
    quantity_w: int
    price: int
    point: str
    hour: int = 12
    hours: int = 1


def orders(asks: Iterable[Ask]) -> str:
    return ORDERS_HEAD + "".join(
        f"{n},{n},{a.resource},{a.side},{HOURS[a.hour]},{HOURS[a.hour + a.hours]},{a.quantity_w},{a.price},{a.point}\n"
        for n, a in enumerate(asks, 1)
    )


def day(source: str, units: Iterable[Unit], loads: Mapping[str, tuple[int, int]], more: str = "") -> Texts:
    """A day with four windy hours on a grid; without areas, points and orders."""
    units = tuple(units)
    forecast = [f"{hour},{bus},,{p},{q}" for bus, (p, q) in loads.items() for hour in HOURS]
    forecast += [
        f"{hour},,{u.name},{u.windy_w if n in WINDY else int(CALM * u.windy_w)},0"
        for u in units
        for n, hour in enumerate(HOURS)
    ]
    rows = [f"{u.name},{u.fsp},{u.bus},{u.kind},{u.p_min_w},{u.p_max_w},{str(u.conditional).lower()}" for u in units]
    members = [f"{fsp},FSP," for fsp in dict.fromkeys(u.fsp for u in units)]
    return {
        "scenario.toml": (
            f'name = "Windy"\ndelivery_day = 2026-01-15\nmtu_minutes = 60\n[grid]\nsource = "{source}"\n{more}'
        ),
        "organisations.csv": "\n".join(
            ["organisation,role,parent", "Region,REGIONAL_DSO,", "Local,LOCAL_DSO,Region", *members, ""]
        ),
        "resources.csv": "\n".join(["resource,fsp,bus,kind,p_min_w,p_max_w,conditional", *rows, ""]),
        "forecast.csv": "\n".join(["from,bus,resource,p_w,q_var", *forecast, ""]),
        "orders.csv": ORDERS_HEAD,
    }


def cigre_day() -> Texts:
    return day("cigre_mv", CIGRE_UNITS, CIGRE_LOADS)


def small_day(*, units: Iterable[Unit] = SMALL_UNITS, loads: Mapping[str, tuple[int, int]] | None = None) -> Texts:
    return day("grid.json", units, SMALL_LOADS if loads is None else loads) | {"grid.json": SMALL_GRID}


def quarter_hours(texts: Texts, windy: dict[str, list[int]]) -> Texts:
    """The day in quarter-hours; from 12:00 each resource has the four given values."""
    found = dict(texts)
    found["scenario.toml"] = found["scenario.toml"].replace("mtu_minutes = 60", "mtu_minutes = 15")
    rows = []
    for row in texts["forecast.csv"].split("\n")[1:-1]:
        start, bus, resource, p_w, q_var = row.split(",")
        for k in range(4):
            watts = windy[resource][k] if start == HOURS[12] and resource in windy else p_w
            rows.append(f"{start.replace(':00+', f':{15 * k:02}+')},{bus},{resource},{watts},{q_var}")
    found["forecast.csv"] = "\n".join(["from,bus,resource,p_w,q_var", *rows, ""])
    return found


class _Watch:
    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        del name
        yield

    def progress(self, done: int, total: int) -> None:
        del done, total

    def timings_s(self) -> dict[str, float]:
        return {}


class Day:
    """A finished day with its grid, its states by Newton, and its owners as they were let go."""

    def __init__(self, texts: Texts, folder: Path) -> None:
        self.scenario = read_scenario(folder_of(texts, folder))
        self.grid = open_grid(self.scenario.grid_source or "", folder)
        given = GridInput(self.grid.network, self.grid.bus_index, self.grid.branch_index)
        self.market = MarketDay(self.scenario, MemoryLog(), _Watch(), given, NewtonVerifier())
        self.owners: Owners | None = None
        self.market.market.listen(self._note_owners)
        self.outcome: DayOutcome = self.market.run()

    def _note_owners(self, _event: Event) -> None:
        self.owners = self.market.market.owners or self.owners

    @property
    def mtus(self) -> int:
        return self.scenario.day.mtu_count

    @property
    def network(self) -> Network:
        return self.grid.network

    @property
    def trades(self) -> list[Trade]:
        """In the order in which they came about."""
        return sorted(self.outcome.state.trades.trades.values(), key=lambda t: (t.match, len(t.trade), t.trade))

    @property
    def owed_w(self) -> dict[str, tuple[int, ...]]:
        """How far each schedule is from the forecast at the starting point."""
        before, start = self.outcome.before_w, self.outcome.start_w
        return {name: tuple(s - b for s, b in zip(start[name], row, strict=True)) for name, row in before.items()}

    def in_service(self) -> Flags:
        closed = np.repeat(self.network.in_service[:, None], self.mtus, axis=1)
        for outage in self.scenario.outages:
            if outage.limit_w is None:
                closed[self.branch(outage.element), list(outage.span.mtus)] = False
        return closed

    def branch(self, name: str) -> int:
        index = self.grid.branch_index(name)
        assert index is not None
        return index

    def bus(self, name: str) -> int:
        index = self.grid.bus_index(name)
        assert index is not None
        return index

    def newton(self, schedules_w: Mapping[str, Iterable[float]]) -> NewtonFlow:
        """The state with these schedules of the resources, from the scenario's rows and no code of the market."""
        p_w, q_var = np.zeros((2, self.network.bus_count, self.mtus))
        for name, profile in self.scenario.bus_forecast.items():
            p_w[self.bus(name)] += profile.p_w
            q_var[self.bus(name)] += profile.q_var
        for resource in self.scenario.resources:
            p_w[self.bus(resource.bus)] += np.array(list(schedules_w[resource.resource]))
            if resource.resource in self.scenario.resource_forecast:
                q_var[self.bus(resource.bus)] += self.scenario.resource_forecast[resource.resource].q_var
        return newton_flow(self.network, p_w, q_var, in_service=self.in_service())

    def loading(self, flow: NewtonFlow) -> Floats:
        """Fraction of the rating at the worse end, (branches, mtus)."""
        found: Floats = np.fmax(
            flow.current_from_a / self.network.rating_from_a[:, None],
            flow.current_to_a / self.network.rating_to_a[:, None],
        )
        return found

    def excess(self, flow: NewtonFlow) -> Floats:
        """How far all is past its limit, as a fraction: branches, buses high, buses low, points; (rows, mtus)."""
        v = np.abs(flow.v_pu)
        fed = v > 0.0
        high, low = self.network.v_max_pu[:, None], self.network.v_min_pu[:, None]
        points = [p for p in self.scenario.congestion_points or () if p.limit_w is not None]
        power = [self.measured_w(p.element, p.direction, flow) / p.limit_w - 1.0 for p in points if p.limit_w]
        over = [
            self.loading(flow) - 1.0,
            v / high - 1.0,
            np.where(fed, 1.0 - v / low, -1.0),
            *[row[None, :] for row in power],
        ]
        found: Floats = np.nan_to_num(np.vstack(over), nan=-1.0)
        return found

    def measured_w(self, element: str, direction: str, flow: NewtonFlow) -> Floats:
        """As `point_w`; of a source the mean of the hour."""
        power = self.point_w(element, direction, flow)
        if element not in self.network.source_names:
            return power
        hourly: Floats = np.repeat(power.reshape(24, -1).mean(axis=1), self.mtus // 24)
        return hourly

    def point_w(self, element: str, direction: str, flow: NewtonFlow) -> Floats:
        """Power in a direction through the source, or a branch that is nearer to it at its `from` end."""
        sign = 1.0 if direction == "import" else -1.0
        if element in self.network.source_names:
            power: Floats = sign * flow.source_p_w[0]
        else:
            power = sign * flow.p_from_w[self.branch(element)]
        return power


def never_worse(day: Day, tolerance: float = 2e-6, up: int = 1) -> None:
    """No match leaves anything past its limit worse than just before, by Newton; buyers inject more (`up` -1: less)."""
    schedule = {name: list(row) for name, row in day.outcome.start_w.items()}
    known = np.maximum(day.excess(day.newton(schedule)), 0.0)
    for _, match in groupby(day.trades, key=lambda trade: trade.match):
        for leg in (trade.leg for trade in match):
            for mtu in leg.span.mtus:
                for unit, moved in ((leg.buy_unit, leg.quantity_buy_w), (leg.sell_unit, -leg.quantity_sell_w)):
                    if unit:
                        schedule[unit][mtu] += up * moved
        now = day.excess(day.newton(schedule))
        assert (now <= known + tolerance).all(), (day.trades, np.argwhere(now > known + tolerance))
        known = np.maximum(np.minimum(known, now), 0.0)
    assert {name: tuple(row) for name, row in schedule.items()} == dict(day.outcome.after_w)

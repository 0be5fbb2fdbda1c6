"""Random feeders whose points nest, and what the best market of each would reach: an AC grid, two to six levels.

`python -m tests.cases.nested_feeders COUNT [FIRST]` runs COUNT of them, each once more with everything renamed and all
rows shuffled, and compares both with the optimum of one linear program whose rows are tangents of an AC power flow by
Newton's method, found anew until its solution keeps every limit. No code of the market or of its grid is in that.

A feeder is a chain of levels below the connection point: a transformer, then lines, each with a load and perhaps a side
branch; ratings are such that several levels in series are past their limits in one or two hours. DSOs would pay the
overdraw price; in half of the feeders some units are curtailed by rule and buy themselves free.
"""

import sys
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from scipy.optimize import linprog
from tests.cases.days import DAY, NoWatch
from tests.market.small_market import MemoryLog

from flexpeer.adapters.newton import NewtonFlow, newton_flow
from flexpeer.app.day import Day
from flexpeer.app.scenario import OrderRow, OrganisationRow, OutageRow, Profile, ResourceRow, Scenario
from flexpeer.app.study.grid_day import GridInput
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.grid.assembly import BranchRow, BusRow, GridRows, SourceRow, assemble
from flexpeer.grid.network import Floats, Network
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import DsoPurchase, Reopening, Rulebook
from flexpeer.periods import Span

SOURCE, CEILING, MTUS = "Grid", 1_000, DAY.mtu_count
STEP_W, ROUNDS, PAST_W, TOLERATED_W, UNLIMITED_W = 1_000.0, 12, 2.0, 1.0, 1e9
WITHIN = 0.01
A_WATT = 0.02
"""What whole watts may cost: a few W for an hour at the ceiling, major units."""
A_MINOR_UNIT = 1_000_000
"""W times minor units per MWh and hour: what is less than a minor unit in all may go to one or another by rounding."""


class Feeder(NamedTuple):
    """A scenario, and its grid as rows."""

    scenario: Scenario
    rows: GridRows

    @property
    def network(self) -> Network:
        return assemble(self.rows)


class Found(NamedTuple):
    """What a day came to: what is wrong with it, what DSOs and peers gained, and the most they could have."""

    wrong: tuple[str, ...]
    gained: float
    optimum: float
    levels: int


def feeder(seed: int) -> Feeder:
    """A feeder and its day."""
    chance = Random(seed)
    levels, imports = chance.randint(2, 6), chance.random() < 0.7
    rows, homes = _grid(chance, levels)
    hours = sorted(chance.sample(range(7, 21), 2)) if chance.random() < 0.5 else [17, 18]
    shape = [100 if hour in hours else 30 for hour in range(MTUS)]
    loads = {bus: chance.randint(60, 220) * 1000 for bus in homes}
    sign = -1 if imports else 1
    bus_forecast = {
        bus: Profile(tuple(sign * w * s // 100 for s in shape), tuple(-w * s // 500 for s in shape))
        for bus, w in loads.items()
    }
    resources, plans = _resources(chance, homes, sign, shape)
    scenario = _scenario(resources, plans, bus_forecast, _orders(chance, resources, plans, hours, sign))
    return _with_limits(chance, Feeder(scenario, rows), hours, sign)


def _grid(chance: Random, levels: int) -> tuple[GridRows, list[str]]:
    """A trunk of `levels` branches with side branches, and the buses with loads; ratings follow."""
    buses, branches, homes = [BusRow("B0", 20.0)], list[BranchRow](), list[str]()
    above, kv = "B0", 20.0
    for level in range(1, levels + 1):
        steps_down = level == 1 or (kv > 10.0 and level > 2 and chance.random() < 0.3)
        below_kv = {20.0: 10.0, 10.0: 10.0}[kv] if steps_down else kv
        bus = f"B{level}"
        buses.append(BusRow(bus, below_kv, 0.85, 1.15))
        kind = "transformer" if steps_down else "line"
        branches.append(BranchRow(f"L{level}", kind, above, bus, chance.uniform(0.1, 0.5), chance.uniform(0.1, 0.6)))
        above, kv = bus, below_kv
        homes.append(bus)
        if chance.random() < 0.5:
            buses.append(BusRow(f"S{level}", kv, 0.85, 1.15))
            branches.append(BranchRow(f"M{level}", "line", bus, f"S{level}", chance.uniform(0.2, 0.8), 0.3))
            homes.append(f"S{level}")
    return GridRows(tuple(buses), tuple(branches), (), (SourceRow(SOURCE, "B0"),), ()), homes


def _resources(
    chance: Random, homes: list[str], sign: int, shape: list[int]
) -> tuple[tuple[ResourceRow, ...], dict[str, Profile]]:
    """Units that can move either way; in half of the feeders some of them are curtailed by rule."""
    resources, plans, curtails = [], {}, chance.random() < 0.5
    for place in range(chance.randint(4, 12)):
        conditional = curtails and chance.random() < 0.5
        plan_w = sign * chance.randint(20, 150) * 1000 if conditional else 0
        low, high = (min(plan_w, 0), max(plan_w, 0)) if conditional else (-300_000, 300_000)
        name = f"R{place}"
        owner = f"F{place}" if conditional or chance.random() < 0.8 else "Several"
        resources.append(ResourceRow(name, owner, chance.choice(homes), "any", low, high, conditional))
        plans[name] = Profile(tuple(plan_w * s // 100 for s in shape), (0,) * MTUS)
    return tuple(resources), plans


def _orders(
    chance: Random, resources: tuple[ResourceRow, ...], plans: Mapping[str, Profile], hours: list[int], sign: int
) -> tuple[OrderRow, ...]:
    """Each offers in a congested hour or both; who is curtailed bids for some of it."""
    rows = []
    spans = [(hour, hour + 1) for hour in hours] + [(hours[0], hours[-1] + 1)] * (hours[-1] == hours[0] + 1)
    for unit in resources:
        for first, end in spans:
            if unit.conditional:
                side, most, price = "BUY", sign * plans[unit.resource].p_w[first], chance.randint(5_000, 60_000)
            else:
                side, most, price = "SELL", 120_000, chance.randint(2_000, 60_000)
            quantity = chance.randint(5_000, max(most, 6_000))
            rows.append((unit.resource, side, DAY.instant(first), DAY.instant(end), quantity, price))
    chance.shuffle(rows)
    return tuple(OrderRow(f"o{n}", n, *row) for n, row in enumerate(rows, 1))


def _scenario(
    resources: tuple[ResourceRow, ...],
    plans: dict[str, Profile],
    buses: dict[str, Profile],
    orders: tuple[OrderRow, ...],
) -> Scenario:
    owners = sorted({unit.fsp for unit in resources})
    return Scenario(
        name="nested",
        day=DAY,
        currency="EUR",
        grid_source=None,
        rulebook=Rulebook(dso_purchase=DsoPurchase.AUTOMATIC, reopening=Reopening.OWN_LIMIT, need_margin_ppm=0),
        alternative=Alternative(overdraw=Decimal(CEILING)),
        costs=Costs(),
        organisations=(
            OrganisationRow("DSO", "REGIONAL_DSO", None),
            *(OrganisationRow(o, "FSP", None) for o in owners),
        ),
        areas={},
        resources=resources,
        portfolios={},
        bus_forecast=buses,
        resource_forecast=plans,
        congestion_points=None,
        impact_ppm=None,
        obligations_w=None,
        outages=(),
        orders=orders,
        meter_w=None,
    )


def _with_limits(chance: Random, given: Feeder, hours: list[int], sign: int) -> Feeder:
    """Ratings that the forecast passes at most of the trunk, perhaps a limit at the connection point that it passes."""
    flow = _solved(given, given.scenario.plans_w())
    kv = {row.name: row.v_kv for row in given.rows.buses}
    most_a = np.fmax(flow.current_from_a, flow.current_to_a)[:, hours].max(axis=1)
    trunk = [row.name for row in given.rows.branches if row.name.startswith("L")]
    past = chance.sample(trunk, chance.randint(2, len(trunk)))
    branches: list[BranchRow] = []
    for row, amperes in zip(given.rows.branches, most_a, strict=True):
        at_to = flow.current_to_a[len(branches)][hours].max() if row.kind == "transformer" else amperes
        rating_a = at_to * (chance.uniform(0.85, 0.99) if row.name in past else chance.uniform(1.05, 1.6))
        at_from = rating_a * kv[row.to_bus] / kv[row.from_bus]
        branches.append(row._replace(rating_from_a=at_from, rating_to_a=rating_a))
    outages: tuple[OutageRow, ...] = ()
    if chance.random() < 0.6:
        limit_w = round((-sign * flow.source_p_w[0, hours]).max() * chance.uniform(0.88, 0.97))
        outages = (OutageRow(SOURCE, Span(min(hours), max(hours) + 1), limit_w),)
    rows = GridRows(given.rows.buses, tuple(branches), (), given.rows.sources, ())
    return Feeder(replace(given.scenario, outages=outages), rows)


def _solved(given: Feeder, schedules_w: Mapping[str, tuple[int, ...]]) -> NewtonFlow:
    return newton_flow(given.network, *_injections(given, schedules_w))


def _injections(given: Feeder, schedules_w: Mapping[str, tuple[int, ...]]) -> tuple[Floats, Floats]:
    at = {row.name: place for place, row in enumerate(given.rows.buses)}
    p_w, q_var = np.zeros((2, len(at), MTUS))
    for bus, profile in given.scenario.bus_forecast.items():
        p_w[at[bus]] += profile.p_w
        q_var[at[bus]] += profile.q_var
    for unit in given.scenario.resources:
        p_w[at[unit.bus]] += schedules_w[unit.resource]
    return p_w, q_var


class Limits:
    """How far elements are past their limits, W per MTU: branches at nominal voltage, then the connection point."""

    def __init__(self, given: Feeder) -> None:
        self._given, network = given, given.network
        self._rating_a = network.rating_from_a, network.rating_to_a
        kv = {row.name: row.v_kv for row in given.rows.buses}
        volts = np.array([kv[row.to_bus] * 1e3 for row in given.rows.branches])
        self._rated_va = np.sqrt(3.0) * volts * network.rating_to_a
        self._p_w, self._q_var = _injections(given, given.scenario.plans_w())
        self._limit_w = np.full(MTUS, UNLIMITED_W)
        for outage in given.scenario.outages:
            self._limit_w[outage.span.first : outage.span.end] = outage.limit_w or 0
        self._sign = 1.0 if self._p_w.sum() < 0.0 else -1.0
        self.names = [*(row.name for row in given.rows.branches), SOURCE]
        self._at = {row.name: place for place, row in enumerate(given.rows.buses)}
        self.bus_of = {unit.resource: self._at[unit.bus] for unit in given.scenario.resources}

    def excess_w(self, schedules_w: Mapping[str, Floats], mtus: list[int]) -> Floats:
        """(limits, mtus), negative where there is room."""
        return self._excess_w(self._injected(schedules_w)[:, mtus], mtus)

    def slopes(self, schedules_w: Mapping[str, Floats], mtus: list[int]) -> Floats:
        """Change of the excess per W injected at each bus, (limits, buses, mtus), by differences."""
        now = self._injected(schedules_w)[:, mtus]
        found = [np.zeros((len(self.names), len(mtus)))] * len(self._at)
        for bus in sorted(set(self.bus_of.values())):
            up, down = now.copy(), now.copy()
            up[bus] += STEP_W
            down[bus] -= STEP_W
            found[bus] = (self._excess_w(up, mtus) - self._excess_w(down, mtus)) / (2.0 * STEP_W)
        return np.stack(found, axis=1)

    def _injected(self, schedules_w: Mapping[str, Floats]) -> Floats:
        p_w = self._p_w.copy()
        for unit, planned in self._given.scenario.plans_w().items():
            p_w[self.bus_of[unit]] += np.asarray(schedules_w[unit]) - planned
        return p_w

    def _excess_w(self, p_w: Floats, mtus: list[int]) -> Floats:
        flow = newton_flow(self._given.network, p_w, self._q_var[:, mtus])
        rating_from, rating_to = (each[:, None] for each in self._rating_a)
        loading = np.fmax(flow.current_from_a / rating_from, flow.current_to_a / rating_to)
        exchange = self._sign * flow.source_p_w - self._limit_w[mtus]
        return np.vstack(((loading - 1.0) * self._rated_va[:, None], exchange))


class Optimum:
    """The best of all orders that the door let in, by linear programs; per limit and MTU one tangent, the latest.

    max  sum_o sign price hours q_o - ceiling sum s
    s.t. excess + G (q - q_latest) <= s,  0 <= s <= what the starting point, and trades until the gate, are past it,
                                          or the day's end, if that is more: the tolerance of its check, below a watt
         what BUYs load a point in need, by its impact factors, is no more than what SELLs relieve
    """

    def __init__(self, given: Feeder, outcome: DayOutcome) -> None:
        self._limits, self._outcome, state = Limits(given), outcome, outcome.state
        self.orders = [o for o in state.orders.orders.values() if not o.residual]
        self.mtus = sorted({mtu for order in self.orders for mtu in order.span.mtus})
        self._active = np.array([[mtu in order.span.mtus for mtu in self.mtus] for order in self.orders])
        self._up = np.array([float(order.regulation.sign) for order in self.orders])
        sign = np.array([1.0 if order.side == "BUY" else -1.0 for order in self.orders])
        price = np.array([order.price_minor / 100.0 for order in self.orders])
        self._worth = sign * price * self._active.sum(axis=1) / 1e6
        self._start = {name: np.array(row, dtype=float) for name, row in outcome.start_w.items()}
        begun = (np.zeros(len(self.orders)), self._traded())
        self._past = np.maximum(np.minimum(*(self.excess_w(each) for each in begun)), 0.0)
        executed = np.array([order.executed_w for order in self.orders], dtype=float)
        self._past = np.maximum(self._past, np.minimum(self.excess_w(executed), self._past + TOLERATED_W))
        self._rules = self._no_point_worse(sign)

    def _traded(self) -> Floats:
        """What was traded until the gate; the clearing may take it back, but may leave nothing worse."""
        length = {order.order: len(order.span) for order in self.orders}
        found = dict.fromkeys(length, 0.0)
        for trade in self._outcome.state.trades.trades.values():
            leg, hours = trade.leg, len(trade.leg.span)
            if trade.phase == "continuous":
                found[leg.buy] += leg.quantity_buy_w * hours / length[leg.buy]
                found[leg.sell] += leg.quantity_sell_w * hours / length[leg.sell]
        return np.array(list(found.values()))

    @property
    def levels(self) -> int:
        """How many elements the forecast takes past their limits."""
        forecast = {name: np.array(row, dtype=float) for name, row in self._outcome.before_w.items()}
        return int((self._limits.excess_w(forecast, self.mtus) > 0.0).any(axis=1).sum())

    def excess_w(self, quantities_w: Floats) -> Floats:
        """(limits, mtus) with these quantities executed."""
        return self._limits.excess_w(self._schedules_w(quantities_w), self.mtus)

    def cost(self, quantities_w: Floats) -> float:
        """What SELLs ask less what BUYs bid, major units."""
        return -float(self._worth @ quantities_w)

    def gained(self, quantities_w: Floats) -> float:
        """What orders gain, less what is left at the ceiling: major units."""
        past = np.maximum(self.excess_w(quantities_w), 0.0).sum()
        return -self.cost(quantities_w) - CEILING * float(past) / 1e6

    def solved(self) -> tuple[Floats, float]:
        """Quantities that keep every limit, and what they gain."""
        quantities = self._traded()
        for _ in range(ROUNDS):
            before, quantities = quantities, self._solved(quantities)
            if np.abs(quantities - before).max() < 1.0:
                break
        return quantities, self.gained(quantities)

    def per_order(self, quantities_w: Floats) -> Floats:
        """Change of each excess per W executed of each order, (limits, mtus, orders)."""
        slopes = self._limits.slopes(self._schedules_w(quantities_w), self.mtus)
        buses = [self._limits.bus_of[order.unit] for order in self.orders]
        found: Floats = slopes[:, buses, :].transpose(0, 2, 1) * (self._up[:, None] * self._active).T
        return found

    def _solved(self, latest: Floats) -> Floats:
        """The program with the tangents at `latest`; where they leave nothing, limits give way a little."""
        rows, past = self.per_order(latest).reshape(-1, len(latest)), self._past.ravel()
        above = np.vstack((np.hstack((rows, -np.eye(len(rows)))), np.pad(self._rules, ((0, 0), (0, len(rows))))))
        room = np.concatenate((rows @ latest - self.excess_w(latest).ravel(), np.zeros(len(self._rules))))
        value = np.concatenate((-self._worth, np.full(len(rows), CEILING / 1e6)))
        for way_w in (0.0, *(PAST_W * 10.0**n for n in range(3))):
            most = np.concatenate(([o.quantity_w for o in self.orders], past + way_w)) / 1e3
            bounds = list(zip(np.zeros(len(most)), most, strict=True))
            found = linprog(value * 1e3, A_ub=above, b_ub=room / 1e3, bounds=bounds, method="highs")
            if found.status == 0 and found.x is not None:
                return np.asarray(found.x[: len(latest)]) * 1e3
        raise AssertionError(found.message)

    def _no_point_worse(self, sign: Floats) -> Floats:
        needs = self._outcome.state.needs
        rows = []
        for point, row_w in needs.needs_w.items():
            for mtu in (mtu for mtu in self.mtus if row_w[mtu] > 0):
                factors = needs.impacts_ppm.get(point, {})
                ppm = [factors.get(o.unit, (0,) * MTUS)[mtu] if mtu in o.span.mtus else 0 for o in self.orders]
                rows.append(sign * np.array(ppm, dtype=float) / 1e6)
        return np.array(rows).reshape(-1, len(self.orders))

    def _schedules_w(self, quantities_w: Floats) -> dict[str, Floats]:
        found = {name: row.copy() for name, row in self._start.items()}
        for order, up, watts in zip(self.orders, self._up, quantities_w, strict=True):
            found[order.unit][order.span.first : order.span.end] += up * watts
        return found


def day(given: Feeder) -> DayOutcome:
    """The market's day."""
    network = given.network
    buses = {name: at for at, name in enumerate(network.bus_names)}
    branches = {name: at for at, name in enumerate(network.branch_names)}
    return Day(given.scenario, MemoryLog(), NoWatch(), GridInput(network, buses.get, branches.get)).run()


def looked_at(seed: int) -> Found:
    """Run a feeder's day, and once more renamed, and compare with the optimum."""
    given = feeder(seed)
    outcome = day(given)
    orders, needs = outcome.state.orders.orders.values(), outcome.state.needs.needs_w.values()
    if not any(map(any, needs)) or all(order.residual for order in orders):
        return Found((), 0.0, 0.0, 0)
    best = Optimum(given, outcome)
    executed = {order.order: order.executed_w for order in best.orders}
    quantities = np.array([executed[order.order] for order in best.orders], dtype=float)
    _, optimum = best.solved()
    nothing, gained = best.gained(np.zeros(len(quantities))), best.gained(quantities)
    buys = any(order.side == "BUY" for order in best.orders)
    against = optimum - nothing if buys else -optimum
    wrong = []
    if optimum - gained > WITHIN * against + A_WATT:
        wrong.append(f"{gained:.2f} of {optimum:.2f} gained, {nothing:.2f} without trade")
    wrong += _could_relieve(best, quantities)
    renamed, new = _renamed(given, seed)
    again = {order.order: order.executed_w for order in day(renamed).state.orders.orders.values()}
    moved = {name: (watts, again.get(new[name])) for name, watts in executed.items() if again.get(new[name]) != watts}
    worth = {order.order: abs(order.price_minor) * len(order.span) for order in best.orders}
    if sum(abs(here - (there or 0)) * worth[name] for name, (here, there) in moved.items()) >= A_MINOR_UNIT:
        wrong += [f"renamed, {name} has {there} W instead of {here}" for name, (here, there) in moved.items()]
    return Found(tuple(wrong), gained - nothing, optimum - nothing, best.levels)


def _could_relieve(best: Optimum, quantities_w: Floats) -> list[str]:
    """Elements still past their limits that an offer below the ceiling could relieve, alone and without harm."""
    excess = best.excess_w(quantities_w)
    if not (excess > PAST_W).any():
        return []
    per_order, found = best.per_order(quantities_w), []
    for column, order in enumerate(best.orders):
        if order.side != "SELL" or order.remaining_w < 10:
            continue
        effect = per_order[:, :, column]
        relief = -effect[(excess > PAST_W)].sum()
        harms = ((excess > -10.0) & (effect > 1e-4)).any()
        asked = order.price_minor / 100.0 * len(order.span)
        if not harms and asked < CEILING * relief * (1.0 - WITHIN):
            found.append(f"{order.order} has {order.remaining_w} W at {asked:.0f} where {relief:.2f} of relief is left")
    return found


def _renamed(given: Feeder, seed: int) -> tuple[Feeder, dict[str, str]]:
    """Everything under another name, in another order; and the new name of each."""
    chance, scenario, rows = Random(-seed - 1), given.scenario, given.rows
    old = [*(b.name for b in rows.buses), *(b.name for b in rows.branches), *(s.name for s in rows.sources)]
    old += [each.organisation for each in scenario.organisations]
    old += [each.resource for each in scenario.resources] + [each.order for each in scenario.orders]
    numbers = chance.sample(range(10**6), len(old))
    new = {name: f"{chance.choice('AZaz')}{number}" for name, number in zip(old, numbers, strict=True)}
    buses = [row._replace(name=new[row.name]) for row in rows.buses]
    branches = [
        row._replace(name=new[row.name], from_bus=new[row.from_bus], to_bus=new[row.to_bus]) for row in rows.branches
    ]
    resources = [
        replace(each, resource=new[each.resource], fsp=new[each.fsp], bus=new[each.bus]) for each in scenario.resources
    ]
    organisations = [replace(each, organisation=new[each.organisation]) for each in scenario.organisations]
    for shuffled in (buses, branches, resources, organisations):
        chance.shuffle(shuffled)
    sources = tuple(row._replace(name=new[row.name], bus=new[row.bus]) for row in rows.sources)
    other = replace(
        scenario,
        organisations=tuple(organisations),
        resources=tuple(resources),
        bus_forecast={new[name]: profile for name, profile in reversed(scenario.bus_forecast.items())},
        resource_forecast={new[name]: profile for name, profile in reversed(scenario.resource_forecast.items())},
        outages=tuple(replace(each, element=new[each.element]) for each in scenario.outages),
        orders=tuple(replace(row, order=new[row.order], resource=new[row.resource]) for row in scenario.orders),
    )
    return Feeder(other, GridRows(tuple(buses), tuple(branches), (), sources, ())), new


def main(count: int, first: int = 0) -> int:
    """Look at `count` feeders; what is wrong with any."""
    wrong, gained, optimum, levels = 0, 0.0, 0.0, dict[int, int]()
    for seed in range(first, first + count):
        found = looked_at(seed)
        wrong += bool(found.wrong)
        gained, optimum = gained + found.gained, optimum + found.optimum
        levels[found.levels] = levels.get(found.levels, 0) + 1
        if found.wrong:
            print(seed, *found.wrong[:3], sep=" | ", flush=True)
    print(
        f"{count} feeders, {wrong} wrong; {gained / optimum:.6f} of the optimum; "
        f"elements past their limits: {dict(sorted(levels.items()))}"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in sys.argv[1:])))

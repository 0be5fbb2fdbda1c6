"""The clearing at gate closure on a grid: checked by Newton's method, like any trade."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from tests.adapters.scenario_folder import HOURS, Texts
from tests.app.grid_days import SMALL_UNITS, Ask, Day, small_day
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders
from tests.cases.days import NoWatch
from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day as MarketDay
from flexpeer.app.study.grid_cuts import GridCuts
from flexpeer.bootstrap import NewtonVerifier, grid_input, read_whole, write_demo
from flexpeer.market.machine import State, evolve, state_hash
from flexpeer.market.rulebook import Reopening, Residual
from flexpeer.market.trades import OrdersCleared, Phase

RULES = "[rulebook]\nresidual = 'distributed'\nreopening = 'own_limit'\n"


def cleared_day(asks: list[Ask]) -> Texts:
    texts = with_orders(small_day(), asks)
    return texts | {"scenario.toml": texts["scenario.toml"] + RULES}


@pytest.mark.parametrize("seed", range(3))
def test_no_limit_is_worse_than_at_the_starting_point(seed: int, tmp_path: Path) -> None:
    texts = cleared_day(random_orders(SMALL_UNITS, ["Cable 1", "Cable 3"], seed))
    day = Day(texts, tmp_path)
    report = day.outcome.state.kpis.report
    assert report is not None
    assert any(trade.phase is Phase.CLEARING for trade in day.trades)
    assert report.welfare_clearing > 0
    start, after = day.excess(day.newton(day.outcome.start_w)), day.excess(day.newton(day.outcome.after_w))
    assert (after <= np.maximum(start, 0.0) + 2e-6).all()
    assert not day.outcome.worsened


def test_owners_of_three_areas_grant_it_together(tmp_path: Path) -> None:
    texts = three_levels(cleared_day(random_orders(SMALL_UNITS, ["Cable 1", "Cable 3"], 0)))
    day = Day(texts, tmp_path)
    assert any(trade.phase is Phase.CLEARING for trade in day.trades)
    assert not day.outcome.worsened


@pytest.mark.parametrize(("waiting", "least"), [(False, "0.995"), (True, "0.997")])
def test_the_demo_earns_what_waits_for_its_gate(waiting: bool, least: str, tmp_path: Path) -> None:
    """Its FAK and FOK orders count in the optimum with what they traded on arrival; as day orders they wait too.

    What is missing are minimum acceptances (an order is rejected rather than accepted at a loss) and, in the certified
    gap too, ticks of 1 kW: the bound knows no ticks.
    """
    write_demo(tmp_path / "scenario")
    given, opened = read_whole(tmp_path / "scenario")
    assert [given.rulebook.residual, given.rulebook.reopening] == [Residual.DISTRIBUTED, Reopening.OWN_LIMIT]
    if waiting:
        given = replace(given, orders=tuple(replace(row, time_in_force="day") for row in given.orders))
    log = MemoryLog()
    market = MarketDay(given, log, NoWatch(), grid_input(given, opened), NewtonVerifier())
    outcome = market.run()
    report = outcome.state.kpis.report
    assert report is not None
    assert report.efficiency is not None
    assert Decimal(least) < report.efficiency <= 1
    assert [len(outcome.worsened), len(outcome.congestions_after)] == [0, 0]
    cleared = next(event for event in log.events if isinstance(event, OrdersCleared))
    assert cleared.gap_ppm < 10_000
    replayed = State()
    for event in log.events:
        replayed = evolve(replayed, event)
    assert state_hash(replayed) == outcome.state_hash


def test_an_element_without_a_limit_in_an_mtu_binds_nothing_there(tmp_path: Path) -> None:
    """The substation is limited at 12:00 only; 3 MW more are past that limit, and none at 03:00."""
    outage = f"[[outage]]\nelement = 'Overlying grid'\nfrom = '{HOURS[12]}'\nto = '{HOURS[13]}'\nlimit_w = 5000000\n"
    texts = small_day()
    day = Day(texts | {"scenario.toml": texts["scenario.toml"] + outage}, tmp_path)
    assert day.market.physical is not None
    cuts = GridCuts(day.market.physical.grid, day.outcome.start_w)
    more = np.zeros(24)
    more[[3, 12]] = 3e6
    assert {row.mtu for row in cuts.violated({"WA": more})} == {12}

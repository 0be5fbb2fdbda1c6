"""What is left at gate closure, cleared: cases on paper, and what holds of any day without a grid."""

from collections.abc import Mapping
from decimal import Decimal
from random import Random

import pytest
from msgspec.structs import replace
from tests.cases.days import DAY, MW, NoWatch, balances, hour_of, order, scenario
from tests.cases.test_swap_hour import swap_hour
from tests.market.small_market import Frame, Market, MemoryLog, export_point, resource

from flexpeer.app.day import Day
from flexpeer.app.gate.clearing import clear_at_gate
from flexpeer.app.ports import LimitRow
from flexpeer.app.scenario import OrderRow, ResourceRow, Scenario
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.app.views.results import result_object
from flexpeer.grid.network import Floats
from flexpeer.market.machine import State, evolve, state_hash
from flexpeer.market.needs import Regulation
from flexpeer.market.orders import CloseGate, Side
from flexpeer.market.rulebook import Exchange, Priority, Reopening, Residual, Rulebook
from flexpeer.market.settlement import AccountKind
from flexpeer.market.trades import OrdersCleared, Phase, Trade

CLEARED = Rulebook(residual=Residual.DISTRIBUTED)
REOPENED = replace(CLEARED, reopening=Reopening.OWN_LIMIT)


class Finished:
    """A day that has been run, and its log."""

    def __init__(self, given: Scenario) -> None:
        self.log = MemoryLog()
        self.day = Day(given, self.log, NoWatch())
        self.outcome: DayOutcome = self.day.run()

    @property
    def cleared(self) -> list[Trade]:
        return [t for t in self.outcome.state.trades.trades.values() if t.phase is Phase.CLEARING]

    def of_order(self, name: str) -> tuple[str, int, int]:
        """Side on which an order acts in the clearing, watts, and price in major units."""
        trade = next(t for t in self.cleared if name in (t.leg.buy, t.leg.sell))
        party = trade.leg.parties[0]
        return str(party.acts), party.quantity_w, trade.leg.price_minor // 100


def hours(row: OrderRow, count: int) -> OrderRow:
    return replace(row, end=row.start + 60 * count)


def chain(rulebook: Rulebook) -> Scenario:
    """Four orders of which no pair and no tiling covers the same hours, but all together do; 4 MW each.

    BUY 10-12 at 400 and 12-13 at 300; SELL 11-13 at 200 and 10-11 at 100: 3,200 + 1,200 - 1,600 - 400 = 2,400.
    """
    resources = (
        ResourceRow("W1", "A", "n", "wind", 0, 40 * MW),
        ResourceRow("W2", "B", "n", "wind", 0, 40 * MW),
        ResourceRow("boiler", "C", "n", "boiler", -5 * MW, 0),
        ResourceRow("pump", "D", "n", "pump", -5 * MW, 0),
    )
    orders = (
        hours(order("b1", 1, "W1", "BUY", 4, 400, 10), 2),
        hours(order("s1", 2, "boiler", "SELL", 4, 200, 11), 2),
        order("b2", 3, "W2", "BUY", 4, 300, 12),
        order("s2", 4, "pump", "SELL", 4, 100, 10),
    )
    forecast = {resource.resource: hour_of(0, 0) for resource in resources}
    return scenario(resources, forecast, ("export", 500 * MW), {}, orders, rulebook)


def test_what_no_pair_can_do_all_can() -> None:
    done = Finished(chain(CLEARED))
    result = result_object(done.outcome, "")
    assert [result[name] for name in ("welfare", "welfare_continuous", "welfare_clearing", "efficiency")] == [
        2400, 0, 2400, 1,
    ]  # fmt: skip
    assert [done.of_order(name)[:2] for name in ("b1", "s1", "b2", "s2")] == [
        ("BUY", 4 * MW), ("SELL", 4 * MW), ("BUY", 4 * MW), ("SELL", 4 * MW),
    ]  # fmt: skip
    assert result["settlement_sum"] == 0
    assert result["volume_wh"] == 12 * MW


def test_without_the_rule_nothing_is_cleared() -> None:
    done = Finished(chain(Rulebook(residual=Residual.NONE)))
    assert len(done.outcome.state.trades.trades) == 0


def test_who_sold_early_buys_back_from_who_is_cheaper() -> None:
    """The swap hour by time: the boiler's last 4 MW at 180 replace 3 of the battery's at 300 and 1 of W3's at 250.

    The price is W3's 250; its earlier trades stand.
    """
    given = replace_rules(swap_hour(Priority.TIME), REOPENED)
    done = Finished(given)
    assert [done.of_order(name) for name in ("4", "2", "1")] == [
        ("SELL", 4 * MW, 250), ("BUY", 3 * MW, 250), ("BUY", 1 * MW, 250),
    ]  # fmt: skip
    assert balances(done.outcome) == {"A": -2000, "B": -1580, "C": 2250, "D": 150, "E": 1180, AccountKind.CLEARING: 0}
    report = done.outcome.state.kpis.report
    assert report is not None
    assert [report.welfare_continuous, report.welfare_clearing, report.welfare] == [1580, 430, 2010]
    assert report.efficiency == 1


def test_what_was_taken_back_needs_no_delivery() -> None:
    """As above, and W3 does not move: of the 10 MW it sold at 250 it has bought 1 back, so the pay of 9 is withheld.

    The battery has bought all back and keeps its 150.
    """
    given = replace_rules(swap_hour(Priority.TIME), REOPENED)
    kept = Finished(given).outcome
    meter = {**kept.after_w, "W3": kept.start_w["W3"]}
    done = Finished(replace(given, meter_w=meter))
    earned = {"A": -2000, "B": -1580, "C": 0, "D": 150, "E": 1180, "DSO": 2250, AccountKind.CLEARING: 0}
    assert balances(done.outcome) == earned
    report = done.outcome.state.kpis.report
    assert report is not None
    assert report.undelivered_relief_mwh == 9


def test_what_a_limit_earns_is_congestion_rent() -> None:
    """Balanced exchange, 1 MW of room; factors 1 (buyer), 0.5 (cheap seller) and 1.5 (dear seller), 4 MW each.

    In order of arrival the buyer takes 2 MW at 100, which uses the room, and 2 MW at 300. Best are 3 and 1: prices 100
    and 300, so a relief of 1 is worth 200 and the room of 1 MW earns 200. To sell 3 more at 100 and take 1 less back at
    300 makes no difference, nor where between the two it ends.
    """
    resources = (
        ResourceRow("W", "A", "n", "wind", 0, 40 * MW),
        ResourceRow("cheap", "B", "n", "boiler", -5 * MW, 0),
        ResourceRow("dear", "C", "n", "boiler", -5 * MW, 0),
    )
    orders = (
        order("s1", 1, "cheap", "SELL", 4, 100, 10),
        order("s2", 2, "dear", "SELL", 4, 300, 10),
        order("b", 3, "W", "BUY", 4, 400, 10),
    )
    factors = {"W": 1_000_000, "cheap": 500_000, "dear": 1_500_000}
    forecast = {resource.resource: hour_of(0, 0) for resource in resources}
    rulebook = replace(REOPENED, exchange=Exchange.BALANCED)
    done = Finished(scenario(resources, forecast, ("export", 1 * MW), factors, orders, rulebook))
    sold, back = (done.of_order(name) for name in ("s1", "s2"))
    assert [sold[::2], back[::2]] == [("SELL", 100), ("BUY", 300)]
    assert sold[1] >= back[1] >= 1 * MW
    assert 300 * back[1] - 100 * sold[1] == pytest.approx(200 * MW, abs=400)
    assert balances(done.outcome)[AccountKind.CLEARING] == pytest.approx(Decimal(200), abs=Decimal("0.01"))
    assert balances(done.outcome)["A"] == -800


class NoCuts:
    """Nobody says which limits a solution passes."""

    def first(self) -> tuple[LimitRow, ...]:
        """None."""
        return ()

    def violated(self, moves_w: Mapping[str, Floats]) -> tuple[LimitRow, ...]:
        """None."""
        del moves_w
        return ()


def test_what_an_owner_refuses_is_not_cleared_at_all() -> None:
    """Balanced exchange of a weak seller leaves the point no room; of what is left the owner grants no part."""
    rules = replace(CLEARED, exchange=Exchange.BALANCED)
    points, factors = (export_point("P", 800),), {"P": {"a": 500_000}}
    frame = Frame((resource("a"), resource("b")), points, factors, rulebook=rules)
    market = Market(frame)
    market.sell("s", "a", 400, 5, regulation=Regulation.DOWN)
    market.buy("b", "b", 400, 6, regulation=Regulation.UP)
    market.session.send(CloseGate(0))
    before = market.session.state
    assert market.order("b").remaining_w > 0
    assert not clear_at_gate(market.session, NoCuts())
    assert market.session.state == before


def test_traded_is_traded_unless_the_rulebook_reopens_it() -> None:
    assert Finished(replace_rules(swap_hour(Priority.TIME), CLEARED)).cleared == []


def test_confirmations_go_to_the_order_and_not_to_the_pool() -> None:
    done = Finished(chain(CLEARED))
    told = done.outcome.state.activations.confirmations
    assert sorted(c.order for c in told) == ["b1", "b2", "s1", "s2"]
    assert {(c.phase, c.phase.price_of) for c in told} == {(Phase.CLEARING, "node")}


def replace_rules(given: Scenario, rulebook: Rulebook) -> Scenario:
    return replace(given, rulebook=replace(rulebook, priority=given.rulebook.priority))


def random_day(seed: int, rulebook: Rulebook) -> Scenario:
    """Eight resources with factors of 0.4 to 1, one a storage; 40 orders of one to three hours, some with a minimum."""
    rng = Random(seed)
    names = [f"R{n}" for n in range(8)]
    resources = tuple(ResourceRow(name, f"F{name}", "n", "any", -20 * MW, 20 * MW) for name in names)
    resources = (replace(resources[0], energy_wh=6 * MW, energy_start_wh=3 * MW), *resources[1:])
    rows = []
    for place in range(1, 41):
        side, hour = rng.choice(("BUY", "SELL")), rng.randrange(6, 12)
        row = hours(
            order(f"o{place}", place, rng.choice(names), side, rng.randint(1, 2000) / 1000, rng.randint(50, 400), hour),
            rng.randint(1, 3),
        )
        least = rng.choice((0, 0, 0, row.quantity_w // 2))
        rows.append(replace(row, min_quantity_w=least or None))
    factors = {name: rng.randint(400_000, 1_000_000) for name in names}
    forecast = {name: hour_of(0, 0) for name in names}
    return scenario(resources, forecast, ("export", 5 * MW), factors, tuple(rows), rulebook)


@pytest.mark.parametrize("rulebook", [CLEARED, REOPENED, replace(REOPENED, exchange=Exchange.BALANCED)])
@pytest.mark.parametrize("seed", range(4))
def test_any_day(seed: int, rulebook: Rulebook) -> None:
    """Welfare does not fall, no price is past a limit, everything sums to zero, no point is past its limit."""
    done = Finished(random_day(seed, rulebook))
    state = done.outcome.state
    report = state.kpis.report
    assert report is not None
    assert report.welfare_clearing >= 0
    assert report.welfare == report.welfare_continuous + report.welfare_clearing
    for trade in done.cleared:
        (party,) = trade.leg.parties
        gains = trade.leg.price_minor - state.orders.orders[party.order].price_minor
        assert gains >= 0 if party.acts is Side.SELL else gains <= 0
    for each in state.orders.orders.values():
        assert 0 <= each.executed_w <= each.quantity_w
        assert each.executed_w == 0 or each.executed_w >= each.min_quantity_w
    balances(done.outcome)
    point = done.outcome.points[0]
    assert all(after <= limit + 1 for after, limit in zip(point.after_w, point.limit_w, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_reopened_day_ends_at_the_optimum_of_all_its_orders(seed: int) -> None:
    """Without minimum acceptances nothing binds but whole watts: the linear program of all orders is the oracle."""
    given = random_day(seed, REOPENED)
    rows = tuple(replace(row, min_quantity_w=None) for row in given.orders)
    report = Finished(replace(given, orders=rows)).outcome.state.kpis.report
    assert report is not None
    assert report.efficiency is not None
    assert Decimal("0.9999") < report.efficiency <= 1


@pytest.mark.parametrize("rulebook", [CLEARED, REOPENED])
def test_replay_gives_the_same_state(rulebook: Rulebook) -> None:
    done = Finished(random_day(1, rulebook))
    replayed = State()
    for event in done.log.events:
        replayed = evolve(replayed, event)
    assert state_hash(replayed) == done.outcome.state_hash
    assert DAY.mtu_count == replayed.needs.mtu_count
    assert any(isinstance(event, OrdersCleared) for event in done.log.events)

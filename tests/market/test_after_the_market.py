"""Confirmations, baselines, verification, settlement and its revisions, fees, KPIs; days of 23, 24 and 25 hours."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.market.small_market import DAY, DSO, Frame, Market, at_first, flat, resource

from flexpeer.market.activation import (
    ActivationIssued,
    BrpNotified,
    ConfirmTrades,
    DeliveryVerified,
    IssueActivations,
    RecordMeter,
    VerifyDelivery,
    payable_ppm,
)
from flexpeer.market.kpi import Alternative, Costs, KpiReport, ReportKpis, alternative_costs, annuity
from flexpeer.market.machine import Event
from flexpeer.market.needs import AllocateCurtailment, PublishNeed
from flexpeer.market.orders import CloseGate, Side
from flexpeer.market.participants import Organisation, RegisterOrganisation, Role
from flexpeer.market.purchase import ExpireOrders
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import BaselineMethod, DeliveryRule, Rulebook
from flexpeer.market.settlement import OPERATOR_ACCOUNT, Settle, SettlementIssued
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import MONEY_PER_MINOR, PPM, round_to_zero_sum, split

MWH = 1_000_000
DEFAULT = Rulebook()


def traded_day(baseline: BaselineMethod = BaselineMethod.PLAN, rulebook: Rulebook = DEFAULT) -> Market:
    """a sells b 200 W in hours 1 and 2 at 10,000 per MWh: DOWN from a plan of 500."""
    market = Market(Frame((resource("a", baseline=baseline), resource("b")), rulebook=rulebook))
    market.sell("s", "a", 200, 10_000, span=(1, 3))
    market.buy("b", "b", 200, 10_000, span=(1, 3))
    market.session.send(CloseGate(0), ExpireOrders(), ConfirmTrades(7), IssueActivations())
    return market


def metered(*watts: int, days_before: int = 0, then: int = 500) -> dict[int, int]:
    row = at_first(*watts, then=then)
    return {DAY.instant(mtu) - days_before * 24 * 60: watt for mtu, watt in enumerate(row)}


def verified(market: Market, readings: dict[int, int]) -> DeliveryVerified:
    events = market.session.send(RecordMeter("a", readings), VerifyDelivery("a"))
    return next(event for event in events if isinstance(event, DeliveryVerified))


def test_both_sides_and_the_brp_are_told_once() -> None:
    market = Market(Frame((resource("a"), resource("b"))))
    market.session.send(RegisterOrganisation(Organisation("BRP", Role.BRP)))
    market.sell("s", "a", 200, 10_000)
    market.buy("b", "b", 200, 20_000)
    events = market.session.send(ConfirmTrades(7))
    confirmations = market.session.state.activations.confirmations
    assert [(c.organisation, c.remuneration) for c in confirmations] == [
        ("B", -10_000 * 200 * 60),
        ("A", 10_000 * 200 * 60),
    ]
    notices = [event for event in events if isinstance(event, BrpNotified)]
    assert notices == [BrpNotified("BRP", "A", at_first(-200)), BrpNotified("BRP", "B", at_first(200))]
    assert market.session.send(ConfirmTrades(8)) == []


def test_schedules_are_the_starting_point_with_the_trades_once() -> None:
    market = traded_day()
    issued = [event for event in market.log.events if isinstance(event, ActivationIssued)]
    assert [(event.resource, event.schedule_w[:4]) for event in issued] == [
        ("a", (500, 300, 300, 500)), ("b", (500, 700, 700, 500)),
    ]  # fmt: skip
    assert market.session.send(IssueActivations()) == []


@pytest.mark.parametrize(
    ("baseline", "meter", "delivered"),
    [
        (BaselineMethod.PLAN, (500, 300, 350), (0, -200, -150)),
        (BaselineMethod.PLAN, (500, 0, 600), (0, -200, 0)),
        (BaselineMethod.ZERO, (500, -200, -90), (0, -200, -90)),
        (BaselineMethod.MBMA, (400, 300, 250), (0, -150, -200)),
        (BaselineMethod.CAPACITY, (500, 300, 301), (0, -200, 0)),
    ],
)
def test_delivery_by_baseline(baseline: BaselineMethod, meter: tuple[int, ...], delivered: tuple[int, ...]) -> None:
    """MBMA: 400 W before and 500 W after are 450 W."""
    market = traded_day(baseline)
    assert verified(market, metered(*meter)).delivered_w[:3] == delivered


def test_a_rolling_baseline_is_the_mean_of_five_working_days() -> None:
    """Tuesday 10 February 2026: back over a weekend, which does not count, to the Tuesday before."""
    market = traded_day(BaselineMethod.ROLLING)
    history: dict[int, int] = {}
    for days, level in ((1, 400), (2, 9999), (3, 9999), (4, 410), (5, 420), (6, 430), (7, 440), (8, 9999)):
        history |= metered(level, level, level, days_before=days)
    found = verified(market, history | metered(0, 220, 300))
    assert found.baseline_w[1] == 420
    assert found.delivered_w[1:3] == (-200, -120)


@pytest.mark.parametrize("baseline", [BaselineMethod.ROLLING, BaselineMethod.MBMA, BaselineMethod.PLAN])
def test_without_the_readings_a_baseline_needs_nothing_is_verified(baseline: BaselineMethod) -> None:
    market = traded_day(baseline)
    only_one = {DAY.instant(1): 300}
    events = market.session.send(RecordMeter("a", only_one), VerifyDelivery("a"))
    assert [event.reason for event in events if isinstance(event, CommandRefused)] == [Reason.NO_METER_READING]


@pytest.mark.parametrize(
    ("rule", "percent", "delivered", "expected"),
    [
        (DeliveryRule.CLIFF, 80, 160, PPM),
        (DeliveryRule.CLIFF, 80, 159, 0),
        (DeliveryRule.CLIFF, 75, 150, PPM),
        (DeliveryRule.PROPORTIONAL, 80, 159, 795_000),
        (DeliveryRule.PROPORTIONAL, 80, 0, 0),
        (DeliveryRule.PROPORTIONAL, 80, 200, PPM),
    ],
)
def test_pay_follows_delivery(rule: DeliveryRule, percent: int, delivered: int, expected: int) -> None:
    rulebook = Rulebook(delivery_rule=rule, cliff_percent=percent)
    assert payable_ppm(rulebook, -200, -delivered) == payable_ppm(rulebook, 200, delivered) == expected
    assert payable_ppm(rulebook, 0, 0) == PPM


def issued(events: list[Event]) -> SettlementIssued:
    return next(event for event in events if isinstance(event, SettlementIssued))


def test_settlement_is_corrected_when_the_meter_is_read_and_read_again() -> None:
    """200 W x 2 h at 10,000 are 4 minor units; one hour of two is delivered, then both."""
    market = traded_day()
    send = market.session.send
    assert issued(send(Settle())).invoice_minor == {"A": 4, "B": -4}
    assert send(Settle()) == []
    verified(market, metered(500, 300, 500))
    second = issued(send(Settle()))
    assert (second.revision, second.invoice_minor) == (2, {"A": -2, "B": 0, DSO: 2})
    verified(market, metered(500, 300, 300))
    assert issued(send(Settle())).invoice_minor == {"A": 2, "B": 0, DSO: -2}
    balances = dict(market.session.state.settlements.balances_minor.items())
    assert balances == {"A": 4, "B": -4, DSO: 0}


def test_fees_are_paid_by_both_sides_to_the_operator() -> None:
    market = traded_day(rulebook=Rulebook(fee_minor_per_mwh=5_000))
    assert issued(market.session.send(Settle())).invoice_minor == {"A": 2, "B": -6, OPERATOR_ACCOUNT: 4}


amounts = st.dictionaries(st.text("abcdef", max_size=3), st.integers(-(10**12), 10**12), min_size=1, max_size=8)


@given(amounts)
def test_rounding_keeps_zero_and_nobody_is_a_minor_unit_off(some: dict[str, int]) -> None:
    exact = {**some, "rest": -sum(some.values())}
    rounded = round_to_zero_sum(exact)
    assert sum(rounded.values()) == 0
    assert all(abs(rounded[p] * MONEY_PER_MINOR - exact[p]) < MONEY_PER_MINOR for p in exact)


def test_what_does_not_sum_to_zero_is_not_rounded() -> None:
    with pytest.raises(ValueError, match="sum to zero"):
        round_to_zero_sum({"a": 1})


@given(st.integers(0, 10**9), st.dictionaries(st.text("abc", min_size=1), st.integers(0, 10**6), min_size=1))
def test_a_split_adds_up_and_keeps_its_proportions(total: int, weights: dict[str, int]) -> None:
    whole = sum(weights.values())
    if whole == 0:
        with pytest.raises(ValueError, match="positive weight"):
            split(total, weights)
        return
    shares = split(total, weights)
    assert sum(shares.values()) == total
    assert all(abs(shares[n] - Fraction(total * w, whole)) < 1 for n, w in weights.items())


def reported(market: Market, command: ReportKpis) -> KpiReport:
    market.session.send(command)
    made = market.session.state.kpis.report
    assert made is not None
    return made


def test_the_report_of_a_small_day() -> None:
    """Wind a owes 2 MW and b 1 MW; b buys back 1 MW from c, which alone is no renewable. One MW is left to pay for."""
    resources = (
        resource("a", 0, 4 * MWH, conditional=True),
        resource("b", 0, 2 * MWH, conditional=True),
        resource("c", -5 * MWH, 0, kind="boiler"),
    )
    plans = {"a": at_first(4 * MWH), "b": at_first(2 * MWH), "c": flat(0)}
    frame = Frame(resources, plans_w=plans, rulebook=Rulebook(fee_minor_per_mwh=100))
    market = Market(frame)
    send = market.session.send
    send(PublishNeed("P", at_first(3 * MWH)), AllocateCurtailment())
    owed = {name: row[0] for name, row in market.session.state.needs.curtailment_w.items()}
    assert owed == {"a": -2 * MWH, "b": -MWH}
    market.sell("s", "c", 2 * MWH, 10_000)
    market.buy("b", "b", MWH, 30_000)
    market.buy("d", DSO, MWH, 20_000)
    send(CloseGate(0), ExpireOrders(), Settle())
    stated = Alternative(
        temporary_subscription=Decimal(250), administrative_curtailment=Decimal(400),
        capex=Decimal(1000), wacc=Decimal("0.1"), lifetime_years=2,
        o_and_m_per_year=Decimal(15), congested_days_per_year=10,
    )  # fmt: skip
    costs = Costs(Decimal(365), Decimal(2), Decimal(3), Decimal("0.5"), Decimal(100))
    made = reported(market, ReportKpis(stated, costs, {"P": at_first(MWH)}, 300 * MONEY_PER_MINOR * 100, None, 90))
    assert made.opex == 1 + 3 * 2 + 2 * 3 + 50
    assert made.need_mwh == 3
    assert made.alternative_cost["temporary_subscription"] == 750
    assert made.alternative_cost["administrative_curtailment"] == 1200
    assert made.alternative_cost["reinforcement_annuity"] == Decimal("59.119047619")
    dso, opex, left = 100, 63, 250
    assert made.cost_by_perspective["temporary_subscription"] == {
        "dso": dso + opex + left,
        "participants": 200 - 100 + Decimal("3"),
        "society": 200 + opex + left,
    }
    assert made.cost_vs_grid_alternative["temporary_subscription"] == Decimal("0.550666667")
    assert made.saving["temporary_subscription"] == 750 - 413
    assert made.res_curtailed_before_mwh == 3
    assert made.res_curtailed_after_mwh == 2
    assert made.res_curtailment_reduction == Decimal("0.333333333")
    assert made.welfare == 300 + 200 - 200
    assert made.efficiency == 1
    assert made.liquidity == Decimal("0.666666667")
    assert made.fill_rate == 1
    assert made.active_fsps == 2
    assert made.concentration_hhi == 1
    assert made.delivered_of_ordered is None


def test_shares_of_two_sellers_make_the_concentration() -> None:
    market = Market(Frame(tuple(resource(name) for name in "abc")))
    market.sell("s", "a", 30, 1)
    market.sell("t", "b", 10, 1)
    market.buy("b", "c", 50, 1)
    made = reported(market, ReportKpis(Alternative(), Costs(), {"P": flat(0)}))
    assert made.concentration_hhi == Decimal("0.625")
    assert made.fill_rate == Decimal("0.888888889")
    assert made.efficiency is made.res_curtailment_reduction is made.liquidity is None


def test_an_annuity_repays_its_capital() -> None:
    for rate, years in ((Fraction(55, 1000), 5), (Fraction(0), 4), (Fraction(1, 10), 40)):
        yearly = annuity(Fraction(1000), rate, years)
        assert sum(yearly / (1 + rate) ** year for year in range(1, years + 1)) == 1000


def test_an_alternative_that_is_not_stated_costs_nothing() -> None:
    assert alternative_costs(Alternative(), Fraction(5), Fraction(5)) == {}


@pytest.mark.parametrize(
    ("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 2, 10), 96)]
)
def test_days_with_a_change_of_clock_trade_to_their_last_quarter(day: date, quarters: int) -> None:
    market_day = MarketDay(day, "Europe/Stockholm", 15)
    assert market_day.mtu_count == quarters
    point = Frame(()).points[0]
    frame = Frame(
        (resource("a"), resource("b")),
        points=(type(point)("P", "line P", point.direction, DSO, (10**9,) * quarters),),
        day=market_day,
    )
    market = Market(frame)
    market.sell("s", "a", 40, 900, span=(0, quarters))
    market.buy("b", "b", 40, 900, span=(quarters - 1, quarters))
    market.buy("c", "b", 40, 900, span=(0, quarters - 1))
    assert {trade.leg.span for trade in market.trades} == {Span(0, quarters - 1), Span(quarters - 1, quarters)}
    assert sum(trade.amount(15) for trade in market.trades) == 900 * 40 * 15 * quarters
    assert len(market.session.state.trades.moves_w["a"]) == quarters
    beyond = market.command("x", "a", Side.SELL, 1, 1, span=(0, quarters - 1))
    refused = market.session.send(replace(beyond, end=market_day.instant(quarters) + 15))
    assert [event.reason for event in refused if isinstance(event, CommandRefused)] == [Reason.IMPOSSIBLE_PERIOD]

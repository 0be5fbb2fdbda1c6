"""Stage 9: what the market was worth. No official formulas are published; these are ours.

    cost_vs_grid_alternative = C_solution / C_alternative            (1)  below 1 the market wins
    annuity(capex, r, n)     = capex r / (1 - (1 + r)^-n)            (2)  capital recovery
    deferral(capex, r, n)    = annuity(capex (1 - (1 + r)^-n), r, n) (3)  = capex r: value of a year's delay
    res_curtailment_reduction = (E_business_as_usual - E_market) / E_business_as_usual   (4)

C_alternative of `temporary_subscription` and `overdraw` is the needed energy (grid side) at their price; of
`administrative_curtailment` the energy curtailed by rule without a market (resource side) at its price; of
`reinforcement_annuity` and `deferral` a congested day's share of a year. Needs of one DSO in one MTU are not
added up but the largest counts, as points in series need the same relief. C_solution holds, beside what the
perspective pays, the need that is left at the alternative's price. Money here is in major units.
"""

from decimal import Decimal
from fractions import Fraction

import msgspec
from msgspec.structs import replace

from flexpeer.market.activation import Activations
from flexpeer.market.needs import Needs, Watts
from flexpeer.market.orders import Orders, Side
from flexpeer.market.participants import Participants
from flexpeer.market.settlement import Settlements, operator
from flexpeer.market.trades import POOL, Phase, Trade, Trades
from flexpeer.quantities import MONEY_PER_MAJOR, PPM, WATT_MINUTES_PER_MWH, money

RENEWABLE_KINDS = ("wind", "pv", "hydro")
PLACES = Decimal(1).scaleb(-9)


class Alternative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the DSO would do otherwise. Prices in major units per MWh, `capex` in major units, `wacc` a fraction.

    `congested_days_per_year` shares a year's cost of a line between the days it is needed for.
    """

    temporary_subscription: Decimal | None = None
    overdraw: Decimal | None = None
    administrative_curtailment: Decimal | None = None
    capex: Decimal | None = None
    lifetime_years: int | None = None
    wacc: Decimal | None = None
    o_and_m_per_year: Decimal | None = None
    deferral_years: int | None = None
    congested_days_per_year: int | None = None


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recurring costs of running the market, in major units (`[costs]`)."""

    platform_per_year: Decimal = Decimal(0)
    per_order: Decimal = Decimal(0)
    per_trade: Decimal = Decimal(0)
    staff_hours_per_day: Decimal = Decimal(0)
    staff_rate: Decimal = Decimal(0)


class ReportKpis(msgspec.Struct, frozen=True, tag=True):
    """Command: report, given what the market cannot know itself.

    `residual_need_w` is the relief still missing after the market per congestion point; `welfare_optimum` exact
    money; `residual_overload_wm` the overload left in W min; None where there was no grid to tell.
    """

    alternative: Alternative
    costs: Costs
    residual_need_w: dict[str, Watts]
    welfare_optimum: int | None = None
    residual_overload_wm: int | None = None
    minutes_to_confirmation: int | None = None


class KpiReport(msgspec.Struct, frozen=True):
    """The numbers, by the names of the glossary; ratios and major units to nine places."""

    cost_vs_grid_alternative: dict[str, Decimal]
    saving: dict[str, Decimal]
    cost_by_perspective: dict[str, dict[str, Decimal]]
    alternative_cost: dict[str, Decimal]
    opex: Decimal
    res_curtailment_reduction: Decimal | None
    res_curtailed_before_mwh: Decimal
    res_curtailed_after_mwh: Decimal
    need_mwh: Decimal
    residual_need_mwh: Decimal
    residual_overload_mwh: Decimal | None
    welfare: Decimal
    welfare_continuous: Decimal
    welfare_clearing: Decimal
    welfare_optimum: Decimal | None
    efficiency: Decimal | None
    liquidity: Decimal | None
    fill_rate: Decimal | None
    active_fsps: int
    concentration_hhi: Decimal | None
    refused_by_grid: int
    delivered_of_ordered: Decimal | None
    minutes_to_confirmation: int | None


class KpisReported(msgspec.Struct, frozen=True, tag=True):
    """The report of the day."""

    report: KpiReport


class Facts(msgspec.Struct, frozen=True):
    """The slices a report reads."""

    participants: Participants
    needs: Needs
    orders: Orders
    trades: Trades
    activations: Activations
    settlements: Settlements

    @property
    def mtu_minutes(self) -> int:
        """Length of an MTU."""
        return self.needs.day.mtu_minutes if self.needs.day else 0


def annuity(capex: Fraction, rate: Fraction, years: int) -> Fraction:
    """Equation (2): the yearly payment that repays `capex` in `years`."""
    return capex / years if rate == 0 else capex * rate / (1 - (1 + rate) ** -years)


def deferral_gain(capex: Fraction, rate: Fraction, years: int) -> Fraction:
    """Present value gained by building `years` later."""
    return capex * (1 - (1 + rate) ** -years)


def deferral(capex: Fraction, rate: Fraction, years: int) -> Fraction:
    """Equation (3): the break-even budget a year for flexibility that defers `capex`."""
    return annuity(deferral_gain(capex, rate, years), rate, years)


def report(facts: Facts, command: ReportKpis) -> list[KpisReported]:
    """The report of the day."""
    need, left = (
        _needed_mwh(facts.needs, dict(facts.needs.needs_w.items())),
        _needed_mwh(facts.needs, command.residual_need_w),
    )
    before, after = _renewables_curtailed_mwh(facts)
    alternatives = alternative_costs(command.alternative, need, _curtailed_by_rule_mwh(facts))
    opex = _opex(facts, command.costs)
    perspectives = {
        name: {
            "dso": _dso_cost(facts) + opex + _left_over(cost, need, left),
            "participants": _participants_cost(facts),
            "society": _sellers_cost(facts) + opex + _left_over(cost, need, left),
        }
        for name, cost in alternatives.items()
    }
    welfare = welfare_of(facts)
    optimum = None if command.welfare_optimum is None else Fraction(command.welfare_optimum, MONEY_PER_MAJOR)
    ratios = {n: perspectives[n]["dso"] / cost for n, cost in alternatives.items() if cost}
    made = KpiReport(
        cost_vs_grid_alternative=_decimals(ratios),
        saving=_decimals({n: cost - perspectives[n]["dso"] for n, cost in alternatives.items()}),
        cost_by_perspective={n: _decimals(costs) for n, costs in perspectives.items()},
        alternative_cost=_decimals(alternatives),
        opex=_decimal(opex),
        res_curtailment_reduction=_ratio(before - after, before),
        res_curtailed_before_mwh=_decimal(before),
        res_curtailed_after_mwh=_decimal(after),
        need_mwh=_decimal(need),
        residual_need_mwh=_decimal(left),
        residual_overload_mwh=_mwh(command.residual_overload_wm),
        welfare=_decimal(welfare),
        welfare_continuous=_decimal(welfare_of(facts, Phase.CONTINUOUS)),
        welfare_clearing=_decimal(welfare_of(facts, Phase.CLEARING)),
        welfare_optimum=None if optimum is None else _decimal(optimum),
        efficiency=None if optimum is None else _ratio(welfare, optimum),
        liquidity=_ratio(_offered_mwh(facts), need),
        fill_rate=_fill_rate(facts.orders),
        active_fsps=len({party for trade in facts.trades.trades.values() for party in _fsps(facts, trade)}),
        concentration_hhi=_concentration(facts),
        refused_by_grid=facts.trades.refused,
        delivered_of_ordered=_delivered_of_ordered(facts),
        minutes_to_confirmation=command.minutes_to_confirmation,
    )
    return [KpisReported(made)]


def alternative_costs(stated: Alternative, need_mwh: Fraction, curtailed_mwh: Fraction) -> dict[str, Fraction]:
    """C_alternative of a day for every alternative stated, in major units."""
    costs: dict[str, Fraction] = {}
    if stated.temporary_subscription is not None:
        costs["temporary_subscription"] = Fraction(stated.temporary_subscription) * need_mwh
    if stated.overdraw is not None:
        costs["overdraw"] = Fraction(stated.overdraw) * need_mwh
    if stated.administrative_curtailment is not None:
        costs["administrative_curtailment"] = Fraction(stated.administrative_curtailment) * curtailed_mwh
    days = stated.congested_days_per_year or 365
    if stated.capex is not None and stated.wacc is not None:
        capex, rate = Fraction(stated.capex), Fraction(stated.wacc)
        if stated.lifetime_years:
            yearly = annuity(capex, rate, stated.lifetime_years) + Fraction(stated.o_and_m_per_year or 0)
            costs["reinforcement_annuity"] = yearly / days
        if stated.deferral_years:
            costs["deferral"] = deferral(capex, rate, stated.deferral_years) / days
    return costs


def welfare_of(facts: Facts, phase: Phase | None = None) -> Fraction:
    """Traded BUYs less traded SELLs at their own limit prices, major units; of one phase or of all."""
    return _value(facts, Side.BUY, phase) - _value(facts, Side.SELL, phase)


def _value(facts: Facts, side: Side, phase: Phase | None) -> Fraction:
    """What orders of a side traded, less what they took back, at their own limit prices."""
    total = 0
    for trade in facts.trades.trades.values():
        if phase is not None and trade.phase is not phase:
            continue
        for order_id, acts, quantity_w in trade.leg.parties:
            order = facts.orders.orders[order_id]
            if order.side is side:
                signed = quantity_w if acts is side else -quantity_w
                total += money(order.price_minor, signed, len(trade.leg.span) * facts.mtu_minutes)
    return Fraction(total, MONEY_PER_MAJOR)


def _sellers_cost(facts: Facts) -> Fraction:
    return _value(facts, Side.SELL, None)


def _dso_cost(facts: Facts) -> Fraction:
    """What DSOs pay for relief, less what is withheld for them."""
    paid = sum(
        posting.amount
        for posting in facts.settlements.postings
        if posting.kind != "fee" and facts.participants.is_dso(posting.account)
    )
    return Fraction(-paid, MONEY_PER_MAJOR)


def _participants_cost(facts: Facts) -> Fraction:
    """Sellers' costs, less what flows to participants from others, at their limit prices."""
    others = operator(facts.participants)
    received = sum(
        posting.amount
        for posting in facts.settlements.postings
        if posting.account not in (others, POOL) and not facts.participants.is_dso(posting.account)
    )
    return _sellers_cost(facts) - Fraction(received, MONEY_PER_MAJOR)


def _left_over(alternative_cost: Fraction, need_mwh: Fraction, left_mwh: Fraction) -> Fraction:
    return alternative_cost * left_mwh / need_mwh if need_mwh else Fraction(0)


def _needed_mwh(needs: Needs, need_w: dict[str, Watts]) -> Fraction:
    """Energy of the largest need of each DSO in each MTU."""
    per_dso: dict[str, list[int]] = {}
    for point, row in need_w.items():
        rows = per_dso.setdefault(needs.points[point].dso, [0] * needs.mtu_count)
        rows[:] = [max(r, n) for r, n in zip(rows, row, strict=True)]
    minutes = needs.day.mtu_minutes if needs.day else 0
    return Fraction(sum(map(sum, per_dso.values())) * minutes, WATT_MINUTES_PER_MWH)


def _renewables_curtailed_mwh(facts: Facts) -> tuple[Fraction, Fraction]:
    """Renewable energy lost without a market (obligations executed) and with it (after trades)."""
    before = after = 0
    zeros = (0,) * facts.needs.mtu_count
    for resource in facts.participants.resources.values():
        if resource.kind.lower() not in RENEWABLE_KINDS:
            continue
        plan, start = facts.needs.plans_w.get(resource.resource, zeros), facts.needs.start_w(resource.resource)
        moves = facts.trades.moves_w.get(resource.resource, zeros)
        before += sum(max(0, p - s) for p, s in zip(plan, start, strict=True))
        after += sum(max(0, p - s - m) for p, s, m in zip(plan, start, moves, strict=True))
    return tuple(Fraction(w * facts.mtu_minutes, WATT_MINUTES_PER_MWH) for w in (before, after))  # type: ignore[return-value]


def _curtailed_by_rule_mwh(facts: Facts) -> Fraction:
    owed = sum(abs(w) for row in facts.needs.curtailment_w.values() for w in row)
    return Fraction(owed * facts.mtu_minutes, WATT_MINUTES_PER_MWH)


def _opex(facts: Facts, costs: Costs) -> Fraction:
    """A day's share of the recurring costs, and what orders and trades cost."""
    daily = Fraction(costs.platform_per_year) / 365 + Fraction(costs.staff_hours_per_day) * Fraction(costs.staff_rate)
    orders, trades = len(facts.orders.orders), len(facts.trades.trades)
    return daily + Fraction(costs.per_order) * orders + Fraction(costs.per_trade) * trades


def _offered_mwh(facts: Facts) -> Fraction:
    """Grid-side energy of all SELL orders that passed the door."""
    total = 0
    for order in facts.orders.orders.values():
        if order.side is Side.SELL:
            members = facts.participants.shares(order.unit, order.quantity_w)
            for name, share in members.items():
                ppm = facts.needs.resource_ppm(order.zone, name)
                total += sum(ppm[mtu] for mtu in order.span.mtus) * share
    return Fraction(total * facts.mtu_minutes, PPM * WATT_MINUTES_PER_MWH)


def _fill_rate(orders: Orders) -> Decimal | None:
    asked = sum(order.quantity_w * len(order.span) for order in orders.orders.values())
    done = sum(order.executed_w * len(order.span) for order in orders.orders.values())
    return _ratio(Fraction(done), Fraction(asked))


def _fsps(facts: Facts, trade: Trade) -> set[str]:
    return {party for party in (trade.buyer, trade.seller) if party != POOL and not facts.participants.is_dso(party)}


def _concentration(facts: Facts) -> Decimal | None:
    """Herfindahl-Hirschman index of sellers' energy, 0 to 1."""
    sold: dict[str, int] = {}
    for order in facts.orders.orders.values():
        if order.side is Side.SELL and order.executed_w:
            energy = order.executed_w * len(order.span)
            sold[order.organisation] = sold.get(order.organisation, 0) + energy
    whole = sum(sold.values())
    return _ratio(Fraction(sum(energy**2 for energy in sold.values())), Fraction(whole**2))


def _delivered_of_ordered(facts: Facts) -> Decimal | None:
    deliveries = facts.activations.deliveries.values()
    ordered = delivered = 0
    for delivery in deliveries:
        ordered += sum(map(abs, delivery.ordered_w))
        delivered += sum(map(abs, delivery.delivered_w))
    return _ratio(Fraction(delivered), Fraction(ordered))


def _mwh(energy_wm: int | None) -> Decimal | None:
    return None if energy_wm is None else _decimal(Fraction(energy_wm, WATT_MINUTES_PER_MWH))


def _ratio(part: Fraction, whole: Fraction) -> Decimal | None:
    return _decimal(part / whole) if whole else None


def _decimal(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(PLACES)


def _decimals(values: dict[str, Fraction]) -> dict[str, Decimal]:
    return {name: _decimal(value) for name, value in values.items()}


class Kpis(msgspec.Struct, frozen=True):
    """The last report."""

    report: KpiReport | None = None


def evolve(kpis: Kpis, event: object) -> Kpis:
    """The reports after an event."""
    return replace(kpis, report=event.report) if isinstance(event, KpisReported) else kpis

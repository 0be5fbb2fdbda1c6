"""Stage 9: what the market was worth. No official formulas are published; these are ours.

    cost_vs_grid_alternative = C_solution / C_alternative            (1)  below 1 the market wins
    annuity(capex, r, n)     = capex r / (1 - (1 + r)^-n)            (2)  capital recovery
    deferral(capex, r, n)    = annuity(capex (1 - (1 + r)^-n), r, n) (3)  = capex r: value of a year's delay
    res_curtailment_reduction = (E_business_as_usual - E_market) / E_business_as_usual   (4)

C_alternative of `temporary_subscription` and `overdraw` is the needed energy (grid side) at their price; of
`administrative_curtailment` the energy curtailed by rule without a market (resource side), and what that leaves
overloaded, at its price; of `reinforcement_annuity` and `deferral` a congested day's share of a year. Relief of nested
points counts once (`relief_once`).

Both sides of (1) serve the same relief. C_solution holds, beside what the perspective pays, what is still overloaded or
was sold and not delivered, at the alternative's price; and what is still curtailed, at the prices of the BUYs of that
resource that did not trade, else at `administrative_curtailment`, else at the mean limit price of the BUYs that traded.
So doing nothing is never cheap. Without a trade the ratios are None. Money here is in major units.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from flexpeer.market.activation import Activations
from flexpeer.market.needs import Needs, Watts
from flexpeer.market.offered import offered_ppm
from flexpeer.market.orders import Order, Orders, Side, Status
from flexpeer.market.participants import Participants, Role
from flexpeer.market.relief_once import once_w, undelivered_w
from flexpeer.market.settlement import AccountKind, Settlements
from flexpeer.market.trades import Phase, Trade, Trades
from flexpeer.quantities import MINOR_PER_MAJOR, MONEY_PER_MAJOR, PPM, WATT_MINUTES_PER_MWH, money

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
    """The numbers, by the names of the glossary; ratios and major units to nine places.

    `null_reasons` says, by alternative, why its ratio (and, where nothing was traded, its saving) is None.
    """

    cost_vs_grid_alternative: dict[str, Decimal | None]
    saving: dict[str, Decimal | None]
    null_reasons: dict[str, str]
    cost_by_perspective: dict[str, dict[str, Decimal]]
    alternative_cost: dict[str, Decimal]
    opex: Decimal
    res_curtailment_reduction: Decimal | None
    res_curtailed_before_mwh: Decimal
    res_curtailed_after_mwh: Decimal
    need_mwh: Decimal
    residual_need_mwh: Decimal
    undelivered_relief_mwh: Decimal
    still_curtailed_mwh: Decimal
    still_curtailed_cost: Decimal
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

    def traded(self) -> list[Order]:
        """Orders of which anything was traded."""
        return [order for order in self.orders.orders.values() if order.remaining_w != order.quantity_w]


def annuity(capex: Fraction, rate: Fraction, years: int) -> Fraction:
    """Equation (2): the yearly payment that repays `capex` in `years`."""
    return capex / years if rate == 0 else capex * rate / (1 - (1 + rate) ** -years)


def deferral_gain(capex: Fraction, rate: Fraction, years: int) -> Fraction:
    """Present value gained by building `years` later."""
    return capex * (1 - (1 + rate) ** -years)


def deferral(capex: Fraction, rate: Fraction, years: int) -> Fraction:
    """Equation (3): the break-even budget a year for flexibility that defers `capex`."""
    return annuity(deferral_gain(capex, rate, years), rate, years)


class _Relief(msgspec.Struct, frozen=True):
    """Energy of relief, MWh grid side unless said otherwise: needed, left by schedules, missing in all, sold in vain.

    `curtailed` and `still_curtailed` are resource side: by rule without a market, and with it.
    """

    need: Fraction
    left: Fraction
    missing: Fraction
    undelivered: Fraction
    overloaded_by_rule: Fraction
    curtailed: Fraction
    still_curtailed: Fraction
    still_curtailed_cost: Fraction


def report(facts: Facts, command: ReportKpis) -> list[KpisReported]:
    """The report of the day."""
    stated, opex = command.alternative, _opex(facts, command.costs)
    relief = _relief(facts, command)
    alternatives = alternative_costs(stated, relief.need, relief.curtailed + relief.overloaded_by_rule)
    amounts = _traded(facts)
    welfare, sellers, dso_cost = amounts.welfare(*Phase), amounts.of(Side.SELL, *Phase), _dso_cost(facts)
    participants = sellers - _received(facts)
    perspectives: dict[str, dict[str, Fraction]] = {}
    for name, cost in alternatives.items():
        whole = opex + _not_relieved(stated, name, cost, relief)
        perspectives[name] = {"dso": dso_cost + whole, "participants": participants, "society": sellers + whole}
    before, after = _renewables_curtailed_mwh(facts)
    optimum = None if command.welfare_optimum is None else Fraction(command.welfare_optimum, MONEY_PER_MAJOR)
    traded = len(facts.trades.trades) > 0
    dso = {name: costs["dso"] for name, costs in perspectives.items()}
    made = KpiReport(
        cost_vs_grid_alternative={n: _ratio(dso[n], cost) if traded else None for n, cost in alternatives.items()},
        saving={n: _decimal(cost - dso[n]) if traded else None for n, cost in alternatives.items()},
        null_reasons=_null_reasons(alternatives, traded),
        cost_by_perspective={n: _decimals(costs) for n, costs in perspectives.items()},
        alternative_cost=_decimals(alternatives),
        opex=_decimal(opex),
        res_curtailment_reduction=_ratio(before - after, before),
        res_curtailed_before_mwh=_decimal(before),
        res_curtailed_after_mwh=_decimal(after),
        need_mwh=_decimal(relief.need),
        residual_need_mwh=_decimal(relief.left),
        undelivered_relief_mwh=_decimal(relief.undelivered),
        still_curtailed_mwh=_decimal(relief.still_curtailed),
        still_curtailed_cost=_decimal(relief.still_curtailed_cost),
        residual_overload_mwh=_mwh(command.residual_overload_wm),
        welfare=_decimal(welfare),
        welfare_continuous=_decimal(amounts.welfare(Phase.CONTINUOUS)),
        welfare_clearing=_decimal(amounts.welfare(Phase.CLEARING)),
        welfare_optimum=None if optimum is None else _decimal(optimum),
        efficiency=None if optimum is None else _ratio(welfare, optimum),
        liquidity=_ratio(_offered_mwh(facts), relief.need),
        fill_rate=_fill_rate(facts.orders),
        active_fsps=len({party for trade in facts.trades.trades.values() for party in _fsps(facts, trade)}),
        concentration_hhi=_concentration(facts),
        refused_by_grid=facts.trades.refused,
        delivered_of_ordered=_delivered_of_ordered(facts),
        minutes_to_confirmation=command.minutes_to_confirmation,
    )
    return [KpisReported(made)]


def _null_reasons(alternatives: dict[str, Fraction], traded: bool) -> dict[str, str]:
    """Why there is no ratio, by alternative."""
    if not traded:
        return dict.fromkeys(alternatives, "nothing was traded or bought")
    return {name: "this alternative costs nothing on this day" for name, cost in alternatives.items() if not cost}


def _relief(facts: Facts, command: ReportKpis) -> _Relief:
    needs, minutes = facts.needs, facts.mtu_minutes

    def energy(watts: Iterable[int]) -> Fraction:
        return Fraction(sum(watts) * minutes, WATT_MINUTES_PER_MWH)

    needed = dict(needs.needs_w.items())
    need, left = once_w(needs, needed), once_w(needs, command.residual_need_w)
    undelivered = undelivered_w(needs, facts.activations.deliveries.values())
    owed = dict(needs.curtailment_w.items())
    by_rule = {point: needs.relief_w(point, owed) for point in needed}
    uncovered = {
        point: tuple(max(0, n - g) for n, g in zip(row, by_rule[point], strict=True)) for point, row in needed.items()
    }
    still, cost = _still_curtailed(facts, command.alternative)
    return _Relief(
        need=energy(need),
        left=energy(left),
        missing=energy(min(max(n, w), w + u) for n, w, u in zip(need, left, undelivered, strict=True)),
        undelivered=energy(undelivered),
        overloaded_by_rule=energy(once_w(needs, uncovered)),
        curtailed=energy(abs(w) for row in owed.values() for w in row),
        still_curtailed=energy((still,)),
        still_curtailed_cost=cost,
    )


def _not_relieved(stated: Alternative, name: str, cost: Fraction, relief: _Relief) -> Fraction:
    """What is still overloaded at the price of an alternative (of its cost, its share), and what is still curtailed."""
    price: Decimal | None = getattr(stated, name, None)
    if price is not None:
        overloaded = Fraction(price) * relief.missing
    else:
        overloaded = cost * relief.missing / relief.need if relief.need else Fraction(0)
    return overloaded + relief.still_curtailed_cost


class Owed(NamedTuple):
    """What a resource owes in an MTU, the BUYs that relieve it of that, and what they left (W, never negative)."""

    resource: str
    mtu: int
    owed_w: int
    buys: list[Order]
    left_w: int


def obligations(participants: Participants, needs: Needs, orders: Orders) -> Iterator[Owed]:
    """Every obligation, MTU by MTU, with how much of it was bought back. Resource side."""
    buys: dict[str, list[Order]] = {}
    for order in orders.orders.values():
        if order.side is Side.BUY:
            for member in participants.members(order.unit):
                buys.setdefault(member.resource, []).append(order)
    for resource, owed in needs.curtailment_w.items():
        for mtu, change in enumerate(owed):
            if not change:
                continue
            relieving_it = [
                order
                for order in buys.get(resource, ())
                if mtu in order.span.mtus and order.regulation.sign * change < 0
            ]
            shares = (participants.shares(order.unit, order.executed_w)[resource] for order in relieving_it)
            yield Owed(resource, mtu, abs(change), relieving_it, max(0, abs(change) - sum(shares)))


def _still_curtailed(facts: Facts, stated: Alternative) -> tuple[int, Fraction]:
    """W x MTUs that resources owe and have not bought back (resource side), and what these are worth."""
    rest_price = _rest_price(facts, stated)
    watts, worth = 0, Fraction(0)
    for owed in obligations(facts.participants, facts.needs, facts.orders):
        watts += owed.left_w
        worth += _worth(facts, owed.resource, owed.buys, owed.left_w, rest_price) if owed.left_w else 0
    return watts, worth * facts.mtu_minutes / (WATT_MINUTES_PER_MWH * MINOR_PER_MAJOR)


def _worth(facts: Facts, resource: str, buys: list[Order], left_w: int, rest_price: Fraction) -> Fraction:
    """Minor units x W / MWh of what a resource still owes: at its own dearest untraded BUYs, then at `rest_price`."""
    worth = Fraction(0)
    standing = (order for order in buys if order.status is not Status.WITHDRAWN)
    for order in sorted(standing, key=lambda order: (-order.price_minor, order.number)):
        part = min(left_w, facts.participants.shares(order.unit, order.remaining_w)[resource])
        worth += max(0, order.price_minor) * part
        left_w -= part
    return worth + rest_price * left_w


def _rest_price(facts: Facts, stated: Alternative) -> Fraction:
    """Minor units per MWh of curtailment that nobody offered to buy off: as stated, else as BUYs that traded."""
    if stated.administrative_curtailment is not None:
        return Fraction(stated.administrative_curtailment) * MINOR_PER_MAJOR
    traded = [
        (order.executed_w * len(order.span), order.price_minor) for order in facts.traded() if order.side is Side.BUY
    ]
    bought = sum(energy for energy, _ in traded)
    return max(Fraction(0), Fraction(sum(e * p for e, p in traded), bought)) if bought else Fraction(0)


def alternative_costs(stated: Alternative, need_mwh: Fraction, curtailed_mwh: Fraction) -> dict[str, Fraction]:
    """C_alternative of a day for every alternative stated, in major units; `curtailed_mwh` with what that leaves."""
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


class _Traded(NamedTuple):
    """What orders of a phase and side traded, less what they took back, at their own limit prices: exact money."""

    amounts: dict[tuple[Phase, Side], int]

    def of(self, side: Side, *phases: Phase) -> Fraction:
        """Of one side, in major units."""
        return Fraction(sum(self.amounts.get((phase, side), 0) for phase in phases), MONEY_PER_MAJOR)

    def welfare(self, *phases: Phase) -> Fraction:
        """BUYs less SELLs, in major units."""
        return self.of(Side.BUY, *phases) - self.of(Side.SELL, *phases)


def _traded(facts: Facts) -> _Traded:
    amounts: dict[tuple[Phase, Side], int] = {}
    for trade in facts.trades.trades.values():
        minutes = len(trade.leg.span) * facts.mtu_minutes
        for order_id, acts, quantity_w in trade.leg.parties:
            order = facts.orders.orders[order_id]
            signed, key = quantity_w if acts is order.side else -quantity_w, (trade.phase, order.side)
            amounts[key] = amounts.get(key, 0) + money(order.price_minor, signed, minutes)
    return _Traded(amounts)


def welfare_of(facts: Facts) -> Fraction:
    """Traded BUYs less traded SELLs at their own limit prices, major units."""
    return _traded(facts).welfare(*Phase)


def _dso_cost(facts: Facts) -> Fraction:
    """What DSOs pay for relief, less what is withheld of that; what is withheld of others' trades is no saving."""
    paid: dict[int, int] = {}
    withheld: dict[int, int] = {}
    for posting in facts.settlements.postings:
        account = posting.account
        if account.kind is AccountKind.ORGANISATION and facts.participants.is_dso(account.organisation):
            match = facts.trades.trades[posting.trade].match
            if posting.kind == "withheld":
                withheld[match] = withheld.get(match, 0) + posting.amount
            elif posting.kind != "fee":
                paid[match] = paid.get(match, 0) - posting.amount
    cost = sum(amount - min(withheld.get(match, 0), max(0, amount)) for match, amount in paid.items())
    return Fraction(cost, MONEY_PER_MAJOR)


def _received(facts: Facts) -> Fraction:
    """What flows to participants from others."""
    organisations, received = facts.participants.organisations, 0
    for account, amount in facts.settlements.exact().items():
        if account.kind is not AccountKind.ORGANISATION or facts.participants.is_dso(account.organisation):
            continue
        if organisations[account.organisation].role is not Role.MARKET_OPERATOR:
            received += amount
    return Fraction(received, MONEY_PER_MAJOR)


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


def _opex(facts: Facts, costs: Costs) -> Fraction:
    """A day's share of the recurring costs, and what orders and trades cost."""
    daily = Fraction(costs.platform_per_year) / 365 + Fraction(costs.staff_hours_per_day) * Fraction(costs.staff_rate)
    orders, trades = len(facts.orders.orders), len(facts.trades.trades)
    return daily + Fraction(costs.per_order) * orders + Fraction(costs.per_trade) * trades


def _offered_mwh(facts: Facts) -> Fraction:
    """Grid-side energy of all SELL orders that passed the door, at the point where each member relieves most."""
    total = offered_ppm(facts.participants, facts.needs, facts.orders.orders.values())
    return Fraction(total * facts.mtu_minutes, PPM * WATT_MINUTES_PER_MWH)


def _fill_rate(orders: Orders) -> Decimal | None:
    asked = left = 0
    for order in orders.orders.values():
        mtus = order.span.end - order.span.first
        asked += order.quantity_w * mtus
        left += order.remaining_w * mtus
    return _ratio(Fraction(asked - left), Fraction(asked))


def _fsps(facts: Facts, trade: Trade) -> set[str]:
    parties = (trade.buyer, trade.seller)
    return {party for party in parties if party is not None and not facts.participants.is_dso(party)}


def _concentration(facts: Facts) -> Decimal | None:
    """Herfindahl-Hirschman index of sellers' energy, 0 to 1."""
    sold: dict[str, int] = {}
    for order in facts.traded():
        if order.side is Side.SELL:
            energy = order.executed_w * len(order.span)
            sold[order.organisation] = sold.get(order.organisation, 0) + energy
    whole = sum(sold.values())
    return _ratio(Fraction(sum(energy**2 for energy in sold.values())), Fraction(whole**2))


def _delivered_of_ordered(facts: Facts) -> Decimal | None:
    deliveries = facts.activations.deliveries.values()
    ordered = delivered = 0
    for delivery in (each for verified in deliveries for each in verified.deliveries):
        ordered += sum(delivery.ordered_w)
        delivered += sum(delivery.delivered_w)
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

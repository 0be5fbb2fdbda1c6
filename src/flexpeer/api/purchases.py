"""What a DSO would pay for relief at its own congestion points after the gate, and what it has bought there."""

from decimal import Decimal

import msgspec

from flexpeer.api.declining import FINDINGS, denied
from flexpeer.api.documents import opened
from flexpeer.api.edge import JSON, Answer, Asked, Route
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.api.units import megawatts, minor_units, price
from flexpeer.app.contribution import Contribution
from flexpeer.app.day import ceiling_minor
from flexpeer.app.views.so_far import residual_need_w
from flexpeer.market.machine import State
from flexpeer.market.rulebook import DsoPurchase
from flexpeer.market.timeline import Stage
from flexpeer.quantities import major
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_grid import MarketQuery
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_purchase import PurchaseDocument, PurchasePoint, StatedCeilings

MINUTES_PER_HOUR = 60
PRICED = ("temporary_subscription", "overdraw", "administrative_curtailment")


async def read(asked: Asked) -> Answer:
    """The caller's."""
    return Answer(200, _document(asked.chosen_day(), asked.caller.organisation))


async def state_ceilings(asked: Asked) -> Answer:
    """All that the caller pays at most, in place of what it stated before; until the gate closes."""
    served, sent, dso = asked.chosen_day(), asked.of(StatedCeilings), asked.caller.organisation
    ceilings = {each.flexibility_zone_id: minor_units(each.unit_price) for each in sent.ceilings}
    most, points = ceiling_minor(served.day.scenario.alternative), served.published.state.needs.points
    findings = []
    for n, (name, minor) in enumerate(ceilings.items()):
        if name not in points or points[name].dso != dso:
            findings.append(ValidationError(f"$.ceilings[{n}].flexibilityZoneId", "is no point of yours", name))
        if not 0 <= minor <= (most or 0):
            about = f"is not between 0 and the dearest alternative, {price(most or 0)}"
            findings.append(ValidationError(f"$.ceilings[{n}].unitPrice", about, str(price(minor))))
    if findings:
        raise denied(Denial.MALFORMED, FINDINGS, findings, count=len(findings))

    def act() -> None:
        if served.day.market.state.stages.stage.place >= Stage.CLOSED.place:
            raise denied(Denial.TOO_LATE)
        said = served.said.get(dso, Contribution())
        served.say(dso, msgspec.structs.replace(said, ceilings_minor=ceilings))

    await asked.service.done(act)
    return Answer(200, _document(served, dso))


def _document(served: ServedDay, dso: str) -> PurchaseDocument:
    scenario, state = served.day.scenario, served.published.state
    alternative, automatic = scenario.alternative, scenario.rulebook.dso_purchase is DsoPurchase.AUTOMATIC
    stated, most = served.said.get(dso, Contribution()).ceilings_minor, ceiling_minor(alternative)
    prices = {name: getattr(alternative, name) for name in PRICED}
    return PurchaseDocument(
        market_id=served.market_id,
        dso_purchase=str(scenario.rulebook.dso_purchase),
        currency=scenario.currency,
        open=automatic and most is not None and state.stages.stage.place < Stage.CLOSED.place,
        alternatives={name: value for name, value in prices.items() if value is not None},
        points=tuple(
            _point(state, name, stated.get(name), most if automatic else None)
            for name, point in sorted(state.needs.points.items())
            if point.dso == dso and name in state.needs.needs_w
        ),
        most=None if most is None else price(most),
    )


def _point(state: State, name: str, stated: int | None, most: int | None) -> PurchasePoint:
    needs, ceiling = state.needs, stated if stated is not None else most
    minutes = opened(state).mtu_minutes
    bought_wm, amount = _bought(state, name, minutes)
    return PurchasePoint(
        flexibility_zone_id=name,
        flexibility_need=_energy(sum(needs.needs_w[name]) * minutes),
        residual_need=_energy(sum(residual_need_w(state, name)) * minutes),
        bought=_energy(bought_wm),
        amount=major(amount),
        ceiling=None if ceiling is None else price(ceiling),
        stated=stated is not None,
    )


def _energy(watt_minutes: int) -> Decimal:
    """MWh."""
    return round(megawatts(watt_minutes) / MINUTES_PER_HOUR, 6)


def _bought(state: State, zone: str, minutes: int) -> tuple[int, int]:
    """Watt-minutes that orders of a point's owner have bought there, and what they cost as exact money."""
    orders, dso = state.orders.orders, state.needs.points[zone].dso
    own = [
        trade
        for trade in state.trades.trades.values()
        if trade.buyer == dso and trade.leg.buy in orders and orders[trade.leg.buy].zone == zone
    ]
    energy_wm = sum(trade.leg.quantity_buy_w * len(trade.leg.span) * minutes for trade in own)
    return energy_wm, sum(trade.amount(minutes) for trade in own)


ROUTES = (
    Route(
        "GET", "/api/Purchase", Action.READ_PURCHASE, read, "What one pays for relief at most, and has bought",
        {200: PurchaseDocument}, query=MarketQuery,
    ),
    Route(
        "PUT", "/api/Purchase", Action.STATE_CEILINGS, state_ceilings, "State what one pays at most",
        {200: PurchaseDocument}, query=MarketQuery, bodies={JSON: StatedCeilings},
    ),
)  # fmt: skip

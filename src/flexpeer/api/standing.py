"""Standing orders: templates kept in the store, placed anew by the writer whenever a day's gate opens.

A template's order of a day is named after both, so the log tells which days have had it: nothing else is kept, and a
service that ended in between places what is missing when it comes back.
"""

import secrets
from collections.abc import Callable

import msgspec

from flexpeer.api.declining import denied
from flexpeer.api.documents import dsos_of
from flexpeer.api.edge import JSON, Answer, Asked, Route
from flexpeer.api.listing import listed
from flexpeer.api.orders import SIDES
from flexpeer.api.permissions import Action, Owned
from flexpeer.api.sentences import sentence_of
from flexpeer.api.service import ServedDay
from flexpeer.api.units import minor_units, watts
from flexpeer.market.needs import Regulation
from flexpeer.market.orders import Gate, PlaceOrder
from flexpeer.market.reasons import CommandRefused
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery
from flexpeer.wire.api_standing import (
    StandingOrderDocument,
    StandingOrderList,
    StandingOrderRequest,
    StandingPlaced,
)

MOST_PER_ORGANISATION = 200
END_OF_DAY, MIDNIGHT = "24:00", "00:00"


class StandingOrder(msgspec.Struct, frozen=True):
    """A template as it is kept; `unit` is an organisation where a DSO buys for itself."""

    name: str
    organisation: str
    unit: str
    wanted: StandingOrderRequest


class KeptStanding(msgspec.Struct, frozen=True):
    """What outlives the program."""

    orders: tuple[StandingOrder, ...] = ()


class Standing:
    """Every organisation's. `keep` is told all of them whenever they changed."""

    def __init__(self, kept: KeptStanding, keep: Callable[[KeptStanding], None]) -> None:
        self._known = {each.name: each for each in kept.orders}
        self._keep = keep

    def renew(self, served: ServedDay, at: int) -> None:
        """Place whatever a day with an open gate has not had yet; called by the writer.

        Nothing of resources that came after the needs of the day were found: no grid owner could answer for them.
        """
        if served.day.market.state.orders.gate is not Gate.OPEN:
            return
        had = served.published
        for each in self._known.values():
            name = _order_name(each, served)
            members = served.day.market.state.participants.members(each.unit)
            if any(member.resource not in served.day.dso_of for member in members):
                continue
            if name not in had.placed and (each.organisation, name) not in had.refused:
                served.day.market.submit(_command(each, served, at))

    async def read_all(self, asked: Asked) -> Answer:
        """One's own."""
        own = [each for each in self._known.values() if asked.sees(Owned(each.organisation))]
        days = [served for _, served in asked.days(asked.query.market_id)]
        return listed(asked, [_document(each, days) for each in own], StandingOrderList)

    async def create(self, asked: Asked) -> Answer:
        """A new one; days whose gate is open have it at once."""
        wanted = asked.of(StandingOrderRequest)
        unit = _unit(asked, wanted)
        watts(wanted.quantity), minor_units(wanted.unit_price)
        own = [each for each in self._known.values() if each.organisation == asked.caller.organisation]
        if len(own) >= MOST_PER_ORGANISATION:
            raise denied(Denial.MALFORMED, "{most} standing orders at most", most=MOST_PER_ORGANISATION)
        made = StandingOrder(f"standing-{secrets.token_hex(6)}", asked.caller.organisation, unit, wanted)
        service = asked.service

        def act() -> None:
            self._change({**self._known, made.name: made})
            for served in service.days.values():
                self.renew(served, service.clock.now())

        await service.done(act)
        return Answer(201, _document(made, list(service.days.values())))

    async def remove(self, asked: Asked) -> Answer:
        """No more from the next gate on; what was placed stays."""
        known = self._known.get(asked.id)
        if known is None:
            raise denied(Denial.NOT_FOUND)
        asked.require(Owned(known.organisation))
        left = {name: each for name, each in self._known.items() if name != asked.id}
        await asked.service.done(lambda: self._change(left))
        return Answer(204)

    def _change(self, known: dict[str, StandingOrder]) -> None:
        self._keep(KeptStanding(tuple(known.values())))
        self._known = known

    @property
    def routes(self) -> tuple[Route, ...]:
        """Made, listed, taken back."""
        return (
            Route(
                "GET", "/api/StandingOrders", Action.READ_STANDING_ORDERS, self.read_all, "One's own standing orders",
                {200: StandingOrderList}, query=ListQuery,
            ),
            Route(
                "POST", "/api/StandingOrders", Action.WRITE_STANDING_ORDERS, self.create,
                "Have an order placed whenever a day's gate opens", {201: StandingOrderDocument},
                bodies={JSON: StandingOrderRequest},
            ),
            Route(
                "DELETE", "/api/StandingOrders/{id}", Action.WRITE_STANDING_ORDERS, self.remove,
                "No more of a standing order", {204: None},
            ),
        )  # fmt: skip


def _unit(asked: Asked, wanted: StandingOrderRequest) -> str:
    """The caller's own unit, or the caller where it is a DSO; declined for anybody else's."""
    latest = asked.day(max(asked.service.days)).published.state.participants
    if wanted.portfolio_id is None:
        if not latest.is_dso(asked.caller.organisation):
            missing = ValidationError("$.portfolioId", "Object missing required field `portfolioId`")
            raise denied(Denial.MALFORMED, missing.message, [missing])
        return asked.caller.organisation
    if latest.organisation_of(wanted.portfolio_id) != asked.caller.organisation:
        raise denied(Denial.NOT_FOUND)
    return wanted.portfolio_id


def _order_name(standing: StandingOrder, served: ServedDay) -> str:
    return f"{standing.name} {served.market_id}"


def _command(standing: StandingOrder, served: ServedDay, at: int) -> PlaceOrder:
    day, wanted = served.day.scenario.day, standing.wanted
    name, dsos = _order_name(standing, served), dsos_of(served.day.market.state.participants, standing.unit)
    end = day.at(-1, MIDNIGHT) if wanted.time_to == END_OF_DAY else day.at(0, wanted.time_to)
    return PlaceOrder(
        order=name,
        organisation=standing.organisation,
        via=dsos[0] if dsos else standing.organisation,
        unit=standing.unit,
        side=SIDES[wanted.side],
        start=day.at(-1, MIDNIGHT) if wanted.time_from == END_OF_DAY else day.at(0, wanted.time_from),
        end=end,
        quantity_w=watts(wanted.quantity),
        price_minor=minor_units(wanted.unit_price),
        zone=wanted.flexibility_zone_id,
        regulation=None if wanted.regulation_type is None else Regulation(wanted.regulation_type.upper()),
        min_quantity_w=0 if wanted.minimum_acceptance_quantity is None else watts(wanted.minimum_acceptance_quantity),
        at=at,
    )


def _document(standing: StandingOrder, days: list[ServedDay]) -> StandingOrderDocument:
    wanted = standing.wanted
    placed = [found for served in days if (found := _placed(standing, served)) is not None]
    return StandingOrderDocument(
        id=standing.name,
        owner_organization_id=standing.organisation,
        side=wanted.side,
        time_from=wanted.time_from,
        time_to=wanted.time_to,
        quantity=wanted.quantity,
        unit_price=wanted.unit_price,
        portfolio_id=standing.unit,
        placed=tuple(placed),
        regulation_type=wanted.regulation_type,
        minimum_acceptance_quantity=wanted.minimum_acceptance_quantity,
        flexibility_zone_id=wanted.flexibility_zone_id,
    )


def _placed(standing: StandingOrder, served: ServedDay) -> StandingPlaced | None:
    name, published = _order_name(standing, served), served.published
    if name in published.placed:
        return StandingPlaced(served.market_id, name)
    refused: CommandRefused | None = published.refused.get((standing.organisation, name))
    if refused is None:
        return None
    sentence = sentence_of(refused.reason, refused.detail)
    return StandingPlaced(served.market_id, name, str(refused.reason), sentence.text, sentence)

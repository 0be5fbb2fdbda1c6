"""A market day from end to end: the use case behind `flexpeer run` and `flexpeer demo`.

Who knows what: the grid side (with or without a grid) tells points, needs and impact factors and answers for the
owners; the market tells everything else. Time enters from the rulebook's timeline, never from a clock.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from flexpeer.app.between.told_side import ToldSide
from flexpeer.app.factor_side import FactorSide
from flexpeer.app.gate.clearing import GateClearing
from flexpeer.app.gate.owner_cuts import OwnerCuts
from flexpeer.app.granting import GridCoordinator
from flexpeer.app.grid_cuts import GridCuts
from flexpeer.app.grid_day import GridInput, build, notes
from flexpeer.app.journal import Journal
from flexpeer.app.least_relief import least_moves
from flexpeer.app.optimum import Cuts, FactorCuts, welfare_optimum
from flexpeer.app.outcome import Congestion, DayOutcome, PointDay
from flexpeer.app.physical_side import PhysicalSide, margin_ppm
from flexpeer.app.registration import registrations, resource_dsos
from flexpeer.app.scenario import OrderRow, Scenario
from flexpeer.app.session import EventLog, GridOwners, Session
from flexpeer.app.verification import Picture, Verifier, verify_day
from flexpeer.errors import BadInput, Finding
from flexpeer.market.activation import ConfirmTrades, IssueActivations, RecordMeter, VerifyDelivery, sellers
from flexpeer.market.kpi import Alternative, ReportKpis, welfare_of
from flexpeer.market.machine import facts, state_hash
from flexpeer.market.needs import (
    AllocateCurtailment,
    AnnounceOutage,
    CongestionPoint,
    CurtailResources,
    DefineCongestionPoint,
    Direction,
    ImposeCurtailment,
    OpenDay,
    Outage,
    PublishForecast,
    PublishImpactFactors,
    PublishNeed,
    Regulation,
    Watts,
)
from flexpeer.market.orders import CloseGate, OpenGate, PlaceOrder, Side, TimeInForce
from flexpeer.market.purchase import ExpireOrders, PurchaseResidual
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.rulebook import Allocation, DsoPurchase, Residual
from flexpeer.market.settlement import Settle
from flexpeer.quantities import MINOR_PER_MAJOR, MONEY_PER_MAJOR

NEED_ROUNDS = 3
PURCHASE_ROUNDS = 8
GATE_OPENS, GATE_CLOSES, CONFIRMED = (2, "10:30"), (1, "09:00"), (1, "10:30")


class GridSide(Protocol):
    """What is known of the grid: `PhysicalSide` by power flow, `FactorSide` by impact factors, `ToldSide` from DSOs."""

    def observe(self, forecast_w: Mapping[str, Watts], /) -> tuple[CongestionPoint, ...]:
        """The congestion points under the forecast."""

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """Relief of each resource at a point."""

    def need_w(self, schedules_w: Mapping[str, Watts]) -> dict[str, Watts]:
        """Relief needed at each point with these schedules."""

    def coordinator(self, start_w: Mapping[str, Watts]) -> GridOwners:
        """The owners, at the starting point."""


class Watch(Protocol):
    """How long work takes, and how far it is."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Time a stage."""

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` orders are in."""

    def timings_s(self) -> dict[str, float]:
        """Seconds of each stage that has ended."""


class MarketDay:
    """One scenario being run: with its grid, without any, or with what DSOs elsewhere have `told`."""

    def __init__(
        self, scenario: Scenario, log: EventLog, watch: Watch, grid: GridInput | None, told: ToldSide | None = None
    ) -> None:
        self.scenario = scenario
        self._notes = () if grid is None else notes(scenario, grid)
        self._watch = watch
        self.session = Session(log)
        self.journal = Journal()
        self.session.listen(self.journal.note)
        self.physical: PhysicalSide | None = None
        if grid is None:
            self.side: GridSide = told or FactorSide(scenario, scenario.rulebook.need_margin_ppm or 0)
        else:
            self.physical = PhysicalSide(scenario, build(scenario, grid), margin_ppm(scenario))
            self.side = self.physical
        self.dso_of = resource_dsos(scenario, None if self.physical is None else self.physical.grid)

    def run(self, verifier: Verifier) -> DayOutcome:
        """The whole day, in the order of the timeline."""
        with self._watch.stage("need"):
            self.prepare()
        with self._watch.stage("market"):
            self._trade()
        with self._watch.stage("verification"):
            picture = self._verify(verifier)
        with self._watch.stage("optimum"):
            optimum = self._optimum()
        with self._watch.stage("settlement"):
            residual = self.side.need_w(self.after_w())
            self._settle(residual, optimum, picture)
        return self._outcome(residual, optimum, picture)

    def prepare(self) -> None:
        """Everything before the gate opens: participants, needs and obligations."""
        self._open()
        self._publish_needs()

    def before_w(self) -> dict[str, Watts]:
        """Every resource's forecast."""
        return self.scenario.plans_w()

    def start_w(self) -> dict[str, Watts]:
        """Every resource's starting point."""
        return {r.resource: self.session.state.needs.start_w(r.resource) for r in self.scenario.resources}

    def after_w(self) -> dict[str, Watts]:
        """Every resource's starting point with its trades."""
        moves = self.session.state.trades.moves_w
        return {
            name: tuple(s + m for s, m in zip(start, moves[name], strict=True)) if name in moves else start
            for name, start in self.start_w().items()
        }

    def _open(self) -> None:
        scenario = self.scenario
        self.session.send(*registrations(scenario, self.dso_of))
        self.session.send(OpenDay(scenario.day, scenario.rulebook, scenario.currency))
        plans = (PublishForecast(name, row) for name, row in sorted(self.before_w().items()))
        refused = [event for event in self.session.send(*plans) if isinstance(event, CommandRefused)]
        if refused:
            raise BadInput(_plan_beyond_range(event) for event in refused)
        outages = (Outage(o.element, o.span, o.limit_w) for o in scenario.outages)
        self.session.send(*(AnnounceOutage(outage) for outage in outages))

    def _publish_needs(self) -> None:
        """Points, impact factors and needs; then obligations until the starting point has no need they can cover."""
        forecast = self.before_w()
        observed = self.side.observe(forecast)
        points = [point.congestion_point for point in observed]
        self.session.send(*(DefineCongestionPoint(point) for point in observed))
        self.session.send(*(PublishImpactFactors(point, self.side.impact_ppm(point)) for point in points))
        needs = self.side.need_w(forecast)
        self.session.send(*(PublishNeed(point, needs[point]) for point in points))
        if self.scenario.obligations_w is not None:
            owed = sorted(self.scenario.obligations_w.items())
            events = self.session.send(*(ImposeCurtailment(name, row) for name, row in owed))
            refused = [event for event in events if isinstance(event, CommandRefused)]
            if refused:
                raise BadInput(_beyond_range(event) for event in refused)
            return
        if self.physical is not None and self.scenario.rulebook.allocation is Allocation.LEAST:
            least = least_moves(self.physical, forecast, only_conditional=True)
            self.session.send(CurtailResources(least.change_w))
        for _ in range(NEED_ROUNDS):
            if not self.session.send(AllocateCurtailment(self.side.need_w(self.start_w()))):
                break

    def open_gate(self) -> None:
        """From now on orders are taken, and owners answer."""
        self.session.owners = self.side.coordinator(self.start_w())
        self.session.send(OpenGate(self.scenario.day.at(*GATE_OPENS)))

    def place(self, row: OrderRow) -> None:
        """Send an order, and let it meet whom it can."""
        self.session.send(self._order(row))

    def _trade(self) -> None:
        day = self.scenario.day
        self.open_gate()
        for number, row in enumerate(self.scenario.orders, 1):
            self.place(row)
            self._watch.progress(number, len(self.scenario.orders))
        self.session.wake_all()
        self.session.send(CloseGate(day.at(*GATE_CLOSES)))
        with self._watch.stage("clearing"):
            self._clear()
        self.session.send(ExpireOrders())

    def _clear(self) -> None:
        """What is left, with what DSOs would pay for relief; again while power flow finds need that offers can meet."""
        book, ceiling = self.scenario.rulebook, ceiling_minor(self.scenario.alternative)
        buys = book.dso_purchase is DsoPurchase.AUTOMATIC and ceiling is not None
        for again in range(PURCHASE_ROUNDS if buys else int(book.residual is Residual.DISTRIBUTED)):
            if buys and ceiling is not None:
                needs = self.side.need_w(self.after_w())
                if again and not any(any(row) for row in needs.values()):
                    return
                self.session.send(*(PurchaseResidual(point, needs[point], ceiling) for point in sorted(needs)))
            if not GateClearing(self.session, self._owners_cuts()).run():
                return

    def _order(self, row: OrderRow) -> PlaceOrder:
        participants = self.session.state.participants
        owner = participants.organisation_of(row.resource) or row.resource
        members = participants.members(row.resource)
        return PlaceOrder(
            order=row.order,
            organisation=owner,
            via=members[0].dso if members else owner,
            unit=row.resource,
            side=Side(row.side),
            start=row.start,
            end=row.end,
            quantity_w=row.quantity_w,
            price_minor=row.price_minor,
            zone=row.congestion_point,
            regulation=None if row.regulation is None else Regulation(row.regulation),
            min_quantity_w=row.min_quantity_w or 0,
            time_in_force={"fak": TimeInForce.FAK, "fok": TimeInForce.FOK}.get(row.time_in_force, TimeInForce.DAY),
        )

    def _verify(self, verifier: Verifier) -> Picture | None:
        if self.physical is None:
            return None
        return verify_day(self.physical, verifier, self.before_w(), self.start_w(), self.after_w())

    def _owners_cuts(self) -> Cuts:
        """What limits moves from now on, as the owners check it."""
        owners = self.session.owners
        return OwnerCuts(owners.borders) if isinstance(owners, GridCoordinator) else self._factor_cuts(self.after_w())

    def _factor_cuts(self, schedules_w: Mapping[str, Watts]) -> Cuts:
        """What limits moves from these schedules where impact factors are all that is known."""
        assert isinstance(self.side, FactorSide), "without a grid there are impact factors"
        state = self.session.state
        flows, room = self.side.flow_w(schedules_w), {}
        for name, flow in flows.items():
            limit = state.needs.points[name].limit_w or ()
            room[name] = tuple(max(0, bound - f) for f, bound in zip(flow, limit, strict=True))
        signs = {n: 1 if state.needs.points[n].direction is Direction.EXPORT else -1 for n in flows}
        return FactorCuts(state, room, signs)

    def _optimum(self) -> int | None:
        """The central optimum; at least what was achieved, which every owner granted and so is possible.

        None where nobody knows the whole grid.
        """
        state = self.session.state
        if isinstance(self.side, ToldSide):
            return None
        start_w = self.start_w()
        cuts = self._factor_cuts(start_w) if self.physical is None else GridCuts(self.physical, start_w)
        bound = welfare_optimum(state, cuts)
        achieved = welfare_of(facts(state)) * MONEY_PER_MAJOR
        return None if bound is None else max(bound, int(achieved))

    def _settle(self, residual: dict[str, Watts], optimum: int | None, picture: Picture | None) -> None:
        scenario, session = self.scenario, self.session
        session.send(ConfirmTrades(scenario.day.at(*CONFIRMED)), IssueActivations(), Settle())
        if scenario.meter_w is not None:
            sold = sellers(session.state.participants, session.state.trades)
            for name, row in sorted(scenario.meter_w.items()):
                day = {scenario.day.instant(mtu): watts for mtu, watts in enumerate(row)}
                session.send(RecordMeter(name, {**scenario.meter_history_w.get(name, {}), **day}))
            session.send(*(VerifyDelivery(name) for name in sold), Settle())
        minutes = scenario.day.at(*CONFIRMED) - scenario.day.at(*GATE_CLOSES)
        overload = None if picture is None else picture.overload_wm(scenario.day.mtu_minutes)
        report = ReportKpis(scenario.alternative, scenario.costs, residual, optimum, overload, minutes)
        session.send(report)

    def _outcome(self, residual: dict[str, Watts], optimum: int | None, picture: Picture | None) -> DayOutcome:
        state = self.session.state
        points = self._point_days(residual)
        return DayOutcome(
            scenario=self.scenario,
            state=state,
            state_hash=state_hash(state),
            refusals=tuple(self.journal.refusals),
            points=points,
            before_w=self.before_w(),
            start_w=self.start_w(),
            after_w=self.after_w(),
            congestions_before=picture.before if picture else _past_limit(points, "before_w"),
            congestions_after=picture.after if picture else _past_limit(points, "after_w"),
            worsened=picture.worsened if picture else (),
            welfare_optimum=optimum,
            grid=picture.grid if picture else None,
            verified_by=picture.verified_by if picture else None,
            largest_difference_pu=picture.largest_difference_pu if picture else None,
            timings_s=self._watch.timings_s(),
            notes=self._notes,
        )

    def _point_days(self, residual: dict[str, Watts]) -> tuple[PointDay, ...]:
        state = self.session.state
        schedules = (self.before_w(), self.start_w(), self.after_w())
        before, start, after = (self._flows(schedule) for schedule in schedules)
        return tuple(
            PointDay(
                state.needs.points[name],
                limit_w=before[name][1],
                before_w=before[name][0],
                start_w=start[name][0],
                after_w=after[name][0],
                need_w=state.needs.needs_w[name],
                residual_need_w=residual[name],
            )
            for name in sorted(state.needs.points)
        )

    def _flows(self, schedules_w: Mapping[str, Watts]) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
        """Flow and limit of each point with these schedules, W per MTU."""
        if self.physical is not None:
            pairs = self.physical.flows(self.physical.grid.solve(schedules_w, "schedules"))
            return {name: (tuple(map(float, flow)), tuple(map(float, limit))) for name, (flow, limit) in pairs.items()}
        if isinstance(self.side, ToldSide):
            return self.side.flows(schedules_w)
        assert isinstance(self.side, FactorSide), "without a grid there are impact factors"
        points = self.session.state.needs.points
        return {
            name: (tuple(map(float, flow)), tuple(map(float, points[name].limit_w or ())))
            for name, flow in self.side.flow_w(schedules_w).items()
        }


def _plan_beyond_range(refused: CommandRefused) -> Finding:
    """A forecast that the resource has no range for."""
    problem = f"the forecast of {refused.subject} is outside its range ({refused.detail})"
    return Finding("forecast.csv", 0, "p_w", problem, "0, or from p_min_w to p_max_w of the resource")


def _beyond_range(refused: CommandRefused) -> Finding:
    """An obligation that the resource has no range for."""
    problem = f"the obligation of {refused.subject} is outside its range ({refused.detail} at most)"
    return Finding(
        "allocations.csv", 0, "obligation_w", problem, "at most what p_min_w and p_max_w leave of the forecast"
    )


def ceiling_minor(alternative: Alternative) -> int | None:
    """The dearest alternative stated per MWh, in minor units: what a DSO pays for relief at most."""
    stated = (alternative.temporary_subscription, alternative.overdraw, alternative.administrative_curtailment)
    return max((int(price * MINOR_PER_MAJOR) for price in stated if price is not None), default=None)


def _past_limit(points: tuple[PointDay, ...], which: str) -> tuple[Congestion, ...]:
    return tuple(
        Congestion(day.point.element, str(day.point.direction), day.point.dso, mtu, value, limit)
        for day in points
        for mtu, (value, limit) in enumerate(zip(getattr(day, which), day.limit_w, strict=True))
        if value > limit
    )


def run_day(
    scenario: Scenario,
    log: EventLog,
    watch: Watch,
    verifier: Verifier,
    grid: GridInput | None = None,
    told: ToldSide | None = None,
) -> DayOutcome:
    """Run a scenario; `BadInput` with all findings if the scenario and the grid do not fit each other."""
    return MarketDay(scenario, log, watch, grid, told).run(verifier)

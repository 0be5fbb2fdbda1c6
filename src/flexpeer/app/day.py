"""A market day by its timeline: a scenario and its grid, fed to a `Market` stage by stage.

Who knows what: the grid side (with or without a grid) tells points, needs and impact factors and answers for the
owners; the market tells everything else. Every stage happens once; what is late happens in order. `run` plays a whole
day at once, with the orders of a file; whoever serves a market asks for what is `due`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from flexpeer.app.gate.clearing import clear_at_gate
from flexpeer.app.market import Listener, Market
from flexpeer.app.ports import EventLog, GridSide, Owners, Watch
from flexpeer.app.registration import registrations, resource_dsos
from flexpeer.app.scenario import OrderRow, Scenario
from flexpeer.app.study.factor_side import FactorSide
from flexpeer.app.study.grid_day import GridInput, build, notes
from flexpeer.app.study.least_relief import least_moves
from flexpeer.app.study.optimum import welfare_optimum
from flexpeer.app.study.physical_side import PhysicalSide, margin_ppm
from flexpeer.app.study.plausibility import explained, flow_warnings, input_warnings
from flexpeer.app.study.verification import Picture, Verifier, verify_day
from flexpeer.app.views.journal import Journal
from flexpeer.app.views.orders import OrderOutcomes
from flexpeer.app.views.outcome import Congestion, DayOutcome, PointDay
from flexpeer.errors import BadInput, Finding
from flexpeer.market.activation import ConfirmTrades, IssueActivations, RecordMeter, VerifyDelivery, sellers
from flexpeer.market.kpi import Alternative, ReportKpis, welfare_of
from flexpeer.market.machine import Command, State, facts, state_hash
from flexpeer.market.needs import (
    AllocateCurtailment,
    AnnounceOutage,
    CongestionPoint,
    CurtailResources,
    DefineCongestionPoint,
    ImposeCurtailment,
    OpenDay,
    Outage,
    PublishForecast,
    PublishImpactFactors,
    PublishNeed,
    Regulation,
    Watts,
)
from flexpeer.market.orders import AmendOrder, CloseGate, OpenGate, PlaceOrder, Side, TimeInForce, WithdrawOrder
from flexpeer.market.purchase import ExpireOrders, PurchaseResidual
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.rulebook import Allocation, DsoPurchase, Residual
from flexpeer.market.settlement import Settle
from flexpeer.market.timeline import ReachStage, Stage
from flexpeer.market.trades import Phase
from flexpeer.quantities import MINOR_PER_MAJOR, MONEY_PER_MAJOR

NEED_ROUNDS = 3
PURCHASE_ROUNDS = 8


class Day:
    """One delivery day on a log: with its grid, without any, or with what DSOs elsewhere have `told`.

    An old log goes on where it was. `listeners` hear every event; without a `verifier` there is no picture of the grid.
    `ceilings_minor` is what DSOs pay at most for relief at points where they have said so, per MWh, in the clearing.
    """

    def __init__(
        self,
        scenario: Scenario,
        log: EventLog,
        watch: Watch,
        grid: GridInput | None = None,
        verifier: Verifier | None = None,
        told: GridSide | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.scenario = scenario
        self.timeline = ((Stage.ANNOUNCED, 0), *scenario.rulebook.timeline.instants(scenario.day))
        self.grid_notes: tuple[str, ...] = () if grid is None else notes(scenario, grid)
        self._warnings = input_warnings(scenario, grid)
        self._watch, self._verifier = watch, verifier
        self.physical: PhysicalSide | None = None
        if grid is None:
            self.side: GridSide = told or FactorSide(scenario, scenario.rulebook.need_margin_ppm or 0)
        else:
            self.physical = PhysicalSide(scenario, build(scenario, grid), margin_ppm(scenario))
            self.side = self.physical
        self.dso_of = resource_dsos(scenario, None if self.physical is None else self.physical.grid)
        self._points: tuple[CongestionPoint, ...] | None = None
        self.ceilings_minor: Mapping[str, int] = {}
        self.journal, self.orders = Journal(), OrderOutcomes(scenario.orders)
        self.market = Market(log, (self.journal.note, self.orders.note, *listeners), self._owners)

    def due(self, now: int) -> tuple[Stage, ...]:
        """What is due at an instant happens, in order, each stage once; what did."""
        done = []
        for stage, at in self.timeline:
            if at <= now and self.market.state.stages.stage.place < stage.place:
                self._stages[stage](at)
                done.append(stage)
        return tuple(done)

    def instant(self, stage: Stage) -> int:
        """When a stage is due."""
        return dict(self.timeline)[stage]

    @property
    def _stages(self) -> dict[Stage, Callable[[int], None]]:
        return {
            Stage.ANNOUNCED: self._announce,
            Stage.OPEN: self._open,
            Stage.CLOSED: self._close,
            Stage.CLEARED: self._clear,
            Stage.CONFIRMED: self._confirm,
            Stage.DELIVERED: self._deliver,
            Stage.VERIFIED: self._verify,
            Stage.SETTLED: self._settle,
        }

    def run(self) -> DayOutcome:
        """The whole day with the scenario's orders, in the order of the timeline; on an old log, what is left of it."""
        with self._watch.stage("need"):
            self.due(self.instant(Stage.OPEN))
        with self._watch.stage("market"):
            self._trade()
            self.due(self.instant(Stage.CLOSED))
            with self._watch.stage("clearing"):
                self.due(self.instant(Stage.CLEARED))
        _ = self.picture, self.optimum  # each in a stage of its own
        with self._watch.stage("settlement"):
            self.due(self.instant(Stage.SETTLED))
        self.market.sync()
        return self.outcome()

    def before_w(self) -> dict[str, Watts]:
        """Every resource's forecast."""
        return self.scenario.plans_w()

    def start_w(self) -> dict[str, Watts]:
        """Every resource's starting point."""
        return self._start_w(self.market.state)

    def _start_w(self, state: State) -> dict[str, Watts]:
        return {r.resource: state.needs.start_w(r.resource) for r in self.scenario.resources}

    def after_w(self) -> dict[str, Watts]:
        """Every resource's starting point with its trades."""
        return self.schedules_w(self.market.state)

    def schedules_w(self, state: State) -> dict[str, Watts]:
        """Every resource's starting point with the trades of a state of this day."""
        moves = state.trades.moves_w
        return {
            name: tuple(s + m for s, m in zip(start, moves[name], strict=True)) if name in moves else start
            for name, start in self._start_w(state).items()
        }

    def _owners(self, state: State) -> Owners:
        self._observed()
        return self.side.coordinator(self._start_w(state))

    def _observed(self) -> tuple[CongestionPoint, ...]:
        """The congestion points under the forecast, found once."""
        if self._points is None:
            with explained(self._warnings):
                self._points = self.side.observe(self.before_w())
        return self._points

    def _announce(self, at: int) -> None:
        """Participants, the day, forecasts and outages."""
        scenario, market = self.scenario, self.market
        with market.together():
            _submit(market, *registrations(scenario, self.dso_of))
            _submit(market, OpenDay(scenario.day, scenario.rulebook, scenario.currency))
            plans = (PublishForecast(name, row) for name, row in sorted(self.before_w().items()))
            _accepted(market, plans, _plan_beyond_range)
            outages = (Outage(o.element, o.span, o.limit_w) for o in scenario.outages)
            _submit(market, *(AnnounceOutage(outage) for outage in outages), ReachStage(Stage.ANNOUNCED, at))

    def _open(self, at: int) -> None:
        """Points, impact factors, needs and obligations; the gate opens."""
        with self.market.together():
            self._publish_needs()
            _submit(self.market, OpenGate(at), ReachStage(Stage.OPEN, at))

    def _publish_needs(self) -> None:
        """Obligations until the starting point has no need they can cover."""
        forecast, market = self.before_w(), self.market
        observed = self._observed()
        points = [point.congestion_point for point in observed]
        _submit(market, *(DefineCongestionPoint(point) for point in observed))
        _submit(market, *(PublishImpactFactors(point, self.side.impact_ppm(point)) for point in points))
        needs = self.side.need_w(forecast)
        _submit(market, *(PublishNeed(point, needs[point]) for point in points))
        if self.scenario.obligations_w is not None:
            owed = sorted(self.scenario.obligations_w.items())
            _accepted(market, (ImposeCurtailment(name, row) for name, row in owed), _beyond_range)
            return
        if self.physical is not None and self.scenario.rulebook.allocation is Allocation.LEAST:
            least = least_moves(self.physical, forecast, only_conditional=True)
            _submit(market, CurtailResources(least.change_w))
        for _ in range(NEED_ROUNDS):
            if not market.submit(AllocateCurtailment(self.side.need_w(self.start_w()))):
                break

    def _trade(self) -> None:
        rows = self.scenario.orders
        for number, row in enumerate(rows[self.journal.arrivals :], self.journal.arrivals + 1):
            self.place(row)
            self._watch.progress(number, len(rows))

    def place(self, row: OrderRow) -> None:
        """Send an order of a file, and let it meet whom it can."""
        self.market.work_through()
        self.market.submit(self.command(row, self.instant(Stage.OPEN)))
        self.market.work_through()

    def command(self, row: OrderRow, at: int) -> PlaceOrder | AmendOrder | WithdrawOrder:
        """The order of a row, or what changes it, as its organisation sends it at an instant."""
        participants = self.market.state.participants
        owner = participants.organisation_of(row.resource) or row.resource
        if row.action == "amend":
            return AmendOrder(row.order, owner, row.quantity_w, row.price_minor)
        if row.action == "withdraw":
            return WithdrawOrder(row.order, owner)
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
            at=at,
        )

    def _close(self, at: int) -> None:
        """Everybody who waits has their turn, and a last chance; then the gate closes."""
        self.market.last_chances()
        with self.market.together():
            _submit(self.market, CloseGate(at), ReachStage(Stage.CLOSED, at))

    def _clear(self, at: int) -> None:
        """What is left, with what DSOs would pay for relief; again while power flow finds need that offers can meet."""
        book, ceiling = self.scenario.rulebook, ceiling_minor(self.scenario.alternative)
        buys = book.dso_purchase is DsoPurchase.AUTOMATIC and ceiling is not None
        rounds = PURCHASE_ROUNDS if buys else int(book.residual is Residual.DISTRIBUTED)
        while self._cleared() < rounds:
            if buys and ceiling is not None and not self._want(ceiling):
                break
            if not clear_at_gate(self.market, self.side.cuts(self.market.state, self.after_w())):
                break
        with self.market.together():
            _submit(self.market, ExpireOrders(), ReachStage(Stage.CLEARED, at))

    def _cleared(self) -> int:
        """How many clearings there were."""
        trades = self.market.state.trades.trades.values()
        return len({trade.match for trade in trades if trade.phase is not Phase.CONTINUOUS})

    def _want(self, ceiling: int) -> bool:
        """DSOs say what they would pay for; whether another clearing could help them."""
        needs = self._need_w()
        if self._cleared() and not any(any(row) for row in needs.values()):
            return False
        with self.market.together():
            stated = self.ceilings_minor
            _submit(self.market, *(PurchaseResidual(p, needs[p], stated.get(p, ceiling)) for p in sorted(needs)))
        return True

    def _confirm(self, at: int) -> None:
        with self.market.together():
            _submit(self.market, ConfirmTrades(at), IssueActivations(), Settle(), ReachStage(Stage.CONFIRMED, at))

    def _deliver(self, at: int) -> None:
        """What the scenario's meters read."""
        scenario = self.scenario
        with self.market.together():
            for name, row in sorted((scenario.meter_w or {}).items()):
                day = {scenario.day.instant(mtu): watts for mtu, watts in enumerate(row)}
                _submit(self.market, RecordMeter(name, {**scenario.meter_history_w.get(name, {}), **day}))
            _submit(self.market, ReachStage(Stage.DELIVERED, at))

    def _verify(self, at: int) -> None:
        """Delivery of whoever sold, where there are meters at all."""
        state = self.market.state
        metered = self.scenario.meter_w is not None or len(state.activations.meter_w) > 0
        sold = sellers(state.participants, state.trades) if metered else ()
        with self.market.together():
            _submit(self.market, *(VerifyDelivery(name) for name in sold), ReachStage(Stage.VERIFIED, at))

    def _settle(self, at: int) -> None:
        """Invoices and key figures."""
        picture, scenario, book = self.picture, self.scenario, self.scenario.rulebook.timeline
        minutes = book.confirmation.of(scenario.day) - book.gate_closure.of(scenario.day)
        overload = None if picture is None else picture.overload_wm(scenario.day.mtu_minutes)
        report = ReportKpis(scenario.alternative, scenario.costs, self.residual_w, self.optimum, overload, minutes)
        with self.market.together():
            _submit(self.market, Settle(), report, ReachStage(Stage.SETTLED, at))

    def _need_w(self) -> dict[str, Watts]:
        """What each point still needs after the trades so far."""
        self._observed()
        return self.side.need_w(self.after_w())

    @cached_property
    def residual_w(self) -> dict[str, Watts]:
        """What each point still needs, once nothing moves any more."""
        return self._need_w()

    @cached_property
    def picture(self) -> Picture | None:
        """The grid before and after the market by an independent power flow, once nothing moves any more."""
        if self.physical is None or self._verifier is None:
            return None
        with self._watch.stage("verification"):
            schedules = self.before_w(), self.start_w(), self.after_w()
            return verify_day(self.physical, self._verifier, *schedules)

    @cached_property
    def optimum(self) -> int | None:
        """The central optimum; at least what was achieved, which every owner granted and so is possible.

        None where nobody knows the whole grid.
        """
        state = self.market.state
        cuts = self.side.all_cuts(state, self.start_w())
        if cuts is None:
            return None
        with self._watch.stage("optimum"):
            bound = welfare_optimum(state, cuts)
            achieved = welfare_of(facts(state)) * MONEY_PER_MAJOR
            return None if bound is None else max(bound, int(achieved))

    def outcome(self) -> DayOutcome:
        """What the day came to, once nothing moves any more."""
        state, picture = self.market.state, self.picture
        points = self._point_days(self.residual_w)
        return DayOutcome(
            scenario=self.scenario,
            state=state,
            state_hash=state_hash(state),
            refusals=tuple(self.journal.refusals),
            orders=self.orders.rows(),
            points=points,
            before_w=self.before_w(),
            start_w=self.start_w(),
            after_w=self.after_w(),
            congestions_before=picture.before if picture else _past_limit(points, "before_w"),
            congestions_after=picture.after if picture else _past_limit(points, "after_w"),
            worsened=picture.worsened if picture else (),
            welfare_optimum=self.optimum,
            grid=picture.grid if picture else None,
            verified_by=picture.verified_by if picture else None,
            largest_difference_pu=picture.largest_difference_pu if picture else None,
            timings_s=self._watch.timings_s(),
            notes=self.grid_notes,
            warnings=(*self._warnings, *self._flow_warnings(points)),
        )

    def _flow_warnings(self, points: tuple[PointDay, ...]) -> tuple[str, ...]:
        flows = {day.point.congestion_point: (day.before_w, day.limit_w) for day in points}
        return flow_warnings(self.scenario, flows, self.picture.grid.loading_before if self.picture else None)

    def _point_days(self, residual: dict[str, Watts]) -> tuple[PointDay, ...]:
        state = self.market.state
        self._observed()
        schedules = (self.before_w(), self.start_w(), self.after_w())
        before, start, after = (self.side.flows(schedule) for schedule in schedules)
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


def _submit(market: Market, *commands: Command) -> None:
    for command in commands:
        market.submit(command)


def _accepted(market: Market, commands: Iterable[Command], told: Callable[[CommandRefused], Finding]) -> None:
    """Commands that a scenario must be good for; `BadInput` with all that are refused."""
    events = [event for command in commands for event in market.submit(command)]
    refused = [told(event) for event in events if isinstance(event, CommandRefused)]
    if refused:
        raise BadInput(refused)


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

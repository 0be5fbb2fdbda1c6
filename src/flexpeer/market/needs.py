"""Stage 2: the day, its forecast and outages, where relief is needed, and who is curtailed by rule.

Powers are watts per MTU of the delivery day, injection positive. A resource's starting point is its
plan with the curtailment obligations executed; ranges, commitments and grid checks count from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.curtailment import Conditional, allocate_day
from flexpeer.market.participants import Participants, Resource
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Rulebook
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import PPM

Watts = tuple[int, ...]


class Direction(StrEnum):
    """What loads a congestion point: injection (export, high voltage) or withdrawal (import, low)."""

    EXPORT = "export"
    IMPORT = "import"
    HIGH = "high"
    LOW = "low"


class Regulation(StrEnum):
    """UP is more injection or less withdrawal, DOWN the opposite."""

    UP = "UP"
    DOWN = "DOWN"

    __hash__ = str.__hash__

    @property
    def sign(self) -> int:
        """+1 for UP, -1 for DOWN: the sign of the change of injection."""
        return 1 if self is Regulation.UP else -1

    @property
    def opposite(self) -> Regulation:
        """The other regulation."""
        return Regulation.DOWN if self is Regulation.UP else Regulation.UP


def relieving(direction: Direction) -> Regulation:
    """The regulation that relieves a congestion of this direction."""
    return Regulation.DOWN if direction in (Direction.EXPORT, Direction.HIGH) else Regulation.UP


class CongestionPoint(msgspec.Struct, frozen=True):
    """An element with a limit, its owner DSO and the direction that loads it.

    `limit_w` is active power (or its current equivalent) per MTU, grid side; None for voltages, whose
    limit the owner keeps to itself.
    """

    congestion_point: str
    element: str
    direction: Direction
    dso: str
    limit_w: Watts | None = None


class Outage(msgspec.Struct, frozen=True):
    """`element` is out during `span`, or only limited to `limit_w`."""

    element: str
    span: Span
    limit_w: int | None = None


class OpenDay(msgspec.Struct, frozen=True, tag=True):
    """Command: the delivery day and the rules it is traded under."""

    day: MarketDay
    rulebook: Rulebook
    currency: str


class PublishForecast(msgspec.Struct, frozen=True, tag=True):
    """Command: the plan of a resource."""

    resource: str
    p_w: Watts


class AnnounceOutage(msgspec.Struct, frozen=True, tag=True):
    """Command: an element out or limited."""

    outage: Outage


class DefineCongestionPoint(msgspec.Struct, frozen=True, tag=True):
    """Command: a congestion point to trade at."""

    point: CongestionPoint


class PublishImpactFactors(msgspec.Struct, frozen=True, tag=True):
    """Command: relief in ppm per unit moved in the relieving direction, per resource and MTU."""

    congestion_point: str
    ppm: dict[str, tuple[int, ...]]


class CurtailResources(msgspec.Struct, frozen=True, tag=True):
    """Command: obligations that the DSOs' calculation decided, as changes of injection, W per MTU by resource."""

    change_w: dict[str, Watts]


class PublishNeed(msgspec.Struct, frozen=True, tag=True):
    """Command: watts of relief needed at a point (grid side), per MTU."""

    congestion_point: str
    need_w: Watts


class AllocateCurtailment(msgspec.Struct, frozen=True, tag=True):
    """Command: share the needs of all points between conditional resources, by the rulebook's policy.

    `missing_w` is what each point still needs beyond the obligations so far (grid side, per MTU), as power flow finds
    it; without it, the needs less what those obligations give by impact factors.
    """

    missing_w: dict[str, Watts] | None = None


class ImposeCurtailment(msgspec.Struct, frozen=True, tag=True):
    """Command: an obligation decided elsewhere, resource-side watts in the relieving direction."""

    resource: str
    obligation_w: Watts


class DayOpened(msgspec.Struct, frozen=True, tag=True):
    """The delivery day and its rules are fixed."""

    day: MarketDay
    rulebook: Rulebook
    currency: str


class ForecastPublished(msgspec.Struct, frozen=True, tag=True):
    """The plan of a resource."""

    resource: str
    p_w: Watts


class OutageAnnounced(msgspec.Struct, frozen=True, tag=True):
    """An element will be out or limited."""

    outage: Outage


class CongestionPointDefined(msgspec.Struct, frozen=True, tag=True):
    """A congestion point can be traded at."""

    point: CongestionPoint


class ImpactFactorsPublished(msgspec.Struct, frozen=True, tag=True):
    """The impact factors of a congestion point."""

    congestion_point: str
    ppm: dict[str, tuple[int, ...]]


class NeedPublished(msgspec.Struct, frozen=True, tag=True):
    """The relief needed at a congestion point, grid side."""

    congestion_point: str
    need_w: Watts


class CurtailmentAllocated(msgspec.Struct, frozen=True, tag=True):
    """Changes of injection (signed, resource side) conditional resources owe."""

    moves_w: dict[str, Watts]


Command = (
    OpenDay
    | PublishForecast
    | AnnounceOutage
    | DefineCongestionPoint
    | PublishImpactFactors
    | PublishNeed
    | AllocateCurtailment
    | ImposeCurtailment
    | CurtailResources
)
Event = (
    DayOpened
    | ForecastPublished
    | OutageAnnounced
    | CongestionPointDefined
    | ImpactFactorsPublished
    | NeedPublished
    | CurtailmentAllocated
)
Outcome = list[Event | CommandRefused]


class Needs(msgspec.Struct, frozen=True):
    """The day's frame: what is planned, what is limited, what is owed."""

    day: MarketDay | None = None
    rulebook: Rulebook = Rulebook()
    currency: str = ""
    plans_w: HashTrieMap[str, Watts] = HashTrieMap()
    outages: tuple[Outage, ...] = ()
    points: HashTrieMap[str, CongestionPoint] = HashTrieMap()
    impacts_ppm: HashTrieMap[str, dict[str, tuple[int, ...]]] = HashTrieMap()
    needs_w: HashTrieMap[str, Watts] = HashTrieMap()
    curtailment_w: HashTrieMap[str, Watts] = HashTrieMap()

    @property
    def mtu_count(self) -> int:
        """MTUs of the delivery day; 0 before it is opened."""
        return self.day.mtu_count if self.day else 0

    def start_w(self, resource: str) -> Watts:
        """A resource's starting point: its plan with its obligations executed."""
        zeros = (0,) * self.mtu_count
        plan, owed = self.plans_w.get(resource, zeros), self.curtailment_w.get(resource)
        return plan if owed is None else tuple(p + o for p, o in zip(plan, owed, strict=True))

    def resource_ppm(self, zone: str, resource: str) -> tuple[int, ...]:
        """A resource's impact factors at a congestion point, one per MTU."""
        return self.impacts_ppm.get(zone, {}).get(resource, (0,) * self.mtu_count)

    def relief_w(self, zone: str, moves_w: dict[str, Watts]) -> Watts:
        """Grid-side relief (rounded down to watts) of signed injection changes, per MTU."""
        sign = relieving(self.points[zone].direction).sign
        total, factors = [0] * self.mtu_count, self.impacts_ppm.get(zone, {})
        for resource in moves_w.keys() & factors.keys():
            for mtu, (ppm, move) in enumerate(zip(factors[resource], moves_w[resource], strict=True)):
                total[mtu] += sign * ppm * move
        return tuple(value // PPM for value in total)


def decide(needs: Needs, participants: Participants, frozen: bool, command: Command) -> Outcome:
    """What a command about the day leads to; `frozen` once the gate has closed."""
    if isinstance(command, OpenDay):
        known = needs.day is not None
        refused = CommandRefused("OpenDay", str(command.day.delivery_day), Reason.ALREADY_KNOWN)
        return [refused] if known else [DayOpened(command.day, command.rulebook, command.currency)]
    if frozen or needs.day is None:
        reason = Reason.FROZEN if frozen else Reason.NOT_THIS_DAY
        return [CommandRefused(type(command).__name__, "", reason)]
    match command:
        case PublishForecast():
            return _publish_forecast(needs, participants, command)
        case AnnounceOutage(outage):
            fits = 0 <= outage.span.first < outage.span.end <= needs.mtu_count
            refused = CommandRefused("AnnounceOutage", outage.element, Reason.IMPOSSIBLE_PERIOD)
            return [OutageAnnounced(outage)] if fits else [refused]
        case DefineCongestionPoint(point):
            return _define_point(needs, participants, point)
        case PublishImpactFactors(point_id, ppm):
            return _per_point(needs, command, point_id, *ppm.values()) or [ImpactFactorsPublished(point_id, ppm)]
        case PublishNeed(point_id, need_w):
            return _per_point(needs, command, point_id, need_w) or [NeedPublished(point_id, need_w)]
        case _:
            return _decide_curtailment(needs, participants, command)


def _decide_curtailment(
    needs: Needs, participants: Participants, command: AllocateCurtailment | ImposeCurtailment | CurtailResources
) -> Outcome:
    match command:
        case AllocateCurtailment(missing_w):
            refused = [
                each for point, row in (missing_w or {}).items() for each in _per_point(needs, command, point, row)
            ]
            return refused or _allocate(needs, participants, missing_w)
        case ImposeCurtailment():
            return _impose(needs, participants, command)
        case CurtailResources(change_w):
            return _curtail(needs, participants, change_w)


def _publish_forecast(needs: Needs, participants: Participants, command: PublishForecast) -> Outcome:
    resource = participants.resources.get(command.resource)
    if resource is None:
        return [CommandRefused("PublishForecast", command.resource, Reason.UNKNOWN_RESOURCE)]
    if len(command.p_w) != needs.mtu_count or needs.day is None:
        return [CommandRefused("PublishForecast", command.resource, Reason.NOT_THIS_DAY)]
    for mtu, watts in enumerate(command.p_w):
        if watts and not resource.p_min_w <= watts <= resource.p_max_w:
            detail = f"{needs.day.local(mtu)}: {watts} W, not within {resource.p_min_w} and {resource.p_max_w} W"
            return [CommandRefused("PublishForecast", command.resource, Reason.OUTSIDE_RANGE, detail)]
    return [ForecastPublished(command.resource, command.p_w)]


def _define_point(needs: Needs, participants: Participants, point: CongestionPoint) -> Outcome:
    reason = None
    if point.congestion_point in needs.points:
        reason = Reason.ALREADY_KNOWN
    elif not participants.is_dso(point.dso):
        reason = Reason.WRONG_ROLE
    elif point.limit_w is not None and len(point.limit_w) != needs.mtu_count:
        reason = Reason.NOT_THIS_DAY
    refused = [CommandRefused("DefineCongestionPoint", point.congestion_point, reason)] if reason else []
    return [*refused] or [CongestionPointDefined(point)]


def _per_point(needs: Needs, command: Command, point: str, *values: tuple[int, ...]) -> Outcome:
    kind = type(command).__name__
    if point not in needs.points:
        return [CommandRefused(kind, point, Reason.UNKNOWN_CONGESTION_POINT)]
    if any(len(row) != needs.mtu_count for row in values):
        return [CommandRefused(kind, point, Reason.NOT_THIS_DAY)]
    return []


def _allocate(needs: Needs, participants: Participants, missing_w: dict[str, Watts] | None) -> Outcome:
    zeros, zones = (0,) * needs.mtu_count, sorted(needs.points)
    if missing_w is None:
        owed_w = dict(needs.curtailment_w.items())
        given = ((zone, needs.relief_w(zone, owed_w)) for zone in zones)
        missing_w = {z: tuple(n - g for n, g in zip(needs.needs_w.get(z, zeros), row, strict=True)) for z, row in given}
    conditional = [
        Conditional(
            r.resource,
            tuple(_curtailable_w(r, start) for start in needs.start_w(r.resource)),
            tuple(_up_ppm(needs, zone, r.resource) for zone in zones),
            r.agreement_date,
        )
        for r in participants.resources.values()
        if r.conditional
    ]
    points = [(needs.needs_w.get(zone, zeros), missing_w.get(zone, zeros)) for zone in zones]
    owed = allocate_day(needs.rulebook.allocation, points, conditional)
    return [CurtailmentAllocated(owed)] if owed else []


def _up_ppm(needs: Needs, zone: str, resource: str) -> tuple[int, ...]:
    """Relief at a point per watt that a resource moves UP, ppm per MTU: below zero where DOWN relieves."""
    sign = relieving(needs.points[zone].direction).sign
    return tuple(sign * ppm for ppm in needs.resource_ppm(zone, resource))


def _curtailable_w(resource: Resource, start_w: int) -> int:
    """How far a resource can be curtailed: injection down to none (below zero), or withdrawal up to none."""
    return max(min(resource.p_max_w, 0) - start_w, 0) - max(start_w - max(resource.p_min_w, 0), 0)


def _impose(needs: Needs, participants: Participants, command: ImposeCurtailment) -> Outcome:
    known = command.resource in participants.resources and len(command.obligation_w) == needs.mtu_count
    signs = (
        _curtailment_sign(needs, command.resource, mtu) if known else 1 for mtu in range(len(command.obligation_w))
    )
    moves = tuple(sign * owed for sign, owed in zip(signs, command.obligation_w, strict=True))
    refused = _beyond(needs, participants, "ImposeCurtailment", command.resource, moves)
    return [refused] if refused else [CurtailmentAllocated({command.resource: moves})]


def _curtail(needs: Needs, participants: Participants, change_w: dict[str, Watts]) -> Outcome:
    refused = [_beyond(needs, participants, "CurtailResources", name, row) for name, row in sorted(change_w.items())]
    return [each for each in refused if each is not None] or [CurtailmentAllocated(change_w)]


def _beyond(
    needs: Needs, participants: Participants, command: str, name: str, moves: Sequence[int]
) -> CommandRefused | None:
    """Why a resource cannot make these moves from its starting point."""
    if name not in participants.resources:
        return CommandRefused(command, name, Reason.UNKNOWN_RESOURCE)
    if len(moves) != needs.mtu_count:
        return CommandRefused(command, name, Reason.NOT_THIS_DAY)
    resource, start = participants.resources[name], needs.start_w(name)
    for mtu, (move, begin) in enumerate(zip(moves, start, strict=True)):
        room = resource.p_max_w - begin if move > 0 else begin - resource.p_min_w
        if abs(move) > max(room, 0):
            detail = f"{needs.day.local(mtu) if needs.day else mtu}: {max(room, 0)} W"
            return CommandRefused(command, name, Reason.OUTSIDE_RANGE, detail)
    return None


def _curtailment_sign(needs: Needs, resource: str, mtu: int) -> int:
    """Direction of an imposed obligation: of the neediest point that the resource relieves.

    Where that does not tell, of all points that it relieves, if it is one; else towards no injection and no withdrawal.
    """
    most: dict[int, int] = {}
    for zone, point in needs.points.items():
        if needs.resource_ppm(zone, resource)[mtu] > 0:
            sign, need = relieving(point.direction).sign, needs.needs_w.get(zone)
            most[sign] = max(most.get(sign, 0), need[mtu] if need else 0)
    if len(most) == 1 or (most and most[1] != most[-1]):
        return max(most, key=most.__getitem__)
    return 1 if needs.start_w(resource)[mtu] < 0 else -1


def evolve(needs: Needs, event: Event) -> Needs:
    """The day's frame after an event."""
    match event:
        case DayOpened(day, rulebook, currency):
            return replace(needs, day=day, rulebook=rulebook, currency=currency)
        case ForecastPublished(resource, p_w):
            return replace(needs, plans_w=needs.plans_w.insert(resource, p_w))
        case OutageAnnounced(outage):
            return replace(needs, outages=(*needs.outages, outage))
        case CongestionPointDefined(point):
            return replace(needs, points=needs.points.insert(point.congestion_point, point))
        case ImpactFactorsPublished(point_id, ppm):
            return replace(needs, impacts_ppm=needs.impacts_ppm.insert(point_id, ppm))
        case NeedPublished(point_id, need_w):
            return replace(needs, needs_w=needs.needs_w.insert(point_id, need_w))
        case CurtailmentAllocated(moves_w):
            return replace(needs, curtailment_w=_added(needs.curtailment_w, moves_w))


def _added(owed: HashTrieMap[str, Watts], moves_w: dict[str, Watts]) -> HashTrieMap[str, Watts]:
    for resource, moves in moves_w.items():
        before = owed.get(resource, (0,) * len(moves))
        owed = owed.insert(resource, tuple(b + m for b, m in zip(before, moves, strict=True)))
    return owed

"""Beside the stages: what an auditor should look at. It reads what the stages decide and corrects nothing.

| conduct | what was seen |
|---|---|
| `both_sides` | orders of one organisation on both sides of a congestion point |
| `plan_moved_after_need` | a plan that changed once a need was published |
| `plan_above_past_meter` | where it is curtailed or sold, a plan loads the grid more than its meter on any past day |
| `delivered_by_plan_only` | a delivery that is there against the plan, while the meter hardly moved |

Past days are those of the same type in the four weeks before, where there are readings at the same local times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.activation import Activations, DeliveryVerified, MeterRecorded, past_days_w, sales_w
from flexpeer.market.needs import ForecastPublished, Needs, Regulation
from flexpeer.market.orders import Order, OrderPlaced, Orders, Side
from flexpeer.market.participants import Participants
from flexpeer.market.rulebook import BaselineMethod
from flexpeer.market.trades import Trades


class ConductFlagged(msgspec.Struct, frozen=True, tag=True):
    """Something an auditor should look at; nothing was corrected."""

    organisation: str
    conduct: str
    subject: str


class Conduct(msgspec.Struct, frozen=True):
    """What was flagged, and which sides each organisation has used at each congestion point."""

    flags: tuple[ConductFlagged, ...] = ()
    sides: HashTrieMap[str, HashTrieMap[str, tuple[Side, ...]]] = HashTrieMap()

    def sides_of(self, organisation: str, point: str) -> tuple[Side, ...]:
        """The sides an organisation has placed orders on at a point."""
        return self.sides.get(organisation, HashTrieMap()).get(point, ())


class Seen(NamedTuple):
    """The slices of a state that conduct is judged by."""

    participants: Participants
    needs: Needs
    orders: Orders
    trades: Trades
    activations: Activations


LOOKED_AT = frozenset((OrderPlaced, ForecastPublished, MeterRecorded, DeliveryVerified))
"""Events about which anything can be flagged."""


def flags(seen: Seen, conduct: Conduct, decided: Iterable[object]) -> list[ConductFlagged]:
    """What is to be flagged about events just decided, given the state before them; about the meter, once."""
    found: list[ConductFlagged] = []
    for event in decided:
        match event:
            case OrderPlaced(order) if _on_both_sides(conduct, order):
                found.append(ConductFlagged(order.organisation, "both_sides", order.order))
            case ForecastPublished(resource, p_w) if seen.needs.needs_w and seen.needs.plans_w.get(resource) != p_w:
                found.append(_of_resource(seen, "plan_moved_after_need", resource))
            case MeterRecorded() if _above_past_meter(seen, event):
                found.append(_of_resource(seen, "plan_above_past_meter", event.resource))
            case DeliveryVerified() if _by_plan_only(seen.needs, event):
                found.append(_of_resource(seen, "delivered_by_plan_only", event.resource))
    return [flag for flag in found if flag.conduct not in _ABOUT_THE_METER or flag not in conduct.flags]


_ABOUT_THE_METER = ("plan_above_past_meter", "delivered_by_plan_only")


def _of_resource(seen: Seen, conduct: str, resource: str) -> ConductFlagged:
    return ConductFlagged(seen.participants.resources[resource].organisation, conduct, resource)


def _above_past_meter(seen: Seen, event: MeterRecorded) -> bool:
    """Whether a plan that is curtailed, or relief was sold from, loads the grid more than the meter ever did."""
    needs, name, nothing = seen.needs, event.resource, (0,) * seen.needs.mtu_count
    if needs.day is None:
        return False
    readings = dict((*seen.activations.meter_w.get(name, ()), *event.readings_w))
    sold = sales_w(seen.participants, seen.orders, seen.trades, name, needs.mtu_count)
    owed, plan = needs.curtailment_w.get(name, nothing), needs.plans_w.get(name, nothing)
    for regulation in Regulation:
        row = sold.get(regulation, nothing)
        mtus = [mtu for mtu in range(needs.mtu_count) if row[mtu] or owed[mtu] * regulation.sign > 0]
        past = past_days_w(needs, readings, mtus) if mtus else []
        planned = _loading(regulation, [plan[mtu] for mtu in mtus])
        if past and planned > max(_loading(regulation, day) for day in past):
            return True
    return False


def _loading(relieving: Regulation, p_w: Sequence[int]) -> int:
    """What loads the points that moves in this direction relieve: injection for DOWN, withdrawal for UP."""
    return -relieving.sign * sum(p_w)


def _by_plan_only(needs: Needs, event: DeliveryVerified) -> bool:
    """Whether the meter alone shows less of a delivery than the rulebook lets be missing of one."""
    if event.method not in (BaselineMethod.PLAN, BaselineMethod.CAPACITY):
        return False
    for delivery in event.deliveries:
        pairs = zip(delivery.delivered_w, delivery.metered_w, strict=True)
        known = [(delivered, metered) for delivered, metered in pairs if metered is not None]
        delivered_w = sum(delivered for delivered, _ in known)
        metered_w = sum(min(delivered, metered) for delivered, metered in known)
        if metered_w * 100 < (100 - needs.rulebook.cliff_percent) * delivered_w:
            return True
    return False


def _on_both_sides(conduct: Conduct, new: Order) -> bool:
    return conduct.sides_of(new.organisation, new.zone) == (new.side.opposite,)


def evolve(conduct: Conduct, event: object) -> Conduct:
    """The flags after an event."""
    return replace(conduct, flags=(*conduct.flags, event)) if isinstance(event, ConductFlagged) else conduct


def placed(conduct: Conduct, order: Order) -> Conduct:
    """The sides that organisations have used after an order."""
    used = conduct.sides.get(order.organisation)
    sides = () if used is None else used.get(order.zone, ())
    if order.side in sides:
        return conduct
    used = (HashTrieMap() if used is None else used).insert(order.zone, (*sides, order.side))
    return replace(conduct, sides=conduct.sides.insert(order.organisation, used))

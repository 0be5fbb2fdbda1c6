"""Beside the stages: what an auditor should look at. It reads what the stages decide and corrects nothing.

`both_sides`: an organisation's orders stand on both sides of a congestion point. `plan_moved_after_need`: a plan
changed once a need was published.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.needs import ForecastPublished, Needs
from flexpeer.market.orders import Order, OrderPlaced, Side
from flexpeer.market.participants import Participants


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


def flags(
    participants: Participants, needs: Needs, conduct: Conduct, decided: Iterable[object]
) -> list[ConductFlagged]:
    """What is to be flagged about events just decided, given the state before them."""
    found: list[ConductFlagged] = []
    for event in decided:
        match event:
            case OrderPlaced(order) if _on_both_sides(conduct, order):
                found.append(ConductFlagged(order.organisation, "both_sides", order.order))
            case ForecastPublished(resource, p_w) if needs.needs_w and needs.plans_w.get(resource) != p_w:
                owner = participants.resources[resource].organisation
                found.append(ConductFlagged(owner, "plan_moved_after_need", resource))
    return found


def _points(order: Order) -> tuple[str, ...]:
    """The congestion points an order stands at."""
    return (order.zone,)


def _on_both_sides(conduct: Conduct, new: Order) -> bool:
    return any(conduct.sides_of(new.organisation, point) == (new.side.opposite,) for point in _points(new))


def evolve(conduct: Conduct, event: object) -> Conduct:
    """The flags and sides after an event."""
    match event:
        case ConductFlagged():
            return replace(conduct, flags=(*conduct.flags, event))
        case OrderPlaced(order):
            return _with_side(conduct, order)
        case _:
            return conduct


def _with_side(conduct: Conduct, order: Order) -> Conduct:
    used = conduct.sides.get(order.organisation, HashTrieMap())
    new = [point for point in _points(order) if order.side not in used.get(point, ())]
    if not new:
        return conduct
    for point in new:
        used = used.insert(point, (*used.get(point, ()), order.side))
    return replace(conduct, sides=conduct.sides.insert(order.organisation, used))

"""Meetings of places that the grid refused, and the orders there that nobody asked it about again."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from flexpeer.market.matching.crossing import may_meet
from flexpeer.market.matching.meetings import LineMoved, Meeting, MeetingBlocked, MeetingsWoken
from flexpeer.market.needs import Regulation
from flexpeer.market.orders import Order, Side
from flexpeer.market.trades import Match, ReservationsReleased
from flexpeer.periods import Span


class Why(NamedTuple):
    """What stood in an order's way: where, with the room there (W), and in words."""

    reason: str
    owner: str = ""
    element: str = ""
    mtu: int | None = None
    headroom_w: int | None = None
    detail: str = ""


class _Asleep(NamedTuple):
    """A meeting, the impact factors that set its ratio (ppm), and why it sleeps."""

    meeting: Meeting
    ppm_buy: int
    ppm_sell: int
    why: Why

    def cross(self, buy_minor: int, sell_minor: int) -> bool:
        """Whether two prices meet, grid side."""
        return buy_minor * self.ppm_sell >= sell_minor * self.ppm_buy


_Spot = tuple[Side, str, Regulation, Span]
"""Side and place of orders, what relieves their points, and their span."""
_Best = list[tuple[int, str]]


class Sleeping:
    """Follows what sleeps. `why` is what the verdict before found; None where all was granted."""

    def __init__(self) -> None:
        self.why: Why | None = None
        self._asleep: dict[str, _Asleep] = {}
        self._tentative: list[str] = []

    def note(
        self, event: MeetingBlocked | MeetingsWoken | LineMoved | ReservationsReleased, proposed: Match | None
    ) -> None:
        """Follow an event; `proposed` is the match that the last verdict was about."""
        match event:
            case MeetingBlocked(name, block):
                meeting = Meeting.read(name)
                if meeting is not None and proposed is not None and self.why is not None:
                    leg = proposed.legs[0]
                    self._asleep[name] = _Asleep(meeting, leg.ppm_buy, leg.ppm_sell, self.why)
                    self._tentative += [name] if block.tentative else []
            case MeetingsWoken(names, _, later):
                self._wake(() if later else names)
            case LineMoved(_, names):
                self._wake(names)
            case ReservationsReleased():
                self._wake(self._tentative)
                self.settled()

    def settled(self) -> None:
        """A sweep is over: what it found stays."""
        self._tentative.clear()

    def kept_apart(self, orders: Iterable[tuple[Order, int]]) -> dict[str, Why]:
        """Why orders (with their prices) do not meet those of another organisation that they cross."""
        best: dict[_Spot, _Best] = defaultdict(list)
        spots: dict[_Spot, list[tuple[Order, int]]] = defaultdict(list)
        for order, price_minor in orders if self._asleep else ():
            spot = _spot(order)
            spots[spot].append((order, price_minor))
            _better(best[spot], price_minor, order)
        found: dict[str, Why] = {}
        for asleep in self._asleep.values():
            at = {side: self._at(asleep.meeting, side) for side in Side}
            for side in Side:
                for order, price_minor in spots.get(at[side], ()):
                    if _crosses(asleep, order, price_minor, best.get(at[side.opposite], [])):
                        found.setdefault(order.order, asleep.why)
        return found

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            self._asleep.pop(name, None)

    @staticmethod
    def _at(meeting: Meeting, side: Side) -> _Spot:
        return side, meeting.buy if side is Side.BUY else meeting.sell, meeting.relieved_by, meeting.span


def _spot(order: Order) -> _Spot:
    relieved_by = order.regulation if order.side is Side.SELL else order.regulation.opposite
    return order.side, order.place, relieved_by, order.span


def _better(best: _Best, price_minor: int, order: Order) -> None:
    """Keep the best price of each of two organisations: one of them is another's than whoever asks."""
    best.append((price_minor, order.organisation))
    best.sort(reverse=order.side is Side.BUY)
    first = best[0][1]
    best[1:] = [each for each in best[1:] if each[1] != first][:1]


def _crosses(asleep: _Asleep, order: Order, price_minor: int, best: _Best) -> bool:
    """Whether somebody else's best price there meets an order's."""
    for price, organisation in best:
        buy, sell = (price_minor, price) if order.side is Side.BUY else (price, price_minor)
        if may_meet(organisation, order.organisation) and asleep.cross(buy, sell):
            return True
    return False

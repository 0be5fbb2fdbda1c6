"""What matching looks at: the market so far, and who crosses whom in it."""

from collections.abc import Mapping
from typing import NamedTuple

from flexpeer.market.energy import EnergyRoom, energy_room
from flexpeer.market.matching.crossing import crosses
from flexpeer.market.needs import Needs, loading_ppm, unit_ppm
from flexpeer.market.orders import Order, Orders, Side, Status
from flexpeer.market.participants import Participants
from flexpeer.market.rulebook import Exchange
from flexpeer.market.trades import Leg, Match, Trades, match_moves
from flexpeer.periods import Span


class View(NamedTuple):
    """The slices of the state a sweep reads."""

    participants: Participants
    needs: Needs
    orders: Orders
    trades: Trades

    def left_w(self, order: Order) -> int:
        """What of an order is neither traded nor reserved."""
        return order.remaining_w - self.trades.reserved_w(order.order)

    def current(self, order_id: str, number: int) -> Order | None:
        """The order, if it is open under this number and something of it is left."""
        order = self.orders.orders[order_id]
        alive = order.status is Status.OPEN and order.number == number and self.left_w(order) > 0
        return order if alive else None

    def ppm(self, order: Order) -> tuple[int, ...]:
        """Impact factors of an order's unit at its zone, one per MTU."""
        derive = unit_ppm if order.side is Side.SELL else loading_ppm
        return derive(self.needs, self.participants, order.zone, order.unit)

    def leg(self, one: Order, other: Order, span: Span) -> Leg | None:
        """The leg between two orders over a span, quantities still open (0); None if they do not cross in it."""
        buy, sell = (one, other) if one.side is Side.BUY else (other, one)
        ppm_buy, ppm_sell = self.ppm(buy), self.ppm(sell)
        pairs = [(ppm_buy[mtu], ppm_sell[mtu]) for mtu in span.mtus]
        if not all(crosses(buy.price_minor, pb, sell.price_minor, ps) for pb, ps in pairs):
            return None
        if self.needs.rulebook.exchange is Exchange.BALANCED:
            most_buy, most_sell = 1, 1
        else:
            most_buy, most_sell = _most(pairs)
        resting = min(buy, sell, key=lambda order: order.number)
        return Leg(
            buy.order, sell.order, buy.unit, sell.unit, span, most_buy, most_sell, 0, 0,
            resting.price_minor, resting.side,
        )  # fmt: skip

    def within_energy(self, match: Match) -> tuple[int, str]:
        """The largest quantity of a match that energy limits allow, and the resource that binds it ("": none does)."""
        full = self._changes_w((match,))
        rooms = self._energy_rooms(list(full))
        bound = _energy_bound(rooms, full)
        if not bound:
            return match.quantity_w, ""
        low, high = 0, match.quantity_w
        guess = min(rooms[name].share(change, high) for name, change in full.items())
        probes = [guess + 1, guess]
        while high - low > 1:
            quantity = min(max(probes.pop() if probes else (low + high) // 2, low + 1), high - 1)
            binding = _energy_bound(rooms, self._changes_w((match.at(quantity),)))
            low, high, bound = (low, quantity, binding) if binding else (quantity, high, bound)
        return low, bound

    def _energy_rooms(self, names: list[str]) -> dict[str, EnergyRoom]:
        """What resources with energy limits have left, trades and reservations counted."""
        held = self._changes_w(self.trades.reserved)
        nothing = (0,) * self.needs.mtu_count
        minutes = self.needs.day.mtu_minutes if self.needs.day else 0
        rooms = {}
        for name in names:
            moved = self.trades.moves_w.get(name, nothing)
            moves = [m + h for m, h in zip(moved, held.get(name, nothing), strict=True)]
            rooms[name] = energy_room(self.participants.resources[name], self.needs.start_w(name), moves, minutes)
        return rooms

    def _changes_w(self, matches: tuple[Match, ...]) -> dict[str, list[int]]:
        """What matches move of each resource with energy limits, per MTU."""
        changes: dict[str, list[int]] = {}
        for move in (move for match in matches for move in match_moves(self.participants, self.orders, match)):
            if self.participants.resources[move.resource].energy_wm is not None:
                row = changes.setdefault(move.resource, [0] * self.needs.mtu_count)
                row[move.span.first : move.span.end] = [w + move.change_w for w in row[move.span.first : move.span.end]]
        return changes


def _energy_bound(rooms: Mapping[str, EnergyRoom], changes_w: Mapping[str, list[int]]) -> str:
    """The first resource whose energy limits do not allow its change."""
    return next((name for name, change in changes_w.items() if not rooms[name].allows(change)), "")


def _most(pairs: list[tuple[int, int]]) -> tuple[int, int]:
    """The pair of impact factors with the largest ratio buyer / seller."""
    most_buy, most_sell = pairs[0]
    for ppm_buy, ppm_sell in pairs[1:]:
        if ppm_buy * most_sell > most_buy * ppm_sell:
            most_buy, most_sell = ppm_buy, ppm_sell
    return most_buy, most_sell

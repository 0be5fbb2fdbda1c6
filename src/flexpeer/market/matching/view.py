"""What matching looks at: the market so far, who crosses whom in it, and at whose price (`View.leg`)."""

from collections.abc import Mapping
from typing import NamedTuple

from flexpeer.market.energy import EnergyRoom, energy_room
from flexpeer.market.matching.crossing import crosses, most_bought, most_sold
from flexpeer.market.needs import Needs
from flexpeer.market.orders import Order, Orders, Side, Status
from flexpeer.market.participants import Participants
from flexpeer.market.places import Place, Places
from flexpeer.market.trades import Leg, Match, Trades, match_moves
from flexpeer.periods import Span


class View(NamedTuple):
    """The slices of the state a sweep reads, and what places do in them."""

    participants: Participants
    needs: Needs
    orders: Orders
    trades: Trades
    places: Places

    def left_w(self, order: Order) -> int:
        """What of an order is neither traded nor reserved."""
        if not self.trades.reserved:
            return order.remaining_w
        return order.remaining_w - self.trades.reserved_w(order.order)

    def current(self, order_id: str, number: int) -> Order | None:
        """The order, if it is open under this number and something of it is left."""
        order = self.orders.orders[order_id]
        alive = order.status is Status.OPEN and order.number == number and self.left_w(order) > 0
        return order if alive else None

    def leg(self, one: Order, other: Order, span: Span) -> Leg | None:
        """The leg between two orders over a span, quantities still open (0); None if they do not cross in it."""
        buy, sell = (one, other) if one.side is Side.BUY else (other, one)
        ratio = self.places.ratio(place_of(buy), place_of(sell), sell.regulation, span)
        if ratio is None or not crosses(buy.price_minor, ratio.ppm_buy, sell.price_minor, ratio.ppm_sell):
            return None
        resting = buy if buy.number < sell.number else sell
        return Leg(
            buy.order, sell.order, buy.unit, sell.unit, ratio.point, span, ratio.ppm_buy, ratio.ppm_sell, 0, 0,
            resting.price_minor, resting.side, self.needs.rulebook.quantity_tick_w,
        )  # fmt: skip

    def tradeable_w(self, match: Match, quantity_w: int) -> int:
        """The largest quantity up to this one, in ticks, that leaves both sides of every leg within their limit prices.

        0 for none. What exchanges without rounding always does, so legs agree at the latest there.
        """
        tick = self.needs.rulebook.quantity_tick_w
        units, before = quantity_w // tick, -1
        while units != before:
            units, before = min(self._within_prices(match.spanning, leg, units) for leg in match.legs), units
        return units * tick

    def _within_prices(self, spanning: Side, leg: Leg, units: int) -> int:
        """The most ticks of the spanning side, up to so many, within the limit prices of a leg."""
        buy, sell = self.orders.orders[leg.buy], self.orders.orders[leg.sell]
        most = most_sold if spanning is Side.SELL else most_bought
        return most(units, buy.price_minor, leg.ppm_buy, sell.price_minor, leg.ppm_sell)

    def within_energy(self, match: Match) -> tuple[int, str]:
        """The largest quantity of a match that energy limits allow, and the resource that binds it ("": none does)."""
        if not any(self.places.limited(unit) for leg in match.legs for unit in (leg.buy_unit, leg.sell_unit)):
            return match.quantity_w, ""
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
            rooms[name] = energy_room(self.participants.resources[name], self.places.start_w(name), moves, minutes)
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


def place_of(order: Order) -> Place:
    """Where an order is."""
    return Place(order.unit, order.zone)

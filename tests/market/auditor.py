"""An auditor of event logs that shares no code with the engine: flows from trades, pairs by brute force."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

from tests.market.small_market import Frame, Market

from flexpeer.market.machine import Event
from flexpeer.market.orders import Order, Status
from flexpeer.market.trades import Trade, TradeConcluded

Flows = dict[tuple[str, int], int]


def changes(frame: Frame, zone_sign: int, units: Iterable[tuple[str, int, range]]) -> Flows:
    """Change of every point's flow (ppm W) when units move by signed watts in the loading direction of a zone."""
    total: Flows = {}
    for point in frame.points:
        sign = 1 if point.direction == "export" else -1
        factors = frame.factors(point.congestion_point)
        for unit, loading_w, mtus in units:
            for mtu in mtus:
                key = (point.congestion_point, mtu)
                total[key] = total.get(key, 0) + sign * zone_sign * factors[unit][mtu] * loading_w
    return total


def zone_sign(frame: Frame, zone: str) -> int:
    """+1 where injection loads the zone's point."""
    return next(1 if p.direction == "export" else -1 for p in frame.points if p.congestion_point == zone)


def trade_changes(frame: Frame, trade: Trade) -> Flows:
    """What a trade between two resources does to every point."""
    leg = trade.leg
    moves = [(leg.buy_unit, leg.quantity_buy_w, leg.span.mtus), (leg.sell_unit, -leg.quantity_sell_w, leg.span.mtus)]
    return changes(frame, zone_sign(frame, trade.zone), moves)


class Flow:
    """Flows of all points and how far they may go: to the limit, or no worse than they are past it."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.now: Flows = {}
        self.allowed: Flows = {}
        for point in frame.points:
            sign = 1 if point.direction == "export" else -1
            factors = frame.factors(point.congestion_point)
            for mtu in range(frame.day.mtu_count):
                key = (point.congestion_point, mtu)
                self.now[key] = sign * sum(row[mtu] * frame.plan_w(name)[mtu] for name, row in factors.items())
                self.allowed[key] = max((point.limit_w or ())[mtu] * 1_000_000, self.now[key])

    def fits(self, change: Flows) -> bool:
        """Whether a change keeps every point within what is allowed."""
        return all(self.now[key] + more <= self.allowed[key] for key, more in change.items())

    def move(self, trades: Iterable[Trade]) -> None:
        """Let trades happen together; past a limit, what they improve may not worsen again."""
        for trade in trades:
            for key, more in trade_changes(self.frame, trade).items():
                self.now[key] += more
        for point in self.frame.points:
            for mtu, limit in enumerate(point.limit_w or ()):
                key = (point.congestion_point, mtu)
                assert self.now[key] <= self.allowed[key], f"{key} was pushed past its limit or worsened"
                self.allowed[key] = min(self.allowed[key], max(limit * 1_000_000, self.now[key]))


def concluded_together(events: Iterable[Event]) -> Iterator[list[Trade]]:
    """Trades in unbroken runs."""
    run: list[Trade] = []
    for event in events:
        if isinstance(event, TradeConcluded):
            run.append(event.trade)
        elif run:
            yield run
            run = []
    if run:
        yield run


def audited_flow(market: Market) -> Flow:
    """The flows after all trades, having checked every step."""
    flow = Flow(market.frame)
    for run in concluded_together(market.log.events):
        flow.move(run)
    return flow


def cross(frame: Frame, buy: Order, sell: Order, mtus: range) -> bool:
    """Whether the grid-side prices cross in every MTU."""
    factors = frame.factors(buy.zone)
    return all(
        Fraction(buy.price_minor, factors[buy.unit][mtu]) >= Fraction(sell.price_minor, factors[sell.unit][mtu])
        for mtu in mtus
    )


def sold_w(frame: Frame, buy: Order, sell: Order, bought_w: int) -> int:
    """The fewest watts of the seller that leave the zone's point no worse in any MTU."""
    factors = frame.factors(buy.zone)
    needed = (Fraction(bought_w * factors[buy.unit][m], factors[sell.unit][m]) for m in buy.span.mtus)
    return max(-(-n.numerator // n.denominator) for n in needed)


def pairs_left(market: Market) -> Iterator[tuple[str, str, int]]:
    """Open orders of one span that could still trade: buy, sell, and the most watts the buyer could get.

    Where a zone's impact factors differ, a second small trade may fit only because its seller rounds up once more.
    """
    frame, flow = market.frame, audited_flow(market)
    still = [o for o in market.session.state.orders.orders.values() if o.status is Status.OPEN]
    for buy in (o for o in still if o.side == "BUY"):
        for sell in (o for o in still if o.side == "SELL"):
            apart = buy.zone != sell.zone or buy.span != sell.span or buy.organisation == sell.organisation
            if apart or not cross(frame, buy, sell, buy.span.mtus):
                continue
            for bought_w in range(buy.remaining_w, 0, -1):
                needed_w = sold_w(frame, buy, sell, bought_w)
                enough = (
                    buy.executed_w + bought_w >= buy.min_quantity_w
                    and sell.executed_w + needed_w >= sell.min_quantity_w
                )
                moves = [(buy.unit, bought_w, buy.span.mtus), (sell.unit, -needed_w, buy.span.mtus)]
                fits = flow.fits(changes(frame, zone_sign(frame, buy.zone), moves))
                if enough and needed_w <= sell.remaining_w and fits:
                    yield buy.order, sell.order, bought_w
                    break

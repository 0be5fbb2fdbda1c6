"""Relief that was offered: the quick sum is the obvious one, of every order at every point in every MTU."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market.small_market import DSO, HOURS, Frame, Market, export_point, flat, resource

from flexpeer.market.needs import CongestionPoint, Direction, Needs, Regulation, relieving
from flexpeer.market.offered import offered_ppm
from flexpeer.market.orders import Order, Side, TimeInForce
from flexpeer.market.participants import Participants, Portfolio
from flexpeer.periods import Span
from flexpeer.quantities import PPM

UNITS = ("a", "b", "c", "all three", DSO)
POINTS = ("P", "Q", "R")
FACTORS = st.lists(st.integers(-PPM, PPM), min_size=4, max_size=4).map(lambda four: tuple(four) * (HOURS // 4))


def slow_ppm(participants: Participants, needs: Needs, orders: list[Order]) -> int:
    """Order by order, MTU by MTU."""
    total = 0
    for order in orders:
        if order.side is not Side.SELL:
            continue
        points = [n for n, p in needs.points.items() if relieving(p.direction) is order.regulation]
        for name, share_w in participants.shares(order.unit, order.quantity_w).items():
            for mtu in order.span.mtus:
                at = [needs.resource_ppm(point, name)[mtu] for point in ([order.zone] if order.zone else points)]
                total += share_w * max(at, default=0)
    return total


def market(factors: dict[str, dict[str, tuple[int, ...]]]) -> Market:
    """Two points that DOWN relieves and one that UP relieves; a portfolio of unequal resources."""
    points = (export_point("P"), export_point("Q"), CongestionPoint("R", "line R", Direction.IMPORT, DSO, flat(1)))
    members = tuple(resource(name, p_max_w=top, organisation="O") for name, top in (("a", 1000), ("b", 700), ("c", 10)))
    return Market(Frame(members, points, factors, portfolios=(Portfolio("all three", "O", ("a", "b", "c")),)))


@st.composite
def orders(draw: st.DrawFn) -> Order:
    first = draw(st.integers(0, HOURS - 1))
    span, quantity_w = Span(first, draw(st.integers(first + 1, HOURS))), draw(st.integers(1, 50))
    unit, zone = draw(st.sampled_from(UNITS)), draw(st.sampled_from(("", *POINTS)))
    side, regulation = draw(st.sampled_from(list(Side))), draw(st.sampled_from(list(Regulation)))
    left_w = draw(st.integers(0, quantity_w))
    return Order(
        "o", 0, "O", unit, unit, zone, side, regulation, span, quantity_w, left_w, 0, 1, TimeInForce.DAY, ""
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    st.fixed_dictionaries({point: st.fixed_dictionaries(dict.fromkeys("abc", FACTORS)) for point in POINTS}),
    st.lists(orders(), max_size=12),
)
def test_what_was_offered_is_the_sum_over_every_order_and_mtu(
    factors: dict[str, dict[str, tuple[int, ...]]], placed: list[Order]
) -> None:
    state = market(factors).session.state
    placed += placed[:3]
    assert offered_ppm(state.participants, state.needs, placed) == slow_ppm(state.participants, state.needs, placed)


def test_nothing_is_offered_where_no_point_is_relieved() -> None:
    frame = Frame((resource("a"),), ())
    state = Market(frame).session.state
    order = Order(
        "o", 0, "A", "a", "a", "", Side.SELL, Regulation.UP, Span(0, 2), 5, 5, 0, 1, TimeInForce.DAY, ""
    )  # fmt: skip
    assert offered_ppm(state.participants, state.needs, [order]) == 0

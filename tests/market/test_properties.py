"""Random streams of orders through the whole machine, looked at by an auditor that shares no code with it."""

from functools import reduce
from random import Random
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market.auditor import audited_flow, pairs_left
from tests.market.naive_market import NaiveMarket
from tests.market.small_market import DSO, HOURS, Frame, Market, at_first, export_point, resource

from flexpeer.adapters.log_file import FileLog, decode_event
from flexpeer.app import market as market_module
from flexpeer.app.granting.point_coordinator import PointCoordinator
from flexpeer.market import waking
from flexpeer.market.activation import ConfirmTrades, IssueActivations
from flexpeer.market.machine import Advance, State, changing, decide, evolve, settled, state_hash, view
from flexpeer.market.matching.books import Books, Page
from flexpeer.market.matching.compiled_book import CompiledBook
from flexpeer.market.matching.naive import NaiveBook
from flexpeer.market.needs import CongestionPoint, Direction, Regulation
from flexpeer.market.orders import CloseGate, Side, Status, TimeInForce
from flexpeer.market.participants import Resource
from flexpeer.market.purchase import ExpireOrders
from flexpeer.market.rulebook import Exchange, Priority, Rulebook
from flexpeer.market.settlement import Settle
from flexpeer.market.trades import MatchProposed
from flexpeer.periods import Span

NAMES = ("a", "b", "c", "d", "e")
SPANS = ((0, 1), (0, 1), (1, 2), (0, 2))


class Step(NamedTuple):
    """One thing that happens: an order (kind 0 to 6), an amendment (7, 8) or a withdrawal (9) of an earlier one."""

    kind: int
    which: int
    unit: str
    side: Side
    zone: str
    span: tuple[int, int]
    quantity_w: int
    price_minor: int
    minimum_percent: int
    time_in_force: TimeInForce


def steps(spans: tuple[tuple[int, int], ...] = SPANS, *, minimum: bool = True) -> st.SearchStrategy[list[Step]]:
    """Streams in which about a third of the orders trade; a seed and a length, so that no example is too simple."""
    return st.builds(
        lambda seed, length: [_step(Random(f"{seed} {place}"), spans, minimum) for place in range(length)],
        st.integers(0, 10**9),
        st.integers(15, 60),
    )


def _step(chance: Random, spans: tuple[tuple[int, int], ...], minimum: bool) -> Step:
    side = chance.choice((Side.BUY, Side.SELL))
    return Step(
        kind=chance.randint(0, 9),
        which=chance.randint(0, 30),
        unit=chance.choice(NAMES),
        side=side,
        zone=chance.choice("PPPQ"),
        span=chance.choice(spans),
        quantity_w=chance.randint(1, 40),
        price_minor=chance.randint(-3, 12) + 8 * (side is Side.BUY),
        minimum_percent=chance.choice((0, 0, 0, 50, 100)) if minimum else 0,
        time_in_force=chance.choice((TimeInForce.DAY,) * 10 + (TimeInForce.FAK, TimeInForce.FOK)),
    )


FACTORS = st.sampled_from((1_000_000, 900_000, 600_000, 500_000, 250_000))
SIGNED = (Direction.EXPORT, Direction.IMPORT)
HIDDEN = st.sampled_from((-300_000, 0, 200_000, 500_000, 1_000_000))


@st.composite
def frames(draw: st.DrawFn, *, one_to_one: bool = False, energy: bool = False) -> Frame:
    """Two zones, two points more that bind, five resources; two of one organisation.

    `one_to_one`: within a zone all impact factors are the same, so that no watt is lost to rounding.
    """
    resources = [resource(name, 0, 1000) for name in NAMES[:-1]] + [resource("e", organisation="A")]
    if energy:
        resources[0] = resource("a", energy_wm=60 * draw(st.integers(0, 60)))
        resources[1] = resource("b", energy_wm=60 * draw(st.integers(0, 60)))
    impacts = {}
    for zone in ("P", "Q"):
        common = tuple(draw(FACTORS) for _ in range(2))
        rows = {name: common if one_to_one else tuple(draw(FACTORS) for _ in range(2)) for name in NAMES}
        impacts[zone] = {name: at_first(*row) for name, row in rows.items()}
    for hidden in ("R", "S"):
        impacts[hidden] = {name: at_first(draw(HIDDEN), draw(HIDDEN)) for name in NAMES}
    plans = {name: at_first(500, 500) for name in NAMES}
    return Frame(
        tuple(resources),
        points=(
            _point("P", impacts["P"], draw(st.integers(-20, 60)), Direction.EXPORT),
            _point("Q", impacts["Q"], draw(st.integers(-20, 60)), draw(st.sampled_from(SIGNED))),
            _point("R", impacts["R"], draw(st.integers(-5, 15)), Direction.EXPORT),
            _point("S", impacts["S"], draw(st.integers(-5, 15)), Direction.IMPORT),
        ),
        impact_ppm=impacts,
        plans_w=plans,
        rulebook=Rulebook(priority=draw(st.sampled_from(Priority))),
    )


def _point(name: str, factors: dict[str, tuple[int, ...]], room_w: int, direction: Direction) -> CongestionPoint:
    sign = 1 if direction is Direction.EXPORT else -1
    flow_w = [sign * sum(row[mtu] * 500 for row in factors.values()) // 1_000_000 for mtu in range(2)]
    return CongestionPoint(name, f"line {name}", direction, DSO, at_first(*(w + room_w for w in flow_w)))


def play(market: Market, stream: list[Step]) -> None:
    """Send a stream; what an amendment or a withdrawal is about is one of the orders so far."""
    for number, step in enumerate(stream):
        known = sorted(market.session.state.orders.orders)
        target = known[step.which % len(known)] if known else None
        if step.kind <= 6 or target is None:
            market.session.send(
                market.command(
                    f"o{number:02}", step.unit, step.side, step.quantity_w, step.price_minor,
                    span=step.span, zone=step.zone, time_in_force=step.time_in_force,
                    min_quantity_w=step.quantity_w * step.minimum_percent // 100,
                )
            )  # fmt: skip
        elif step.kind <= 8:
            market.amend(target, step.quantity_w, step.price_minor)
        else:
            market.withdraw(target)


@settings(max_examples=40, deadline=None)
@given(frame=frames(), stream=steps())
def test_no_point_is_pushed_past_its_limit_or_worsened(frame: Frame, stream: list[Step]) -> None:
    market = Market(frame)
    play(market, stream)
    audited_flow(market)


@settings(max_examples=40, deadline=None)
@given(frame=frames(), stream=steps())
def test_sellers_move_the_least_that_leaves_the_zone_no_worse(frame: Frame, stream: list[Step]) -> None:
    market = Market(frame)
    play(market, stream)
    for trade in market.trades:
        leg, factors = trade.leg, frame.factors(trade.zone)
        relief = [leg.quantity_sell_w * factors[leg.sell_unit][mtu] for mtu in leg.span.mtus]
        load = [leg.quantity_buy_w * factors[leg.buy_unit][mtu] for mtu in leg.span.mtus]
        spare = [factors[leg.sell_unit][mtu] for mtu in leg.span.mtus]
        assert all(r >= w for r, w in zip(relief, load, strict=True))
        one_less = any(r - s < w for r, w, s in zip(relief, load, spare, strict=True))
        one_more = [w + factors[leg.buy_unit][mtu] for w, mtu in zip(load, leg.span.mtus, strict=True)]
        assert one_less or any(r < more for r, more in zip(relief, one_more, strict=True))


@settings(max_examples=250, deadline=None)
@given(frame=frames(one_to_one=True), stream=steps(minimum=False))
def test_no_grantable_pair_is_left(frame: Frame, stream: list[Step]) -> None:
    """With no slack in what wakes a meeting; by default some watts of headroom wake nobody."""
    market = Market(frame)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(waking, "WAKE_SLACK_PPM", 0)
        play(market, stream)
    assert list(pairs_left(market)) == []


@settings(max_examples=40, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_every_settlement_sums_to_zero(frame: Frame, stream: list[Step]) -> None:
    rulebook = msgspec.structs.replace(frame.rulebook, fee_minor_per_mwh=7)
    market = Market(frame._replace(rulebook=rulebook))
    play(market, stream)
    market.session.send(CloseGate(0), ExpireOrders(), ConfirmTrades(0), IssueActivations(), Settle())
    settlements = market.session.state.settlements
    assert sum(posting.amount for posting in settlements.postings) == 0
    assert sum(settlements.balances_minor().values()) == 0
    assert not any(order.status is Status.OPEN for order in market.session.state.orders.orders.values())
    paid = sum(c.remuneration for c in market.session.state.activations.confirmations)
    assert paid == 0


@settings(max_examples=40, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_replay_is_identity(frame: Frame, stream: list[Step]) -> None:
    market = Market(frame)
    play(market, stream)
    state, books = State(), market_module.make_books(frame.rulebook.priority)
    for event in market.log.events:
        state = evolve(state, event)
        books.evolve(view(state, books), event)
    assert state == market.session.state == settled(reduce(evolve, market.log.events, changing(State())))
    assert state_hash(state) == state_hash(market.session.state)
    rebuilt = market_module.make_books(frame.rulebook.priority)
    rebuilt.rebuild(view(state), state.matching)
    for other in (market.session.books, books):
        assert _contents(other) == _contents(rebuilt)


def _contents(books: Books) -> dict[Page, tuple[str, ...]]:
    pages = [Page(side, regulation, Span(*span)) for span in SPANS for side in Side for regulation in Regulation]
    return {page: books.resting(page) for page in pages}


@settings(max_examples=80, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_a_naive_book_leads_to_the_same_market(frame: Frame, stream: list[Step]) -> None:
    fast = Market(frame)
    play(fast, stream)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(market_module, "make_books", lambda priority: Books(lambda: NaiveBook(priority)))
        slow = Market(frame)
        play(slow, stream)
    assert slow.log.events == fast.log.events


@settings(max_examples=25, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_deciding_changes_nothing(frame: Frame, stream: list[Step]) -> None:
    decided: list[tuple[str, str, list[object], list[object]]] = []
    honest = decide

    def twice(state: State, books: Books, command: object) -> list[object]:
        before = state_hash(state)
        first = honest(state, books, command)  # type: ignore[arg-type]
        second = honest(state, books, command)  # type: ignore[arg-type]
        decided.append((before, state_hash(state), list(first), list(second)))
        return list(first)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(market_module, "decide", twice)
        play(Market(frame), stream)
    for before, after, first, second in decided:
        assert before == after
        assert first == second


@settings(max_examples=25, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_events_survive_their_encoding(
    frame: Frame, stream: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    market = Market(frame)
    play(market, stream)
    market.session.send(CloseGate(0), ExpireOrders(), ConfirmTrades(0), IssueActivations(), Settle())
    path = tmp_path_factory.mktemp("log") / "events.log"
    with FileLog(path) as log:
        log.append(market.log.events)
        log.seal(state_hash(market.session.state))
    written = path.read_bytes().splitlines()[:-1]
    contents = [bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["event"]) for line in written]
    assert [decode_event(content) for content in contents] == market.log.events


@settings(max_examples=40, deadline=None)
@given(stream=steps(spans=((0, 1),), minimum=False), priority=st.sampled_from(Priority), balanced=st.booleans())
def test_without_limits_the_market_is_the_naive_one(stream: list[Step], priority: Priority, balanced: bool) -> None:
    """Arrival order and every quantity, whatever rounds, against the oracle of continuous trading."""
    ppm = dict(zip(NAMES, (1_000_000, 900_000, 600_000, 500_000, 250_000), strict=True))
    frame = Frame(
        tuple(resource(name, -10_000, 10_000, organisation="A" if name == "e" else name.upper()) for name in NAMES),
        points=(export_point("P"), export_point("Q")),
        impact_ppm={"P": ppm, "Q": ppm},
        rulebook=Rulebook(priority=priority, exchange=Exchange.BALANCED if balanced else Exchange.NEUTRAL),
    )
    market, naive = Market(frame), NaiveMarket(frame)
    for number, step in enumerate(s for s in stream if s.time_in_force is not TimeInForce.FOK):
        command = market.command(
            f"o{number:02}", step.unit, step.side, step.quantity_w, step.price_minor,
            span=step.span, zone=step.zone, time_in_force=step.time_in_force,
        )  # fmt: skip
        market.session.send(command)
        naive.arrive(command)
    assert market.traded == naive.traded


@settings(max_examples=40, deadline=None)
@given(frame=frames(), stream=steps())
def test_nobody_is_traded_beyond_an_order_or_a_range(frame: Frame, stream: list[Step]) -> None:
    market = Market(frame)
    play(market, stream)
    filled: dict[str, int] = {}
    for buy, sell, bought_w, sold_w, _ in market.traded:
        filled[buy] = filled.get(buy, 0) + bought_w
        filled[sell] = filled.get(sell, 0) + sold_w
    spanning = any(len(event.match.legs) > 1 for event in market.log.events if isinstance(event, MatchProposed))
    for order in market.session.state.orders.orders.values():
        assert 0 <= order.remaining_w <= order.quantity_w
        assert spanning or order.executed_w == filled.get(order.order, 0)
        assert order.executed_w == 0 or order.executed_w >= order.min_quantity_w
        assert order.time_in_force is TimeInForce.DAY or order.status is not Status.OPEN
        assert (
            order.time_in_force is not TimeInForce.FOK
            or order.executed_w == 0
            or order.side is Side.SELL
            or (order.remaining_w == 0)
        )
    for name, moves in market.session.state.trades.moves_w.items():
        known: Resource = market.session.state.participants.resources[name]
        plan = frame.plan_w(name)
        assert all(known.p_min_w <= plan[mtu] + moves[mtu] <= known.p_max_w for mtu in range(HOURS))


@settings(max_examples=40, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_energy_stays_within_its_limits(frame: Frame, stream: list[Step]) -> None:
    market = Market(frame)
    play(market, stream)
    for each in frame.resources:
        if each.energy_wm is not None and each.resource in market.session.state.trades.moves_w:
            content = 0
            for watts in market.session.state.trades.moves_w[each.resource]:
                content -= 60 * watts
                assert -each.energy_wm <= content <= each.energy_wm


def test_nothing_to_do_is_no_event() -> None:
    market = Market(Frame((resource("a"),)))
    assert decide(market.session.state, market.session.books, Advance()) == []
    assert isinstance(market.session.owners, PointCoordinator)
    assert isinstance(CompiledBook(Priority.TIME), CompiledBook)

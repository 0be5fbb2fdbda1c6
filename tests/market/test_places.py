"""Orders by place: nested points, exchange at the point that sets the ratio, meetings that sleep and wake."""

from random import Random

import pytest
from tests.market.naive_market import NaiveMarket
from tests.market.small_market import Frame, Market, at_first, flat, resource

from flexpeer.market import waking
from flexpeer.market.machine import Event
from flexpeer.market.matching.meetings import MeetingBlocked
from flexpeer.market.needs import CongestionPoint, Direction, PublishNeed, Regulation
from flexpeer.market.orders import Side, TimeInForce
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Exchange, Priority, Rulebook
from flexpeer.market.trades import MatchProposed

PLENTY = 10**9
BUYERS, SELLERS = ("a", "b", "x"), ("c", "d", "e", "y")


def point(name: str, direction: Direction = Direction.EXPORT, limit_w: int = PLENTY) -> CongestionPoint:
    return CongestionPoint(name, f"line {name}", direction, "GRID", flat(limit_w))


def nested(rulebook: Rulebook | None = None, *, inner: int = PLENTY, outer: int = PLENTY) -> Market:
    """A (inner) behind B (outer): b1 and s1 behind both, s2 behind B alone."""
    frame = Frame(
        tuple(resource(name) for name in ("b1", "s1", "s2")),
        (point("A", limit_w=inner), point("B", limit_w=outer)),
        {"A": {"b1": 1_000_000, "s1": 800_000, "s2": 0}, "B": {"b1": 900_000, "s1": 900_000, "s2": 500_000}},
        rulebook=rulebook or Rulebook(),
    )
    return Market(frame)


def refusals(events: list[Event]) -> list[Reason]:
    return [event.reason for event in events if isinstance(event, CommandRefused)]


def test_the_point_that_sets_the_ratio_is_the_one_where_the_seller_helps_least() -> None:
    market = nested()
    market.sell("s", "s1", 100, 5)
    market.buy("b", "b1", 8, 10)
    assert market.traded == [("b", "s", 8, 10, 5)]
    assert market.trades[0].zone == "A"


def test_a_seller_without_impact_at_a_point_the_buyer_loads_cannot_serve_it() -> None:
    market = nested()
    market.sell("s", "s2", 100, 1)
    market.buy("b", "b1", 8, 100)
    assert market.traded == []
    market.buy("at B", "b1", 5, 100, zone="B")
    assert market.traded == [("at B", "s", 5, 9, 1)]


def test_an_order_that_names_a_point_counts_there_alone() -> None:
    market = nested()
    market.sell("s", "s1", 100, 5, zone="B")
    market.buy("b", "b1", 8, 10)
    assert market.traded == []
    market.buy("at B", "b1", 8, 10, zone="B")
    assert market.traded == [("at B", "s", 8, 8, 5)]


def test_where_no_point_has_a_need_there_is_nothing_to_trade_unless_one_is_named() -> None:
    market = nested()
    market.session.send(PublishNeed("A", at_first(0, 5)), PublishNeed("B", at_first(0, 5)))
    assert refusals(market.sell("s", "s1", 10, 5)) == [Reason.NO_CONGESTION]
    assert refusals(market.sell("named", "s1", 10, 5, zone="A")) == []
    assert refusals(market.sell("then", "s1", 10, 5, span=(1, 2))) == []


def test_points_without_need_do_not_count() -> None:
    market = nested()
    market.session.send(PublishNeed("A", flat(0)), PublishNeed("B", flat(5)))
    market.sell("s", "s2", 100, 1)
    market.buy("b", "b1", 5, 100)
    assert market.traded == [("b", "s", 5, 9, 1)]
    assert market.trades[0].zone == "B"


def test_with_points_of_both_directions_in_need_the_regulation_must_be_stated() -> None:
    frame = Frame(
        tuple(resource(name) for name in "ab"), (point("X"), point("M", Direction.IMPORT)), {}, rulebook=Rulebook()
    )
    market = Market(frame)
    assert refusals(market.sell("s", "a", 10, 5)) == [Reason.REGULATION_NOT_STATED]
    market.sell("up", "a", 10, 5, regulation=Regulation.UP)
    market.buy("b", "b", 10, 5, regulation=Regulation.DOWN)
    assert market.traded == [("b", "up", 10, 10, 5)]
    assert market.trades[0].zone == "M"


def test_what_the_grid_refuses_to_two_places_is_asked_once() -> None:
    """x may not inject more at all: forty buyers of one place meet a seller; one match is proposed, one sleeps."""
    units = (*(resource(f"b{n}") for n in range(40)), resource("s"))
    hidden = CongestionPoint("H", "line H", Direction.EXPORT, "GRID", flat(0))
    plans = {unit.resource: flat(500) for unit in units}
    factors = {"P": {}, "H": {unit.resource: 1 for unit in units} | {"s": 0}}
    frame = Frame(units, (point("P"), hidden), factors, plans)
    market = Market(frame)
    market.session.send(PublishNeed("P", flat(1)), PublishNeed("H", flat(0)))
    market.sell("s", "s", 400, 1)
    for n in range(40):
        market.buy(f"o{n}", f"b{n}", 1, 9)
    proposed = [event for event in market.log.events if isinstance(event, MatchProposed)]
    assert len(proposed) == 1
    assert sum(isinstance(event, MeetingBlocked) for event in market.log.events) == 1


def random_frame(chance: Random, rulebook: Rulebook) -> Frame:
    """Three points that may nest or oppose, and two hidden ones; ratios of exchange are 1 or 2, so none rounds."""
    names = (*BUYERS, *SELLERS)
    resources = tuple(
        resource(name, 0, 1000, organisation="A" if name in ("a", "e") else name.upper()) for name in names
    )
    direction = {name: chance.choice((Direction.EXPORT, Direction.EXPORT, Direction.IMPORT)) for name in "PQ"}
    direction |= {"R": Direction.EXPORT, "S": Direction.IMPORT}
    impacts = {}
    for name in direction:
        hidden = name in "RS"
        buys = (-1_000_000, 0, 500_000, 1_000_000) if hidden else (0, 1_000_000, 1_000_000)
        sells = (-500_000, 0, 500_000, 1_000_000) if hidden else (0, 500_000, 1_000_000)
        impacts[name] = {
            unit: at_first(*(chance.choice(buys if unit in BUYERS else sells) for _ in range(2))) for unit in names
        }
    points = []
    for name, towards in direction.items():
        sign = 1 if towards is Direction.EXPORT else -1
        flows = [sign * sum(row[mtu] * 500 for row in impacts[name].values()) // 1_000_000 for mtu in range(2)]
        room = chance.randint(-10, 25)
        points.append(CongestionPoint(name, f"line {name}", towards, "GRID", at_first(*(f + room for f in flows))))
    plans = {name: at_first(500, 500) for name in names}
    return Frame(resources, tuple(points), impacts, plans, rulebook)


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("exchange", Exchange)
@pytest.mark.parametrize("seed", range(60))
def test_the_outcome_is_that_of_trying_every_pair(
    seed: int, exchange: Exchange, priority: Priority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First come, first served is exact: nothing that sleeps would have traded, and waking keeps the order."""
    monkeypatch.setattr(waking, "WAKE_SLACK_PPM", 0)
    chance = Random(f"{seed} {exchange} {priority}")
    frame = random_frame(chance, Rulebook(exchange=exchange, priority=priority))
    fast, naive = Market(frame), NaiveMarket(frame)
    fast.session.send(*(PublishNeed(name, flat(1 if name in "PQ" else 0)) for name in "PQRS"))
    hidden = {"R", "S"}
    naive._direction = {name: d for name, d in naive._direction.items() if name not in hidden}
    spans = chance.choice((((0, 1), (0, 1), (1, 2)), ((0, 2),)))
    for number in range(chance.randint(15, 60)):
        side = chance.choice((Side.BUY, Side.SELL))
        zone = chance.choice((None, None, None, "P", "Q"))
        unit = chance.choice(BUYERS if side is Side.BUY else SELLERS)
        command = fast.command(
            f"o{number:02}", unit, side, chance.randint(1, 20), chance.randint(-3, 12) + 8 * (side is Side.BUY),
            span=chance.choice(spans), zone=zone,
            regulation=None if zone and exchange is Exchange.NEUTRAL else chance.choice(list(Regulation)),
            time_in_force=chance.choice((TimeInForce.DAY,) * 6 + (TimeInForce.FAK,)),
        )  # fmt: skip
        events = fast.session.send(command)
        if not refusals(events):
            naive.arrive(command)
    assert fast.traded == naive.traded

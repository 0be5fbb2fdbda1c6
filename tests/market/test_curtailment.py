"""Obligations of points in series: every point served, nobody curtailed in vain, fair by four policies."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpeer.market.curtailment import Candidate, Conditional, allocate, allocate_day
from flexpeer.market.rulebook import Allocation
from flexpeer.quantities import PPM

PRO_RATA, LIFO, EQUAL, LEAST = Allocation.PRO_RATA, Allocation.LIFO, Allocation.EQUAL, Allocation.LEAST
NAMES = "abcdef"


def candidate(name: str, room_w: int, *ppm: int, date: str = "") -> Candidate:
    return Candidate(name, room_w, ppm or (PPM,), date)


THREE = [
    candidate("a", 40, date="2019-01-01"),
    candidate("b", 30, date="2024-01-01"),
    candidate("c", 30, date="2021-01-01"),
]


@pytest.mark.parametrize(
    ("policy", "need_w", "expected"),
    [
        (PRO_RATA, 20, {"a": 8, "b": 6, "c": 6}),
        (LIFO, 20, {"b": 20}),
        (LIFO, 50, {"b": 30, "c": 20}),
        (LIFO, 70, {"a": 10, "b": 30, "c": 30}),
        (EQUAL, 21, {"a": 7, "b": 7, "c": 7}),
        (EQUAL, 96, {"a": 36, "b": 30, "c": 30}),
        (PRO_RATA, 1000, {"a": 40, "b": 30, "c": 30}),
        (EQUAL, 0, {}),
    ],
)
def test_shares(policy: Allocation, need_w: int, expected: dict[str, int]) -> None:
    assert allocate(policy, [need_w], THREE) == expected


def test_a_need_is_grid_side_and_obligations_are_not() -> None:
    assert allocate(PRO_RATA, [6], [candidate("a", 20, 600_000)]) == {"a": 10}
    assert allocate(LIFO, [7], [candidate("a", 20, 600_000)]) == {"a": 12}


@pytest.mark.parametrize("policy", Allocation)
def test_who_has_no_impact_owes_nothing(policy: Allocation) -> None:
    assert allocate(policy, [5], [candidate("a", 10, 0), candidate("b", 10, -5)]) == {}


@pytest.mark.parametrize("policy", Allocation)
def test_what_serves_one_point_counts_at_the_next(policy: Allocation) -> None:
    """Behind both points once is enough; what the far one needs of `b` leaves less of the near one for `a`."""
    assert allocate(policy, [200, 300], [candidate("b", 1000, PPM, PPM)]) == {"b": 300}
    both = [candidate("a", 1000, PPM, 0, date="2024"), candidate("b", 1000, PPM, PPM, date="2020")]
    assert allocate(policy, [200, 300], both) == {"b": 300}
    assert allocate(policy, [200, 150], both) == ({"b": 200} if policy is LEAST else {"a": 50, "b": 150})


def test_the_share_is_common_to_all_whom_the_hardest_point_needs() -> None:
    three = [candidate("a", 100, PPM, 0), candidate("b", 200, PPM, PPM), candidate("c", 300, PPM, PPM)]
    assert allocate(PRO_RATA, [300, 250], three) == {"a": 50, "b": 100, "c": 150}
    assert allocate(EQUAL, [300, 250], three) == {"a": 50, "b": 125, "c": 125}


def test_last_in_and_of_one_date_pro_rata() -> None:
    same = [candidate("a", 100, date="2024"), candidate("b", 300, date="2024"), candidate("c", 50, date="2020")]
    assert allocate(LIFO, [200], same) == {"a": 50, "b": 150}
    assert allocate(LIFO, [410], same) == {"a": 100, "b": 300, "c": 10}


@pytest.mark.parametrize("policy", Allocation)
def test_who_loads_a_point_in_need_is_no_relief_there(policy: Allocation) -> None:
    """Feeders that disturb each other by a fifth: each gives what the other takes, 100 = x - x / 5 at both."""
    pair = [candidate("a", 400, PPM, -PPM // 5), candidate("b", 400, -PPM // 5, PPM)]
    assert allocate(policy, [100, 100], pair) == {"a": 125, "b": 125}
    assert allocate(policy, [100, 0], pair) == {"a": 105, "b": 21}


@pytest.mark.parametrize("policy", Allocation)
def test_who_loads_as_much_as_it_relieves_is_left_alone(policy: Allocation) -> None:
    assert allocate(policy, [100, 100], [candidate("a", 400, PPM, -PPM), candidate("b", 400, -PPM, PPM)]) == {}


relief = st.one_of(st.just(0), st.integers(1, 2 * PPM), st.just(PPM))
needs = st.lists(st.integers(0, 400), min_size=1, max_size=6)


@st.composite
def fields(draw: st.DrawFn) -> tuple[list[int], list[Candidate]]:
    """Points and candidates with random impact."""
    need_w = draw(needs)
    count = draw(st.integers(0, 6))
    rows = st.lists(relief, min_size=len(need_w), max_size=len(need_w))
    dates = st.sampled_from(("", "2020", "2021"))
    return need_w, [
        Candidate(NAMES[n], draw(st.integers(0, 300)), tuple(draw(rows)), draw(dates)) for n in range(count)
    ]


@st.composite
def feeders(draw: st.DrawFn) -> tuple[list[int], list[Candidate]]:
    """Points in series: who is behind the third is behind the first two."""
    need_w = draw(needs)
    count = draw(st.integers(1, 6))
    depth = st.integers(1, len(need_w))
    return need_w, [
        Candidate(NAMES[n], draw(st.integers(0, 300)), tuple(PPM * (k < behind) for k in range(len(need_w))), str(n))
        for n, behind in enumerate(draw(st.lists(depth, min_size=count, max_size=count)))
    ]


def given_at(point: int, candidates: Sequence[Candidate], owed: dict[str, int]) -> int:
    return sum(c.relief_ppm[point] * owed.get(c.resource, 0) for c in candidates)


def reachable(need_w: Sequence[int], candidates: Sequence[Candidate]) -> list[int]:
    """What each point can be given at most of its need, W x ppm."""
    whole = {c.resource: c.room_w for c in candidates}
    return [min(need * PPM, given_at(k, candidates, whole)) for k, need in enumerate(need_w)]


@pytest.mark.parametrize("policy", Allocation)
@given(field=st.one_of(fields(), feeders()))
def test_every_point_is_served_as_far_as_rooms_go(policy: Allocation, field: tuple[list[int], list[Candidate]]) -> None:
    need_w, listed = field
    owed = allocate(policy, need_w, listed)
    rooms = {c.resource: c.room_w for c in listed}
    assert all(0 < watts <= rooms[name] for name, watts in owed.items())
    for point, enough in enumerate(reachable(need_w, listed)):
        assert given_at(point, listed, owed) >= enough


def let_off(need_w: Sequence[int], candidates: Sequence[Candidate], queue: Sequence[str]) -> dict[str, int]:
    """The slow way: all owe all; in this order each is let off, watt by watt, while every point has enough."""
    enough = reachable(need_w, candidates)
    owed = {c.resource: c.room_w for c in candidates}
    for name in queue:
        while owed[name]:
            owed[name] -= 1
            if any(given_at(k, candidates, owed) < w for k, w in enumerate(enough)):
                owed[name] += 1
                break
    return {name: watts for name, watts in owed.items() if watts}


@given(field=st.one_of(fields(), feeders()))
def test_last_in_first_out_is_the_slow_way_from_the_earliest_date_on(
    field: tuple[list[int], list[Candidate]],
) -> None:
    need_w, listed = field
    dated = [c._replace(agreement_date=f"20{n}") for n, c in enumerate(listed, 10)]
    assert allocate(LIFO, need_w, dated) == let_off(need_w, dated, [c.resource for c in dated])


@given(field=st.one_of(fields(), feeders()))
def test_the_least_is_the_slow_way_from_the_smallest_relief_on(field: tuple[list[int], list[Candidate]]) -> None:
    need_w, listed = field
    at = [k for k, need in enumerate(need_w) if need]
    value = {c.resource: sum(c.relief_ppm[k] for k in at) for c in listed}
    if len(set(value.values())) == len(value):
        assert allocate(LEAST, need_w, listed) == let_off(need_w, listed, sorted(value, key=value.__getitem__))


def let_off_together(policy: Allocation, need_w: Sequence[int], candidates: Sequence[Candidate]) -> dict[str, int]:
    """The slow way: whoever owes the largest share (or watts) is let off a watt, if every point still has enough."""
    enough = reachable(need_w, candidates)
    owed = {c.resource: c.room_w for c in candidates}
    share = {c.resource: c.room_w if policy is PRO_RATA else 1 for c in candidates}
    held: set[str] = set()
    while free := [name for name, watts in owed.items() if watts and name not in held]:
        name = max(free, key=lambda each: (owed[each] / share[each], each))
        owed[name] -= 1
        if any(given_at(k, candidates, owed) < w for k, w in enumerate(enough)):
            owed[name] += 1
            held.add(name)
    return owed


@pytest.mark.parametrize("policy", [PRO_RATA, EQUAL])
@given(field=feeders())
def test_common_shares_are_the_slow_way_but_for_rounding(
    policy: Allocation, field: tuple[list[int], list[Candidate]]
) -> None:
    need_w, listed = field
    slow, owed = let_off_together(policy, need_w, listed), allocate(policy, need_w, listed)
    for c in listed:
        assert abs(owed.get(c.resource, 0) - slow[c.resource]) <= len(listed), (owed, slow)


@pytest.mark.parametrize("policy", [PRO_RATA, EQUAL])
@given(field=st.one_of(fields(), feeders()))
def test_nobody_could_owe_less_without_one_who_owes_as_much_owing_more(
    policy: Allocation, field: tuple[list[int], list[Candidate]]
) -> None:
    """A point is kept from having more than enough by rounding alone, and nobody there owes a smaller share."""
    need_w, listed = field
    owed = allocate(policy, need_w, listed)
    enough = reachable(need_w, listed)
    whole = {c.resource: c.room_w if policy is PRO_RATA else 1 for c in listed}
    for name, watts in owed.items():
        tight = False
        for point, least in enumerate(enough):
            there = [c for c in listed if c.relief_ppm[point] and c.room_w]
            spare = given_at(point, listed, owed) - least
            bound = spare < sum(c.relief_ppm[point] for c in there)
            as_much = all(
                (owed.get(c.resource, 0) + 1) * whole[name] >= (watts - 1) * whole[c.resource]
                or owed.get(c.resource, 0) == c.room_w
                for c in there
            )
            tight |= need_w[point] > 0 and name in {c.resource for c in there} and bound and as_much
        assert tight, (name, owed)


@given(need_w=st.integers(1, 400), field=fields())
def test_pro_rata_at_one_point_gives_everyone_the_same_fraction(
    need_w: int, field: tuple[list[int], list[Candidate]]
) -> None:
    able = [c for c in field[1] if c.relief_ppm[0] and c.room_w]
    whole = sum(c.relief_ppm[0] * c.room_w for c in able)
    shares = allocate(PRO_RATA, [need_w], [c._replace(relief_ppm=c.relief_ppm[:1]) for c in able])
    for c in able:
        assert abs(shares.get(c.resource, 0) - min(c.room_w, c.room_w * need_w * PPM / whole)) < 1


@pytest.mark.parametrize("policy", Allocation)
@given(field=fields(), seed=st.integers(0, 99))
def test_neither_the_order_of_rows_nor_that_of_points_matters(
    policy: Allocation, field: tuple[list[int], list[Candidate]], seed: int
) -> None:
    need_w, listed = field
    chance = random.Random(seed)
    places = chance.sample(range(len(need_w)), len(need_w))
    shuffled = [c._replace(relief_ppm=tuple(c.relief_ppm[k] for k in places)) for c in listed]
    chance.shuffle(shuffled)
    assert allocate(policy, [need_w[k] for k in places], shuffled) == allocate(policy, need_w, listed)


@pytest.mark.parametrize("policy", Allocation)
@given(field=fields())
def test_names_decide_nothing_but_a_watt_between_equals(
    policy: Allocation, field: tuple[list[int], list[Candidate]]
) -> None:
    """Equals in all that the policy looks at."""
    need_w, listed = field
    if policy is not LIFO:
        listed = [c._replace(agreement_date="") for c in listed]
    renamed = dict(zip(NAMES, reversed(NAMES), strict=True))
    other = allocate(policy, need_w, [c._replace(resource=renamed[c.resource]) for c in listed])
    owed = allocate(policy, need_w, listed)
    kinds = {c.resource: c[1:] for c in listed}
    for kind in set(kinds.values()):
        alike = [name for name in kinds if kinds[name] == kind]
        assert sorted(owed.get(n, 0) for n in alike) == sorted(other.get(renamed[n], 0) for n in alike)


def test_a_day_takes_each_mtu_for_itself_and_each_resource_in_its_direction() -> None:
    """`up` relieves the first point where it withdraws less, `down` the second where it injects less."""
    up = Conditional("up", (50, 50, 0), ((PPM,) * 3, (0,) * 3))
    down = Conditional("down", (-80, -80, -80), ((0,) * 3, (-PPM,) * 3))
    points = [((10, 0, 10), (10, 0, 10)), ((30, 30, 0), (30, 20, -5))]
    assert allocate_day(PRO_RATA, points, [up, down]) == {"down": (-30, -20, 0), "up": (10, 0, 0)}


def test_a_point_that_has_its_need_keeps_it() -> None:
    """A second round for the first point takes nothing from the second."""
    a = Conditional("a", (-400,), ((-PPM,), (PPM // 5,)))
    b = Conditional("b", (-400,), ((PPM // 5,), (-PPM,)))
    assert allocate_day(PRO_RATA, [((300,), (100,)), ((300,), (0,))], [a, b]) == {"a": (-105,), "b": (-21,)}

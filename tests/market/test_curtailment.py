"""Obligations: enough, no watt too many, nobody past its room; by three policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpeer.market.curtailment import Candidate, allocate
from flexpeer.market.rulebook import Allocation
from flexpeer.quantities import PPM

PRO_RATA, LIFO, EQUAL = Allocation.PRO_RATA, Allocation.LIFO, Allocation.EQUAL


def candidate(name: str, room_w: int, ppm: int = PPM, date: str = "") -> Candidate:
    return Candidate(name, room_w, ppm, date)


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
    assert allocate(policy, need_w, THREE) == expected


def test_a_need_is_grid_side_and_obligations_are_not() -> None:
    assert allocate(PRO_RATA, 6, [candidate("a", 20, 600_000)]) == {"a": 10}
    assert allocate(LIFO, 7, [candidate("a", 20, 600_000)]) == {"a": 12}


def test_who_has_no_impact_owes_nothing() -> None:
    for policy in Allocation:
        assert allocate(policy, 5, [candidate("a", 10, 0), candidate("b", 10, -5)]) == {}


candidates = st.lists(
    st.builds(
        Candidate,
        st.sampled_from("abcdefgh"),
        st.integers(0, 60),
        st.integers(0, 2 * PPM),
        st.sampled_from(("", "2020", "2021")),
    ),
    max_size=6,
    unique_by=lambda each: each.resource,
)


@pytest.mark.parametrize("policy", Allocation)
@given(need_w=st.integers(0, 200), listed=candidates)
def test_the_need_is_met_and_not_by_a_watt_too_many(policy: Allocation, need_w: int, listed: list[Candidate]) -> None:
    shares = allocate(policy, need_w, listed)
    by_name = {each.resource: each for each in listed}
    assert all(0 < share <= by_name[name].room_w for name, share in shares.items())
    relief = sum(by_name[name].ppm * share for name, share in shares.items())
    able = sum(each.ppm * each.room_w for each in listed)
    if able <= need_w * PPM:
        assert relief == able
        return
    assert relief >= need_w * PPM
    assert relief - max((by_name[name].ppm for name in shares), default=0) < need_w * PPM or not shares


@given(need_w=st.integers(1, 200), listed=candidates)
def test_pro_rata_gives_everyone_the_same_fraction(need_w: int, listed: list[Candidate]) -> None:
    able = [each for each in listed if each.ppm and each.room_w]
    whole = sum(each.ppm * each.room_w for each in able)
    if whole > need_w * PPM:
        shares = allocate(PRO_RATA, need_w, listed)
        for each in able:
            assert abs(shares.get(each.resource, 0) - each.room_w * need_w * PPM / whole) < 1


@given(need_w=st.integers(1, 200), listed=candidates)
def test_equal_gives_everyone_the_same_watts_as_far_as_its_room_goes(need_w: int, listed: list[Candidate]) -> None:
    able = [each for each in listed if each.ppm and each.room_w]
    if sum(each.ppm * each.room_w for each in able) > need_w * PPM:
        shares = allocate(EQUAL, need_w, listed)
        level = max(shares.values())
        assert all(shares.get(each.resource, 0) >= min(level - 1, each.room_w) for each in able)


@given(need_w=st.integers(1, 200), listed=candidates, order=st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(
    need_w: int, listed: list[Candidate], order: st.DataObject
) -> None:
    shuffled = sorted(listed, key=lambda _: order.random())  # type: ignore[attr-defined]
    for policy in Allocation:
        assert allocate(policy, need_w, shuffled) == allocate(policy, need_w, listed)


@given(need_w=st.integers(1, 200), listed=candidates)
def test_last_in_is_curtailed_whole_before_the_next(need_w: int, listed: list[Candidate]) -> None:
    shares = allocate(LIFO, need_w, listed)
    able = [each for each in listed if each.ppm and each.room_w]
    queue = sorted(sorted(able, key=lambda c: c.resource), key=lambda c: c.agreement_date, reverse=True)
    given_w = [shares.get(each.resource, 0) for each in queue]
    partial = [place for place, each in enumerate(queue) if given_w[place] < each.room_w]
    assert not any(given_w[place] for place in range(partial[0] + 1, len(queue))) if partial else True

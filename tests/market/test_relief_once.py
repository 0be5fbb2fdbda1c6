"""Relief of nested points, each watt once: by hand, and against every set of points without a common resource."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from tests.market.small_market import Frame, Market, at_first, export_point, flat, resource

from flexpeer.market.needs import Needs
from flexpeer.market.relief_once import in_series, once_w

Reaches = dict[str, str]


def needs(reaches: Reaches) -> Needs:
    """Points that reach these resources, a letter each."""
    letters = sorted(set("".join(reaches.values())))
    factors = {point: {name: 1_000_000 if name in reach else 0 for name in letters} for point, reach in reaches.items()}
    frame = Frame(
        tuple(resource(name) for name in letters),
        points=tuple(export_point(point) for point in reaches),
        impact_ppm=factors,
    )
    return Market(frame).session.state.needs


def once(reaches: Reaches, need_w: dict[str, int]) -> int:
    return once_w(needs(reaches), {point: at_first(watts) for point, watts in need_w.items()})[0]


def test_a_line_behind_a_transformer_needs_the_same_relief() -> None:
    assert once({"line": "a", "transformer": "ab"}, {"line": 30, "transformer": 20}) == 30
    assert once({"line": "a", "transformer": "ab"}, {"line": 30, "transformer": 50}) == 50


def test_two_feeders_are_added_up_under_their_transformer() -> None:
    nested = {"one": "a", "two": "b", "transformer": "abc"}
    assert once(nested, {"one": 30, "two": 20, "transformer": 40}) == 50
    assert once(nested, {"one": 30, "two": 20, "transformer": 60}) == 60


def test_points_without_a_need_are_no_need() -> None:
    assert once_w(needs({"p": "a"}), {"p": flat(0)}) == flat(0)
    assert once_w(needs({"p": "a"}), {}) == flat(0)


LAMINAR = {"root": "abcdefgh", "left": "abcd", "right": "efgh", "l1": "ab", "l2": "cd", "r1": "ef", "leaf": "a"}


@given(st.dictionaries(st.sampled_from(sorted(LAMINAR)), st.integers(0, 50), min_size=1))
def test_nested_points_need_what_the_best_set_of_separate_points_needs(need_w: dict[str, int]) -> None:
    """Of points that share no resource all needs count: the most that any such set adds up to."""
    sets = (chosen for size in range(len(need_w) + 1) for chosen in combinations(need_w, size))
    separate = (
        sum(need_w[point] for point in chosen)
        for chosen in sets
        if not any(set(LAMINAR[p]) & set(LAMINAR[q]) for p, q in combinations(chosen, 2))
    )
    assert once({point: LAMINAR[point] for point in need_w}, need_w) == max(separate)


def test_points_in_series_are_below_the_one_that_needs_most() -> None:
    reaches = {"transformer": "abcd", "one": "ab", "behind one": "a", "two": "cd", "across": "bc", "alone": "e"}
    need_w = {"transformer": 50, "one": 40, "behind one": 40, "two": 10, "across": 60, "alone": 5}
    groups = in_series(needs(reaches), {point: at_first(watts) for point, watts in need_w.items()})
    assert groups == [["across", "transformer"], ["behind one", "one"], ["two"], ["alone"]]
    quiet = {point: flat(0) for point in reaches}
    assert in_series(needs(reaches), quiet) == []

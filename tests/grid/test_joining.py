"""Grids of several owners as one: the way back from splitting, and every border that is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpeer.errors import BadInput
from flexpeer.grid.areas import Area, split
from flexpeer.grid.assembly import BranchRow, BusRow, GridRows, ShuntRow, SourceRow, assemble
from flexpeer.grid.joining import BorderJoint, Joined, OwnerPart, join
from flexpeer.grid.network import Network
from flexpeer.grid.powerflow import DayFlow

LEVELS = (("R", 40.0), ("L1", 10.0), ("L2", 10.0), ("V", 0.4))
ABOVE = {"L1": "R", "L2": "R", "V": "L1"}


def nested(sizes: dict[str, int], seed: int) -> tuple[Network, tuple[str, ...]]:
    """A region, two local DSOs below it and one below the first; feeders of random trees, and who owns each bus."""
    chance = np.random.default_rng(seed)
    buses: list[BusRow] = []
    branches, shunts, owners = list[BranchRow](), list[ShuntRow](), list[str]()
    for owner, v_kv in LEVELS:
        first = len(buses)
        for n in range(sizes[owner]):
            name = f"{owner}{n}"
            buses.append(BusRow(name, v_kv, 0.9, 1.1))
            owners.append(owner)
            if n:
                to = buses[first + int(chance.integers(n))].name
                branches.append(BranchRow(f"line {name}", "line", to, name, 0.1 * v_kv / 10, 0.2 * v_kv / 10, b_us=1.0))
        if owner in ABOVE:
            above = f"{ABOVE[owner]}{int(chance.integers(sizes[ABOVE[owner]]))}"
            branches.append(BranchRow(f"trafo {owner}", "transformer", above, f"{owner}0", 0.01, 0.05, tap=1.01))
        shunts.append(ShuntRow(f"{owner}0", 0.0, 5.0))
    return assemble(GridRows(tuple(buses), tuple(branches), tuple(shunts), (SourceRow("infeed", "R0"),), ())), tuple(
        owners
    )


def joints(area: Area) -> tuple[BorderJoint, ...]:
    return tuple(BorderJoint(border.bus_name, border.parent, border.bus_name) for border in area.borders)


def voltages(network: Network, draw_w: dict[str, float]) -> dict[str, complex]:
    p_w = np.array([[draw_w.get(name, 0.0)] for name in network.bus_names])
    result = DayFlow(network, 1).solve(p_w, 0.3 * p_w)
    assert result.converged.all()
    return dict(zip(network.bus_names, result.v[:, 0].tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.fixed_dictionaries({owner: st.integers(1, 6) for owner, _ in LEVELS}), st.integers(0, 2**31))
def test_what_was_split_is_joined_again(sizes: dict[str, int], seed: int) -> None:
    whole, owners = nested(sizes, seed)
    areas = split(whole, owners)
    again = join([OwnerPart(area.owner, area.network, joints(area)) for area in areas])
    assert sorted(zip(again.network.bus_names, again.owners, strict=True)) == sorted(
        zip(whole.bus_names, owners, strict=True)
    )
    assert sorted(again.network.branch_names) == sorted(whole.branch_names)
    assert again.network.source_names == whole.source_names
    draw_w = dict.fromkeys(whole.bus_names, -500.0)
    before, after = voltages(whole, draw_w), voltages(again.network, draw_w)
    assert max(abs(before[name] - after[name]) for name in before) < 1e-9


def two(own: str = "A", border: BorderJoint | None = None) -> Joined:
    region = assemble(
        GridRows(
            (BusRow("A", 10.0), BusRow("B", 10.0)), (BranchRow("line", "line", "A", "B", 1.0, 1.0),), (),
            (SourceRow("grid", "A"),), (),
        )
    )  # fmt: skip
    local = assemble(
        GridRows(
            (BusRow("B", 10.0), BusRow("C", 10.0)), (BranchRow("line", "line", "B", "C", 1.0, 1.0),), (),
            (SourceRow("grid", "B"),), (),
        )
    )  # fmt: skip
    return join([OwnerPart("Region", region, ()), OwnerPart(own, local, (border or BorderJoint("B", "Region", "B"),))])


def test_a_name_of_several_grids_has_its_owner_before_it() -> None:
    found = two("Local").network
    assert found.bus_names == ("A", "B", "C")
    assert found.branch_names == ("Region/line", "Local/line")
    assert found.source_names == ("grid",)


@pytest.mark.parametrize(
    ("border", "problem"),
    [
        (BorderJoint("C", "Region", "B"), "is no border"),
        (BorderJoint("B", "Nobody", "B"), "'Nobody' has no grid here"),
        (BorderJoint("B", "Region", "Z"), "Region has no bus 'Z'"),
        (BorderJoint("B", "Local", "C"), "'Local' has no grid here"),
    ],
)
def test_a_border_that_is_none(border: BorderJoint, problem: str) -> None:
    with pytest.raises(BadInput) as told:
        two("Local", border)
    assert problem in [finding.problem for finding in told.value.findings]


def test_owners_above_each_other_and_other_voltages() -> None:
    low, high = (
        assemble(GridRows((BusRow("X", kv), BusRow("Y", kv)), (BranchRow("l", "line", "X", "Y", 1.0, 1.0),), (),
                          (SourceRow("g", "X"),), ()))
        for kv in (10.0, 20.0)
    )  # fmt: skip
    with pytest.raises(BadInput) as told:
        join([OwnerPart("P", low, (BorderJoint("X", "Q", "Y"),)), OwnerPart("Q", high, (BorderJoint("X", "P", "Y"),))])
    problems = [finding.problem for finding in told.value.findings]
    assert problems.count("the owner is above itself") == 2
    assert "10 kV here, 20 kV at 'Y' of Q" in problems

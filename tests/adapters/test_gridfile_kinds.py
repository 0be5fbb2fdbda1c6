"""Every kind of grid file that once failed, with its right value; `grids/README.md` names the origin of each."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexpeer.adapters.gridfiles import GridFile, open_grid, write_flexpeer_json
from flexpeer.adapters.newton import newton_flow
from flexpeer.bootstrap import NewtonVerifier, check_grid, summary_of
from flexpeer.errors import BadInput
from flexpeer.grid.limits import limits_of, read
from flexpeer.grid.newton import newton_model, same_sign
from flexpeer.grid.powerflow import DayFlow

GRIDS = Path(__file__).with_name("grids")
VOLTAGE_PU, LOADING_PERCENT, LOSSES_W = 1e-5, 0.01, 10.0

RIGHT: dict[str, tuple[dict[str, float], dict[str, float], float]] = {
    "pp-bypassed-line/net.json": ({"Riser": 1.03276}, {}, 65_080),
    "pp-excel-round-trip/net.json": ({"Kiosk LV": 1.02214}, {"Cable 1": 33.91}, 55_750),
    "pp-index-not-whole/net.json": ({"Kiosk LV": 1.02214}, {"Cable 1": 33.91}, 55_750),
    "pp-index-not-whole/open_point.json": ({"Kiosk LV": 1.02365}, {"Cable 1": 33.86, "Cable 2": 2.15}, 55_620),
    "pp-line-without-rating/net.json": ({"Kiosk LV": 1.02214}, {"line 0": math.nan}, 55_750),
    "pp-open-end-losses/net.json": ({"Kiosk LV": 1.02212}, {"Reserve": 0.41}, 58_380),
    "pp-own-table/net.json": ({"Kiosk LV": 1.02214}, {}, 55_750),
    "pp-stored-options/switch_rx.json": ({"Far side": 1.01610}, {"Cable 1": 58.44}, 137_678),
    "pp-tap-dependent-impedance/net.json": ({"Kiosk LV": 1.07919}, {"K1": 48.51}, 55_680),
    "pp-tap-side-traceback/net.json": ({"Kiosk LV": 1.02214}, {}, 55_750),
    "pp2-trafo3w-tap/net.json": ({"Station 20": 0.96622, "Station 10": 0.96422}, {"T2 mv": 54.98}, 116_290),
    "cim-two-infeeds": ({"N2": 0.99265}, {}, 189_740),
}
"""Voltages, loadings in percent (NaN: not known) and losses. Those of the switch's impedance are 3,926 W of its grid's,
which pandapower has in what its sources deliver less what is drawn, not in its tables of losses."""


def opened(name: str) -> GridFile:
    path = GRIDS / name
    return open_grid(path.name, path.parent)


def state(grid: GridFile) -> tuple[Any, Any, float]:
    day = DayFlow(grid.network, 1)
    result = day.solve(grid.p_w[:, None], grid.q_var[:, None])
    assert result.converged.all()
    readings = read(day, limits_of(grid.network, 1), result)
    return readings.v_pu[:, 0], 100.0 * readings.loading[:, 0], float(day.losses_w(result.v)[0])


@pytest.mark.parametrize("name", RIGHT)
def test_it_has_the_right_value(name: str) -> None:
    voltages, loadings, losses_w = RIGHT[name]
    grid = opened(name)
    v_pu, percent, lost_w = state(grid)
    for bus, value in voltages.items():
        index = grid.bus_index(bus)
        assert index is not None, bus
        assert v_pu[index] == pytest.approx(value, abs=VOLTAGE_PU), bus
    for branch, value in loadings.items():
        index = grid.branch_index(branch)
        assert index is not None, branch
        assert percent[index] == pytest.approx(value, abs=LOADING_PERCENT, nan_ok=True), branch
    assert lost_w == pytest.approx(losses_w, abs=LOSSES_W)


TOLD = {
    "pp-bypassed-line/net.json": "both ends of 'Old overhead line'",
    "pp-own-table/net.json": "protection_device]: 2 rows of a table that is not known here",
    "pp-tap-side-traceback/net.json": "off neutral at the side 'HV'",
    "pp-open-end-losses/net.json": "[Reserve LV]",
}


@pytest.mark.parametrize("name", RIGHT)
def test_only_what_was_read_differently_is_told(name: str) -> None:
    told = [str(finding) for finding in opened(name).findings]
    assert [TOLD[name] in finding for finding in told] == [True] if name in TOLD else not told


@pytest.mark.parametrize(("name", "told"), [("inside", None), ("beyond", "with 0.685 Mvar; expected -0.4 to 0.4")])
def test_a_generators_reactive_power_is_not_the_bus_s(name: str, told: str | None) -> None:
    findings = check_grid(str(GRIDS / "held-reactive-power" / f"{name}.json"))["findings"]
    assert len(findings) == (told is not None)
    assert all(told and told in finding for finding in findings)


def test_a_case_is_begun_from_its_own_state() -> None:
    """By hand: bus 4 is held at 1.93, and the power at each bus is as stated."""
    grid = opened("no-convergence-own-state/solved.m")
    day = DayFlow(grid.network, 1)
    result = day.solve(grid.p_w[:, None], grid.q_var[:, None])
    v = result.v[:, 0]
    assert np.abs(v) == pytest.approx([1.0, 1.88379458, 1.59220865, 1.93], abs=1e-8)
    drawn = v[2] * np.conj((v[1] - v[2]) / (0.038 + 0.38j))
    assert drawn == pytest.approx(1.3 + 1.0j, abs=1e-8)
    assert (v[3] * np.conj((v[3] - v[1]) / (0.012 + 0.12j))).real == pytest.approx(-1.7, abs=1e-8)
    assert same_sign(newton_model(grid.network), v)
    q_var = day.held_q_var(result.v, grid.q_var[:, None])
    np.testing.assert_allclose(day.models[0].newton.start_v_pu, grid.network.start_v_pu)
    assert np.isfinite(q_var).all()


def test_without_a_state_the_worst_buses_are_named() -> None:
    summary = check_grid(str(GRIDS / "no-convergence-own-state" / "flat.m"))
    assert not summary["converged"]
    assert len(summary["findings"]) == 1
    assert "ends at 'Bus 2' (0.349 pu, 1.74 MVA" in summary["findings"][0]


@pytest.mark.parametrize("name", ["no-convergence-own-state/solved.m", "pp-open-end-losses/net.json"])
def test_states_and_open_ends_survive_the_own_format(tmp_path: Path, name: str) -> None:
    grid = opened(name)
    write_flexpeer_json(grid, tmp_path / "copy.json")
    copy = open_grid("copy.json", tmp_path)
    for field in grid.network.__dataclass_fields__:
        mine, theirs = getattr(grid.network, field), getattr(copy.network, field)
        assert np.array_equal(mine, theirs, equal_nan=np.asarray(mine).dtype.kind == "f"), field
    ours, theirs_too = summary_of(grid), summary_of(copy)
    assert {**ours, "findings": ()} == {**theirs_too, "findings": ()}


def test_an_open_end_goes_when_the_branch_is_closed() -> None:
    """The charging of an open end is not there beside that of the whole branch; the verifier's shunts neither."""
    grid = opened("pp-open-end-losses/net.json")
    reserve = grid.branch_index("Reserve")
    assert reserve is not None
    closed = np.repeat(grid.network.in_service[:, None], 2, axis=1)
    closed[reserve, 1] = True
    day = DayFlow(grid.network, 2, closed)
    both = [np.repeat(power[:, None], 2, axis=1) for power in (grid.p_w, grid.q_var)]
    result = day.solve(both[0], both[1])
    checked = newton_flow(grid.network, both[0], both[1], in_service=closed)
    np.testing.assert_allclose(result.v, checked.v_pu, atol=1e-9)
    injected = both[0].sum(axis=0) + result.source_power_w.real.sum(axis=0)
    np.testing.assert_allclose(day.losses_w(result.v), injected, atol=0.01)


def test_a_check_that_finds_no_state_is_said() -> None:
    grid = opened("pp-own-table/net.json")
    columns = (100.0 * grid.p_w[:, None], grid.q_var[:, None], grid.network.in_service[:, None])
    with pytest.raises(BadInput, match="the independent check, finds no power flow in MTU 0"):
        NewtonVerifier().flow(grid.network, *columns)

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.adapters.test_gridfile_pandapower import compare

from flexpeer.adapters.gridfiles import open_grid, simbench_day
from flexpeer.adapters.gridfiles.simbench_grid import profile_steps
from flexpeer.errors import BadInput
from flexpeer.periods import MarketDay

STOCKHOLM = "Europe/Stockholm"
CODES = [
    "1-LV-rural1--0-no_sw",
    "1-MV-rural--0-sw",
    "1-MVLV-semiurb-3.202-0-sw",
    "1-MVLV-urban-5.303-0-no_sw",
    "1-HV-mixed--0-sw",
]


def simbench() -> Any:
    return pytest.importorskip("simbench", reason="simbench, the extra under test, is not installed")


@pytest.mark.parametrize("code", CODES)
def test_simbench_grids_agree_with_pandapower(code: str) -> None:
    net = simbench().get_simbench_net(code)
    net.trafo["tap_changer_type"] = "Ratio"
    compare(net, open_grid(f"simbench:{code}", Path()))


@pytest.mark.parametrize("code", [CODES[0], "1-EHV-mixed--0-sw"])
def test_a_day_of_profiles_is_the_package_s_own_sum_per_bus(code: str) -> None:
    """The second one has generators that hold voltages, with profiles of their own."""
    module = simbench()
    grid = simbench_day(code, date(2030, 6, 20))
    assert grid.profile_p_w is not None
    assert grid.profile_q_var is not None
    net = module.get_simbench_net(code)
    values = module.get_absolute_values(net, profiles_instead_of_study_cases=True)
    first = net.profiles["load"].time.tolist().index("20.06.2016 00:00")
    wanted_p, wanted_q = np.zeros_like(grid.profile_p_w), np.zeros_like(grid.profile_p_w)
    for index, bus in net.load.bus.items():
        wanted_p[grid.bus_index(f"bus {bus}")] -= values["load", "p_mw"][index].to_numpy()[first : first + 96]
        wanted_q[grid.bus_index(f"bus {bus}")] -= values["load", "q_mvar"][index].to_numpy()[first : first + 96]
    for table in ("sgen", "gen"):
        for index, bus in net[table].bus.items():
            wanted_p[grid.bus_index(f"bus {bus}")] += values[table, "p_mw"][index].to_numpy()[first : first + 96]
    assert np.allclose(grid.profile_p_w, wanted_p * 1e6, rtol=1e-12, atol=1e-5)
    assert np.allclose(grid.profile_q_var, wanted_q * 1e6, rtol=1e-12, atol=1e-5)
    assert wanted_p.max() > 0 > wanted_p.min()


def year_labels() -> list[str]:
    """Clock times of the profile year, as the data set has them."""
    start = datetime(2015, 12, 31, 23, tzinfo=UTC)
    steps = (start + timedelta(minutes=15 * step) for step in range(366 * 96))
    return [step.astimezone(ZoneInfo("Europe/Berlin")).strftime("%d.%m.%Y %H:%M") for step in steps]


@pytest.mark.parametrize(
    ("day", "count"),
    [
        (date(2027, 1, 1), 96),
        (date(2028, 2, 29), 96),
        (date(2027, 6, 20), 96),
        (date(2027, 3, 28), 92),
        (date(2027, 10, 31), 100),
        (date(2027, 12, 31), 96),
    ],
)
def test_quarter_hours_follow_the_local_clock(day: date, count: int) -> None:
    labels = year_labels()
    steps = profile_steps(labels, day, STOCKHOLM)
    market_day = MarketDay(day, STOCKHOLM, 15)
    assert len(steps) == count
    for mtu, step in enumerate(steps):
        local = market_day.local(mtu)
        assert labels[step] == f"{local[8:10]}.{local[5:7]}.2016 {local[11:16]}"


def test_an_hour_that_only_one_of_the_years_has() -> None:
    labels = year_labels()
    twice = profile_steps(labels, date(2027, 10, 31), STOCKHOLM)
    assert twice[8:12] == twice[12:16]
    own_twice = profile_steps(labels, date(2022, 10, 30), STOCKHOLM)
    assert own_twice == list(range(own_twice[0], own_twice[0] + 100))
    missing = profile_steps(labels, date(2026, 3, 27), STOCKHOLM)
    assert missing[8:12] == missing[4:8]
    assert len(missing) == 96


def test_the_labels_are_those_of_the_data_set() -> None:
    net = simbench().get_simbench_net(CODES[0])
    assert net.profiles["load"].time.tolist() == year_labels()


def test_without_the_extra_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simbench", None)
    with pytest.raises(BadInput, match=r"pip install 'flexpeer\[simbench\]'"):
        open_grid("simbench:1-LV-rural2--0-sw", Path())


def test_an_unknown_code_is_bad_input() -> None:
    simbench()
    with pytest.raises(BadInput, match="no such code"):
        open_grid("simbench:1-LV-moon--0-sw", Path())

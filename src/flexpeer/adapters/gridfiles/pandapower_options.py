"""The options of the power flow that a pandapower file carries (`user_pf_options`): honoured, or told."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from flexpeer.adapters.gridfiles.pandapower_tables import Tables
from flexpeer.errors import Finding

HIGH_VOLTAGE_KV = 70.0
NOT_HONOURED = {
    "distributed_slack": "sources share what is missing as the power flow has it",
    "enforce_p_lims": "active powers are as stated",
    "enforce_q_lims": "ranges of reactive power are compared, not enforced",
    "run_control": "controllers are passed over",
    "tdpf": "resistances do not follow the current",
}
NUMERICAL = frozenset(
    (
        *("algorithm", "check_connectivity", "delta_q", "init", "init_va_degree", "init_vm_pu", "lightsim2grid"),
        *("max_iteration", "numba", "only_v_results", "p_lim_default", "permc_spec", "q_lim_default", "recycle"),
        *("tdpf_delay_s", "tdpf_update_r_theta", "tolerance_mva", "use_umfpack", "v_debug"),
    )
)
"""How the state is found, not which."""


class Options(NamedTuple):
    """What changes the answer; the defaults are those of `pandapower.runpp`."""

    switch_r_to_x: float = 2.0
    pi_model: bool = False
    star_losses: str = "hv"
    with_angles: bool = True
    open_ends: bool = True
    line_temperature: bool = False
    constant_loads: bool = False


def options_of(tables: Tables) -> Options:
    """The stored options; what cannot be honoured is an error by name, what is not is a finding."""
    stored = tables.options
    options = Options(
        _ratio(tables, stored),
        _choice(tables, "trafo_model", ("t", "pi")) == "pi",
        _choice(tables, "trafo3w_losses", ("hv", "mv", "lv", "star")),
        _with_angles(tables, stored.get("calculate_voltage_angles", True)),
        not stored.get("neglect_open_switch_branches", False),
        bool(stored.get("consider_line_temperature", False)),
        not stored.get("voltage_depend_loads", True),
    )
    if _choice(tables, "trafo_loading", ("current", "power")) == "power":
        _note(tables, "trafo_loading", "'power'; loadings of transformers are those of the current", "current")
    for name, instead in NOT_HONOURED.items():
        if stored.get(name, False):
            _note(tables, name, f"{stored[name]!r}; {instead}", "False")
    known = NUMERICAL.union(NOT_HONOURED, HONOURED)
    for name in sorted(stored.keys() - known):
        _note(tables, name, f"{stored[name]!r}; this option is not known", ", ".join(sorted(HONOURED)))
    return options


HONOURED = (
    "calculate_voltage_angles",
    "consider_line_temperature",
    "neglect_open_switch_branches",
    "switch_rx_ratio",
    "trafo3w_losses",
    "trafo_loading",
    "trafo_model",
    "voltage_depend_loads",
)


def _ratio(tables: Tables, stored: Mapping[str, Any]) -> float:
    value = stored.get("switch_rx_ratio", Options().switch_r_to_x)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value >= 0 and math.isfinite(value)):
        _fault(tables, "switch_rx_ratio", f"{value!r}", "a ratio from 0")
        return Options().switch_r_to_x
    return float(value)


def _choice(tables: Tables, name: str, among: tuple[str, ...]) -> str:
    value = str(tables.options.get(name) or among[0]).lower()
    if value not in among:
        _fault(tables, name, f"{value!r}", " or ".join(among))
    return value


def _with_angles(tables: Tables, stated: object) -> bool:
    """With "auto", whether a line begins and a line ends at one bus of more than 70 kV."""
    if stated != "auto":
        return bool(stated)
    at = [{line.reference(f"{end}_bus") for line in tables.of("line")} for end in ("from", "to")]
    high = {bus.index for bus in tables.of("bus") if bus.number_or("vn_kv", 0.0) > HIGH_VOLTAGE_KV}
    return bool(at[0] & at[1] & high)


def _note(tables: Tables, name: str, problem: str, expected: str) -> None:
    tables.findings.append(Finding(tables.where, 0, f"user_pf_options.{name}", problem, expected))


def _fault(tables: Tables, name: str, problem: str, expected: str) -> None:
    tables.errors.append(Finding(tables.where, 0, f"user_pf_options.{name}", problem, expected))

"""Rows of older pandapower files in the form of today's, as pandapower's own `from_json` brings them.

Before 2.0 powers were in kW and counted as loads, and taps were called `tp_`; before 3.0 a tap had no type: it follows
from its step (percent: ratio, degrees alone: ideal).
"""

import re
from typing import Any

Values = dict[str, Any]
Version = tuple[int, ...]

MEGA, TYPES_OF_TAPS = (2, 0), (3, 0)
CURRENT = (999,)
RENAMED = {
    "imax_ka": "max_i_ka",
    "qmin_mvar": "min_q_mvar",
    "qmax_mvar": "max_q_mvar",
}
KILO = (("kvar", "mvar"), ("kva", "mva"), ("kw", "mw"))
COUNTED_AS_LOADS = {"sgen": ("p_kw", "q_kvar"), "gen": ("p_kw",)}
LIMITED = ("sgen", "gen", "ext_grid")


def version_of(stated: object, program: object) -> Version:
    """The version of the file's format: as stated, otherwise that of the program, which it cannot exceed."""
    own, by = _numbers(stated), _numbers(program)
    if own and by:
        return min(own, by)
    return own or by or CURRENT


def _numbers(stated: object) -> Version:
    if isinstance(stated, bool) or not isinstance(stated, str | int | float):
        return ()
    leading = re.match(r"\d+(\.\d+)*", str(stated).strip())
    return tuple(int(part) for part in leading.group().split(".")) if leading else ()


def present(table: str, values: Values, version: Version) -> Values:
    """A row of a table as today's pandapower has it."""
    if version < MEGA:
        values = _mega(table, values)
    values = {RENAMED.get(column, column): value for column, value in values.items()}
    if table in ("trafo", "trafo3w"):
        values = {_tap_column(column): value for column, value in values.items()}
        if version < TYPES_OF_TAPS:
            values |= _tap_types(values)
    if table == "impedance" and "r_pu" in values:
        values |= {f"{part}{way}_pu": values[f"{part}_pu"] for part in "rx" for way in ("ft", "tf")}
    return values


def _mega(table: str, values: Values) -> Values:
    """Powers of kW in MW; what was counted as a load, as a generator."""
    for column in COUNTED_AS_LOADS.get(table, ()):
        values = values | {column: _scaled(values.get(column), -1.0)}
    if table in LIMITED:
        limits = {
            f"{other}_{column}": _scaled(values[f"{end}_{column}"], -1.0)
            for column in ("p_kw", "q_kvar")
            for end, other in (("min", "max"), ("max", "min"))
            if f"{end}_{column}" in values
        }
        kept = {key: value for key, value in values.items() if key[:4] not in ("min_", "max_") or key in limits}
        values = kept | limits
    return dict(_in_mega(column, value) for column, value in values.items())


def _in_mega(column: str, value: Any) -> tuple[str, Any]:
    for old, new in KILO:
        if old in column and column != "pfe_kw":
            return column.replace(old, new), _scaled(value, 1e-3)
    return column, value


def _scaled(value: Any, factor: float) -> Any:
    return value * factor if isinstance(value, int | float) and not isinstance(value, bool) else value


def _tap_column(column: str) -> str:
    if not column.startswith(("tp", "vsc")):
        return column
    return column.replace("tp_", "tap_").replace("_st_", "_step_").replace("_mid", "_neutral").replace("vsc", "vk")


def _tap_types(values: Values) -> Values:
    types = {}
    for prefix in ("tap", "tap2"):
        steps = [values.get(f"{prefix}_step_{unit}") for unit in ("percent", "degree")]
        if not {f"{prefix}_step_percent", f"{prefix}_step_degree"}.isdisjoint(values):
            types[f"{prefix}_changer_type"] = "Ratio" if steps[0] else "Ideal" if steps[1] else None
    return types

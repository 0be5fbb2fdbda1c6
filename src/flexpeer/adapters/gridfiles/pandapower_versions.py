"""Rows of older pandapower files in the form of today's, as pandapower's own `from_json` brings them.

Before 1.6.1 a file was its tables without a frame around them, and before 1.6 each of them its columns by the row's
index, for a while with a table of `parameters`. Before 2.0 powers were in kW and counted as loads, and taps were called
`tp_`; before 3.0 a tap had no type: it follows from its step (percent: ratio, degrees alone: ideal).
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


def is_bare(document: object) -> bool:
    """Whether a parsed file may be tables without a frame around them."""
    if not isinstance(document, dict) or "_object" in document:
        return False
    bus = document.get("bus")
    return isinstance(bus, dict) and ("vn_kv" in bus or "_object" in bus)


def framed(net: Values) -> Values:
    """The tables of such a file as today's files have them, beside whatever else it has."""
    stated = net.get("parameters")
    more = stated.get("parameter") if isinstance(stated, dict) else None
    if not isinstance(more, dict):
        return {name: _frame(table) for name, table in net.items()}
    no_elements = ("parameters", "dtypes", *(f"{table}_std_types" for table in ("line", "trafo", "trafo3w")))
    return {name: _frame(table) for name, table in net.items() if name not in no_elements} | more


def _frame(table: Any) -> Any:
    """A table of columns by index as one of rows; whatever else as it is."""
    columns = table if isinstance(table, dict) and "_object" not in table else {}
    if not columns or not all(isinstance(column, dict) for column in columns.values()):
        return table
    index = list(next(iter(columns.values())))
    if any(column.keys() != columns[next(iter(columns))].keys() for column in columns.values()):
        return table
    cells = [[column[row] for column in columns.values()] for row in index]
    if any(isinstance(cell, dict) for row in cells for cell in row):
        return table
    named = [int(row) if row.isascii() and row.isdigit() else row for row in index]
    return {"_class": "DataFrame", "_object": {"columns": list(columns), "index": named, "data": cells}}


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

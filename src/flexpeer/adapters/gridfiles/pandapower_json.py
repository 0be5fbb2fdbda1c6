"""A pandapower JSON file as rows in SI units, without pandapower.

Buses joined by closed bus-bus switches become one, under the name of the first. A branch that is open
at one end stays in the list, out of service, and its charging becomes a shunt at the end that is
connected, which is the same network seen from there.
"""

import math
from collections.abc import Iterator

from flexpeer.adapters.gridfiles.grid_file import ReadRows
from flexpeer.adapters.gridfiles.pandapower_branches import read_branches
from flexpeer.adapters.gridfiles.pandapower_draft import Draft, draft_of
from flexpeer.adapters.gridfiles.pandapower_tables import Element, aliases, pandapower_tables
from flexpeer.grid.assembly import GridRows, InjectionRow, ShuntRow, SourceRow

INJECTION_SIGN = {"load": -1.0, "storage": -1.0, "sgen": 1.0}
VOLTAGE_DEPENDENCE = (
    "const_z_percent",
    "const_i_percent",
    "const_z_p_percent",
    "const_z_q_percent",
    "const_i_p_percent",
    "const_i_q_percent",
)
PASSIVE = frozenset(
    ("bus", "line", "trafo", "trafo3w", "impedance", "switch", "ext_grid", "shunt", "ward", "motor", "measurement")
)
INSTEAD = {
    "gen": "sgen: a fixed injection; voltages are held at ext_grid only",
    "xward": "load and shunt",
    "asymmetric_load": "load, equal in the three phases",
    "asymmetric_sgen": "sgen, equal in the three phases",
}


def read_pandapower(document: object, where: str) -> ReadRows:
    """The rows of a parsed pandapower file; `BadInput` only when there are no tables to read."""
    tables = pandapower_tables(document, where)
    draft = draft_of(tables)
    read_branches(draft)
    injections = (*_injections(draft), *_wards(draft), *_motors(draft))
    draft.shunts.extend(_shunts(draft))
    sources = tuple(_sources(draft))
    _refuse_the_rest(draft)
    branch_aliases: dict[str, str] = {}
    for table in ("line", "trafo", "impedance", "switch"):
        group = tables.of(table)
        branch_aliases |= aliases(group, {e.index: draft.names[table, e.index] for e in group})
    return ReadRows(
        GridRows(tuple(draft.buses), tuple(draft.branches), tuple(draft.shunts), sources, injections),
        tuple(tables.errors),
        tuple(draft.findings),
        aliases(tables.of("bus"), draft.nodes),
        branch_aliases,
    )


def _injections(draft: Draft) -> Iterator[InjectionRow]:
    for table, sign in INJECTION_SIGN.items():
        for element in draft.tables.of(table):
            if draft.at_live_bus(element):
                factor = sign * 1e6 * element.number("scaling", 1.0)
                p_w, q_var = element.number("p_mw") * factor, element.number("q_mvar", 0.0) * factor
                yield InjectionRow(draft.nodes[element.count("bus")], p_w, q_var)
                _note_voltage_dependence(draft, element)


def _note_voltage_dependence(draft: Draft, element: Element) -> None:
    for column in VOLTAGE_DEPENDENCE:
        if element.number(column, 0.0) != 0:
            problem = f"{element.number(column):g} % depends on the voltage; calculated as constant power"
            draft.note(element, column, problem, "0")


def _wards(draft: Draft) -> Iterator[InjectionRow]:
    """A ward is a load and a shunt, the latter at the bus's nominal voltage."""
    for ward in draft.tables.of("ward"):
        if draft.at_live_bus(ward):
            index = ward.count("bus")
            draft.shunts.append(
                _shunt(draft.nodes[index], ward.number("pz_mw"), ward.number("qz_mvar"), draft.v_kv[index])
            )
            yield InjectionRow(draft.nodes[index], -1e6 * ward.number("ps_mw"), -1e6 * ward.number("qs_mvar"))


def _motors(draft: Draft) -> Iterator[InjectionRow]:
    for motor in draft.tables.of("motor"):
        if draft.at_live_bus(motor):
            share = motor.number("loading_percent") / 100.0 * motor.number("scaling", 1.0)
            p_w = 1e8 * motor.number("pn_mech_mw") / motor.positive("efficiency_percent") * share
            q_var = p_w * math.tan(math.acos(min(motor.positive("cos_phi"), 1.0)))
            yield InjectionRow(draft.nodes[motor.count("bus")], -p_w, -q_var)


def _shunts(draft: Draft) -> Iterator[ShuntRow]:
    for shunt in draft.tables.of("shunt"):
        if shunt.flag("step_dependency_table", default=False):
            shunt.fault("step_dependency_table", "a table of powers per step", "equal steps")
        if draft.at_live_bus(shunt):
            index, steps = shunt.count("bus"), shunt.number("step", 1.0)
            v_kv = shunt.positive("vn_kv", draft.v_kv[index])
            yield _shunt(draft.nodes[index], shunt.number("p_mw") * steps, shunt.number("q_mvar") * steps, v_kv)


def _shunt(bus: str, p_mw: float, q_mvar: float, v_kv: float) -> ShuntRow:
    """The admittance that withdraws this power at this voltage."""
    return ShuntRow(bus, 1e6 * p_mw / v_kv**2, -1e6 * q_mvar / v_kv**2)


def _sources(draft: Draft) -> Iterator[SourceRow]:
    held: dict[str, tuple[float, float]] = {}
    for grid in draft.tables.of("ext_grid"):
        if not draft.at_live_bus(grid):
            continue
        bus = draft.nodes[grid.count("bus")]
        voltage = (grid.number("vm_pu"), grid.number("va_degree", 0.0))
        if held.get(bus) == voltage:
            draft.note(grid, "bus", f"{bus!r} has a source with this voltage already; they are one", "one ext_grid")
            continue
        held[bus] = voltage
        yield SourceRow(draft.names["ext_grid", grid.index], bus, *voltage)


def _refuse_the_rest(draft: Draft) -> None:
    """Elements that carry power and have no counterpart here would change the answer silently."""
    for table, elements in draft.tables.elements.items():
        if table in PASSIVE or table in INJECTION_SIGN:
            continue
        for element in elements:
            carries = any(column == "bus" or column.endswith("_bus") for column in element.values)
            if carries and "in_service" in element.values and element.in_service:
                element.fault("", f"elements of type {table} are not calculated", INSTEAD.get(table, "AC elements"))

"""A pandapower JSON file as rows in SI units, without pandapower.

Buses joined by closed bus-bus switches become one, under the name of the first. A branch that is open
at one end stays in the list, out of service, and its charging becomes a shunt at the end that is
connected, which is the same network seen from there.
"""

import math
from collections.abc import Iterator

from flexpeer.adapters.gridfiles.grid_file import ReadRows
from flexpeer.adapters.gridfiles.pandapower_branches import read_branches
from flexpeer.adapters.gridfiles.pandapower_draft import PandapowerDraft, draft_of
from flexpeer.adapters.gridfiles.pandapower_tables import KNOWN_TABLES, Element, aliases, pandapower_tables
from flexpeer.adapters.gridfiles.pandapower_voltages import read_voltages
from flexpeer.errors import Finding
from flexpeer.grid.assembly import PHASES, GridRows, InjectionRow, Plate, ShuntRow

KINDS = {"pv": "pv", "solar": "pv", "wp": "wind", "wind": "wind", "hydro": "hydro", "chp": "chp", "bio": "biomass"}
"""What static generators are called, by words in their column `type`."""
INJECTION_SIGN = {"load": -1.0, "storage": -1.0, "sgen": 1.0}
VOLTAGE_DEPENDENCE = (
    "const_z_percent",
    "const_i_percent",
    "const_z_p_percent",
    "const_z_q_percent",
    "const_i_p_percent",
    "const_i_q_percent",
)
READ = KNOWN_TABLES | {"measurement", "res_bus", "characteristic", "trafo_characteristic_table"}
BESIDE = frozenset(
    (
        *("bus_geodata", "line_geodata", "controller", "group", "poly_cost", "pwl_cost", "piecewise_linear_cost"),
        *("polynomial_cost", "q_capability_characteristic", "q_capability_curve_table", "shunt_characteristic_table"),
        *("trafo_characteristic_spline", "shunt_characteristic_spline", "output_writer", "protection"),
    )
)
"""Tables of pandapower that its power flow does not need."""
POWER_UNITS = frozenset(("w", "kw", "mw", "var", "kvar", "mvar", "va", "kva", "mva"))
PQ = (("p", "mw"), ("q", "mvar"))
INSTEAD = {
    "svc": "shunt, or gen where it holds a voltage",
    "ssc": "gen",
    "tcsc": "impedance",
    **dict.fromkeys(
        ("vsc", "b2b_vsc", "vsc_stacked", "vsc_bipolar", "bus_dc", "line_dc", "load_dc", "source_dc"),
        "dcline, or sgen and load at its AC ends",
    ),
}


def read_pandapower(document: object, where: str) -> ReadRows:
    """The rows of a parsed pandapower file; `BadInput` only when there are no tables to read."""
    tables = pandapower_tables(document, where)
    draft = draft_of(tables)
    read_branches(draft)
    held = read_voltages(draft)
    injections = (*_injections(draft), *_asymmetric(draft), *_wards(draft), *_motors(draft), *held.injections)
    draft.shunts.extend(_shunts(draft))
    _tell_the_rest(draft)
    branch_aliases: dict[str, str] = {}
    for table in ("line", "trafo", "impedance", "switch"):
        group = tables.of(table)
        branch_aliases |= aliases(group, {e.index: draft.names[table, e.index] for e in group})
    listed = {row.name for row in draft.branches}
    branch_aliases = {alias: name for alias, name in branch_aliases.items() if name in listed}
    return ReadRows(
        GridRows(
            tuple(draft.buses),
            tuple(draft.branches),
            tuple(draft.shunts),
            held.sources,
            injections,
            held.controlled,
        ),
        tuple(tables.errors),
        tuple(tables.findings),
        aliases(tables.of("bus"), draft.nodes),
        branch_aliases,
    )


def _injections(draft: PandapowerDraft) -> Iterator[InjectionRow]:
    for table, sign in INJECTION_SIGN.items():
        for element in draft.tables.of(table):
            if draft.at_live_bus(element):
                factor = sign * 1e6 * element.number("scaling", 1.0)
                p_w, q_var = element.number("p_mw") * factor, element.number("q_mvar", 0.0) * factor
                yield InjectionRow(draft.nodes[element.reference("bus")], p_w, q_var, "", _plate(table, element))
                _note_voltage_dependence(draft, element)


def _plate(table: str, element: Element) -> Plate:
    """A static generator scaled down may be at most what it is unscaled, if nothing else is stated."""
    text = str(element.values.get("type") or "").lower()
    kind = next((kind for word, kind in KINDS.items() if word in text), "generation") if table == "sgen" else table
    low_w, high_w = (1e6 * element.stated(column) for column in ("min_p_mw", "max_p_mw"))
    if INJECTION_SIGN[table] < 0:
        low_w, high_w = -high_w, -low_w
    if table == "sgen" and math.isnan(high_w) and element.number("scaling", 1.0) < 1.0 and element.number("p_mw") > 0:
        high_w = 1e6 * element.number("p_mw")
    stored_wh = 1e6 * element.stated("max_e_mwh") if table == "storage" else math.nan
    kind = "battery" if table == "storage" else kind
    return Plate(element.given_name, kind, low_w, high_w, stored_wh)


def _note_voltage_dependence(draft: PandapowerDraft, element: Element) -> None:
    for column in VOLTAGE_DEPENDENCE if not draft.options.constant_loads else ():
        if element.number(column, 0.0) != 0:
            problem = f"{element.number(column):g} % depends on the voltage; calculated as constant power"
            draft.note(element, column, problem, "0")


def _wards(draft: PandapowerDraft) -> Iterator[InjectionRow]:
    """A ward is a load and a shunt, the latter at the bus's nominal voltage; an extended one has that too."""
    for ward in (*draft.tables.of("ward"), *draft.tables.of("xward")):
        if draft.at_live_bus(ward):
            index = ward.reference("bus")
            draft.shunts.append(
                _shunt(draft.nodes[index], ward.number("pz_mw"), ward.number("qz_mvar"), draft.v_kv[index])
            )
            yield InjectionRow(draft.nodes[index], -1e6 * ward.number("ps_mw"), -1e6 * ward.number("qs_mvar"))


def _motors(draft: PandapowerDraft) -> Iterator[InjectionRow]:
    for motor in draft.tables.of("motor"):
        if draft.at_live_bus(motor):
            share = motor.number("loading_percent") / 100.0 * motor.number("scaling", 1.0)
            p_w = 1e8 * motor.number("pn_mech_mw") / motor.positive("efficiency_percent") * share
            q_var = p_w * math.tan(math.acos(min(motor.positive("cos_phi"), 1.0)))
            yield InjectionRow(draft.nodes[motor.reference("bus")], -p_w, -q_var)


def _shunts(draft: PandapowerDraft) -> Iterator[ShuntRow]:
    for shunt in draft.tables.of("shunt"):
        if shunt.flag("step_dependency_table", default=False):
            shunt.fault("step_dependency_table", "a table of powers per step", "equal steps")
        if draft.at_live_bus(shunt):
            index, steps = shunt.reference("bus"), shunt.number("step", 1.0)
            v_kv = shunt.positive("vn_kv", draft.v_kv[index])
            yield _shunt(draft.nodes[index], shunt.number("p_mw") * steps, shunt.number("q_mvar") * steps, v_kv)


def _shunt(bus: str, p_mw: float, q_mvar: float, v_kv: float) -> ShuntRow:
    """The admittance that withdraws this power at this voltage."""
    return ShuntRow(bus, 1e6 * p_mw / v_kv**2, -1e6 * q_mvar / v_kv**2)


def _asymmetric(draft: PandapowerDraft) -> Iterator[InjectionRow]:
    """Loads and generators given by phase, an injection for each."""
    for table, sign in (("asymmetric_load", -1e6), ("asymmetric_sgen", 1e6)):
        unequal = []
        for element in draft.tables.of(table):
            if not draft.at_live_bus(element):
                continue
            p_mw, q_mvar = ([element.number(f"{letter}_{phase}_{unit}") for phase in "abc"] for letter, unit in PQ)
            factor = sign * element.number("scaling", 1.0)
            bus = draft.nodes[element.reference("bus")]
            for phase, p, q in zip(PHASES, p_mw, q_mvar, strict=True):
                yield InjectionRow(bus, p * factor, q * factor, phase)
            unequal += [element] * (len(set(p_mw)) > 1 or len(set(q_mvar)) > 1)
        if unequal:
            problem = f"{len(unequal)} elements of {table} differ by phase; calculated as balanced, at their sum"
            draft.note(unequal[0], "", problem, "equal phases")


def _tell_the_rest(draft: PandapowerDraft) -> None:
    """Tables that are not read: one that claims to be connected and to carry power is refused, the others are told.

    Such an element would change the answer silently; what pandapower itself has beside its elements is not told.
    """
    for table, elements in draft.tables.elements.items():
        if table in READ or table in BESIDE or not elements:
            continue
        columns = set(elements[0].values)
        connected = any("bus" in column.split("_") for column in columns)
        carries = connected and any(column.split("_")[-1] in POWER_UNITS for column in columns)
        if table not in INSTEAD and not carries:
            problem = f"{len(elements)} rows of a table that is not known here; passed over"
            draft.tables.findings.append(Finding(draft.tables.where, 0, table, problem, "elements of the power flow"))
            continue
        for element in elements:
            if element.in_service:
                expected = INSTEAD.get(table, "load or sgen; without the table or its column of power the file is read")
                element.fault("", f"elements of type {table} are not calculated", expected)

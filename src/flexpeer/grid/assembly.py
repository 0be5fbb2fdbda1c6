"""From rows in SI units to the `Network`, and everything that can be wrong with the rows.

Every reader of grid files and every built-in network ends here. A branch row is the pi section of
`flexpeer.grid.network`, equation (1): its impedance and admittance are those seen at the `to` end.
Each per-unit value is one product or one quotient of the row's value, so that `rows_of` finds a row
value that assembles to the very same float.
"""

import cmath
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flexpeer.errors import Finding
from flexpeer.grid.network import NO_BRANCH, S_BASE_VA, Floats, Integers, Network

LINE_KINDS = ("line", "switch")
PHASES = ("a", "b", "c")
DEGREE = math.pi / 180.0
LEAST_RATING_A = 1e-3


class BusRow(NamedTuple):
    """A bus; `area` names its owner or zone, empty where the file has none; `start_*` a state to begin from, or NaN."""

    name: str
    v_kv: float
    v_min_pu: float = 0.9
    v_max_pu: float = 1.1
    area: str = ""
    start_v_pu: float = math.nan
    start_deg: float = math.nan


class BranchRow(NamedTuple):
    """A branch; ohm and microsiemens at the `to` end, ratings in A at each end, NaN: no limit."""

    name: str
    kind: str
    from_bus: str
    to_bus: str
    r_ohm: float
    x_ohm: float
    g_us: float = 0.0
    b_us: float = 0.0
    tap: float = 1.0
    shift_deg: float = 0.0
    rating_from_a: float = math.nan
    rating_to_a: float = math.nan
    in_service: bool = True


class ShuntRow(NamedTuple):
    """A constant admittance from a bus to earth; a capacitor has positive `b_us`.

    `branch` names the branch whose open end it stands for: it is there while the branch is out of service.
    """

    bus: str
    g_us: float
    b_us: float
    branch: str = ""


class SourceRow(NamedTuple):
    """A bus whose voltage the overlying grid holds."""

    name: str
    bus: str
    v_pu: float = 1.0
    angle_deg: float = 0.0


class ControlledRow(NamedTuple):
    """A bus whose voltage magnitude a generator holds by its reactive power; its active power is an injection.

    The range of reactive power is what the file states; it is not enforced.
    """

    bus: str
    v_pu: float
    q_min_var: float = -math.inf
    q_max_var: float = math.inf


class Plate(NamedTuple):
    """What a file says of an element beside its power, for a first market: nothing in the power flow depends on it.

    Its name and kind (load, generation, pv, wind, battery, ...), the powers it may have (injection positive), what it
    can store; empty or NaN where the file does not say.
    """

    name: str = ""
    kind: str = ""
    p_min_w: float = math.nan
    p_max_w: float = math.nan
    energy_wh: float = math.nan


class InjectionRow(NamedTuple):
    """A constant power at a bus; injection positive, loads negative.

    On one phase of `PHASES`, or with an empty `phase` a third on each.
    """

    bus: str
    p_w: float
    q_var: float
    phase: str = ""
    plate: Plate = Plate()


@dataclass(frozen=True)
class GridRows:
    """All rows of one grid."""

    buses: tuple[BusRow, ...]
    branches: tuple[BranchRow, ...]
    shunts: tuple[ShuntRow, ...]
    sources: tuple[SourceRow, ...]
    injections: tuple[InjectionRow, ...]
    controlled: tuple[ControlledRow, ...] = ()


def faults(rows: GridRows, where: str) -> tuple[Finding, ...]:
    """Everything that makes the rows unusable, in row order; a reachability check only if all else is well."""
    known = {bus.name: bus for bus in rows.buses}
    found = [
        *_name_faults(rows, where),
        *(finding for bus in rows.buses for finding in _bus_faults(bus, where)),
        *(finding for branch in rows.branches for finding in _branch_faults(branch, known, where)),
        *_terminal_faults(rows, known, where),
    ]
    return tuple(found or _reach_faults(rows, where))


def unreached(rows: GridRows) -> tuple[str, ...]:
    """Names of the buses that no source reaches over branches in service; names must be known."""
    index = _bus_index(rows)
    live = [branch for branch in rows.branches if branch.in_service]
    ends = np.array([(index[b.from_bus], index[b.to_bus]) for b in live], dtype=np.int64).reshape(-1, 2)
    size = len(rows.buses)
    graph = coo_array((np.ones(len(live)), (ends[:, 0], ends[:, 1])), shape=(size, size))
    label = connected_components(graph, directed=False)[1]
    fed = {int(label[index[source.bus]]) for source in rows.sources}
    return tuple(bus.name for bus, island in zip(rows.buses, label, strict=True) if int(island) not in fed)


def assemble(rows: GridRows) -> Network:
    """The network of rows without `faults`."""
    index = _bus_index(rows)
    branches, shunts, sources = rows.branches, rows.shunts, rows.sources
    branch_index = {branch.name: position for position, branch in enumerate(branches)}
    bus_v = np.array([bus.v_kv for bus in rows.buses], dtype=np.float64) * 1e3
    to_bus = _integers([index[branch.to_bus] for branch in branches])
    shunt_bus = _integers([index[shunt.bus] for shunt in shunts])
    z_ohm, z_shunt = impedance_base_ohm(bus_v[to_bus]), impedance_base_ohm(bus_v[shunt_bus])
    return Network(
        bus_names=tuple(bus.name for bus in rows.buses),
        bus_v=bus_v,
        v_min_pu=_floats([bus.v_min_pu for bus in rows.buses]),
        v_max_pu=_floats([bus.v_max_pu for bus in rows.buses]),
        start_v_pu=_floats([bus.start_v_pu for bus in rows.buses]),
        start_angle_rad=_floats([bus.start_deg for bus in rows.buses]) * DEGREE,
        branch_names=tuple(branch.name for branch in branches),
        branch_kinds=tuple(branch.kind for branch in branches),
        branch_from=_integers([index[branch.from_bus] for branch in branches]),
        branch_to=to_bus,
        r_pu=_floats([branch.r_ohm for branch in branches]) / z_ohm,
        x_pu=_floats([branch.x_ohm for branch in branches]) / z_ohm,
        g_pu=_floats([branch.g_us for branch in branches]) * (z_ohm * 1e-6),
        b_pu=_floats([branch.b_us for branch in branches]) * (z_ohm * 1e-6),
        tap=_floats([branch.tap for branch in branches]),
        shift_rad=_floats([branch.shift_deg for branch in branches]) * DEGREE,
        rating_from_a=_floats([branch.rating_from_a for branch in branches]),
        rating_to_a=_floats([branch.rating_to_a for branch in branches]),
        in_service=np.array([branch.in_service for branch in branches], dtype=np.bool_),
        shunt_bus=shunt_bus,
        shunt_g_pu=_floats([shunt.g_us for shunt in shunts]) * (z_shunt * 1e-6),
        shunt_b_pu=_floats([shunt.b_us for shunt in shunts]) * (z_shunt * 1e-6),
        shunt_branch=_integers([branch_index.get(shunt.branch, NO_BRANCH) for shunt in shunts]),
        source_names=tuple(source.name for source in sources),
        source_bus=_integers([index[source.bus] for source in sources]),
        source_v_pu=_floats([source.v_pu for source in sources]),
        source_angle_rad=_floats([source.angle_deg for source in sources]) * DEGREE,
        controlled_bus=_integers([index[row.bus] for row in rows.controlled]),
        controlled_v_pu=_floats([row.v_pu for row in rows.controlled]),
        controlled_q_min_var=_floats([row.q_min_var for row in rows.controlled]),
        controlled_q_max_var=_floats([row.q_max_var for row in rows.controlled]),
    )


def bus_injections(rows: GridRows) -> tuple[Floats, Floats]:
    """The rows' injections summed per bus, W and var, each (buses,)."""
    index = _bus_index(rows)
    p_w, q_var = np.zeros(len(rows.buses)), np.zeros(len(rows.buses))
    for row in rows.injections:
        p_w[index[row.bus]] += row.p_w
        q_var[index[row.bus]] += row.q_var
    return p_w, q_var


def open_end_shunt(branch: BranchRow, open_to: bool, v_from_kv: float, v_to_kv: float) -> ShuntRow | None:
    """What a branch in service that is open at one end is to the other: equation (1) without current there.

    None where it has no charging, or no impedance (which `faults` reports).
    """
    half = complex(branch.g_us, branch.b_us) / 2.0
    if half == 0 or (branch.r_ohm == 0 and branch.x_ohm == 0):
        return None
    series = 1e6 / complex(branch.r_ohm, branch.x_ohm)
    seen = half + series * half / (series + half)
    if not open_to:
        return ShuntRow(branch.to_bus, seen.real, seen.imag, branch.name)
    seen *= (v_to_kv / v_from_kv / branch.tap) ** 2
    return ShuntRow(branch.from_bus, seen.real, seen.imag, branch.name)


def bypassed_shunt(branch: BranchRow) -> ShuntRow | None:
    """What a branch with both ends at one bus is to it: equation (1) with one voltage. None where that is nothing."""
    if branch.r_ohm == 0 and branch.x_ohm == 0:
        return None
    half, series = complex(branch.g_us, branch.b_us) / 2.0, 1e6 / complex(branch.r_ohm, branch.x_ohm)
    ratio = cmath.rect(branch.tap, branch.shift_deg * DEGREE)
    seen = half * (1.0 + 1.0 / branch.tap**2) + series * abs(1.0 - 1.0 / ratio) ** 2
    return ShuntRow(branch.from_bus, seen.real, seen.imag) if seen != 0 else None


def impedance_base_ohm(bus_v: Floats) -> Floats:
    """Ohms that are one per unit at a nominal voltage."""
    return np.asarray(bus_v * bus_v / S_BASE_VA, dtype=np.float64)


def _bus_index(rows: GridRows) -> dict[str, int]:
    return {bus.name: position for position, bus in enumerate(rows.buses)}


def _floats(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _integers(values: list[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def _name_faults(rows: GridRows, where: str) -> Iterator[Finding]:
    names = [row.name for group in (rows.buses, rows.branches, rows.sources) for row in group]
    for name, count in Counter(names).items():
        if count > 1 or not name:
            yield Finding(where, 0, name, f"{count} elements have this name", "a name of its own")


def _bus_faults(bus: BusRow, where: str) -> Iterator[Finding]:
    if not (math.isfinite(bus.v_kv) and bus.v_kv > 0):
        yield Finding(where, 0, f"{bus.name}.v_kv", f"{bus.v_kv}", "a positive nominal voltage in kV")
    if not 0 <= bus.v_min_pu <= bus.v_max_pu < math.inf:
        band = f"{bus.v_min_pu} to {bus.v_max_pu}"
        yield Finding(where, 0, f"{bus.name}.v_min_pu", f"voltage band {band}", "0 <= v_min_pu <= v_max_pu")


def _branch_faults(branch: BranchRow, known: dict[str, BusRow], where: str) -> Iterator[Finding]:
    for field in ("from_bus", "to_bus"):
        if getattr(branch, field) not in known:
            yield Finding(
                where, 0, f"{branch.name}.{field}", f"no bus {getattr(branch, field)!r}", "a bus of this grid"
            )
    for field in ("r_ohm", "x_ohm", "g_us", "b_us", "tap", "shift_deg"):
        if not math.isfinite(getattr(branch, field)):
            yield Finding(where, 0, f"{branch.name}.{field}", f"{getattr(branch, field)}", "a finite number")
    for field in ("rating_from_a", "rating_to_a"):
        if getattr(branch, field) < LEAST_RATING_A or math.isinf(getattr(branch, field)):
            problem = f"a limit of {getattr(branch, field)} A" + (", a negative limit" * (getattr(branch, field) < 0))
            expected = f"a positive, finite current of at least {LEAST_RATING_A} A, or none"
            yield Finding(where, 0, f"{branch.name}.{field}", problem, expected)
    if branch.r_ohm == 0 and branch.x_ohm == 0:
        expected = "r_ohm or x_ohm other than zero; join the buses instead"
        yield Finding(where, 0, f"{branch.name}.r_ohm", "zero impedance", expected)
    if branch.tap <= 0:
        yield Finding(where, 0, f"{branch.name}.tap", f"{branch.tap}", "a positive ratio")
    yield from _voltage_faults(branch, known, where)


def _voltage_faults(branch: BranchRow, known: dict[str, BusRow], where: str) -> Iterator[Finding]:
    if branch.from_bus == branch.to_bus:
        yield Finding(where, 0, f"{branch.name}.to_bus", "both ends at one bus", "two buses")
    start, end = known.get(branch.from_bus), known.get(branch.to_bus)
    if start and end and branch.kind in LINE_KINDS and abs(start.v_kv - end.v_kv) > 0:
        problem = f"a {branch.kind} joins {start.v_kv} kV and {end.v_kv} kV"
        yield Finding(where, 0, f"{branch.name}.to_bus", problem, "one nominal voltage, or a transformer")


def _terminal_faults(rows: GridRows, known: dict[str, BusRow], where: str) -> Iterator[Finding]:
    for group, label in ((rows.shunts, "shunt"), (rows.sources, "source"), (rows.injections, "injection")):
        for row in group:
            yield from _row_faults(row, label, known, where)
    yield from _open_end_faults(rows, where)
    if not rows.sources:
        yield Finding(where, 0, "sources", "no source", "at least one bus with a held voltage")
    for source in rows.sources:
        if source.v_pu <= 0:
            yield Finding(where, 0, f"{source.name}.v_pu", f"{source.v_pu}", "a positive voltage")
    for bus, count in Counter(source.bus for source in rows.sources).items():
        if count > 1:
            yield Finding(where, 0, f"source at {bus}", f"{count} sources at one bus", "one source")
    for row in rows.injections:
        if row.phase and row.phase not in PHASES:
            yield Finding(
                where, 0, f"injection at {row.bus}.phase", f"{row.phase!r}", "a, b, c, or nothing for all three"
            )
    yield from _controlled_faults(rows, known, where)


def _open_end_faults(rows: GridRows, where: str) -> Iterator[Finding]:
    branches = {branch.name for branch in rows.branches}
    for shunt in rows.shunts:
        if shunt.branch and shunt.branch not in branches:
            problem = f"no branch {shunt.branch!r}"
            yield Finding(where, 0, f"shunt at {shunt.bus}.branch", problem, "a branch of this grid, or nothing")


def _controlled_faults(rows: GridRows, known: dict[str, BusRow], where: str) -> Iterator[Finding]:
    held = Counter([source.bus for source in rows.sources] + [row.bus for row in rows.controlled])
    for row in rows.controlled:
        place = f"controlled at {row.bus}"
        if row.bus not in known:
            yield Finding(where, 0, "controlled.bus", f"no bus {row.bus!r}", "a bus of this grid")
        if not 0 < row.v_pu < math.inf:
            yield Finding(where, 0, f"{place}.v_pu", f"{row.v_pu}", "a positive voltage")
        if not row.q_min_var <= row.q_max_var:
            problem = f"reactive power from {row.q_min_var} to {row.q_max_var} var"
            yield Finding(where, 0, f"{place}.q_min_var", problem, "q_min_var <= q_max_var")
        if held[row.bus] > 1:
            yield Finding(where, 0, place, "its voltage is held more than once", "one source or controlled row a bus")


def _row_faults(
    row: ShuntRow | SourceRow | InjectionRow, label: str, known: dict[str, BusRow], where: str
) -> Iterator[Finding]:
    if row.bus not in known:
        yield Finding(where, 0, f"{label}.bus", f"no bus {row.bus!r}", "a bus of this grid")
    for field, value in zip(row._fields, row, strict=True):
        if isinstance(value, float) and not math.isfinite(value):
            yield Finding(where, 0, f"{label} at {row.bus}.{field}", f"{value}", "a finite number")


def _reach_faults(rows: GridRows, where: str) -> Iterator[Finding]:
    dark = set(unreached(rows))
    loaded = {row.bus for row in rows.injections if row.p_w != 0 or row.q_var != 0}
    for bus in rows.buses:
        if bus.name in dark & loaded:
            problem = f"bus {bus.name!r} has an injection but no source reaches it"
            yield Finding(where, 0, f"{bus.name}", problem, "a path of branches in service to a source")

"""Power transformers of CIM as branch rows: two windings as one branch, three as a star of three.

Each end has impedance z_e and admittance y_e at its own rated voltage U_e, and a turn of ratio n_e and angle
(`flexpeer.adapters.gridfiles.cim_taps`). With two ends, seen from the second as equation (1) of
`flexpeer.grid.network` has it, k = U_2 / U_1:

    z = (z_1 k^2 + z_2) n_2^2,   y = (y_1 / k^2 + y_2) / n_2^2,   a = U_1 n_1 / (U_2 n_2)         (1)

With three the star point has the rated voltage of the first end, and each end is a branch to it whose own
turn is the ideal transformer, so that equation (1) holds with U_2 = U_star, n_2 = 1 and no second impedance.
The admittance of a branch is half at each end, wherever the file has it.
"""

import math
from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_draft import CimDraft, End
from flexpeer.adapters.gridfiles.cim_objects import Item, Model
from flexpeer.adapters.gridfiles.cim_tanks import read_tanks
from flexpeer.adapters.gridfiles.cim_taps import turn_of
from flexpeer.grid.assembly import BranchRow, BusRow

RATED_V, RATED_S = "PowerTransformerEnd.ratedU", "PowerTransformerEnd.ratedS"
CLOCK_DEG = 30.0
STAR_BAND = (0.0, 2.0)


class Winding(NamedTuple):
    """An end: where it is, kV, W, ohm and siemens at its own rated voltage, turn, and by how much it leads inside."""

    item: Item
    terminal: Item
    end: End
    rated_kv: float
    rated_va: float
    z_ohm: complex
    y_s: complex
    ratio: float
    shift_deg: float


def read_transformers(draft: CimDraft) -> None:
    """Add every power transformer of the model."""
    for transformer in draft.model.of("PowerTransformer"):
        if draft.model.referring("TransformerTank.PowerTransformer", transformer):
            read_tanks(draft, transformer)
            continue
        windings = _windings(draft, transformer)
        if len(windings) == 2:
            _two(draft, transformer, windings[0], windings[1])
        elif len(windings) == 3:
            _star(draft, transformer, windings)


def _windings(draft: CimDraft, transformer: Item) -> list[Winding]:
    """The ends in the order of their numbers; none, and an error, where they cannot be used."""
    model = draft.model
    ends = model.referring("PowerTransformerEnd.PowerTransformer", transformer)
    ends = sorted(ends, key=lambda end: end.number("TransformerEnd.endNumber", default=0.0))
    terminals = [model.follow(end, "TransformerEnd.Terminal") for end in ends]
    placed = [(end, terminal) for end, terminal in zip(ends, terminals, strict=True) if terminal is not None]
    if len(ends) not in {2, 3} or len(placed) != len(ends):
        transformer.fault("", f"{len(ends)} ends, {len(placed)} with a terminal", "2 or 3 ends with a terminal each")
        return []
    impedances = _impedances(model, [end for end, _ in placed])
    return [_winding(draft, *pair, z_ohm) for pair, z_ohm in zip(placed, impedances, strict=True)]


def _winding(draft: CimDraft, end: Item, terminal: Item, z_ohm: complex) -> Winding:
    model = draft.model
    place = draft.end(terminal)
    rated_kv = end.number(RATED_V, default=place.v_kv / model.units.kv) * model.units.kv
    if rated_kv <= 0:
        end.fault(RATED_V, f"{rated_kv:g}", "a positive voltage")
        rated_kv = place.v_kv
    turn = turn_of(model, end)
    clock = end.number("PowerTransformerEnd.phaseAngleClock", default=0.0)
    y_s = _admittance(model, end)
    return Winding(
        end,
        terminal,
        place,
        rated_kv,
        end.number(RATED_S, default=math.nan) * model.units.watt if end.has(RATED_S) else math.nan,
        complex(z_ohm.real * turn.r, z_ohm.imag * turn.x),
        complex(y_s.real * turn.g, y_s.imag * turn.b),
        turn.ratio,
        turn.alpha_deg - CLOCK_DEG * clock,
    )


def _admittance(model: Model, end: Item) -> complex:
    cores = model.referring("TransformerCoreAdmittance.TransformerEnd", end)
    for core in cores:
        g_s, b_s = (core.number(f"TransformerCoreAdmittance.{name}", default=0.0) for name in "gb")
        return complex(g_s, b_s)
    return complex(*(end.number(f"PowerTransformerEnd.{name}", default=0.0) for name in "gb"))


def _impedances(model: Model, ends: list[Item]) -> list[complex]:
    """Of each end at its own rated voltage: its own, that of a star, or the star of a mesh."""
    own = [_own_impedance(model, end) for end in ends]
    meshes = [mesh for end in ends for mesh in model.referring("TransformerMeshImpedance.FromTransformerEnd", end)]
    return own if any(own) or not meshes else _mesh_star(ends, meshes)


def _own_impedance(model: Model, end: Item) -> complex:
    for star in model.referring("TransformerStarImpedance.TransformerEnd", end):
        return complex(*(star.number(f"TransformerStarImpedance.{name}", default=0.0) for name in "rx"))
    return complex(*(end.number(f"PowerTransformerEnd.{name}", default=0.0) for name in "rx"))


def _mesh_star(ends: list[Item], meshes: list[Item]) -> list[complex]:
    """z_1 = (z_12 + z_13 - z_23) / 2 and so on, each mesh impedance being at the voltage of its `from` end."""
    rated = [end.number(RATED_V, default=1.0) for end in ends]
    place = {end.key: position for position, end in enumerate(ends)}
    pairs: dict[tuple[int, int], complex] = {}
    for mesh in meshes:
        start = place[mesh.references("TransformerMeshImpedance.FromTransformerEnd")[0]]
        for key in mesh.references("TransformerMeshImpedance.ToTransformerEnd"):
            z_ohm = complex(*(mesh.number(f"TransformerMeshImpedance.{name}", default=0.0) for name in "rx"))
            if key in place:
                pairs[min(start, place[key]), max(start, place[key])] = z_ohm * (rated[0] / rated[start]) ** 2
    if len(ends) == 2:
        return [pairs.get((0, 1), 0j), 0j]
    z_12, z_13, z_23 = (pairs.get(pair, 0j) for pair in ((0, 1), (0, 2), (1, 2)))
    star = ((z_12 + z_13 - z_23) / 2.0, (z_12 + z_23 - z_13) / 2.0, (z_13 + z_23 - z_12) / 2.0)
    return [z_ohm * (own / rated[0]) ** 2 for z_ohm, own in zip(star, rated, strict=True)]


def _two(draft: CimDraft, transformer: Item, one: Winding, other: Winding) -> None:
    k = other.rated_kv / one.rated_kv
    z_ohm = (one.z_ohm * k**2 + other.z_ohm) * other.ratio**2
    y_s = (one.y_s / k**2 + other.y_s) / other.ratio**2
    voltage_ratio = one.rated_kv * one.ratio / (other.rated_kv * other.ratio)
    row = _row(draft, transformer, transformer.key, z_ohm, y_s)
    row = row._replace(
        tap=voltage_ratio / (one.end.v_kv / other.end.v_kv),
        shift_deg=_turned(one.shift_deg - other.shift_deg),
        rating_from_a=_rating_a(draft, transformer, one, one.rated_kv),
        rating_to_a=_rating_a(draft, transformer, other, other.rated_kv),
    )
    draft.add_branch(row, transformer, (one.end, other.end))


def _star(draft: CimDraft, transformer: Item, windings: list[Winding]) -> None:
    star = f"{transformer.key} star"
    star_kv = windings[0].rated_kv
    draft.add_bus(
        BusRow(star, star_kv, *STAR_BAND, _area(draft, windings)), f"{transformer.name} star", transformer.key
    )
    for number, winding in enumerate(windings, start=1):
        k = star_kv / winding.rated_kv
        row = _row(draft, transformer, winding.item.key, winding.z_ohm * k**2, winding.y_s / k**2)
        limit_a = _rating_a(draft, transformer, winding, winding.rated_kv)
        row = row._replace(
            tap=winding.rated_kv * winding.ratio / winding.end.v_kv,
            shift_deg=_turned(winding.shift_deg),
            rating_from_a=limit_a,
            rating_to_a=limit_a / k,
        )
        ends = (winding.end, End(star, star_kv, live=True))
        draft.add_branch(row, winding.item, ends, f"{transformer.name} {number}")


def _area(draft: CimDraft, windings: list[Winding]) -> str:
    bus = draft.buses.get(windings[0].end.bus)
    return bus.area if bus else ""


def _row(draft: CimDraft, transformer: Item, key: str, z_ohm: complex, y_s: complex) -> BranchRow:
    row = BranchRow(key, "transformer", "", "", z_ohm.real, z_ohm.imag, y_s.real * 1e6, y_s.imag * 1e6)
    return row._replace(in_service=draft.model.in_service(transformer))


def _rating_a(draft: CimDraft, transformer: Item, winding: Winding, rated_kv: float) -> float:
    """The permanent limit of the terminal, otherwise the rated power; NaN where neither is stated."""
    limit_a = draft.ratings.at(winding.terminal, transformer, winding.end.v_kv)
    if math.isnan(limit_a) and winding.rated_va > 0:
        return winding.rated_va / (math.sqrt(3.0) * rated_kv * 1e3)
    return limit_a


def _turned(angle_deg: float) -> float:
    """The same angle above -180 and up to 180 degrees."""
    turned = math.fmod(angle_deg, 360.0)
    return turned - 360.0 if turned > 180.0 else turned + 360.0 if turned <= -180.0 else turned

"""Transformers of tanks, as CDPSM has them, read as balanced with the data of their test reports.

Each tank has a short-circuit test from its first winding to its second: with leakage impedance z (ohm at
the first) and winding resistances r_1, r_2, on the tank's own rating

    |z|_pu = z S / U_1^2,   r_pu = r_1 S / U_1^2 + r_2 S / U_2^2,   x_pu^2 = |z|_pu^2 - r_pu^2      (1)

The tanks between two buses are one branch of the sum of their ratings. At neutral taps its ratio is that of
the nominal voltages. No-load tests and windings beyond the second are passed over.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_draft import CimDraft, End
from flexpeer.adapters.gridfiles.cim_objects import Item, Model
from flexpeer.adapters.gridfiles.cim_taps import turn_of
from flexpeer.grid.assembly import BranchRow

TEST = "TransformerEndInfo and a ShortCircuitTest with its leakageImpedance"


class Tank(NamedTuple):
    """One tank: where it is, its rating in VA, per-unit impedance, ratios at its ends, and shift of its clock."""

    terminals: tuple[Item, Item]
    ends: tuple[End, End]
    rated_va: float
    z_pu: complex
    ratios: tuple[float, float]
    shift_deg: float


def read_tanks(draft: CimDraft, transformer: Item) -> None:
    """Add the branches of a transformer's tanks, one for each pair of buses."""
    banks: dict[tuple[str, str], list[Tank]] = {}
    for item in draft.model.referring("TransformerTank.PowerTransformer", transformer):
        tank = _tank(draft, item)
        if tank is not None:
            banks.setdefault((tank.ends[0].bus, tank.ends[1].bus), []).append(tank)
            item.note("", "tanks are read as one balanced transformer of their summed ratings", "PowerTransformerEnd")
    for number, tanks in enumerate(banks.values(), start=1):
        _add_bank(draft, transformer, tanks, f" {number}" if len(banks) > 1 else "")


def _add_bank(draft: CimDraft, transformer: Item, tanks: list[Tank], suffix: str) -> None:
    first = tanks[0]
    (start, end), rated_va = first.ends, sum(tank.rated_va for tank in tanks)
    z_ohm = end.v_kv**2 * 1e6 / sum(tank.rated_va / tank.z_pu for tank in tanks)
    ratios = [sum(tank.ratios[side] for tank in tanks) / len(tanks) for side in (0, 1)]
    limits = [draft.ratings.at(first.terminals[side], transformer, first.ends[side].v_kv) for side in (0, 1)]
    rated_a = [rated_va / (math.sqrt(3.0) * place.v_kv * 1e3) for place in (start, end)]
    row = BranchRow(
        f"{transformer.key}{suffix}",
        "transformer",
        "",
        "",
        z_ohm.real * ratios[1] ** 2,
        z_ohm.imag * ratios[1] ** 2,
        tap=ratios[0] / ratios[1],
        shift_deg=first.shift_deg,
        rating_from_a=rated_a[0] if math.isnan(limits[0]) else limits[0],
        rating_to_a=rated_a[1] if math.isnan(limits[1]) else limits[1],
        in_service=draft.model.in_service(transformer),
    )
    draft.add_branch(row, transformer, (start, end), f"{transformer.name}{suffix}")


def _tank(draft: CimDraft, item: Item) -> Tank | None:
    model = draft.model
    placed = _placed(draft, item)
    infos = _infos(model, item)
    if len(placed) < 2 or len(infos) < 2:
        item.fault("", f"{len(placed)} ends at buses of their own, {len(infos)} of them described", f"2 ends, {TEST}")
        return None
    rated_va, z_pu = _impedance(model, infos[0], infos[1])
    if not (rated_va > 0 and z_pu != 0 and all(place.v_kv > 0 for _, _, place in placed)):
        item.fault("", "no rating or no impedance", TEST)
        return None
    (one, first, start), (other, second, end) = placed[:2]
    ratios = turn_of(model, one).ratio, turn_of(model, other).ratio
    clocks = [info.number("TransformerEndInfo.phaseAngleClock", default=0.0) for info in infos]
    single = infos[0].word("TransformerEndInfo.connectionKind") == "i"
    shift_deg = 0.0 if single else math.remainder(30.0 * (clocks[1] - clocks[0]), 360.0)
    return Tank((first, second), (start, end), rated_va, z_pu, ratios, shift_deg)


def _placed(draft: CimDraft, tank: Item) -> list[tuple[Item, Item, End]]:
    """The first end of a tank at each bus: end, terminal and place."""
    ends = draft.model.referring("TransformerTankEnd.TransformerTank", tank)
    found: dict[str, tuple[Item, Item, End]] = {}
    for end in sorted(ends, key=_end_number):
        terminal = draft.model.follow(end, "TransformerEnd.Terminal")
        if terminal is not None:
            place = draft.end(terminal)
            found.setdefault(place.bus, (end, terminal, place))
    return list(found.values())


def _end_number(item: Item) -> float:
    return item.number("TransformerEnd.endNumber", "TransformerEndInfo.endNumber", default=0.0)


def _infos(model: Model, tank: Item) -> list[Item]:
    """What describes the ends of a tank, linked directly, as its data sheet, or through an asset."""
    info = model.follow(tank, "TransformerTank.TransformerTankInfo")
    info = info or model.follow(tank, "PowerSystemResource.AssetDatasheet")
    for asset in model.referring("Asset.PowerSystemResources", tank):
        info = info or model.follow(asset, "Asset.AssetInfo")
    return sorted(model.referring("TransformerEndInfo.TransformerTankInfo", info), key=_end_number) if info else []


def _impedance(model: Model, one: Item, other: Item) -> tuple[float, complex]:
    """The rating in VA and equation (1)."""
    rated_va = one.number("TransformerEndInfo.ratedS") * model.units.watt
    bases = {info.key: _base_ohm(model, info, rated_va) for info in (one, other)}
    z_pu = _leakage_pu(model, (one, other), bases) or _leakage_pu(model, (other, one), bases)
    if z_pu is None:
        return rated_va, 0j
    r_pu = sum(info.number("TransformerEndInfo.r", default=0.0) / bases[info.key] for info in (one, other))
    return rated_va, complex(r_pu, math.sqrt(max(z_pu**2 - r_pu**2, 0.0)))


def _leakage_pu(model: Model, ends: tuple[Item, Item], bases: Mapping[str, float]) -> float | None:
    energised, grounded = ends
    for test in model.referring("ShortCircuitTest.EnergisedEnd", energised):
        if grounded.key in test.references("ShortCircuitTest.GroundedEnds"):
            return test.number("ShortCircuitTest.leakageImpedance") / bases[energised.key]
    return None


def _base_ohm(model: Model, info: Item, rated_va: float) -> float:
    rated_v = info.number("TransformerEndInfo.ratedU") * model.units.kv * 1e3
    return rated_v**2 / rated_va if rated_va > 0 and rated_v > 0 else math.nan

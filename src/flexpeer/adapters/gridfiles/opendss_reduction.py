"""Elements of unequal phases in the positive sequence.

The nodes of a bus are taken to have voltages of one size v (times the nominal one) and of the angles they have without
load: p_n = e^(j angle), to a multiple of 30 degrees. An element with the admittance matrix Y between such nodes draws
the same power at v as one of

    y_eq = p^H Y p / 3                                                              (1)

in each of three equal phases. A series element of n conductors with the impedance matrix Z carries a current I in each,
the same power as I n / 3 in three phases, with the same drop and the same losses in

    z_eq = 3 p^H Z p / n^2,    rating n / 3 of its own                             (2)

which for three phases is the usual positive sequence, and for a single one three times its own impedance.

The two legs of a split phase, of opposite voltages, are of the phases that feed their transformer, whatever their nodes
are called.
"""

import cmath
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from flexpeer.adapters.gridfiles.opendss_engine import GROUND, DssBus, DssElement
from flexpeer.grid.network import Complexes

STEP_DEG = 30.0
OFFSET_DEG = {1: 0.0, 2: -120.0, 3: 120.0}
LIVE_PU = 0.2
OPPOSITE_PU = 0.1


class ReducedLine(NamedTuple):
    """Equation (2) of a line and (1) of its two shunts, ohm and siemens; `phases` conductors carry current."""

    z_ohm: complex
    y_from_s: complex
    y_to_s: complex
    phases: int


class Pair(NamedTuple):
    """Two windings as equation (1) of `flexpeer.grid.network`: voltage ratio a, y and c in siemens at the second."""

    a: complex
    y_s: complex
    c_s: complex


def patterns(buses: Mapping[str, DssBus], source_deg: float) -> dict[str, dict[int, complex]]:
    """p_n of each node, by bus; nodes that carry no voltage have 0. Angles count from those of the source."""
    return {name: _pattern(bus, source_deg) for name, bus in buses.items()}


def _pattern(bus: DssBus, source_deg: float) -> dict[int, complex]:
    lowest = LIVE_PU * bus.v_kv * 1e3
    live = {node: v for node, v in bus.idle_v.items() if node != GROUND and abs(v) > lowest}
    turned = {
        node: STEP_DEG * round((math.degrees(cmath.phase(v)) - source_deg) / STEP_DEG) for node, v in live.items()
    }
    first = min(turned, default=GROUND)
    own = turned.get(first, 0.0) - OFFSET_DEG.get(first, 0.0)
    return {node: cmath.rect(1.0, math.radians(degrees - own)) for node, degrees in turned.items()}


def bus_angles(buses: Mapping[str, DssBus], found: Mapping[str, Mapping[int, complex]]) -> dict[str, float]:
    """The mean angle of each bus's nodes from its pattern, degrees, at the loaded state."""
    angles = {}
    for name, bus in buses.items():
        turned = sum((bus.v[node] / p for node, p in found[name].items() if node in bus.v), 0j)
        angles[name] = math.degrees(cmath.phase(turned)) if turned else 0.0
    return angles


def split_phases(parts: Iterable[DssElement], found: Mapping[str, Mapping[int, complex]]) -> dict[str, frozenset[int]]:
    """The phases that feed each bus of two legs, through its transformer and any lines from there."""
    legs = {bus for bus, pattern in found.items() if len(pattern) == 2 and abs(sum(pattern.values())) < OPPOSITE_PU}
    beside: dict[str, set[str]] = {bus: set() for bus in legs}
    fed: dict[str, frozenset[int]] = {}
    for part in parts:
        near, others = part.buses[0], set(part.buses[1:])
        if part.kind == "transformer" and near not in legs:
            fed |= dict.fromkeys(others & legs, frozenset(part.nodes[0]) - {GROUND})
        elif near in legs:
            for other in others & legs:
                beside[near].add(other)
                beside[other].add(near)
    waiting = list(fed)
    while waiting:
        bus = waiting.pop()
        new = beside[bus] - fed.keys()
        fed |= dict.fromkeys(new, fed[bus])
        waiting += new
    return fed


def at_buses(part: DssElement, found: Mapping[str, Mapping[int, complex]]) -> tuple[tuple[str, ...], Complexes]:
    """Equation (1) between the distinct buses of an element, S."""
    names = tuple(dict.fromkeys(part.buses))
    columns = np.zeros((part.y_s.shape[0], len(names)), dtype=np.complex128)
    row = 0
    for bus, nodes in zip(part.buses, part.nodes, strict=True):
        for node in nodes:
            columns[row, names.index(bus)] = found[bus].get(node, 0j) if node != GROUND else 0j
            row += 1
    return names, columns.conj().T @ part.y_s @ columns / 3.0


def series(part: DssElement, found: Mapping[str, Mapping[int, complex]]) -> ReducedLine | None:
    """Equation (2) of an element with two terminals; None where its matrix has no inverse or no phase is live."""
    count = len(part.nodes[0])
    ends = [
        np.array([found[bus].get(node, 0j) if node != GROUND else 0j for node in nodes])
        for bus, nodes in zip(part.buses, part.nodes, strict=True)
    ]
    carrying = np.flatnonzero((ends[0] != 0) | (ends[1] != 0))
    if len(carrying) == 0 or part.y_s.shape[0] != 2 * count:
        return None
    p = np.where(ends[0] != 0, ends[0], ends[1])
    own, across = part.y_s[:count, :count], part.y_s[:count, count:]
    try:
        z_ohm = np.linalg.inv(-across)
    except np.linalg.LinAlgError:
        return None
    n = len(carrying)
    shunts = (own + across, part.y_s[count:, count:] + part.y_s[count:, :count])
    y_from, y_to = (complex(p.conj() @ shunt @ p) / 3.0 for shunt in shunts)
    return ReducedLine(3.0 * complex(p.conj() @ z_ohm @ p) / n**2, y_from, y_to, n)


def pair(y_s: Complexes) -> Pair | None:
    """Two windings from their 2 x 2 matrix; None where nothing joins them.

    With |a| such that what is left at both ends is as equal as can be, c is the mean of both.
    """
    (y_ff, y_ft), (y_tf, y_tt) = y_s
    if y_tf == 0 or y_ft == 0 or y_ff == 0:
        return None
    size = math.sqrt(abs((y_tt * np.conj(y_ff)).real)) / abs(y_ff)
    a = cmath.rect(size, cmath.phase(y_ft / y_tf) / 2.0)
    if (-y_tf * a / y_tt).real < 0:
        a = -a
    y = -y_tf * a
    return Pair(complex(a), complex(y), complex((y_ff * size**2 - y) + (y_tt - y)) / 2.0)

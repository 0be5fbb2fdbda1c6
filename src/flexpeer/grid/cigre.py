"""The CIGRE benchmark networks of medium and low voltage, European configuration.

Parameters: CIGRE Task Force C6.04.02, "Benchmark Systems for Network Integration of Renewable and
Distributed Energy Resources", Technical Brochure 575 (2014), after Rudion, Orths, Styczynski and
Strunz, "Design of benchmark of medium voltage distribution network for investigation of DG
integration", IEEE PES General Meeting (2006). Medium voltage: 110/20 kV, two feeders, ties open at
S1 (14-8), S2 (6-7) and S3 (11-4). Low voltage: a residential, an industrial and a commercial feeder
behind 20/0.4 kV transformers, phases taken as symmetric.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from flexpeer.grid.assembly import (
    BranchRow,
    BusRow,
    GridRows,
    InjectionRow,
    ShuntRow,
    SourceRow,
    assemble,
    bus_injections,
)
from flexpeer.grid.network import Floats, Network

FREQUENCY_HZ = 50.0


class NominalGrid(NamedTuple):
    """A network at its nominal load: injections in W and var (buses,), the feeder of each bus."""

    network: Network
    p_w: Floats
    q_var: Floats
    areas: tuple[str, ...]


class Conductor(NamedTuple):
    """Per km: ohm, ohm, nF; the rating in A."""

    r_ohm: float
    x_ohm: float
    c_nf: float
    rating_a: float


class Section(NamedTuple):
    """A line between two nodes; `open_end` is 1 or 2 where a switch is open there, 0 if closed."""

    start: str
    end: str
    km: float
    conductor: Conductor
    open_end: int = 0


class Unit(NamedTuple):
    """A transformer: MVA, kV, percent of its own rating, degrees."""

    sn_mva: float
    upper_kv: float
    lower_kv: float
    vk_percent: float
    vkr_percent: float
    shift_deg: float = 30.0


class Feeder(NamedTuple):
    """A low-voltage feeder: node numbers follow `letter`; node 1 is behind the transformer, 0 above it."""

    letter: str
    transformer: Unit
    sections: tuple[Section, ...]
    loads: Mapping[str, tuple[float, float]]


CABLE = Conductor(0.501, 0.716, 151.1749, 145.0)
OVERHEAD = Conductor(0.510, 0.366, 10.09679, 195.0)
UG1, UG2, UG3 = (Conductor(r, x, 0.0, 1000.0) for r, x in ((0.162, 0.0832), (0.2647, 0.0823), (0.822, 0.0847)))
OH1, OH2, OH3 = (Conductor(r, x, 0.0, 1000.0) for r, x in ((0.4917, 0.2847), (1.3207, 0.321), (2.0167, 0.3343)))

MV_TRANSFORMER = Unit(25.0, 110.0, 20.0, 12.00107, 0.16)
MV_SECTIONS = (
    Section("1", "2", 2.82, CABLE),
    Section("2", "3", 4.42, CABLE),
    Section("3", "4", 0.61, CABLE),
    Section("4", "5", 0.56, CABLE),
    Section("5", "6", 1.54, CABLE),
    Section("7", "8", 1.67, CABLE),
    Section("8", "9", 0.32, CABLE),
    Section("9", "10", 0.77, CABLE),
    Section("10", "11", 0.33, CABLE),
    Section("3", "8", 1.30, CABLE),
    Section("12", "13", 4.89, OVERHEAD),
    Section("13", "14", 2.99, OVERHEAD),
    Section("6", "7", 0.24, CABLE, open_end=2),
    Section("11", "4", 0.49, CABLE, open_end=2),
    Section("14", "8", 2.00, OVERHEAD, open_end=2),
)
MV_RESIDENTIAL = {
    "1": (15.3, 0.98),
    "3": (0.285, 0.97),
    "4": (0.445, 0.97),
    "5": (0.750, 0.97),
    "6": (0.565, 0.97),
    "8": (0.605, 0.97),
    "10": (0.490, 0.97),
    "11": (0.340, 0.97),
    "12": (15.3, 0.98),
    "14": (0.215, 0.97),
}
MV_COMMERCIAL = {
    "1": (5.1, 0.95),
    "3": (0.265, 0.85),
    "7": (0.090, 0.85),
    "9": (0.675, 0.85),
    "10": (0.080, 0.85),
    "12": (5.28, 0.95),
    "13": (0.04, 0.85),
    "14": (0.390, 0.85),
}
"""Apparent power in MVA and power factor, inductive."""


def _run(*nodes: str, km: float, conductor: Conductor) -> tuple[Section, ...]:
    return tuple(Section(start, end, km, conductor) for start, end in zip(nodes[:-1], nodes[1:], strict=True))


RESIDENTIAL = Feeder(
    "R",
    Unit(0.5, 20.0, 0.4, 4.123106, 1.0),
    (
        *_run("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", km=0.035, conductor=UG1),
        Section("3", "11", 0.030, UG3),
        *_run("4", "12", "13", "14", km=0.035, conductor=UG3),
        Section("14", "15", 0.030, UG3),
        Section("6", "16", 0.030, UG3),
        Section("9", "17", 0.030, UG3),
        Section("10", "18", 0.030, UG3),
    ),
    {
        "1": (190.0, 62.44998),
        "11": (14.25, 4.683748),
        "15": (49.4, 16.236995),
        "16": (52.25, 17.173744),
        "17": (33.25, 10.928746),
        "18": (44.65, 14.675745),
    },
)
INDUSTRIAL = Feeder(
    "I", Unit(0.15, 20.0, 0.4, 4.126896, 1.003125), (Section("1", "2", 0.2, UG2),), {"2": (85.0, 52.678269)}
)
COMMERCIAL = Feeder(
    "C",
    Unit(0.3, 20.0, 0.4, 4.115529, 0.99375),
    (
        *_run("1", "2", "3", "4", "5", "6", "7", "8", "9", km=0.030, conductor=OH1),
        *_run("3", "10", "11", km=0.030, conductor=OH2),
        *_run("11", "12", km=0.030, conductor=OH3),
        *_run("11", "13", km=0.030, conductor=OH3),
        *_run("10", "14", km=0.030, conductor=OH3),
        *_run("5", "15", "16", km=0.030, conductor=OH2),
        *_run("15", "17", km=0.030, conductor=OH3),
        *_run("16", "18", km=0.030, conductor=OH3),
        *_run("8", "19", km=0.030, conductor=OH3),
        *_run("9", "20", km=0.030, conductor=OH3),
    ),
    {
        "1": (108.0, 52.306787),
        "12": (18.0, 8.717798),
        "13": (18.0, 8.717798),
        "14": (22.5, 10.897247),
        "17": (22.5, 10.897247),
        "18": (7.2, 3.487119),
        "19": (14.4, 6.974238),
        "20": (7.2, 3.487119),
    },
)
"""Loads in kW and kvar."""
FEEDERS = {"residential": RESIDENTIAL, "industrial": INDUSTRIAL, "commercial": COMMERCIAL}

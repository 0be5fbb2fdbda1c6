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
from itertools import pairwise
from typing import NamedTuple

from flexpeer.grid.assembly import (
    BranchRow,
    BusRow,
    GridRows,
    InjectionRow,
    SourceRow,
    assemble,
    bus_injections,
    open_end_shunt,
)
from flexpeer.grid.network import Floats, Network

FREQUENCY_HZ = 50.0


class NominalGrid(NamedTuple):
    """A network at its nominal load: injections in W and var (buses,), area of each bus, other names of buses."""

    network: Network
    p_w: Floats
    q_var: Floats
    areas: tuple[str, ...]
    bus_aliases: dict[str, str]


class Conductor(NamedTuple):
    """Per km: ohm, ohm, nF; the rating in A."""

    r_ohm: float
    x_ohm: float
    c_nf: float
    rating_a: float


class LineSection(NamedTuple):
    """A line between two nodes; `open_end` is 1 or 2 where a switch is open there, 0 if closed."""

    start: str
    end: str
    km: float
    conductor: Conductor
    open_end: int = 0


class TransformerUnit(NamedTuple):
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
    transformer: TransformerUnit
    sections: tuple[LineSection, ...]
    loads: Mapping[str, tuple[float, float]]


CABLE = Conductor(0.501, 0.716, 151.1749, 145.0)
OVERHEAD = Conductor(0.510, 0.366, 10.09679, 195.0)
UG1, UG2, UG3 = (Conductor(r, x, 0.0, 1000.0) for r, x in ((0.162, 0.0832), (0.2647, 0.0823), (0.822, 0.0847)))
OH1, OH2, OH3 = (Conductor(r, x, 0.0, 1000.0) for r, x in ((0.4917, 0.2847), (1.3207, 0.321), (2.0167, 0.3343)))

MV_TRANSFORMER = TransformerUnit(25.0, 110.0, 20.0, 12.00107, 0.16)
MV_SECTIONS = (
    LineSection("1", "2", 2.82, CABLE),
    LineSection("2", "3", 4.42, CABLE),
    LineSection("3", "4", 0.61, CABLE),
    LineSection("4", "5", 0.56, CABLE),
    LineSection("5", "6", 1.54, CABLE),
    LineSection("7", "8", 1.67, CABLE),
    LineSection("8", "9", 0.32, CABLE),
    LineSection("9", "10", 0.77, CABLE),
    LineSection("10", "11", 0.33, CABLE),
    LineSection("3", "8", 1.30, CABLE),
    LineSection("12", "13", 4.89, OVERHEAD),
    LineSection("13", "14", 2.99, OVERHEAD),
    LineSection("6", "7", 0.24, CABLE, open_end=2),
    LineSection("11", "4", 0.49, CABLE, open_end=2),
    LineSection("14", "8", 2.00, OVERHEAD, open_end=2),
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


def _run(*nodes: str, km: float, conductor: Conductor) -> tuple[LineSection, ...]:
    return tuple(LineSection(start, end, km, conductor) for start, end in pairwise(nodes))


RESIDENTIAL = Feeder(
    "R",
    TransformerUnit(0.5, 20.0, 0.4, 4.123106, 1.0),
    (
        *_run("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", km=0.035, conductor=UG1),
        LineSection("3", "11", 0.030, UG3),
        *_run("4", "12", "13", "14", km=0.035, conductor=UG3),
        LineSection("14", "15", 0.030, UG3),
        LineSection("6", "16", 0.030, UG3),
        LineSection("9", "17", 0.030, UG3),
        LineSection("10", "18", 0.030, UG3),
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
    "I",
    TransformerUnit(0.15, 20.0, 0.4, 4.126896, 1.003125),
    (LineSection("1", "2", 0.2, UG2),),
    {"2": (85.0, 52.678269)},
)
COMMERCIAL = Feeder(
    "C",
    TransformerUnit(0.3, 20.0, 0.4, 4.115529, 0.99375),
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


def cigre_mv() -> NominalGrid:
    """The medium-voltage network: buses `Bus 0` (110 kV) to `Bus 14`, without distributed generation."""
    return _nominal(mv_rows(), {})


def cigre_lv() -> NominalGrid:
    """The three low-voltage feeders below one 20 kV bus, `Bus 0`; the other buses are `Bus R1`, `Bus I1`, ..."""
    source = SourceRow("Source", "Bus 0", 1.0)
    top = GridRows((_bus("Bus 0", 20.0, "CIGRE_LV"),), (), (), (source,), ())
    feeders = [_feeder_rows(feeder, "Bus 0", "", "CIGRE_LV") for feeder in FEEDERS.values()]
    return _nominal(_together([top, *feeders]), {f"Bus {feeder.letter}0": "Bus 0" for feeder in FEEDERS.values()})


def cigre_mv_lv(feeders: Mapping[str, Sequence[str]]) -> NominalGrid:
    """The medium-voltage network with low-voltage feeders below chosen buses, which keep their own load.

    `feeders` maps a 20 kV bus such as `Bus 5` to kinds out of `FEEDERS`, any number of each. The n-th feeder
    there has the buses `Bus 5.n R1`, ... and the area `5.n`. Raises `KeyError` for another bus or kind.
    """
    medium = mv_rows()
    v_kv = {bus.name: bus.v_kv for bus in medium.buses}
    parts = [medium]
    for bus, kinds in feeders.items():
        if v_kv[bus] != RESIDENTIAL.transformer.upper_kv:
            raise KeyError(bus)
        node = bus.removeprefix("Bus ")
        for count, kind in enumerate(kinds, start=1):
            parts.append(_feeder_rows(FEEDERS[kind], bus, f"{node}.{count} ", f"{node}.{count}"))
    return _nominal(_together(parts), {})


def _nominal(rows: GridRows, aliases: Mapping[str, str]) -> NominalGrid:
    return NominalGrid(assemble(rows), *bus_injections(rows), tuple(bus.area for bus in rows.buses), dict(aliases))


def mv_rows() -> GridRows:
    """The medium-voltage network as rows, with its nominal loads."""
    buses = [_bus("Bus 0", 110.0, "CIGRE_MV"), *(_bus(f"Bus {node}", 20.0, "CIGRE_MV") for node in range(1, 15))]
    lines = [_line(section, "") for section in MV_SECTIONS]
    charging = [
        open_end_shunt(line, section.open_end == 2, 20.0, 20.0)
        for line, section in zip(lines, MV_SECTIONS, strict=True)
        if section.open_end
    ]
    closed = [line._replace(in_service=not section.open_end) for line, section in zip(lines, MV_SECTIONS, strict=True)]
    units = [_transformer(f"Trafo 0-{node}", "Bus 0", f"Bus {node}", MV_TRANSFORMER) for node in ("1", "12")]
    loads = [
        InjectionRow(f"Bus {node}", -1e6 * s_mva * factor, -1e6 * s_mva * math.sqrt(1.0 - factor**2))
        for group in (MV_RESIDENTIAL, MV_COMMERCIAL)
        for node, (s_mva, factor) in group.items()
    ]
    shunts = tuple(shunt for shunt in charging if shunt is not None)
    return GridRows(tuple(buses), (*closed, *units), shunts, (SourceRow("Source", "Bus 0", 1.03),), tuple(loads))


def _feeder_rows(feeder: Feeder, upper_bus: str, prefix: str, area: str) -> GridRows:
    letter = feeder.letter
    nodes = dict.fromkeys(node for section in feeder.sections for node in (section.start, section.end))
    sections = [section._replace(start=letter + section.start, end=letter + section.end) for section in feeder.sections]
    unit = _transformer(f"Trafo {prefix}{letter}0-{letter}1", upper_bus, f"Bus {prefix}{letter}1", feeder.transformer)
    return GridRows(
        tuple(_bus(f"Bus {prefix}{letter}{node}", 0.4, area) for node in nodes),
        (unit, *(_line(section, prefix) for section in sections)),
        (),
        (),
        tuple(InjectionRow(f"Bus {prefix}{letter}{node}", -1e3 * p, -1e3 * q) for node, (p, q) in feeder.loads.items()),
    )


def _together(parts: Iterable[GridRows]) -> GridRows:
    groups = zip(
        *((part.buses, part.branches, part.shunts, part.sources, part.injections) for part in parts), strict=True
    )
    return GridRows(*(tuple(row for rows in group for row in rows) for group in groups))


def _bus(name: str, v_kv: float, area: str) -> BusRow:
    return BusRow(name, v_kv, area=area)


def _line(section: LineSection, prefix: str) -> BranchRow:
    km, conductor = section.km, section.conductor
    return BranchRow(
        f"Line {prefix}{section.start}-{section.end}",
        "line",
        f"Bus {prefix}{section.start}",
        f"Bus {prefix}{section.end}",
        conductor.r_ohm * km,
        conductor.x_ohm * km,
        b_us=2.0 * math.pi * FREQUENCY_HZ * conductor.c_nf * 1e-3 * km,
        rating_from_a=conductor.rating_a,
        rating_to_a=conductor.rating_a,
    )


def _transformer(name: str, upper: str, lower: str, unit: TransformerUnit) -> BranchRow:
    base_ohm = unit.lower_kv**2 / unit.sn_mva
    vx_percent = math.sqrt(unit.vk_percent**2 - unit.vkr_percent**2)
    rated_a = unit.sn_mva * 1e3 / math.sqrt(3.0)
    return BranchRow(
        name,
        "transformer",
        upper,
        lower,
        unit.vkr_percent / 100.0 * base_ohm,
        vx_percent / 100.0 * base_ohm,
        shift_deg=unit.shift_deg,
        rating_from_a=rated_a / unit.upper_kv,
        rating_to_a=rated_a / unit.lower_kv,
    )

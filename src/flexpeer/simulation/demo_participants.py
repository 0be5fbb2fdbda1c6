"""Who takes part in the demo: organisations, and resources with how they plan their day.

Company names are made up; places are in Jämtland and Västernorrland. Wind is what the maintenance hits, heat,
batteries and industry can take it, and the low-voltage groups stand behind feeders that can carry only so much.
"""

from datetime import date
from typing import NamedTuple

from flexpeer.app.scenario import OrganisationRow

REGIONAL, NORTH, SOUTH = "Mittlandets Regionnät", "Elnät Nord", "Elnät Syd"
OPERATOR = "Flexmarknad Mitt"
FEEDERS = {
    "Bus 3": ("residential",),
    "Bus 5": ("residential", "commercial"),
    "Bus 8": ("commercial",),
    "Bus 10": ("residential",),
    "Bus 13": ("residential",),
    "Bus 14": ("commercial",),
}
STRAINED_FEEDER = "5.1"
WEAK_FEEDER = "5.2"
PORTFOLIOS: dict[str, tuple[str, ...]] = {
    "Hemvärme Krokom": ("Värmepumpar 10.1 R15", "Värmepumpar 10.1 R17"),
    "Hemvärme Duved": ("Värmepumpar 13.1 R15", "Värmepumpar 13.1 R17"),
}
PORTFOLIO_FSP = "Hemvärme Mitt"


class PlannedUnit(NamedTuple):
    """A resource with its plan: `level_w` times the hourly shape of its kind is what it injects.

    `asks` are the lowest and highest price (major units per MWh) it asks for relief at the connection point, None if
    it offers none. `energy_wh` with `start_wh` is a storage, alone a buffer that may run ahead or behind.
    """

    name: str
    fsp: str
    bus: str
    kind: str
    p_min_w: int
    p_max_w: int
    level_w: int
    asks: tuple[int, int] | None = None
    agreed: date | None = None
    energy_wh: int | None = None
    start_wh: int | None = None


FSPS = (
    "Storsjö Vind", "Fjällvind Härjedalen", "Indalsvind", "Ådalens Vindkraft", "Höga Kusten Vind", "Offerdals Byvind",
    "Oviksbygdens Vind", "Medelpads Vindpark", "Norderö Vind",
    "Åre Fjärrvärme", "Frösö Värme", "Bräcke Fjärrvärme", "Kramfors Energivärme", "Krokoms Närvärme",
    "Östersunds Kraftvärme",
    "Ånge Sågverk", "Östavalls Papper", "Hammerdals Trä", "Vätgas Mitt", "Storsjö Datahall", "Strömsunds Fryshus",
    "Åre Snö", "Ragunda Pellets", "Sollefteå Mekaniska",
    "Mittlagret", "Ådalens Batteri", "Elnära Lager", "Länsbuss Mitt",
)  # fmt: skip
AGGREGATORS = (
    "Fjällflex", "Hemvärme Mitt", "Laddkraft Norr", "Bybatteriet", "Handelsflex", "Jämtlands Laddning", "Kyla i Mitt",
)  # fmt: skip
BRPS = ("Balans Norr", "Balans Mitt")


def organisations() -> tuple[OrganisationRow, ...]:
    """A regional DSO over two local ones, the market operator, FSPs, aggregators and BRPs."""
    return (
        OrganisationRow(REGIONAL, "REGIONAL_DSO", None),
        OrganisationRow(NORTH, "LOCAL_DSO", REGIONAL),
        OrganisationRow(SOUTH, "LOCAL_DSO", REGIONAL),
        OrganisationRow(OPERATOR, "MARKET_OPERATOR", None),
        *(OrganisationRow(name, "FSP", None) for name in FSPS),
        *(OrganisationRow(name, "AGGREGATOR", None) for name in AGGREGATORS),
        *(OrganisationRow(name, "BRP", None) for name in BRPS),
    )


def dso_of(bus: str) -> str:
    """The DSO of a bus: the two substations are regional, overhead feeder 2 is north, cable feeder 1 south."""
    node = bus.removeprefix("Bus ").split(".")[0]
    if node in ("0", "1", "12"):
        return REGIONAL
    return NORTH if node in ("13", "14") else SOUTH


def _wind(name: str, fsp: str, bus: str, capacity_w: int, agreed: date | None) -> PlannedUnit:
    asks = None if agreed else (380, 520)
    return PlannedUnit(f"Vind {name}", fsp, bus, "wind", 0, capacity_w, capacity_w, asks, agreed)


def _load(
    name: str, fsp: str, bus: str, kind: str, powers_w: tuple[int, int, int], asks: tuple[int, int]
) -> PlannedUnit:
    """A withdrawal; `powers_w` are its highest, its planned and its lowest, positive."""
    highest, planned, lowest = powers_w
    return PlannedUnit(name, fsp, bus, kind, -highest, -lowest, -planned, asks)


def _battery(name: str, fsp: str, bus: str, power_w: int, asks: tuple[int, int]) -> PlannedUnit:
    """A storage of two hours, a quarter full at midnight, without a plan of its own."""
    return PlannedUnit(name, fsp, bus, "battery", -power_w, power_w, 0, asks, None, 2 * power_w, power_w // 2)


MEDIUM_VOLTAGE = (
    _wind("Hornberget", "Storsjö Vind", "Bus 1", 9_000_000, date(2021, 6, 1)),
    _wind("Bräckeåsen", "Storsjö Vind", "Bus 12", 8_000_000, date(2022, 9, 15)),
    _wind("Svegsfjället", "Fjällvind Härjedalen", "Bus 12", 7_000_000, date(2023, 3, 1)),
    _wind("Ragundahöjden", "Indalsvind", "Bus 1", 8_000_000, date(2023, 11, 20)),
    _wind("Ådalsberget", "Ådalens Vindkraft", "Bus 14", 3_000_000, date(2024, 2, 1)),
    _wind("Nordingrå", "Höga Kusten Vind", "Bus 6", 2_000_000, date(2024, 10, 1)),
    _wind("Offerdal", "Offerdals Byvind", "Bus 11", 1_500_000, date(2025, 4, 15)),
    _wind("Norderön", "Norderö Vind", "Bus 9", 1_000_000, date(2025, 8, 1)),
    _wind("Oviksfjällen", "Oviksbygdens Vind", "Bus 13", 2_500_000, None),
    _wind("Alnön", "Medelpads Vindpark", "Bus 1", 4_000_000, None),
    _load("Elpanna Åre", "Åre Fjärrvärme", "Bus 13", "e-boiler", (2_500_000, 300_000, 0), (120, 240)),
    _load("Elpanna Frösön", "Frösö Värme", "Bus 1", "e-boiler", (3_000_000, 500_000, 0), (110, 230)),
    _load("Elpanna Bräcke", "Bräcke Fjärrvärme", "Bus 12", "e-boiler", (1_800_000, 200_000, 0), (130, 260)),
    _load("Elpanna Kramfors", "Kramfors Energivärme", "Bus 7", "e-boiler", (1_200_000, 100_000, 0), (150, 300)),
    _load("Elpanna Krokom", "Krokoms Närvärme", "Bus 10", "e-boiler", (800_000, 100_000, 0), (140, 290)),
    PlannedUnit(
        "Kraftvärme Lugnvik", "Östersunds Kraftvärme", "Bus 1", "chp", 2_500_000, 4_500_000, 4_000_000, (330, 480)
    ),
    _load("Såglinje Ånge", "Ånge Sågverk", "Bus 12", "industry", (2_400_000, 1_900_000, 800_000), (220, 420)),
    _load("Pappersmaskin 2", "Östavalls Papper", "Bus 1", "industry", (5_200_000, 4_400_000, 2_000_000), (260, 480)),
    _load("Virkestork Hammerdal", "Hammerdals Trä", "Bus 3", "industry", (800_000, 450_000, 100_000), (200, 380)),
    _load(
        "Elektrolysör Torsboda", "Vätgas Mitt", "Bus 12", "electrolyser", (3_500_000, 2_000_000, 300_000), (180, 360)
    ),
    _load("Datahall Odensala", "Storsjö Datahall", "Bus 1", "industry", (2_600_000, 2_200_000, 1_500_000), (350, 600)),
    _load("Fryslager Strömsund", "Strömsunds Fryshus", "Bus 14", "industry", (600_000, 350_000, 50_000), (160, 320)),
    _load("Snökanoner Åre", "Åre Snö", "Bus 13", "industry", (1_500_000, 400_000, 0), (190, 340)),
    _load("Pelletspress Ragunda", "Ragunda Pellets", "Bus 4", "industry", (700_000, 450_000, 100_000), (240, 430)),
    _load("Ugnar Sollefteå", "Sollefteå Mekaniska", "Bus 14", "industry", (900_000, 600_000, 200_000), (280, 500)),
    _battery("Batteri Hornberget", "Storsjö Vind", "Bus 1", 2_000_000, (180, 330)),
    _battery("Batteri Bräcke", "Mittlagret", "Bus 12", 2_500_000, (160, 320)),
    _battery("Batteri Ådalen", "Ådalens Batteri", "Bus 14", 1_000_000, (170, 350)),
    _battery("Batteri Lit", "Elnära Lager", "Bus 5", 1_000_000, (190, 340)),
    _battery("Batteri Hissmofors", "Elnära Lager", "Bus 8", 1_000_000, (200, 360)),
)
HOMES = (("R11", 14), ("R15", 14), ("R16", 24), ("R17", 15), ("R18", 20))
"""Nodes of a residential feeder and how many homes with a heat pump each has."""
SHOPS = (("C12", 14_000), ("C13", 14_000), ("C14", 18_000), ("C17", 18_000), ("C19", 12_000))
"""Nodes of a commercial feeder and the cooling (W) that can move in time there."""


def low_voltage() -> tuple[PlannedUnit, ...]:
    """Groups behind every low-voltage feeder, and the vehicle depots behind the strained one."""
    units = [*_depots()]
    for bus, kinds in FEEDERS.items():
        for count, kind in enumerate(kinds, start=1):
            feeder = f"{bus.removeprefix('Bus ')}.{count}"
            units += _homes(feeder) if kind == "residential" else _shops(feeder)
    return tuple(units)


def _depots() -> tuple[PlannedUnit, PlannedUnit]:
    """Buses, curtailed first by their agreement, and taxis without one."""
    bus, agreed = f"Bus {STRAINED_FEEDER} R1", date(2025, 1, 15)
    return (
        PlannedUnit("Bussdepå Lit", "Länsbuss Mitt", bus, "ev", -150_000, 0, -48_000, None, agreed, 300_000),
        PlannedUnit("Taxistation Lit", "Jämtlands Laddning", bus, "ev", -90_000, 0, -48_000, None, None, 100_000),
    )


def _homes(feeder: str) -> list[PlannedUnit]:
    units = []
    for place, (node, homes) in enumerate(HOMES):
        bus, heat_w, cars_w = f"Bus {feeder} {node}", 600 * homes, 600 * homes
        heat = PlannedUnit(
            f"Värmepumpar {feeder} {node}", "Hemvärme Mitt" if place % 2 else "Fjällflex", bus, "heat-pump",
            -2 * heat_w, 0, -heat_w, (90, 260), None, 2 * heat_w,
        )  # fmt: skip
        agreed = date(2024, 5 + place, 1) if feeder == STRAINED_FEEDER and place < 2 else None
        cars = PlannedUnit(
            f"Laddning {feeder} {node}", "Laddkraft Norr" if place % 2 else "Jämtlands Laddning", bus, "ev",
            -3 * cars_w, 0, -cars_w, (80, 280), agreed, 6 * cars_w,
        )  # fmt: skip
        units += [heat, cars]
    storage = _battery(f"Gårdsbatteri {feeder} R16", "Bybatteriet", f"Bus {feeder} R16", 60_000, (150, 300))
    return [
        *units,
        storage,
        PlannedUnit(f"Sol {feeder} R15", "Bybatteriet", f"Bus {feeder} R15", "pv", 0, 40_000, 40_000),
    ]


def _shops(feeder: str) -> list[PlannedUnit]:
    units = []
    for place, (node, cooling_w) in enumerate(SHOPS):
        fsp = "Handelsflex" if place % 2 else "Kyla i Mitt"
        name, bus = f"Kyla {feeder} {node}", f"Bus {feeder} {node}"
        units.append(
            PlannedUnit(name, fsp, bus, "cooling", -2 * cooling_w, 0, -cooling_w, (100, 270), None, 2 * cooling_w)
        )
    return [
        *units,
        _battery(f"Butiksbatteri {feeder} C18", "Bybatteriet", f"Bus {feeder} C18", 30_000, (150, 300)),
        PlannedUnit(f"Sol {feeder} C20", "Handelsflex", f"Bus {feeder} C20", "pv", 0, 60_000, 60_000, (420, 600)),
    ]


UNITS = (*MEDIUM_VOLTAGE, *low_voltage())

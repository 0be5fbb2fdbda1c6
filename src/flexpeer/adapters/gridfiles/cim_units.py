"""What drives the machines and converters of CIM: of which kind it is, the power it may have, and what it can store."""

import math
from collections.abc import Mapping

from flexpeer.adapters.gridfiles.cim_objects import Item, Model
from flexpeer.grid.assembly import Plate

GENERATING = ("SynchronousMachine", "AsynchronousMachine", "PowerElectronicsConnection")
KINDS: Mapping[str, str] = {
    "HydroGeneratingUnit": "hydro",
    "SolarGeneratingUnit": "pv",
    "WindGeneratingUnit": "wind",
    "PhotoVoltaicUnit": "pv",
    "PowerElectronicsWindUnit": "wind",
    "BatteryUnit": "battery",
}


def plate_of(model: Model, item: Item) -> Plate:
    """What its generating unit, or the units behind its converter, say together."""
    if item.kind not in GENERATING:
        return Plate(item.name)
    unit = model.follow(item, "RotatingMachine.GeneratingUnit")
    units = [unit] if unit is not None else model.referring("PowerElectronicsUnit.PowerElectronicsConnection", item)
    kinds = {KINDS.get(each.kind, "generation") for each in units}
    kind = kinds.pop() if len(kinds) == 1 else "generation"
    low_w, high_w = (
        model.units.watt * sum((_stated(each, names) for each in units), 0.0 if units else math.nan)
        for names in (
            ("GeneratingUnit.minOperatingP", "PowerElectronicsUnit.minP"),
            ("GeneratingUnit.maxOperatingP", "PowerElectronicsUnit.maxP"),
        )
    )
    energy_wh = model.units.watt * sum(_stated(each, ("BatteryUnit.ratedE",)) for each in units)
    return Plate(item.name, kind, low_w, high_w, energy_wh if kind == "battery" else math.nan)


def _stated(unit: Item, names: tuple[str, ...]) -> float:
    """A number that nothing depends on; NaN for none, and for whatever is no finite one."""
    text = next((unit.values[name] for name in names if unit.values.get(name)), "")
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan

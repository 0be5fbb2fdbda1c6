"""Loads and shunts of CIM as injections and admittances.

The powers of CIM count what an equipment draws from its bus; injections have the other sign. They come from
the steady-state hypothesis (SSH), else from the equipment file, else from the state variables (SV).
"""

from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_draft import CimDraft
from flexpeer.adapters.gridfiles.cim_objects import Item, Model
from flexpeer.grid.assembly import InjectionRow, Plate, ShuntRow

CONSUMERS = ("EnergyConsumer", "ConformLoad", "NonConformLoad", "StationSupply")
SHUNTS = ("LinearShuntCompensator", "NonlinearShuntCompensator", "EquivalentShunt")
RESPONSE_SHARES = ("pConstantCurrent", "pConstantImpedance", "qConstantCurrent", "qConstantImpedance")
RESPONSE_EXPONENTS = ("pVoltageExponent", "qVoltageExponent")


class Attributes(NamedTuple):
    """Where a class states its active and reactive power, in order of preference."""

    p: tuple[str, ...]
    q: tuple[str, ...]


CONSUMER = Attributes(("EnergyConsumer.p", "EnergyConsumer.pfixed"), ("EnergyConsumer.q", "EnergyConsumer.qfixed"))
CONSUMER_PHASE = Attributes(
    ("EnergyConsumerPhase.p", "EnergyConsumerPhase.pfixed"), ("EnergyConsumerPhase.q", "EnergyConsumerPhase.qfixed")
)


def read_loads(draft: CimDraft) -> None:
    """Add every consumer in service."""
    for consumer in draft.model.of(*CONSUMERS):
        bus = draft.live_bus(consumer)
        if bus is not None:
            drawn = _consumption(draft.model, consumer)
            draft.injections.append(InjectionRow(bus, -drawn.real, -drawn.imag, "", Plate(consumer.name, "load")))
            _note_response(draft.model, consumer)


def drawn_va(model: Model, item: Item, attributes: Attributes) -> complex:
    """What an equipment draws, W + j var; nothing where no file says (see `note_unstated`)."""
    flows = _flows(model, item)
    if flows and not item.has(*attributes.p, *attributes.q):
        return _power(model, flows[0], Attributes(("SvPowerFlow.p",), ("SvPowerFlow.q",)))
    return _power(model, item, attributes)


def note_unstated(model: Model, item: Item, attributes: Attributes) -> None:
    """Say so where no file states what an equipment draws."""
    if not item.has(*attributes.p, *attributes.q) and not _flows(model, item):
        item.note((attributes.p or attributes.q)[0], "no power is stated; it is taken as 0", "a power (SSH)")


def _flows(model: Model, item: Item) -> list[Item]:
    return [f for terminal in model.terminals(item) for f in model.referring("SvPowerFlow.Terminal", terminal)]


def _power(model: Model, item: Item, attributes: Attributes) -> complex:
    p, q = (item.number(*names, default=0.0) if names else 0.0 for names in attributes)
    return complex(p, q) * model.units.watt


def _consumption(model: Model, consumer: Item) -> complex:
    phases = model.referring("EnergyConsumerPhase.EnergyConsumer", consumer)
    if phases and not consumer.has(*CONSUMER.p, *CONSUMER.q):
        return sum((_power(model, phase, CONSUMER_PHASE) for phase in phases), 0j)
    note_unstated(model, consumer, CONSUMER)
    return drawn_va(model, consumer, CONSUMER)


def _note_response(model: Model, consumer: Item) -> None:
    response = model.follow(consumer, "EnergyConsumer.LoadResponse")
    if response is None:
        return
    exponential = response.flag("LoadResponseCharacteristic.exponentModel", default=False)
    names = RESPONSE_EXPONENTS if exponential else RESPONSE_SHARES
    if any(response.number(f"LoadResponseCharacteristic.{name}", default=0.0) for name in names):
        expected = "constant power"
        consumer.note("EnergyConsumer.LoadResponse", "depends on the voltage; calculated as constant power", expected)


def read_shunts(draft: CimDraft) -> None:
    """Add every shunt in service with the sections that are switched in."""
    for shunt in draft.model.of(*SHUNTS):
        bus = draft.live_bus(shunt)
        if bus is not None:
            y_s = ADMITTANCES[shunt.kind](draft.model, shunt)
            draft.shunts.append(ShuntRow(bus, y_s.real * 1e6, y_s.imag * 1e6))


def _linear(model: Model, shunt: Item) -> complex:
    """A shunt that states no susceptance of its own has the mean over three phases of those of its phases."""
    if shunt.has("LinearShuntCompensator.bPerSection"):
        return _admittance(shunt, "LinearShuntCompensator", "PerSection") * _sections(model, shunt)
    phases = model.referring("ShuntCompensatorPhase.ShuntCompensator", shunt)
    if not phases:
        shunt.number("LinearShuntCompensator.bPerSection")
    total = sum((_admittance(phase, "LinearShuntCompensatorPhase", "PerSection") for phase in phases), 0j)
    return total / 3.0 * _sections(model, shunt)


def _nonlinear(model: Model, shunt: Item) -> complex:
    """The sum of the points of the sections switched in, each stating one section."""
    points = model.referring("NonlinearShuntCompensatorPoint.NonlinearShuntCompensator", shunt)
    number, on = "NonlinearShuntCompensatorPoint.sectionNumber", _sections(model, shunt)
    live = [point for point in points if point.number(number) <= on]
    return sum((_admittance(point, "NonlinearShuntCompensatorPoint", "") for point in live), 0j)


def _equivalent(_: Model, shunt: Item) -> complex:
    return _admittance(shunt, "EquivalentShunt", "")


ADMITTANCES = {
    "LinearShuntCompensator": _linear,
    "NonlinearShuntCompensator": _nonlinear,
    "EquivalentShunt": _equivalent,
}


def _admittance(item: Item, group: str, suffix: str) -> complex:
    return complex(*(item.number(f"{group}.{name}{suffix}", default=0.0) for name in "gb"))


def _sections(model: Model, shunt: Item) -> float:
    stated = "ShuntCompensator.sections"
    for state in model.referring("SvShuntCompensatorSections.ShuntCompensator", shunt):
        if not shunt.has(stated):
            return state.number("SvShuntCompensatorSections.sections")
    return shunt.number(stated, "ShuntCompensator.normalSections", default=1.0)

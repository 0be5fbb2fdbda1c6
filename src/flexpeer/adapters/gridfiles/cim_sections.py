"""Lines, series compensators and equivalent branches of CIM as series impedance and shunt admittance.

Per-length values are multiplied by `Conductor.length`, in whatever unit of length both are. A matrix per
phase becomes its positive sequence, with the means of its diagonal (s) and of what is beside it (m):

    z_1 = z_s - z_m,   y_1 = y_s - y_m                                                            (1)
"""

from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_objects import Item, Model

LINES = ("ACLineSegment",)
SERIES = ("SeriesCompensator", "EquivalentBranch")


class Section(NamedTuple):
    """Ohm and siemens of the whole section."""

    r_ohm: float
    x_ohm: float
    g_s: float
    b_s: float


def sections(model: Model) -> dict[str, Section]:
    """The section of every line, series compensator and equivalent branch, by key."""
    found = {line.key: _line(model, line) for line in model.of(*LINES)}
    for branch in model.of("SeriesCompensator"):
        found[branch.key] = Section(
            branch.number("SeriesCompensator.r"), branch.number("SeriesCompensator.x"), 0.0, 0.0
        )
    for branch in model.of("EquivalentBranch"):
        found[branch.key] = _equivalent(branch)
    return found


def _equivalent(branch: Item) -> Section:
    r_ohm, x_ohm = branch.number("EquivalentBranch.r"), branch.number("EquivalentBranch.x")
    for attribute, value in (("EquivalentBranch.r21", r_ohm), ("EquivalentBranch.x21", x_ohm)):
        if branch.number(attribute, default=value) != value:
            branch.note(attribute, "another impedance from the other end; that of end 1 is used", "one impedance")
    return Section(r_ohm, x_ohm, 0.0, 0.0)


def _line(model: Model, line: Item) -> Section:
    if line.has("ACLineSegment.r", "ACLineSegment.x"):
        return Section(
            line.number("ACLineSegment.r"),
            line.number("ACLineSegment.x"),
            line.number("ACLineSegment.gch", default=0.0),
            line.number("ACLineSegment.bch", default=0.0),
        )
    per_length = model.follow(line, "ACLineSegment.PerLengthImpedance")
    if per_length is None:
        expected = "r and x, or a per-length impedance in the files (wire geometry is not calculated)"
        line.fault("ACLineSegment.r", "no impedance", expected)
        return Section(0.0, 1.0, 0.0, 0.0)
    if per_length.kind == "PerLengthSequenceImpedance":
        unit = _sequence(per_length)
    else:
        line.note("ACLineSegment.PerLengthImpedance", "a matrix per phase, read as balanced", "sequence impedances")
        unit = _positive_sequence(model, per_length)
    length = line.number("Conductor.length")
    return Section(*(value * length for value in unit))


def _sequence(per_length: Item) -> Section:
    return Section(
        per_length.number("PerLengthSequenceImpedance.r"),
        per_length.number("PerLengthSequenceImpedance.x"),
        per_length.number("PerLengthSequenceImpedance.gch", default=0.0),
        per_length.number("PerLengthSequenceImpedance.bch", default=0.0),
    )


def _positive_sequence(model: Model, matrix: Item) -> Section:
    """Equation (1); the entries are those of a triangle, by row and column or in its order."""
    entries = model.referring("PhaseImpedanceData.PhaseImpedance", matrix)
    own: list[Item] = []
    mutual: list[Item] = []
    for position, entry in enumerate(entries):
        (own if _on_diagonal(entry, position) else mutual).append(entry)
    if not own:
        matrix.fault("PhaseImpedanceData.PhaseImpedance", "no entry on the diagonal", "a matrix of impedances")
        return Section(0.0, 1.0, 0.0, 0.0)
    return Section(*(_mean(own, name) - _mean(mutual, name) for name in "rxgb"))


def _on_diagonal(entry: Item, position: int) -> bool:
    if entry.has("PhaseImpedanceData.row"):
        return entry.number("PhaseImpedanceData.row") == entry.number("PhaseImpedanceData.column")
    place = entry.number("PhaseImpedanceData.sequenceNumber", default=position + 1.0)
    return place in {1.0, 3.0, 6.0, 10.0}


def _mean(entries: list[Item], name: str) -> float:
    values = [entry.number(f"PhaseImpedanceData.{name}", default=0.0) for entry in entries]
    return sum(values) / len(values) if values else 0.0

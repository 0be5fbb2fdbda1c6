"""Who holds voltages in a pandapower file: external grids, generators, direct-current lines, extended wards.

As in `pandapower.runpp` without reactive limits: generators at the bus of an external grid, or with `slack`, leave
the voltage to a source; elsewhere they hold it and their active power is an injection. With loss l in percent
and d in MW, a direct-current line is two generators:

    p > 0:  p_from = -p,   p_to = p (1 - l / 100) - d          (p <= 0: the ends change roles)    (1)
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from flexpeer.adapters.gridfiles.pandapower_draft import PandapowerDraft
from flexpeer.adapters.gridfiles.pandapower_tables import Element
from flexpeer.grid.assembly import BranchRow, BusRow, ControlledRow, InjectionRow, Plate, SourceRow

SAME_SETPOINT = 1e-5


class Generator(NamedTuple):
    """A machine that holds the voltage of `bus`; `column` has its set-point."""

    element: Element
    column: str
    bus: str
    v_pu: float
    p_w: float
    q_min_var: float
    q_max_var: float
    is_slack: bool = False


class HeldVoltages(NamedTuple):
    """The rows of everything that holds a voltage."""

    sources: tuple[SourceRow, ...]
    controlled: tuple[ControlledRow, ...]
    injections: tuple[InjectionRow, ...]


def read_voltages(draft: PandapowerDraft) -> HeldVoltages:
    """Sources, controlled buses and the active power of generators; extended wards add to the draft."""
    sources = list(_external_grids(draft))
    generators = [*_generators(draft), *_direct_current_lines(draft)]
    held = {source.bus: source.v_pu for source in reversed(sources)}
    for generator in generators:
        if generator.is_slack and generator.bus not in held:
            held[generator.bus] = generator.v_pu
            sources.append(SourceRow(generator.element.index_form, generator.bus, generator.v_pu))
    at_sources = frozenset(held)
    groups: dict[str, list[Generator]] = {}
    for generator in generators:
        _check_setpoint(generator, held.setdefault(generator.bus, generator.v_pu))
        groups.setdefault(generator.bus, []).append(generator)
    controlled = [_controlled(bus, group) for bus, group in groups.items() if bus not in at_sources]
    controlled += _extended_wards(draft)
    injections = (InjectionRow(one.bus, one.p_w, 0.0, "", _plate(one)) for one in generators if not one.is_slack)
    return HeldVoltages(tuple(sources), tuple(controlled), tuple(injections))


def _plate(generator: Generator) -> Plate:
    element = generator.element
    if element.table != "gen":
        return Plate(element.given_name)
    low_w, high_w = (1e6 * element.stated(column) for column in ("min_p_mw", "max_p_mw"))
    return Plate(element.given_name, "generation", low_w, high_w)


def _external_grids(draft: PandapowerDraft) -> Iterator[SourceRow]:
    held: dict[str, tuple[float, float]] = {}
    for grid in draft.tables.of("ext_grid"):
        if not draft.at_live_bus(grid):
            continue
        bus = draft.nodes[grid.reference("bus")]
        angle_deg = grid.number("va_degree", 0.0) if draft.options.with_angles else 0.0
        voltage = (grid.number("vm_pu"), angle_deg)
        if held.get(bus) == voltage:
            draft.note(grid, "bus", f"{bus!r} has a source with this voltage already; they are one", "one ext_grid")
            continue
        held[bus] = voltage
        yield SourceRow(draft.names["ext_grid", grid.index], bus, *voltage)


def _generators(draft: PandapowerDraft) -> Iterator[Generator]:
    for gen in draft.tables.of("gen"):
        if draft.at_live_bus(gen):
            yield Generator(
                gen,
                "vm_pu",
                draft.nodes[gen.reference("bus")],
                gen.positive("vm_pu"),
                1e6 * gen.number("p_mw") * gen.number("scaling", 1.0),
                1e6 * gen.number_or("min_q_mvar", -math.inf),
                1e6 * gen.number_or("max_q_mvar", math.inf),
                gen.flag("slack", default=False),
            )


def _direct_current_lines(draft: PandapowerDraft) -> Iterator[Generator]:
    """Equation (1)."""
    for line in draft.tables.of("dcline"):
        ends = {side: draft.end(line, f"{side}_bus") for side in ("from", "to")}
        p_mw = line.number("p_mw")
        arrives = abs(p_mw) * (1.0 - line.number("loss_percent") / 100.0) - line.number("loss_mw")
        injected = {"from": -p_mw, "to": arrives} if p_mw > 0 else {"from": arrives, "to": p_mw}
        for side, index in ends.items():
            if index is not None and line.in_service and index in draft.live:
                yield Generator(
                    line,
                    f"vm_{side}_pu",
                    draft.nodes[index],
                    line.positive(f"vm_{side}_pu"),
                    1e6 * injected[side],
                    1e6 * line.number_or(f"min_q_{side}_mvar", -math.inf),
                    1e6 * line.number_or(f"max_q_{side}_mvar", math.inf),
                )


def _check_setpoint(generator: Generator, held_pu: float) -> None:
    if abs(generator.v_pu - held_pu) > SAME_SETPOINT * held_pu:
        problem = f"{generator.v_pu:g} at a bus that is held at {held_pu:g}"
        generator.element.fault(generator.column, problem, "one set-point per bus, also across closed switches")


def _controlled(bus: str, group: list[Generator]) -> ControlledRow:
    low = sum(generator.q_min_var for generator in group)
    high = sum(generator.q_max_var for generator in group)
    return ControlledRow(bus, group[0].v_pu, low, high)


def _extended_wards(draft: PandapowerDraft) -> Iterator[ControlledRow]:
    """A voltage source without active power behind an impedance; load and shunt of the ward are read with wards."""
    for ward in draft.tables.of("xward"):
        if not draft.at_live_bus(ward):
            continue
        index = ward.reference("bus")
        inner = BusRow(f"{ward.index_form} internal", draft.v_kv[index], 0.0, 2.0)
        branch = BranchRow(
            ward.index_form, "impedance", draft.nodes[index], inner.name, ward.number("r_ohm"), ward.number("x_ohm")
        )
        draft.buses.append(inner)
        draft.add_branch(ward, branch)
        yield ControlledRow(inner.name, ward.positive("vm_pu"))

"""The kernels of the grid check as Python calls them: by a handle, so that some fifty arrays need not be passed."""

from typing import Any

from flexpeer.compiled import Handle, HandleType, compiled, handle_of
from flexpeer.grid.admittance import Circuit
from flexpeer.grid.excess import NO_SOURCES, Accepted, Allowed, Change, Columns, adopt, begun, checked, measured
from flexpeer.grid.network import Complexes, Integers

Found = tuple[Complexes, Complexes, bool, float, int, int, int, float]
"""Voltages, sources' power, whether the power flow settled, and the fields of `Excess`."""


class GridCheckType(HandleType):
    """The type of `GridCheck`."""


class GridCheck(Handle):
    """One topology of a network, and the accepted state of the day."""

    circuit: Circuit
    now: Accepted


handle_of(GridCheckType, GridCheck, "circuit", "now")


@compiled
def grid_check(circuit: Circuit, now: Accepted) -> GridCheck:
    """A handle; what it holds may be written to, not exchanged."""
    return GridCheck(circuit, now)


@compiled
def check(grid: GridCheck, buses: Integers, moved_va: Complexes, source_v: Complexes, mtus: Integers) -> Found:
    """`checked`, with everything in one tuple."""
    v, power_w, settled, found = checked(grid.circuit, grid.now, Change(buses, moved_va, source_v, mtus))
    return v, power_w, settled, found.excess, found.kind, found.element, found.column, found.headroom_w


@compiled
def _replaced(
    grid: GridCheck,
    buses: Integers,
    moved_va: Complexes,
    no_sources: Complexes,
    v: Complexes,
    power_w: Complexes,
    mtus: Integers,
) -> tuple[Any, ...]:
    state, allowed = grid.now.state, grid.now.allowed
    before = (
        state.s[:, mtus], state.v[:, mtus], state.source_power_w[:, mtus], state.status[mtus],
        state.loading[:, mtus], state.v_pu[:, mtus], state.power_w[:, mtus],
        allowed.loading[:, mtus], allowed.high[:, mtus], allowed.low[:, mtus], allowed.power_w[:, mtus],
    )  # fmt: skip
    s, _, _ = begun(state, Change(buses, moved_va, no_sources, mtus))
    adopt(grid.now, measured(grid.circuit, grid.now.gauges, s, v, power_w, mtus), mtus)
    return before


def replaced(grid: GridCheck, change: Change, v: Complexes, power_w: Complexes) -> tuple[Columns, Allowed]:
    """Make what a change leads to (`v`, `power_w`) the accepted state; what there was before in its MTUs."""
    before = _replaced(grid, change.buses, change.moved_va, NO_SOURCES, v, power_w, change.mtus)
    return Columns(*before[:7]), Allowed(*before[7:])

"""The kernels of the grid check as Python calls them: by a handle, so that some fifty arrays need not be passed."""

from typing import Any

import numpy as np

from flexpeer.compiled import Handle, HandleType, compiled, handle_of
from flexpeer.grid.admittance import Circuit
from flexpeer.grid.excess import (
    NO_SOURCES,
    Accepted,
    Allowed,
    Change,
    Columns,
    Excess,
    adopt,
    begun,
    checked,
    excess,
    measured,
)
from flexpeer.grid.limits import Gauges
from flexpeer.grid.network import Complexes, Floats, Integers

Found = tuple[Complexes, Complexes, bool, float, int, int, int, float]
"""Voltages, sources' power, whether the power flow settled, and the fields of `Excess`."""


class GridCheckType(HandleType):
    """The type of `GridCheck`."""


class GridCheck(Handle):
    """One topology of a network, and the accepted state of the day."""

    circuit: Circuit
    now: Accepted


handle_of(GridCheckType, GridCheck, "circuit", "now")


def turned(gauges: Gauges, state: Columns, allowed: Allowed) -> Accepted:
    """For `grid_check`: what kernels read by MTU as (MTUs, elements), in the memory where `state` and `allowed` are.

    `grid_check` turns it back: else an array of one element, or one MTU, would have another type than one of several,
    and some twenty kernels be compiled for each.
    """
    by_mtu = ("load_from", "load_to", "unit", "rated", "v_min", "v_max")
    now = Accepted(
        gauges._replace(**{name: np.ascontiguousarray(getattr(gauges, name).T) for name in by_mtu}),
        state._replace(s=state.s.T, v=state.v.T, loading=state.loading.T, v_pu=state.v_pu.T),
        allowed._replace(loading=allowed.loading.T, high=allowed.high.T, low=allowed.low.T),
    )
    assert all(values.flags.c_contiguous for part in now for values in part)
    return now


@compiled
def grid_check(circuit: Circuit, now: Accepted) -> GridCheck:
    """A handle on what is `turned`; what it holds may be written to, not exchanged."""
    gauges, state, allowed = now
    back = Accepted(
        Gauges(
            gauges.load_from.T, gauges.load_to.T, gauges.unit.T, gauges.rated.T, gauges.v_min.T, gauges.v_max.T,
            gauges.point_branch, gauges.point_source, gauges.point_upper_from, gauges.point_sign,
            gauges.limit_w, gauges.scale_w, gauges.first, gauges.end,
        ),
        Columns(
            state.s.T, state.v.T, state.source_power_w, state.status, state.loading.T, state.v_pu.T, state.power_w
        ),
        Allowed(allowed.loading.T, allowed.high.T, allowed.low.T, allowed.power_w),
    )  # fmt: skip
    return GridCheck(circuit, back)


@compiled
def check(grid: GridCheck, buses: Integers, moved_va: Complexes, source_v: Complexes, mtus: Integers) -> Found:
    """`checked`, with everything in one tuple."""
    v, power_w, settled, found = checked(grid.circuit, grid.now, Change(buses, moved_va, source_v, mtus))
    return v, power_w, settled, found.excess, found.kind, found.element, found.column, found.headroom_w


@compiled
def begun_from(grid: GridCheck, change: Change) -> tuple[Complexes, Complexes, Floats]:
    """`begun` from the accepted state."""
    return begun(grid.now.state, change)


@compiled
def excess_of(grid: GridCheck, new: Columns, largest_w: Floats, mtus: Integers) -> Excess:
    """`excess` over what is accepted."""
    return excess(grid.circuit, grid.now, new, largest_w, mtus)


@compiled
def adopted(grid: GridCheck, new: Columns, mtus: Integers) -> None:
    """`adopt` into the accepted state."""
    adopt(grid.now, new, mtus)


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

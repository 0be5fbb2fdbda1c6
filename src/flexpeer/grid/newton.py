"""Full Newton-Raphson power flow: where the fixed point does not converge, and where generators control voltages.

Unknown are the angles a of all nodes and the magnitudes m of those that are not controlled; v = m e^(ja), i = Y v.
With S = diag(v) conj(i) and s the injections, each step solves

    dS/da = j diag(v) conj(diag(i) - Y diag(v))                                   (1)
    dS/dm = diag(v) conj(Y diag(v/m)) + conj(diag(i)) diag(v/m)                   (2)
    [ Re dS/da  Re dS/dm ] [da]     [ Re (s - S) ]
    [ Im dS/da  Im dS/dm ] [dm]  =  [ Im (s - S) ]                                (3)

with the rows of Im and the columns of dm at uncontrolled nodes only (MATPOWER technical note 2, Zimmerman 2010). It
begins from magnitudes of 1 (or as controlled) and the angles of the DC power flow, then from those without load,

    p = B a - b,   B from 1/x of the branches, b from their phase shifts           (4)

On a line the upper of two solutions
is never below half the sending voltage, so a solution with a lower voltage is another branch and no operating point.

Slower than `powerflow.iterate` by two orders of magnitude, and shares nothing with the independent verifier.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import block_array, csc_array, diags_array
from scipy.sparse.linalg import splu

from flexpeer.grid.admittance import admittance
from flexpeer.grid.network import Complexes, Floats, Integers, Network
from flexpeer.grid.topology import islanded

STEP_PU = 1e-9
RESIDUAL = 1e-9
ITERATION_LIMIT = 40
DIVERGED_PU = 1e6
LOWEST_PU = 0.5


class NewtonModel(NamedTuple):
    """One topology: Y (buses, buses), the nodes whose angle and those whose magnitude is unknown, and the DC matrix."""

    y: csc_array
    nodes: Integers
    free: Integers
    source_bus: Integers
    controlled_bus: Integers
    controlled_v_pu: Floats
    dc: csc_array
    dc_shift: Floats


class Solution(NamedTuple):
    """Voltages (buses,), per unit, zero at unfed buses; whether they solve (3), and in how many steps."""

    v: Complexes
    converged: bool
    iterations: int


def newton_model(network: Network) -> NewtonModel:
    """Prepare a topology."""
    unfed = islanded(network)
    held = np.zeros(network.bus_count, dtype=np.bool_)
    held[network.source_bus] = True
    controls = ~unfed[network.controlled_bus] & ~held[network.controlled_bus]
    controlled = network.controlled_bus[controls]
    free = ~unfed & ~held
    nodes = np.flatnonzero(free)
    free[controlled] = False
    return NewtonModel(
        admittance(network),
        nodes,
        np.flatnonzero(free),
        network.source_bus,
        controlled,
        network.controlled_v_pu[controls],
        *_dc(network),
    )


def solve_one(model: NewtonModel, s: Complexes, source_v: Complexes) -> Solution:
    """Newton's method for one period; `s` (buses,) and `source_v` (sources,) per unit."""
    taken = 0
    for p in (s.real, np.zeros(len(s))):
        size = _magnitudes(model, source_v)
        try:
            angle = _angles(model, p, source_v)
            found = _iterate(model, s, size, angle)
        except RuntimeError:
            continue
        taken += found.iterations
        if found.converged:
            return found._replace(iterations=taken)
    return Solution(np.full(len(s), np.nan, dtype=np.complex128), False, taken)


def _iterate(model: NewtonModel, s: Complexes, size: Floats, angle: Floats) -> Solution:
    """Equation (3) from a start until it stands still; `RuntimeError` where its matrix is singular."""
    for iteration in range(1, ITERATION_LIMIT + 1):
        v = size * np.exp(1j * angle)
        mismatch = s - v * np.conj(times(model.y, v))
        right = np.concatenate([mismatch[model.nodes].real, mismatch[model.free].imag])
        step = splu(jacobian(model, v)).solve(right)
        largest = float(np.abs(step).max(initial=0.0))
        if not largest < DIVERGED_PU:
            return Solution(v, False, iteration)
        angle[model.nodes] += step[: len(model.nodes)]
        size[model.free] += step[len(model.nodes) :]
        if largest <= STEP_PU:
            v = size * np.exp(1j * angle)
            return Solution(v, _is_operating_point(model, s, v), iteration)
    return Solution(v, False, ITERATION_LIMIT)


def jacobian(model: NewtonModel, v: Complexes) -> csc_array:
    """The matrix of (3) at a state, rows and columns as (nodes, free); (1) and (2) at the unknowns."""
    d_angle, d_size = power_derivatives(model.y, v)
    nodes, free = model.nodes, model.free
    blocks = [
        [d_angle[nodes][:, nodes].real, d_size[nodes][:, free].real],
        [d_angle[free][:, nodes].imag, d_size[free][:, free].imag],
    ]
    return csc_array(block_array(blocks, format="csc"))


def slope_one(model: NewtonModel, v: Complexes, weight: Complexes) -> Complexes:
    """dm/dp + j dm/dq per unit at every bus (buses,) for a metric with dm = Re(weight^T dv), by the transpose of (3).

    A var at a controlled bus does nothing. NaN where the matrix is singular.
    """
    size = np.abs(v)
    direction = np.where(size > 0, v / np.where(size > 0, size, 1.0), 0.0)
    right = np.concatenate([(weight * 1j * v).real[model.nodes], (weight * direction).real[model.free]])
    slope = np.zeros(len(v), dtype=np.complex128)
    try:
        found = splu(csc_array(jacobian(model, v).T)).solve(right)
    except RuntimeError:
        return np.full(len(v), np.nan, dtype=np.complex128)
    slope[model.nodes] = found[: len(model.nodes)]
    slope[model.free] += 1j * found[len(model.nodes) :]
    return slope


def power_derivatives(y: csc_array, v: Complexes) -> tuple[csc_array, csc_array]:
    """Equations (1) and (2), (buses, buses)."""
    size = np.abs(v)
    direction = diags_array(np.where(size > 0, v / np.where(size > 0, size, 1.0), 0.0))
    at_v, current = diags_array(v), diags_array(times(y, v))
    d_angle = 1j * at_v @ (current - y @ at_v).conj()
    d_size = at_v @ (y @ direction).conj() + current.conj() @ direction
    return csc_array(d_angle), csc_array(d_size)


def _magnitudes(model: NewtonModel, source_v: Complexes) -> Floats:
    size = np.zeros(model.y.shape[0])
    size[model.nodes] = 1.0
    size[model.controlled_bus] = model.controlled_v_pu
    size[model.source_bus] = np.abs(source_v)
    return size


def _angles(model: NewtonModel, p: Floats, source_v: Complexes) -> Floats:
    """Equation (4)."""
    angle = np.zeros(len(p))
    angle[model.source_bus] = np.angle(source_v)
    if len(model.nodes):
        drive = p + model.dc_shift - times(model.dc, angle).real
        angle[model.nodes] = splu(csc_array(model.dc[model.nodes][:, model.nodes])).solve(drive[model.nodes])
    return angle


def times(matrix: csc_array, vector: Floats | Complexes) -> Complexes:
    """The product of a sparse matrix and a vector (or matrix) of complex numbers."""
    return np.asarray(matrix @ vector, dtype=np.complex128)


def _dc(network: Network) -> tuple[csc_array, Floats]:
    """B of (4), (buses, buses), and what phase shifters drive through it, (buses,)."""
    live = np.flatnonzero(network.in_service)
    r, x = network.r_pu[live], network.x_pu[live]
    weight = 1.0 / np.where(x == 0, r, x)
    ones, rows = np.ones(len(live)), np.arange(len(live))
    shape = (len(live), network.bus_count)
    ends = csc_array((ones, (rows, network.branch_from[live])), shape=shape)
    ends = ends - csc_array((ones, (rows, network.branch_to[live])), shape=shape)
    shift = times(csc_array(ends.T), weight * network.shift_rad[live]).real
    return csc_array(ends.T @ diags_array(weight) @ ends), shift


def _is_operating_point(model: NewtonModel, s: Complexes, v: Complexes) -> bool:
    """Whether a state meets its injections, at voltages of the upper branch."""
    drawn = times(abs(model.y), np.abs(v)).real * np.abs(v)
    mismatch = s - v * np.conj(times(model.y, v))
    missing = np.abs(np.concatenate([mismatch[model.nodes].real, mismatch[model.free].imag]))
    scale = np.concatenate([drawn[model.nodes], drawn[model.free]])
    fed = np.abs(v[model.nodes])
    return bool((missing <= RESIDUAL * (1.0 + scale)).all() and (fed >= LOWEST_PU).all())

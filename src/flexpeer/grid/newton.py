"""Full Newton-Raphson power flow: where the fixed point does not converge, and where generators control voltages.

Unknown are the angles a of all nodes and the magnitudes m of those that are not controlled; v = m e^(ja), i = Y v.
With S = diag(v) conj(i) and s the injections, each step solves

    dS/da = j diag(v) conj(diag(i) - Y diag(v))                                   (1)
    dS/dm = diag(v) conj(Y diag(v/m)) + conj(diag(i)) diag(v/m)                   (2)
    [ Re dS/da  Re dS/dm ] [da]     [ Re (s - S) ]
    [ Im dS/da  Im dS/dm ] [dm]  =  [ Im (s - S) ]                                (3)

with the rows of Im and the columns of dm at uncontrolled nodes only (MATPOWER technical note 2, Zimmerman 2010). It
begins from the network's own state, if it has one; then from magnitudes of 1 (or as controlled) and the angles of the
DC power flow, then from those without load,

    p = B a - b,   B from 1/x of the branches, b from their phase shifts           (4)

A solution is the operating point only if no voltage is below half of nominal, where a line's upper solution never is,
and if (3) has a determinant of the sign it has without load, where the branch of operating points begins (Venikov et
al., IEEE Trans. PAS 94(3), 1975). Where voltages are controlled, the sign without load is that at the magnitudes of the
start and the angles of (4) without load; a solution of the other sign is only taken where no start leads to a better
one (`same_sign` tells).

Slower than `powerflow.iterate` by two orders of magnitude, and shares nothing with the independent verifier.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import block_array, csc_array, diags_array
from scipy.sparse.csgraph import connected_components
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
    start_v_pu: Floats
    start_angle_rad: Floats


class Solution(NamedTuple):
    """Voltages (buses,), per unit, zero at unfed buses; whether they solve (3), and in how many steps.

    Where they do not, they are the iterate that came closest.
    """

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
        network.start_v_pu,
        network.start_angle_rad,
    )


def solve_one(model: NewtonModel, s: Complexes, source_v: Complexes) -> Solution:
    """Newton's method for one period; `s` (buses,) and `source_v` (sources,) per unit."""
    taken = 0
    closest: Solution | None = None
    doubtful: Solution | None = None
    for start in (_own_start, _dc_start, _no_load_start):
        try:
            begun = start(model, s, source_v)
            if begun is None:
                continue
            found = _iterate(model, s, *begun)
        except RuntimeError:
            continue
        taken += found.iterations
        if not found.converged:
            closest = min(closest or found, found, key=lambda one: _missing(model, s, one.v))
        elif len(model.controlled_bus) == 0 or same_sign(model, found.v):
            return found._replace(iterations=taken)
        else:
            doubtful = doubtful or found
    nothing = Solution(np.full(len(s), np.nan, dtype=np.complex128), False, taken)
    return (doubtful or closest or nothing)._replace(iterations=taken)


def stretched(network: Network, v: Complexes) -> Integers:
    """Branches in service whose ends are more than a quarter turn apart, beyond what they shift themselves, (any,)."""
    ratio = network.tap * np.exp(1j * network.shift_rad)
    across = v[network.branch_from] / ratio * np.conj(v[network.branch_to])
    return np.flatnonzero(network.in_service & (across.real < 0))


def unbalanced(model: NewtonModel, s: Complexes, v: Complexes) -> Complexes:
    """What an iterate lacks at each bus, per unit, (buses,); nothing of what sources and controlled buses find."""
    mismatch = s - v * np.conj(times(model.y, v))
    left = np.zeros_like(mismatch)
    left[model.nodes] = mismatch[model.nodes].real
    left[model.free] += 1j * mismatch[model.free].imag
    return left


def same_sign(model: NewtonModel, v: Complexes) -> bool:
    """Whether a state is on the side of the determinant of (3) where states without load are."""
    if len(model.nodes) == 0:
        return True
    try:
        return _sign(jacobian(model, v)) == _sign(jacobian(model, _without_load(model, v)))
    except RuntimeError:
        return False


def _without_load(model: NewtonModel, v: Complexes) -> Complexes:
    """The state without injections; where voltages are controlled, the one it is begun from."""
    source_v = v[model.source_bus]
    if len(model.controlled_bus):
        size, angle = _magnitudes(model, source_v), _angles(model, np.zeros(len(v)), source_v)
        return np.asarray(size * np.exp(1j * angle), dtype=np.complex128)
    rest = np.zeros_like(v)
    rest[model.source_bus] = source_v
    inner = csc_array(model.y[model.nodes][:, model.nodes])
    rest[model.nodes] = splu(inner).solve(-times(model.y, rest)[model.nodes])
    return rest


def _missing(model: NewtonModel, s: Complexes, v: Complexes) -> float:
    largest = float(np.abs(unbalanced(model, s, v)).max(initial=0.0))
    return largest if np.isfinite(largest) else np.inf


Start = tuple[Floats, Floats]


def _own_start(model: NewtonModel, s: Complexes, source_v: Complexes) -> Start | None:
    """Magnitudes and angles of the network's own state, turned to the sources; (4) where it has none."""
    known = np.isfinite(model.start_v_pu) & np.isfinite(model.start_angle_rad) & (model.start_v_pu > 0)
    at = model.source_bus[known[model.source_bus]]
    if not known[model.nodes].any() or len(at) == 0:
        return None
    first = int(np.flatnonzero(model.source_bus == at[0])[0])
    turn = np.angle(source_v[first]) - model.start_angle_rad[at[0]]
    size, angle = _magnitudes(model, source_v), _angles(model, s.real, source_v)
    own = model.nodes[known[model.nodes]]
    angle[own] = model.start_angle_rad[own] + turn
    own = model.free[known[model.free]]
    size[own] = model.start_v_pu[own]
    return size, angle


def _dc_start(model: NewtonModel, s: Complexes, source_v: Complexes) -> Start | None:
    return _magnitudes(model, source_v), _angles(model, s.real, source_v)


def _no_load_start(model: NewtonModel, s: Complexes, source_v: Complexes) -> Start | None:
    return _magnitudes(model, source_v), _angles(model, np.zeros(len(s)), source_v)


def _iterate(model: NewtonModel, s: Complexes, size: Floats, angle: Floats) -> Solution:
    """Equation (3) from a start until it stands still; `RuntimeError` where its matrix is singular at the start."""
    closest, nearest = np.inf, size * np.exp(1j * angle)
    for iteration in range(1, ITERATION_LIMIT + 1):
        v = size * np.exp(1j * angle)
        mismatch = s - v * np.conj(times(model.y, v))
        right = np.concatenate([mismatch[model.nodes].real, mismatch[model.free].imag])
        missing = float(np.abs(right).max(initial=0.0))
        if missing < closest:
            closest, nearest = missing, v
        step = splu(jacobian(model, v)).solve(right)
        largest = float(np.abs(step).max(initial=0.0))
        if not largest < DIVERGED_PU:
            return Solution(nearest, False, iteration)
        angle[model.nodes] += step[: len(model.nodes)]
        size[model.free] += step[len(model.nodes) :]
        if largest <= STEP_PU:
            v = size * np.exp(1j * angle)
            return Solution(v, _is_solution(model, s, v) and _is_operating_point(model, v), iteration)
    return Solution(nearest, False, ITERATION_LIMIT)


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


def _is_operating_point(model: NewtonModel, v: Complexes) -> bool:
    """Whether a solution can be on the branch that begins without load; where voltages are controlled, by its size."""
    if (np.abs(v[model.nodes]) < LOWEST_PU).any():
        return False
    return len(model.controlled_bus) > 0 or same_sign(model, v)


def _sign(matrix: csc_array) -> int:
    """Sign of the determinant."""
    lu = splu(matrix)
    negative = int((lu.U.diagonal() < 0).sum()) + _odd(lu.perm_r) + _odd(lu.perm_c)
    return -1 if negative % 2 else 1


def _odd(permutation: Integers) -> int:
    """1 for an odd permutation: its length less its cycles."""
    count = len(permutation)
    graph = csc_array((np.ones(count), (np.arange(count), permutation)), shape=(count, count))
    cycles, _ = connected_components(graph, directed=False)
    return (count - int(cycles)) % 2


def _is_solution(model: NewtonModel, s: Complexes, v: Complexes) -> bool:
    """Whether a state meets its injections."""
    drawn = times(abs(model.y), np.abs(v)).real * np.abs(v)
    mismatch = s - v * np.conj(times(model.y, v))
    missing = np.abs(np.concatenate([mismatch[model.nodes].real, mismatch[model.free].imag]))
    scale = np.concatenate([drawn[model.nodes], drawn[model.free]])
    return bool((missing <= RESIDUAL * (1.0 + scale)).all())

"""The admittance matrix of a network and its sparse factorisation, as flat arrays for compiled kernels.

Buses fall in three: sources (s), whose voltage is given, nodes (n), whose voltage is sought, and
buses no source feeds, which are left out. With i = Y v,

    Y_nn v_n = i_n - Y_ns v_s                        (1)
    P_r Y_nn P_c = L D U                             (2)

L and U have unit diagonals. Phase shifters make Y unsymmetric, so (2) keeps both permutations and is also
solved transposed. Row r of L D U belongs to bus `row_bus[r]`, column c to bus `column_bus[c]`.
Factorisation: SuperLU (Demmel et al., SIAM J. Matrix Anal. Appl. 20, 1999), by minimum degree, which leaves a
tree without fill.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

from flexpeer.compiled import compiled, inlined
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.grid.chains import Chains, eliminate
from flexpeer.grid.network import Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.topology import islanded


class Planes(NamedTuple):
    """Complex numbers as two real arrays of one shape (rows, columns), so that loops over columns use vector units."""

    re: Floats
    im: Floats


class Factors(NamedTuple):
    """Equation (2): L off the diagonal by columns, U off the diagonal by rows, and one over D."""

    l_start: Integers
    l_row: Integers
    l_value: Complexes
    u_start: Integers
    u_column: Integers
    u_value: Complexes
    d_inverse: Complexes


class Circuit(NamedTuple):
    """One topology of a network, as kernels read it. All per unit.

    `lead`: how many passive nodes (`chains`) come first in the order of (2). `row_bus`, `column_bus` (nodes,): see the
    module. `unfed_bus`: buses without a source.
    `coupling_*`: the entries of Y_ns by row of (2) and bus. `tie_*`: the rows of Y at the sources, by
    source and bus. `branch_*`, `y**` (branches,): equation (1) of `network`.
    """

    factors: Factors
    lead: int
    row_bus: Integers
    column_bus: Integers
    unfed_bus: Integers
    source_bus: Integers
    coupling_row: Integers
    coupling_bus: Integers
    coupling_y: Complexes
    tie_source: Integers
    tie_bus: Integers
    tie_y: Complexes
    branch_from: Integers
    branch_to: Integers
    yff: Complexes
    yft: Complexes
    ytf: Complexes
    ytt: Complexes


def admittance(network: Network) -> csc_array:
    """Y of a network, (buses, buses), shunts included, per unit; raises `BadInput` where it is not finite."""
    terminals = network.terminals()
    finite = np.isfinite(np.stack(terminals)).all(axis=0)
    if not finite.all():
        names = [network.branch_names[branch] for branch in np.flatnonzero(~finite)]
        problem, expected = "admittance is not finite", "an impedance other than zero and a finite ratio"
        raise BadInput(Finding("grid", 0, name, problem, expected) for name in names)
    f, t = network.branch_from, network.branch_to
    shunt = network.shunt_bus
    rows, columns = np.concatenate([f, f, t, t, shunt]), np.concatenate([f, t, f, t, shunt])
    values = np.concatenate([*terminals, network.shunts()])
    return csc_array(coo_array((values, (rows, columns)), shape=(network.bus_count, network.bus_count)))


def circuit_of(network: Network, injecting: Flags | None = None) -> Circuit:
    """Factorise one topology; `injecting` (buses,) are those that may inject, if not all: the others cost less.

    Raises `BadInput` without a source, with two sources at a bus, or with a singular matrix.
    """
    _require_sources(network)
    y = admittance(network)
    unfed = islanded(network)
    is_source = np.zeros(network.bus_count, dtype=np.bool_)
    is_source[network.source_bus] = True
    nodes = np.flatnonzero(~unfed & ~is_source).astype(np.int64)
    passive = np.zeros(network.bus_count, dtype=np.bool_) if injecting is None else ~injecting
    passive[y[:, network.source_bus].indices] = False
    factors, row_bus, column_bus, lead = _factorise(y, nodes, passive[nodes])
    position = np.full(network.bus_count, -1, dtype=np.int64)
    position[row_bus] = np.arange(len(nodes))
    coupling = y[nodes][:, network.source_bus].tocoo()
    ties = y[network.source_bus].tocoo()
    return Circuit(
        factors,
        lead,
        row_bus,
        column_bus,
        np.flatnonzero(unfed).astype(np.int64),
        network.source_bus.astype(np.int64),
        position[nodes[coupling.row]],
        network.source_bus[coupling.col].astype(np.int64),
        coupling.data.astype(np.complex128),
        ties.row.astype(np.int64),
        ties.col.astype(np.int64),
        ties.data.astype(np.complex128),
        network.branch_from.astype(np.int64),
        network.branch_to.astype(np.int64),
        *network.terminals(),
    )


def _require_sources(network: Network) -> None:
    if len(network.source_bus) == 0:
        raise bad_input("grid", "no source", "at least one source")
    buses, counts = np.unique(network.source_bus, return_counts=True)
    twice = [network.bus_names[bus] for bus in buses[counts > 1]]
    if twice:
        raise BadInput(Finding("grid", 0, name, "more than one source", "one source at a bus") for name in twice)


def _factorise(y: csc_array, nodes: Integers, passive: Flags) -> tuple[Factors, Integers, Integers, int]:
    """Factors of Y_nn, buses in row and column order, and how many passive nodes lead both."""
    chains = eliminate(csc_array(y[nodes][:, nodes]), passive)
    lead, rest = len(chains.eliminated), nodes[chains.rest]
    row_bus, column_bus = np.empty_like(nodes), np.empty_like(nodes)
    row_bus[:lead] = column_bus[:lead] = nodes[chains.eliminated]
    if len(rest) == 0:
        inner = Factors(*_NO_ENTRIES, *_NO_ENTRIES, _NO_ENTRIES[2])
    else:
        try:
            lu = splu(
                chains.reduced, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1, options={"SymmetricMode": True}
            )
        except RuntimeError as error:
            expected = "branches that determine every voltage"
            raise bad_input("grid", "the admittance matrix is singular", expected) from error
        row_bus[lead + lu.perm_r] = rest
        column_bus[lead + lu.perm_c] = rest
        u = csc_array(lu.U)
        diagonal = np.asarray(u.diagonal(), dtype=np.complex128)
        unit_u = csc_array(u.T.multiply(1.0 / diagonal))
        inner = Factors(*_strict_columns(csc_array(lu.L)), *_strict_columns(unit_u), 1.0 / diagonal)
    return _preceded(chains, inner, _places(row_bus, nodes), _places(column_bus, nodes)), row_bus, column_bus, lead


_NO_ENTRIES = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.complex128)


def _places(order_bus: Integers, nodes: Integers) -> Integers:
    """Where each of `nodes` (ascending) stands in an order of the same buses."""
    places = np.empty(len(nodes), dtype=np.int64)
    places[np.searchsorted(nodes, order_bus)] = np.arange(len(nodes))
    return places


def _preceded(chains: Chains, inner: Factors, row_of: Integers, column_of: Integers) -> Factors:
    """The factors of the rest with those of the chains before them; `row_of`, `column_of` are places of nodes."""
    there = chains.neighbour >= 0
    ends = np.cumsum(there.sum(axis=1))
    lead, filled = len(chains.eliminated), int(ends[-1]) if len(ends) else 0
    before, at = np.concatenate([[0], ends]), chains.neighbour[there]
    return Factors(
        np.concatenate([before, inner.l_start[1:] + filled]),
        np.concatenate([row_of[at], inner.l_row + lead]),
        np.concatenate([chains.l_value[there], inner.l_value]),
        np.concatenate([before, inner.u_start[1:] + filled]),
        np.concatenate([column_of[at], inner.u_column + lead]),
        np.concatenate([chains.u_value[there], inner.u_value]),
        np.concatenate([1.0 / chains.pivot, inner.d_inverse]),
    )


def _strict_columns(matrix: csc_array) -> tuple[Integers, Integers, Complexes]:
    """Column starts, rows and values of a triangle without its diagonal."""
    entries = matrix.tocoo()
    keep = (entries.row != entries.col) & (entries.data != 0)
    strict = csc_array((entries.data[keep], (entries.row[keep], entries.col[keep])), shape=matrix.shape)
    strict.sort_indices()
    return strict.indptr.astype(np.int64), strict.indices.astype(np.int64), strict.data.astype(np.complex128)


@compiled
def planes(values: Complexes) -> Planes:
    """Split complex values (rows, columns)."""
    return Planes(values.real.copy(), values.imag.copy())


def joined(values: Planes) -> Complexes:
    """The complex values of planes."""
    whole: Complexes = values.re + 1j * values.im
    return whole


def solve(circuit: Circuit, current: Complexes) -> Complexes:
    """Solve Y_nn v = `current` at the nodes, all (buses, columns); zero at every other bus."""
    v = np.zeros_like(current, dtype=np.complex128)
    x = planes(np.ascontiguousarray(current[circuit.row_bus], dtype=np.complex128))
    solve_rows(circuit.factors, x)
    v[circuit.column_bus] = joined(x)
    return v


def solve_transposed(circuit: Circuit, weight: Complexes) -> Complexes:
    """Like `solve`, with Y_nn transposed."""
    v = np.zeros_like(weight, dtype=np.complex128)
    x = planes(np.ascontiguousarray(weight[circuit.column_bus], dtype=np.complex128))
    solve_columns(circuit.factors, x)
    v[circuit.row_bus] = joined(x)
    return v


@compiled
def solve_rows(factors: Factors, x: Planes) -> None:
    """Solve L D U x = b for each column of `x` (nodes, columns), in place: b in row order, x in column order."""
    for j in range(x.re.shape[0]):
        push(x, j, factors.l_start, factors.l_row, factors.l_value)
    for j in range(x.re.shape[0] - 1, -1, -1):
        scale(x, j, factors.d_inverse[j])
        pull(x, j, factors.u_start, factors.u_column, factors.u_value)


@compiled
def solve_columns(factors: Factors, x: Planes) -> None:
    """Solve (L D U)^T x = b for each column of `x`, in place: b in column order, x in row order."""
    for j in range(x.re.shape[0]):
        push(x, j, factors.u_start, factors.u_column, factors.u_value)
        scale(x, j, factors.d_inverse[j])
    for j in range(x.re.shape[0] - 1, -1, -1):
        pull(x, j, factors.l_start, factors.l_row, factors.l_value)


@inlined
def push(x: Planes, j: int, start: Integers, other: Integers, value: Complexes) -> None:
    """Subtract row `j`, times the entries of a triangle in its place `j`, from the rows they name."""
    for entry in range(start[j], start[j + 1]):
        subtract(x, other[entry], j, value[entry])


@inlined
def pull(x: Planes, j: int, start: Integers, other: Integers, value: Complexes) -> None:
    """Subtract from row `j` the rows that a triangle names in its place `j`, times its entries."""
    for entry in range(start[j], start[j + 1]):
        subtract(x, j, other[entry], value[entry])


@inlined
def subtract(x: Planes, row: int, other: int, factor: complex) -> None:
    """Subtract from a row another one times a factor; a single column is spared what a vector loop costs to begin."""
    a, b = factor.real, factor.imag
    if x.re.shape[1] == 1:
        x.re[row, 0] -= a * x.re[other, 0] - b * x.im[other, 0]
        x.im[row, 0] -= a * x.im[other, 0] + b * x.re[other, 0]
    else:
        for k in range(x.re.shape[1]):
            x.re[row, k] -= a * x.re[other, k] - b * x.im[other, k]
            x.im[row, k] -= a * x.im[other, k] + b * x.re[other, k]


@inlined
def scale(x: Planes, j: int, factor: complex) -> None:
    """Multiply row `j`."""
    a, b = factor.real, factor.imag
    for k in range(x.re.shape[1]):
        real = a * x.re[j, k] - b * x.im[j, k]
        x.im[j, k] = a * x.im[j, k] + b * x.re[j, k]
        x.re[j, k] = real


def branch_currents(circuit: Circuit, v: Complexes) -> tuple[Complexes, Complexes]:
    """Currents into each branch at its `from` and `to` end, (branches, columns), per unit."""
    v_from, v_to = v[circuit.branch_from], v[circuit.branch_to]
    at_from = circuit.yff[:, None] * v_from + circuit.yft[:, None] * v_to
    return at_from, circuit.ytf[:, None] * v_from + circuit.ytt[:, None] * v_to

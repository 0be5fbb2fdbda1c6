"""First-order effect of injections on one metric of a state, at every bus at once, by the adjoint.

Around a state (v, s) of `powerflow`, with Z = Y_nn^-1 and D = diag(conj(s) / conj(v)^2),

    dv = Z (conj(ds) / conj(v) - D conj(dv))         (1)

For a real metric with dm = Re(w^T dv) the multiplier

    l = Z^T (w - conj(D) conj(l))                    (2)

gives dm/dp = Re(l / conj(v)) and dm/dq = Im(l / conj(v)). Equation (2) is a fixed point that contracts
as the power flow does; where it does not, or generators hold voltages, the transposed Newton matrix is
solved. An injection at a source bus moves no voltage: it only displaces the source's own power.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.grid.admittance import Circuit, Planes, solve_columns
from flexpeer.grid.network import S_BASE_VA, Complexes, Flags, Floats, Integers
from flexpeer.grid.newton import slope_one
from flexpeer.grid.powerflow import ITERATION_LIMIT, DayFlow, FlowModel, FlowResult, per_unit

TOLERANCE_PU = 1e-10


class Quantity(StrEnum):
    """What is differentiated.

    `BRANCH_EXPORT`: W towards the source at a branch's upper end. `BRANCH_APPARENT`: current at a
    branch's worse end x sqrt(3) x nominal voltage, VA. `BUS_VOLTAGE`: magnitude, per unit.
    `SOURCE_EXPORT`, `SOURCE_REACTIVE`: W and var from the grid into a source. `BUS_REAL`, `BUS_IMAGINARY`: the parts of
    a voltage, per unit.
    """

    BRANCH_EXPORT = "branch_export"
    BRANCH_APPARENT = "branch_apparent"
    BUS_VOLTAGE = "bus_voltage"
    SOURCE_EXPORT = "source_export"
    SOURCE_REACTIVE = "source_reactive"
    BUS_REAL = "bus_real"
    BUS_IMAGINARY = "bus_imaginary"


VOLTAGES = (Quantity.BUS_VOLTAGE, Quantity.BUS_REAL, Quantity.BUS_IMAGINARY)
"""Per unit; the others are VA."""


class Metric(NamedTuple):
    """A quantity of the branch, bus or source with this index."""

    quantity: Quantity
    element: int


@dataclass(frozen=True)
class Sensitivity:
    """A metric, (periods,), and its change per W and per var injected at each bus, (buses, periods).

    All NaN in periods without a state, zero at unfed buses.
    """

    value: Floats
    per_w: Floats
    per_var: Floats


class Gradient(NamedTuple):
    """Per unit and period: the metric, w of equation (2) by bus, and the direct effect of each injection (p + jq)."""

    value: Floats
    weight: Complexes
    direct: Floats | Complexes


class _Export(NamedTuple):
    """Complex power into a source, and what `Gradient` has of its real part."""

    value: Complexes
    weight: Complexes
    direct: Floats


def sensitivity(
    day: DayFlow, result: FlowResult, p_w: Floats, q_var: Floats, metric: Metric, mtus: Integers | None = None
) -> Sensitivity:
    """Sensitivity of one metric in every MTU of a day; injections (buses, periods) are those of `result`.

    With `mtus` only those are calculated, and are the columns of the answer. At a branch's worse end, the worse is by
    amperes over the rating, or by per-unit current if one has none.
    """
    every = np.arange(day.periods) if mtus is None else mtus
    s = per_unit(p_w[:, every], q_var[:, every])
    scale = 1.0 if metric.quantity in VOLTAGES else S_BASE_VA
    value = np.full(len(every), np.nan)
    slope = np.full(s.shape, np.nan, dtype=np.complex128)
    has_state = result.converged[every]
    for model, at in day.groups(every):
        live = at[has_state[at]]
        v, injected = np.ascontiguousarray(result.v[:, every[live]]), np.ascontiguousarray(s[:, live])
        gradient = _gradient(day, model.circuit, v, injected, metric)
        slope[:, live] = _slopes(model, injected, v, gradient.weight) + gradient.direct
        value[live] = gradient.value * scale
    per_unit_scale = scale / S_BASE_VA
    return Sensitivity(value, slope.real * per_unit_scale, slope.imag * per_unit_scale)


def _slopes(model: FlowModel, s: Complexes, v: Complexes, weight: Complexes) -> Complexes:
    """dm/dp + j dm/dq, (buses, columns): by (2), or by the Jacobian where that does not settle or voltages are held."""
    if len(model.network.controlled_bus):
        return np.stack([slope_one(model.newton, v[:, k], weight[:, k]) for k in range(v.shape[1])], axis=1)
    multiplier = adjoint(model.circuit, s, v, weight)
    fed = np.where(v == 0, 1.0, v)
    slopes: Complexes = np.where(v == 0, 0.0, multiplier / np.conj(fed))
    for k in np.flatnonzero(np.isnan(multiplier).any(axis=0)):
        slopes[:, k] = slope_one(model.newton, v[:, k], weight[:, k])
    return slopes


def _gradient(day: DayFlow, circuit: Circuit, v: Complexes, s: Complexes, metric: Metric) -> Gradient:
    if metric.quantity is Quantity.BRANCH_EXPORT:
        return _branch_export(circuit, v, metric.element, bool(day.upper_from[metric.element]))
    if metric.quantity is Quantity.BRANCH_APPARENT:
        return _branch_apparent(day, circuit, v, metric.element)
    if metric.quantity is Quantity.BUS_VOLTAGE:
        return _bus_voltage(v, metric.element)
    if metric.quantity in VOLTAGES:
        return _bus_part(v, metric.element, 1.0 if metric.quantity is Quantity.BUS_REAL else -1j)
    export = _source_export(circuit, v, s, metric.element)
    if metric.quantity is Quantity.SOURCE_EXPORT:
        return Gradient(export.value.real, export.weight, export.direct)
    return Gradient(export.value.imag, 1j * export.weight, np.asarray(1j * export.direct, dtype=np.complex128))


def _branch_export(circuit: Circuit, v: Complexes, branch: int, upper_from: bool) -> Gradient:
    upper, other = circuit.branch_from[branch], circuit.branch_to[branch]
    own, mutual = circuit.yff[branch], circuit.yft[branch]
    if not upper_from:
        upper, other, own, mutual = other, upper, circuit.ytt[branch], circuit.ytf[branch]
    current = own * v[upper] + mutual * v[other]
    weight = np.zeros_like(v)
    weight[upper] = -(np.conj(current) + np.conj(v[upper]) * own)
    weight[other] = -np.conj(v[upper]) * mutual
    return Gradient(-(v[upper] * np.conj(current)).real, weight, np.zeros(v.shape))


def _branch_apparent(day: DayFlow, circuit: Circuit, v: Complexes, branch: int) -> Gradient:
    f, t = circuit.branch_from[branch], circuit.branch_to[branch]
    at_from = circuit.yff[branch] * v[f] + circuit.yft[branch] * v[t]
    at_to = circuit.ytf[branch] * v[f] + circuit.ytt[branch] * v[t]
    base_a = day.network.bus_base_a()
    load_from = base_a[f] / day.network.rating_from_a[branch]
    load_to = base_a[t] / day.network.rating_to_a[branch]
    if np.isnan(load_from) or np.isnan(load_to):
        load_from = load_to = 1.0
    from_worse = load_from * np.abs(at_from) >= load_to * np.abs(at_to)
    current = np.where(from_worse, at_from, at_to)
    size = np.abs(current)
    phase = np.conj(current) / np.where(size > 0, size, 1.0)
    weight = np.zeros_like(v)
    weight[f] = phase * np.where(from_worse, circuit.yff[branch], circuit.ytf[branch])
    weight[t] = phase * np.where(from_worse, circuit.yft[branch], circuit.ytt[branch])
    return Gradient(size, weight, np.zeros(v.shape))


def _bus_voltage(v: Complexes, bus: int) -> Gradient:
    size = np.abs(v[bus])
    weight = np.zeros_like(v)
    weight[bus] = np.conj(v[bus]) / np.where(size > 0, size, 1.0)
    return Gradient(size, weight, np.zeros(v.shape))


def _bus_part(v: Complexes, bus: int, part: complex) -> Gradient:
    """Re(part x v): the real part by 1, the imaginary one by -j."""
    weight = np.zeros_like(v)
    weight[bus] = part
    return Gradient((part * v[bus]).real, weight, np.zeros(v.shape))


def _source_export(circuit: Circuit, v: Complexes, s: Complexes, source: int) -> _Export:
    """Of complex power; the gradient of its real part."""
    bus = circuit.source_bus[source]
    own = circuit.tie_source == source
    weight, current = np.zeros_like(v), np.zeros(v.shape[1], dtype=np.complex128)
    for other, y in zip(circuit.tie_bus[own], circuit.tie_y[own], strict=True):
        weight[other] -= np.conj(v[bus]) * y
        current += y * v[other]
    direct = np.zeros(v.shape)
    direct[bus] = 1.0
    return _Export(s[bus] - v[bus] * np.conj(current), weight, direct)


@compiled
def adjoint(circuit: Circuit, s: Complexes, v: Complexes, weight: Complexes) -> Complexes:
    """The multiplier of equation (2) at each bus, (buses, columns); NaN in columns where it does not settle."""
    width = v.shape[1]
    feedback = np.zeros_like(v)
    for bus in circuit.column_bus:
        for k in range(width):
            feedback[bus, k] = 0.0 if s[bus, k] == 0 else s[bus, k] / (v[bus, k] * v[bus, k])
    multiplier = np.zeros_like(v)
    x = Planes(np.empty((len(circuit.row_bus), width)), np.empty((len(circuit.row_bus), width)))
    settled = np.zeros(width, dtype=np.bool_)
    for _ in range(2 * ITERATION_LIMIT):
        for c in range(len(circuit.column_bus)):
            bus = circuit.column_bus[c]
            for k in range(width):
                value = weight[bus, k] - feedback[bus, k] * np.conj(multiplier[bus, k])
                x.re[c, k], x.im[c, k] = value.real, value.imag
        solve_columns(circuit.factors, x)
        settled[:] = take_multipliers(circuit.row_bus, x, multiplier)
        if settled.all():
            break
    for k in range(width):
        if not settled[k]:
            multiplier[:, k] = np.nan
    return multiplier


@compiled
def take_multipliers(row_bus: Integers, x: Planes, multiplier: Complexes) -> Flags:
    """Move `multiplier` to the solution `x`; which columns changed by no more than the tolerance."""
    settled = np.ones(x.re.shape[1], dtype=np.bool_)
    for k in range(x.re.shape[1]):
        change, size = 0.0, 0.0
        for r in range(len(row_bus)):
            value = complex(x.re[r, k], x.im[r, k])
            change = max(change, abs(value - multiplier[row_bus[r], k]))
            size = max(size, abs(value))
            multiplier[row_bus[r], k] = value
        settled[k] = change <= TOLERANCE_PU * size
    return settled

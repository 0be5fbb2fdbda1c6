"""Voltages and loadings of many periods of one topology, in one pass and without the complex state.

What a study over a year needs: a block of periods is solved (`powerflow.iterate`), measured and left while it is in the
processor's cache. Arrays are (buses, periods) or (branches, periods), row-major; watts and vars in, injection positive.
"""

from dataclasses import dataclass

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.grid.admittance import Circuit, Planes, planes
from flexpeer.grid.limits import open_end_loadings
from flexpeer.grid.network import S_BASE_VA, Flags, Floats, Integers, Network
from flexpeer.grid.powerflow import FlowModel, FlowStatus, iterate, no_load, open_end_losses_w, solve

BLOCK = 32


@dataclass(frozen=True)
class Survey:
    """What was measured; NaN in periods without a state.

    `v_pu` (buses, periods) is zero at unfed buses; `loading` (branches, periods) is the current at the worse end over
    its rating, NaN where there is none; `losses_w` of all branches, `status` (`FlowStatus`) and `iterations` are
    (periods,).
    """

    v_pu: Floats
    loading: Floats
    losses_w: Floats
    status: Integers
    iterations: Integers

    @property
    def converged(self) -> Flags:
        """Which periods have a state, (periods,)."""
        return np.equal(self.status, FlowStatus.CONVERGED)


def survey(model: FlowModel, p_w: Floats, q_var: Floats) -> Survey:
    """Measure every period at the network's own ratings and source voltages."""
    network, periods = model.network, p_w.shape[1]
    measured = Survey(
        np.empty((network.bus_count, periods)),
        np.empty((network.branch_count, periods)),
        np.empty(periods),
        np.empty(periods, dtype=np.int64),
        np.empty(periods, dtype=np.int64),
    )
    own = network.source_v_pu * np.exp(1j * network.source_angle_rad)
    rest = Planes(np.zeros((network.bus_count, 1)), np.zeros((network.bus_count, 1)))
    rest.re[network.source_bus, 0], rest.im[network.source_bus, 0] = own.real, own.imag
    no_load(model.circuit, rest)
    load_from, load_to = per_rating(network)
    controls = len(network.controlled_bus) > 0
    measured.status[:], measured.iterations[:] = FlowStatus.DIVERGED, 0
    for first in range(0, 0 if controls else periods, BLOCK):
        end = min(first + BLOCK, periods)
        s = Planes(p_w[:, first:end] / S_BASE_VA, q_var[:, first:end] / S_BASE_VA)
        v = Planes(np.repeat(rest.re, end - first, axis=1), np.repeat(rest.im, end - first, axis=1))
        measured.status[first:end], measured.iterations[first:end] = iterate(model.circuit, s, v)
        measured.losses_w[first:end] = measure(
            model.circuit, load_from, load_to, v, measured.v_pu[:, first:end], measured.loading[:, first:end]
        )
    _newton_takes_over(model, p_w, q_var, measured)
    _add_open_ends(network, measured)
    failed = ~measured.converged
    for values in (measured.v_pu, measured.loading, measured.losses_w):
        values[..., failed] = np.nan
    return measured


def _add_open_ends(network: Network, measured: Survey) -> None:
    """What branches that are open at one end take and lose."""
    if not network.open_ends().any():
        return
    measured.losses_w[:] += open_end_losses_w(network, measured.v_pu)
    ratings = network.rating_from_a[:, None], network.rating_to_a[:, None]
    ends, loading = open_end_loadings(network, *ratings, measured.v_pu)
    known = np.isfinite(measured.loading[ends])
    measured.loading[ends] = np.where(known, np.fmax(measured.loading[ends], loading), np.nan)


def _newton_takes_over(model: FlowModel, p_w: Floats, q_var: Floats, measured: Survey) -> None:
    """Measure again, with states by Newton's method, what the fixed point leaves open."""
    again = np.flatnonzero(measured.status != FlowStatus.CONVERGED)
    if len(again) == 0:
        return
    result = solve(model, p_w[:, again], q_var[:, again])
    v_pu, loading = np.empty(result.v.shape), np.empty((model.network.branch_count, len(again)))
    load_from, load_to = per_rating(model.network)
    measured.losses_w[again] = measure(model.circuit, load_from, load_to, planes(result.v), v_pu, loading)
    measured.v_pu[:, again], measured.loading[:, again] = v_pu, loading
    measured.status[again], measured.iterations[again] = result.status, result.iterations


def per_rating(network: Network) -> tuple[Floats, Floats]:
    """One per-unit current over each branch's rating at its ends, (branches,); NaN where there is none."""
    base_a = network.bus_base_a()
    at_from: Floats = base_a[network.branch_from] / network.rating_from_a
    at_to: Floats = base_a[network.branch_to] / network.rating_to_a
    return at_from, at_to


@compiled
def measure(circuit: Circuit, load_from: Floats, load_to: Floats, v: Planes, v_pu: Floats, loading: Floats) -> Floats:
    """Fill `v_pu` and `loading` from a block of states; the losses of each column, W."""
    width = v.re.shape[1]
    losses, at_from, at_to = np.zeros(width), np.zeros(width), np.zeros(width)
    for bus in range(v.re.shape[0]):
        for k in range(width):
            v_pu[bus, k] = np.sqrt(v.re[bus, k] * v.re[bus, k] + v.im[bus, k] * v.im[bus, k])
    for b in range(len(circuit.branch_from)):
        f, t = circuit.branch_from[b], circuit.branch_to[b]
        ff, ft, tf, tt = circuit.yff[b], circuit.yft[b], circuit.ytf[b], circuit.ytt[b]
        square_from, square_to = load_from[b] * load_from[b], load_to[b] * load_to[b]
        for k in range(width):
            fr, fi, tr, ti = v.re[f, k], v.im[f, k], v.re[t, k], v.im[t, k]
            ar = ff.real * fr - ff.imag * fi + ft.real * tr - ft.imag * ti
            ai = ff.real * fi + ff.imag * fr + ft.real * ti + ft.imag * tr
            br = tf.real * fr - tf.imag * fi + tt.real * tr - tt.imag * ti
            bi = tf.real * fi + tf.imag * fr + tt.real * ti + tt.imag * tr
            at_from[k], at_to[k] = square_from * (ar * ar + ai * ai), square_to * (br * br + bi * bi)
            losses[k] += fr * ar + fi * ai + tr * br + ti * bi
        for k in range(width):
            loading[b, k] = np.sqrt(at_to[k] if not at_from[k] >= at_to[k] else at_from[k])
    return losses * S_BASE_VA

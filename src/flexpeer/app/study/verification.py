"""The independent verdict on a day: another power flow, in another library, over every MTU of the final schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from flexpeer.app.study.physical_side import PhysicalSide
from flexpeer.app.views.outcome import Congestion, GridPicture
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes, Flags, Floats, Network
from flexpeer.market.needs import Watts

TOLERANCE = 2e-6


class IndependentFlow(NamedTuple):
    """Voltages per unit (buses, mtus); currents in A and powers in W into branches (branches, mtus); sources in W."""

    v_pu: Complexes
    current_from_a: Floats
    current_to_a: Floats
    p_from_w: Floats
    p_to_w: Floats
    source_p_w: Floats


class Verifier(Protocol):
    """A power flow that shares no code with ours."""

    def flow(self, network: Network, p_w: Floats, q_var: Floats, in_service: Flags) -> IndependentFlow:
        """The state of every MTU; injections (buses, mtus), `in_service` (branches, mtus)."""

    def name(self) -> str:
        """Name and version of the library."""


@dataclass(frozen=True)
class Picture:
    """What the verifier saw."""

    before: tuple[Congestion, ...]
    after: tuple[Congestion, ...]
    worsened: tuple[Congestion, ...]
    grid: GridPicture
    verified_by: str
    largest_difference_pu: float
    overload_w: float

    def overload_wm(self, mtu_minutes: int) -> int:
        """Energy past limits of current and active power after the market, W min, rounded up."""
        return int(np.ceil(self.overload_w * mtu_minutes))


class _Measured(NamedTuple):
    """Values and limits of every kind, each (elements, mtus); NaN where there is no limit."""

    loading: Floats
    v_pu: Floats
    power_w: Floats


def verify_day(
    side: PhysicalSide,
    verifier: Verifier,
    before_w: Mapping[str, Watts],
    start_w: Mapping[str, Watts],
    after_w: Mapping[str, Watts],
) -> Picture:
    """Measure forecast, starting point and final schedules; `worsened` is what the market made worse than both.

    The verifier gets what generators add at controlled buses as an injection; the voltage that holds is its verdict.
    """
    grid = side.grid
    flows = [
        verifier.flow(grid.network, grid.injections(schedule), grid.held_q_var(schedule), grid.in_service)
        for schedule in (before_w, start_w, after_w)
    ]
    before, start, after = (_measure(side, flow) for flow in flows)
    own, _ = grid.solve(after_w, "schedules")
    seen = GridPicture(
        grid.network, grid.owners, dict(grid.bus_of), before.loading, after.loading, before.v_pu, after.v_pu
    )
    return Picture(
        before=_past(side, before, None),
        after=_past(side, after, None),
        worsened=_past(side, after, (before, start)),
        grid=seen,
        verified_by=verifier.name(),
        largest_difference_pu=float(np.abs(own.v - flows[2].v_pu).max()),
        overload_w=_overload_w(side, after),
    )


def _measure(side: PhysicalSide, flow: IndependentFlow) -> _Measured:
    limits, upper = side.grid.limits, side.grid.day.upper_from
    with np.errstate(invalid="ignore"):
        loading = np.fmax(flow.current_from_a / limits.rating_from_a, flow.current_to_a / limits.rating_to_a)
    into_upper = np.where(upper[:, None], flow.p_from_w, flow.p_to_w)
    rows = [
        (into_upper[branch] if branch >= 0 else flow.source_p_w[source]) * (1.0 if kind is Kind.IMPORT else -1.0)
        for branch, source, kind in zip(limits.point_branch, limits.point_source, limits.point_kind, strict=True)
    ]
    power = np.array([_means(row, limits.first[i], limits.end[i]) for i, row in enumerate(rows)])
    return _Measured(loading, np.abs(flow.v_pu), power.reshape(len(rows), flow.v_pu.shape[1]))


def _means(row: Floats, first: Floats, end: Floats) -> Floats:
    """Mean over each MTU's window, the hour for a subscription."""
    return np.array([row[int(a) : int(b)].mean() for a, b in zip(first, end, strict=True)])


def _past(side: PhysicalSide, now: _Measured, unless: tuple[_Measured, ...] | None) -> tuple[Congestion, ...]:
    """Everything past its limit; with `unless`, only what is past the worst of those states too."""
    limits, network = side.grid.limits, side.grid.network
    kinds = (
        (Kind.LOADING, network.branch_names, "loading", np.ones_like(now.loading), 1.0),
        (Kind.HIGH, network.bus_names, "v_pu", limits.v_max_pu, 1.0),
        (Kind.LOW, network.bus_names, "v_pu", np.where(now.v_pu > 0.0, limits.v_min_pu, np.nan), -1.0),
    )
    found: list[Congestion] = []
    for kind, names, field, bound, sign in kinds:
        worst = [sign * getattr(state, field) for state in unless or ()]
        found += _rows(side, kind, names, (sign * getattr(now, field), sign * bound, worst, sign))
    for row, (element, kind) in enumerate(zip(limits.point_element, limits.point_kind, strict=True)):
        worst = [state.power_w[row : row + 1] for state in unless or ()]
        found += _rows(side, kind, (element,), (now.power_w[row : row + 1], limits.limit_w[row : row + 1], worst, 1.0))
    return tuple(found)


def _rows(
    side: PhysicalSide, kind: Kind, names: tuple[str, ...], what: tuple[Floats, Floats, list[Floats], float]
) -> list[Congestion]:
    value, bound, worst, sign = what
    allowed = bound
    for state in worst:
        allowed = np.fmax(allowed, np.where(np.isnan(bound), np.nan, state))
    past = np.argwhere(value > allowed + TOLERANCE * np.fmax(np.abs(bound), 1e-9))
    return [
        Congestion(
            names[e],
            str(kind),
            side.owner_of(kind, names[e]),
            int(t),
            float(sign * value[e, t]),
            float(sign * bound[e, t]),
        )
        for e, t in past
    ]


def _overload_w(side: PhysicalSide, now: _Measured) -> float:
    rated = side.rated_va()
    over = np.nansum(np.clip((now.loading - 1.0) * rated, 0.0, None))
    if now.power_w.size:
        over += np.nansum(np.clip(now.power_w - side.grid.limits.limit_w, 0.0, None))
    return float(over)

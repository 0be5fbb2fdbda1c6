"""Needs by optimisation on congested grids: `python -m benchmarks.needs`, which needs `make bench-deps`.

Three SimBench grids with more generation or load than they carry, and one whose maintenance leaves a feeder to its
neighbour: a strong branch at the feeding busbar is out from 08:00 to 15:00, and the normally open branch that feeds
its buses again is closed. Every injection may fall to nothing. What is left past limits after at most eight rounds is
AC power flow's verdict.
"""

from dataclasses import replace
from datetime import date
from time import perf_counter
from typing import NamedTuple

import numpy as np

from flexpeer.adapters.gridfiles.simbench_grid import simbench_day
from flexpeer.grid.limits import limits_of, read, violations
from flexpeer.grid.network import Flags, Floats, Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.relief import Flexible, ReliefDay, excess, least_relief
from flexpeer.grid.topology import islanded, service

MTUS = 96
MARGIN = 0.005
MAINTENANCE = range(32, 60)


class Congested(NamedTuple):
    """A SimBench code, a day, and what its generation and load are multiplied by."""

    code: str
    day: date
    generation: float
    load: float
    maintenance: bool = False


CASES = (
    Congested("1-LV-rural1--2-no_sw", date(2016, 7, 3), 3.0, 1.0),
    Congested("1-MV-semiurb--2-no_sw", date(2016, 7, 3), 3.5, 1.5),
    Congested("1-MVLV-rural-all-2-no_sw", date(2016, 7, 3), 1.5, 1.0),
    Congested("1-MV-rural--0-no_sw", date(2016, 1, 19), 1.0, 3.0, maintenance=True),
)


def maintained(network: Network, p_w: Floats) -> Flags:
    """In service, (branches, mtus), with the strongest feeder out and its buses fed from elsewhere."""
    closed = np.flatnonzero(network.in_service & (np.array(network.branch_kinds) == "line"))
    flow = DayFlow(network, MTUS)
    limits = limits_of(network, MTUS)
    loading = read(flow, limits, flow.solve(p_w, np.zeros_like(p_w))).loading
    for branch in closed[np.argsort(-np.nanmax(loading[closed], axis=1))]:
        without = network.in_service.copy()
        without[branch] = False
        dark = islanded(replace(network, in_service=without))
        if not dark.any():
            continue
        for tie in np.flatnonzero(~network.in_service):
            with_tie = without.copy()
            with_tie[tie] = True
            if not islanded(replace(network, in_service=with_tie)).any():
                names = network.branch_names
                return service(network, MTUS, [(names[branch], MAINTENANCE)], [(names[tie], MAINTENANCE)])
    raise ValueError("no feeder has a neighbour to be fed from")


def main() -> None:
    """Print a row for each case."""
    print("| grid | buses | past limits before | worst, % | moved, MWh | rounds | left, % | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        grid = simbench_day(case.code, case.day)
        assert grid.profile_p_w is not None
        assert grid.profile_q_var is not None
        p_w = np.where(grid.profile_p_w > 0, grid.profile_p_w * case.generation, grid.profile_p_w * case.load)
        in_service = maintained(grid.network, p_w) if case.maintenance else None
        flow, limits = DayFlow(grid.network, MTUS, in_service), limits_of(grid.network, MTUS)
        past = violations(flow, limits, read(flow, limits, flow.solve(p_w, grid.profile_q_var)))
        bus = np.flatnonzero(np.abs(p_w).max(axis=1) > 0)
        flexible = Flexible(bus, np.clip(-p_w[bus], 0, None), np.clip(p_w[bus], 0, None), np.ones(len(bus)))
        began = perf_counter()
        found = least_relief(ReliefDay(flow, limits, p_w, grid.profile_q_var), flexible, MARGIN)
        name = case.code + (", maintenance" if case.maintenance else "")
        print(
            f"| {name} | {grid.network.bus_count:,} | {len(past):,} | {100 * max(map(excess, past), default=0):.1f} "
            f"| {found.power_w / 4e6:.2f} | {found.rounds} | {found.overload_percent:.3f} "
            f"| {perf_counter() - began:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

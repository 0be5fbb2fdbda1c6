"""How a network hangs together: what its sources reach, how far away, and which end of a branch is upper.

A branch's upper end is the one fewer hops from a source; on a tie it is the `from` end. Hops count
branches in service only.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from flexpeer.errors import BadInput, Finding
from flexpeer.grid.network import Flags, Integers, Network

UNREACHED = -1


def depths(network: Network) -> Integers:
    """Hops of each bus from its nearest source, (buses,); `UNREACHED` where no source feeds it."""
    if len(network.source_bus) == 0:
        return np.full(network.bus_count, UNREACHED, dtype=np.int64)
    live = network.in_service
    ends = (network.branch_from[live], network.branch_to[live])
    shape = (network.bus_count, network.bus_count)
    graph = csr_array((np.ones(len(ends[0])), ends), shape=shape)
    sources = np.unique(network.source_bus)
    hops = np.asarray(dijkstra(graph, directed=False, indices=sources, unweighted=True, min_only=True))
    return np.where(np.isfinite(hops), hops, UNREACHED).astype(np.int64)


def islanded(network: Network) -> Flags:
    """Which buses no source feeds, (buses,)."""
    return np.equal(depths(network), UNREACHED)


def islanded_buses(network: Network) -> tuple[str, ...]:
    """Names of the buses that no source feeds."""
    return tuple(network.bus_names[bus] for bus in np.flatnonzero(islanded(network)))


def connection_findings(network: Network, where: str = "grid") -> tuple[Finding, ...]:
    """One finding for each bus that no source feeds."""
    expected = "a path of branches in service to a source"
    return tuple(Finding(where, 0, name, "no source feeds this bus", expected) for name in islanded_buses(network))


def require_connected(network: Network, where: str = "grid") -> None:
    """Raise `BadInput` with every bus that no source feeds."""
    findings = connection_findings(network, where)
    if findings:
        raise BadInput(findings)


def upper_from(network: Network) -> Flags:
    """Whether each branch's `from` end is its upper end, (branches,); an unfed end is never nearer."""
    hops = depths(network)
    distance = np.where(hops == UNREACHED, network.bus_count, hops)
    return np.asarray(distance[network.branch_from] <= distance[network.branch_to])


def service(
    network: Network,
    periods: int,
    outages: Sequence[tuple[str, Collection[int]]] = (),
    closings: Sequence[tuple[str, Collection[int]]] = (),
) -> Flags:
    """Which branches are in service in each MTU, (branches, periods).

    `closings` and `outages` are pairs of a branch and the MTUs it is closed, or out; what is out is not closed. Raises
    `BadInput` with every unknown branch and MTU outside the day.
    """
    index = {name: branch for branch, name in enumerate(network.branch_names)}
    faults = [_unknown_branch(name) for name, _ in (*closings, *outages) if name not in index]
    faults += [
        Finding("outage", 0, name, f"MTU {t} is outside the day", f"an MTU from 0 to {periods - 1}")
        for name, mtus in (*closings, *outages)
        for t in mtus
        if not 0 <= t < periods
    ]
    if faults:
        raise BadInput(faults)
    in_service = np.repeat(network.in_service[:, None], periods, axis=1)
    for rows, closed in ((closings, True), (outages, False)):
        for name, mtus in rows:
            in_service[index[name], sorted(mtus)] = closed
    return in_service


def _unknown_branch(name: str) -> Finding:
    return Finding("outage", 0, "element", f"unknown branch {name}", "a branch")


def without(network: Network, branch_names: Iterable[str]) -> Network:
    """The network with these branches out of service; raises `BadInput` with every name it lacks."""
    index = {name: branch for branch, name in enumerate(network.branch_names)}
    names = tuple(branch_names)
    unknown = sorted({name for name in names if name not in index})
    if unknown:
        raise BadInput(map(_unknown_branch, unknown))
    in_service = network.in_service.copy()
    in_service[[index[name] for name in names]] = False
    return replace(network, in_service=in_service)

"""The grids of several owners as one network, joined at their borders: the way back from `flexpeer.grid.areas`.

Each part is as its owner has it: at a border a source stands for the overlying grid. In the whole network that source
is gone, and the bus is the parent's bus, with the parent's voltage band; what hangs on it hangs there.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flexpeer.errors import BadInput, Finding
from flexpeer.grid.network import NO_BRANCH, Floats, Integers, Network

SAME_VOLTAGE = 1e-9


class BorderJoint(NamedTuple):
    """`bus` of a part is `parent_bus` of the owner `parent`, by name."""

    bus: str
    parent: str
    parent_bus: str


class OwnerPart(NamedTuple):
    """One owner's grid."""

    owner: str
    network: Network
    joints: tuple[BorderJoint, ...]

    @property
    def gone(self) -> frozenset[str]:
        """Buses that are a parent's in the whole."""
        return frozenset(joint.bus for joint in self.joints)


@dataclass(frozen=True)
class Joined:
    """The whole network, the owner of each bus, and where the buses and branches of each part went, by owner.

    A name that several parts have is `OWNER/NAME` in the whole, for all of them.
    """

    network: Network
    owners: tuple[str, ...]
    bus_index: dict[str, Integers]
    branch_index: dict[str, Integers]

    def gathered(self, rows: dict[str, Floats]) -> Floats:
        """Values (buses of a part, ...) of each owner, added up on the buses of the whole."""
        shape = next(iter(rows.values())).shape[1:]
        whole = np.zeros((self.network.bus_count, *shape))
        for owner, values in rows.items():
            np.add.at(whole, self.bus_index[owner], values)
        return whole


def join(parts: Sequence[OwnerPart]) -> Joined:
    """The whole of these parts; `BadInput` with every border that is none."""
    by_owner = {part.owner: part for part in parts}
    findings = [finding for part in parts for finding in _faults(part, by_owner)]
    if len(by_owner) < len(parts):
        twice = [owner for owner, count in Counter(part.owner for part in parts).items() if count > 1]
        findings += [Finding("grids", 0, owner, "has several grids", "one grid of each owner") for owner in twice]
    if findings:
        raise BadInput(findings)
    kept = [
        (part, bus)
        for part, gone in [(part, part.gone) for part in parts]
        for bus, name in enumerate(part.network.bus_names)
        if name not in gone
    ]
    position = {(part.owner, part.network.bus_names[bus]): place for place, (part, bus) in enumerate(kept)}
    bus_index = {
        part.owner: _integers(_place(part, name, by_owner, position) for name in part.network.bus_names)
        for part in parts
    }
    named = _Names(parts)
    starts = np.cumsum([0, *(part.network.branch_count for part in parts)])
    branch_index = {
        part.owner: np.arange(part.network.branch_count, dtype=np.int64) + start
        for part, start in zip(parts, starts[:-1], strict=True)
    }
    network = _Whole(parts, kept, bus_index, branch_index, named).network()
    return Joined(network, tuple(part.owner for part, _ in kept), bus_index, branch_index)


def _place(part: OwnerPart, name: str, by_owner: dict[str, OwnerPart], position: dict[tuple[str, str], int]) -> int:
    """Where a bus of a part is in the whole, over as many borders as it takes."""
    joint = next((joint for joint in part.joints if joint.bus == name), None)
    if joint is None:
        return position[part.owner, name]
    return _place(by_owner[joint.parent], joint.parent_bus, by_owner, position)


def _faults(part: OwnerPart, by_owner: dict[str, OwnerPart]) -> Iterator[Finding]:
    network, where = part.network, f"the grid of {part.owner}"
    held = {network.bus_names[bus] for bus in network.source_bus}
    controlled = {network.bus_names[bus] for bus in network.controlled_bus}
    seen: Counter[str] = Counter(joint.bus for joint in part.joints)
    yield from (Finding(where, 0, bus, "is a border twice", "one border a bus") for bus, n in seen.items() if n > 1)
    for joint in part.joints:
        if joint.bus not in held:
            expected = "a bus of this grid that a source holds, which stands for the overlying grid"
            yield Finding(where, 0, joint.bus, "is no border", expected)
        elif joint.bus in controlled:
            yield Finding(where, 0, joint.bus, "a generator holds the voltage of a border", "the overlying grid alone")
        parent = by_owner.get(joint.parent)
        if parent is None or parent is part:
            yield Finding(where, 0, joint.bus, f"{joint.parent!r} has no grid here", "another owner with a grid")
        elif joint.parent_bus not in parent.network.bus_names:
            expected = f"a bus of the grid of {joint.parent}"
            yield Finding(where, 0, joint.bus, f"{joint.parent} has no bus {joint.parent_bus!r}", expected)
        elif joint.bus in held:
            yield from _voltage_faults(part, joint, parent)
    yield from _cycle(part, by_owner)


def _voltage_faults(part: OwnerPart, joint: BorderJoint, parent: OwnerPart) -> Iterator[Finding]:
    own = part.network.bus_v[part.network.bus_names.index(joint.bus)]
    there = parent.network.bus_v[parent.network.bus_names.index(joint.parent_bus)]
    if abs(own - there) > SAME_VOLTAGE * there:
        problem = f"{own / 1e3:g} kV here, {there / 1e3:g} kV at {joint.parent_bus!r} of {joint.parent}"
        yield Finding(f"the grid of {part.owner}", 0, joint.bus, problem, "one nominal voltage on both sides")


def _cycle(part: OwnerPart, by_owner: dict[str, OwnerPart]) -> Iterator[Finding]:
    above, reached = {joint.parent for joint in part.joints}, set[str]()
    while above - reached:
        reached |= above
        above = {joint.parent for name in above if name in by_owner for joint in by_owner[name].joints}
    if part.owner in reached:
        expected = "no cycle of owners from the sources"
        yield Finding(f"the grid of {part.owner}", 0, "borders", "the owner is above itself", expected)


class _Names:
    """What elements are called in the whole."""

    def __init__(self, parts: Sequence[OwnerPart]) -> None:
        self._counts: Counter[str] = Counter()
        for part in parts:
            gone = part.gone
            held = [part.network.bus_names[bus] for bus in part.network.source_bus]
            sources = [s for s, bus in zip(part.network.source_names, held, strict=True) if bus not in gone]
            buses = [bus for bus in part.network.bus_names if bus not in gone]
            self._counts.update({*buses, *part.network.branch_names, *sources})

    def of(self, owner: str, name: str) -> str:
        """Its own name, unless others have it too."""
        return f"{owner}/{name}" if self._counts[name] > 1 else name


class _Whole:
    """Arrays of the parts, one after the other."""

    def __init__(
        self,
        parts: Sequence[OwnerPart],
        kept: Sequence[tuple[OwnerPart, int]],
        bus_index: dict[str, Integers],
        branch_index: dict[str, Integers],
        named: _Names,
    ) -> None:
        self._parts, self._kept, self._named = parts, kept, named
        self._bus_index, self._branch_index = bus_index, branch_index
        self._sources = {part.owner: _own_sources(part) for part in parts}

    def _buses(self, field: str) -> Floats:
        return np.array([getattr(part.network, field)[bus] for part, bus in self._kept], dtype=np.float64)

    def _all(self, field: str) -> Floats:
        values: Floats = np.concatenate([getattr(part.network, field) for part in self._parts])
        return values

    def _at(self, field: str) -> Integers:
        """Bus numbers of the whole."""
        return np.concatenate([self._bus_index[p.owner][getattr(p.network, field)] for p in self._parts])

    def _of_sources(self, field: str) -> Floats:
        values: Floats = np.concatenate([getattr(p.network, field)[self._sources[p.owner]] for p in self._parts])
        return values

    def _shunt_branches(self) -> Integers:
        found = []
        for part in self._parts:
            own = part.network.shunt_branch
            there = np.equal(own, NO_BRANCH)
            if len(own) and part.network.branch_count:
                found.append(np.where(there, NO_BRANCH, self._branch_index[part.owner][np.where(there, 0, own)]))
            else:
                found.append(own)
        return np.concatenate(found)

    def network(self) -> Network:
        """The network of the whole."""
        named, parts = self._named, self._parts
        return Network(
            bus_names=tuple(named.of(part.owner, part.network.bus_names[bus]) for part, bus in self._kept),
            bus_v=self._buses("bus_v"),
            v_min_pu=self._buses("v_min_pu"),
            v_max_pu=self._buses("v_max_pu"),
            start_v_pu=self._buses("start_v_pu"),
            start_angle_rad=self._buses("start_angle_rad"),
            branch_names=tuple(named.of(p.owner, name) for p in parts for name in p.network.branch_names),
            branch_kinds=tuple(kind for part in parts for kind in part.network.branch_kinds),
            branch_from=self._at("branch_from"),
            branch_to=self._at("branch_to"),
            r_pu=self._all("r_pu"),
            x_pu=self._all("x_pu"),
            g_pu=self._all("g_pu"),
            b_pu=self._all("b_pu"),
            tap=self._all("tap"),
            shift_rad=self._all("shift_rad"),
            rating_from_a=self._all("rating_from_a"),
            rating_to_a=self._all("rating_to_a"),
            in_service=np.concatenate([part.network.in_service for part in parts]),
            shunt_bus=self._at("shunt_bus"),
            shunt_g_pu=self._all("shunt_g_pu"),
            shunt_b_pu=self._all("shunt_b_pu"),
            shunt_branch=self._shunt_branches(),
            source_names=tuple(
                named.of(p.owner, p.network.source_names[s]) for p in parts for s in self._sources[p.owner]
            ),
            source_bus=np.concatenate(
                [self._bus_index[p.owner][p.network.source_bus[self._sources[p.owner]]] for p in parts]
            ),
            source_v_pu=self._of_sources("source_v_pu"),
            source_angle_rad=self._of_sources("source_angle_rad"),
            controlled_bus=self._at("controlled_bus"),
            controlled_v_pu=self._all("controlled_v_pu"),
            controlled_q_min_var=self._all("controlled_q_min_var"),
            controlled_q_max_var=self._all("controlled_q_max_var"),
        )


def _own_sources(part: OwnerPart) -> Integers:
    """Those that do not stand for an overlying grid here."""
    gone = part.gone
    return _integers(n for n, bus in enumerate(part.network.source_bus) if part.network.bus_names[bus] not in gone)


def _integers(values: Iterator[int] | Sequence[int]) -> Integers:
    return np.fromiter(values, dtype=np.int64)

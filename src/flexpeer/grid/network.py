"""The electrical network as arrays: what every other module of the grid calculates on.

Per unit on `S_BASE_VA` and each bus's nominal (phase-to-phase) voltage. A branch between buses f and t is
a pi section behind an ideal transformer at its `from` end, with complex ratio a = tap e^(j shift):

    y = 1 / (r + jx),   c = (g + jb) / 2
    i_f = (y + c) / |a|^2 v_f  -  y / conj(a) v_t
    i_t = -y / a v_f           + (y + c) v_t                                    (1)

Injection into the grid is positive. MATPOWER 7 manual, section 3.2, has the same model.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

S_BASE_VA = 1e6
NO_BRANCH = -1


class Terminal(NamedTuple):
    """The four admittances of equation (1), each (branches,), per unit; zero where out of service."""

    yff: Complexes
    yft: Complexes
    ytf: Complexes
    ytt: Complexes


@dataclass(frozen=True)
class Network:
    """Buses, branches, shunts and sources of one grid, or of one owner's part of it.

    Shapes: `bus_*` and `v_*_pu` (buses,); `branch_*`, `r_pu` ... `in_service` (branches,); `shunt_*`
    (shunts,); `source_*` (sources,); `controlled_*` (controlled,). Ratings are amperes at each end, NaN where there is
    no limit. At a controlled bus a generator holds the voltage magnitude by its reactive power. Names are unique over
    buses, branches and sources together. `start_*` (buses,) is a state to begin from, NaN where there is none.
    `shunt_branch` is the branch whose open end a shunt stands for, else `NO_BRANCH`: such a shunt is there while the
    branch is out of service, and what it takes is the branch's.
    """

    bus_names: tuple[str, ...]
    bus_v: Floats
    v_min_pu: Floats
    v_max_pu: Floats
    start_v_pu: Floats
    start_angle_rad: Floats
    branch_names: tuple[str, ...]
    branch_kinds: tuple[str, ...]
    branch_from: Integers
    branch_to: Integers
    r_pu: Floats
    x_pu: Floats
    g_pu: Floats
    b_pu: Floats
    tap: Floats
    shift_rad: Floats
    rating_from_a: Floats
    rating_to_a: Floats
    in_service: Flags
    shunt_bus: Integers
    shunt_g_pu: Floats
    shunt_b_pu: Floats
    shunt_branch: Integers
    source_names: tuple[str, ...]
    source_bus: Integers
    source_v_pu: Floats
    source_angle_rad: Floats
    controlled_bus: Integers
    controlled_v_pu: Floats
    controlled_q_min_var: Floats
    controlled_q_max_var: Floats

    @property
    def bus_count(self) -> int:
        """Number of buses."""
        return len(self.bus_names)

    @property
    def branch_count(self) -> int:
        """Number of branches."""
        return len(self.branch_names)

    def bus_base_a(self) -> Floats:
        """Amperes that are one per unit at each bus, (buses,)."""
        base: Floats = S_BASE_VA / (np.sqrt(3.0) * self.bus_v)
        return base

    def open_ends(self) -> Flags:
        """Which shunts stand for an open end of a branch that is out of service, (shunts,)."""
        ends: Flags = self.shunt_branch != NO_BRANCH
        ends[ends] = ~self.in_service[self.shunt_branch[ends]]
        return ends

    def shunts(self) -> Complexes:
        """Admittances of the shunts, (shunts,), per unit; zero for the open end of a branch that is in service."""
        there = self.open_ends() | np.equal(self.shunt_branch, NO_BRANCH)
        admittances: Complexes = np.where(there, self.shunt_g_pu + 1j * self.shunt_b_pu, 0.0)
        return admittances

    def terminals(self) -> Terminal:
        """Equation (1) for every branch."""
        series: Complexes = np.where(self.in_service, 1.0 / (self.r_pu + 1j * self.x_pu), 0.0)
        half: Complexes = np.where(self.in_service, (self.g_pu + 1j * self.b_pu) / 2.0, 0.0)
        ratio = self.tap * np.exp(1j * self.shift_rad)
        return Terminal((series + half) / self.tap**2, -series / np.conj(ratio), -series / ratio, series + half)

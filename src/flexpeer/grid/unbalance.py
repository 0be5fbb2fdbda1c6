"""How unequal the three phases of low-voltage areas are, from injections that name their phase.

Power flow is calculated as if they were equal. With P_a, P_b, P_c what an area's injections (their sizes) put on each
phase, a third each of those that name none, the fullest phase is above the mean by

    u = 3 max(P_a, P_b, P_c) / (P_a + P_b + P_c) - 1                                (1)

which is what a margin on the area's limits (`limits.with_unbalance`) has to cover.
"""

from typing import NamedTuple

from flexpeer.grid.assembly import PHASES, GridRows

LOW_VOLTAGE_KV = 1.0
WHOLE_GRID = ""


class AreaUnbalance(NamedTuple):
    """An area (empty: the file names none) and (1), percent."""

    area: str
    current_percent: float


def unbalances(rows: GridRows) -> tuple[AreaUnbalance, ...]:
    """Equation (1) of every low-voltage area with an injection that names its phase, by name."""
    low = {bus.name: bus.area for bus in rows.buses if bus.v_kv <= LOW_VOLTAGE_KV}
    named = {low[row.bus] for row in rows.injections if row.bus in low and row.phase}
    loads = {area: dict.fromkeys(PHASES, 0.0) for area in sorted(named)}
    for row in rows.injections:
        area = low.get(row.bus)
        if area in loads:
            for phase in row.phase or PHASES:
                loads[area][phase] += abs(row.p_w) / (1 if row.phase else len(PHASES))
    return tuple(
        AreaUnbalance(area, 100.0 * (len(PHASES) * max(by.values()) / sum(by.values()) - 1.0))
        for area, by in loads.items()
        if sum(by.values()) > 0
    )

"""Networks for the tests: a published feeder, and seeded random ones with taps and phase shifts."""

from pathlib import Path

import numpy as np

from flexpeer.grid.network import NO_BRANCH, Floats, Network

BARAN_WU = Path(__file__).with_name("baran_wu_33.csv")


def build(
    ends: list[tuple[int, int]],
    r_pu: Floats,
    x_pu: Floats,
    bus_v: Floats,
    *,
    tap: Floats | None = None,
    shift_rad: Floats | None = None,
    b_pu: Floats | None = None,
    sources: tuple[int, ...] = (0,),
    rating_a: float = np.nan,
    shunts: tuple[int, ...] = (),
    controlled: tuple[int, ...] = (),
) -> Network:
    count, branches = len(bus_v), len(ends)
    pairs = np.array(ends, dtype=np.int64).reshape(-1, 2)
    charging = np.zeros(branches) if b_pu is None else b_pu
    return Network(
        bus_names=tuple(f"bus {n}" for n in range(count)),
        bus_v=bus_v,
        v_min_pu=np.full(count, 0.9),
        v_max_pu=np.full(count, 1.1),
        start_v_pu=np.full(count, np.nan),
        start_angle_rad=np.full(count, np.nan),
        branch_names=tuple(f"line {n}" for n in range(branches)),
        branch_kinds=("line",) * branches,
        branch_from=pairs[:, 0],
        branch_to=pairs[:, 1],
        r_pu=r_pu,
        x_pu=x_pu,
        g_pu=charging * 0.1,
        b_pu=charging,
        tap=np.ones(branches) if tap is None else tap,
        shift_rad=np.zeros(branches) if shift_rad is None else shift_rad,
        rating_from_a=np.full(branches, rating_a),
        rating_to_a=np.full(branches, rating_a),
        in_service=np.ones(branches, dtype=np.bool_),
        shunt_bus=np.array(shunts, dtype=np.int64),
        shunt_g_pu=np.full(len(shunts), 0.01),
        shunt_b_pu=np.full(len(shunts), 0.05),
        shunt_branch=np.full(len(shunts), NO_BRANCH),
        source_names=tuple(f"source {n}" for n in range(len(sources))),
        source_bus=np.array(sources, dtype=np.int64),
        source_v_pu=np.full(len(sources), 1.02),
        source_angle_rad=np.zeros(len(sources)),
        controlled_bus=np.array(controlled, dtype=np.int64),
        controlled_v_pu=np.full(len(controlled), 1.01),
        controlled_q_min_var=np.full(len(controlled), -np.inf),
        controlled_q_max_var=np.full(len(controlled), np.inf),
    )


def random_network(seed: int, buses: int, loops: int = 0, sources: int = 1, *, shifted: bool = True) -> Network:
    """A random tree plus `loops` branches; every fourth branch has a tap, every eighth shifts 30 degrees.

    Loops run beside an existing branch with the same ratio, so that no current circulates without load.
    """
    rng = np.random.default_rng(seed)
    ends = [(max(0, n - int(rng.integers(1, 6))), n) for n in range(1, buses)]
    tap, shift = np.ones(buses - 1), np.zeros(buses - 1)
    tap[::4] = rng.uniform(0.97, 1.03, len(tap[::4]))
    if shifted:
        shift[::8] = np.pi / 6
    beside = rng.integers(0, buses - 1, loops)
    ends += [ends[n] for n in beside]
    tap, shift = np.concatenate([tap, tap[beside]]), np.concatenate([shift, shift[beside]])
    flat = np.flatnonzero(shift == 0)
    reverse = [int(n) for n in rng.choice(flat, len(flat) // 3, replace=False) if tap[n] == 1.0]
    for n in reverse:
        ends[n] = (ends[n][1], ends[n][0])
    r, x = rng.uniform(0.0005, 0.004, len(ends)), rng.uniform(0.0005, 0.004, len(ends))
    b = rng.uniform(0, 0.002, len(ends))
    places = (0,) if sources == 1 else (0, *range(buses - sources + 1, buses))
    bus_v = np.full(buses, 10_000.0)
    if sources > 1:
        shift[:], tap[:] = 0.0, 1.0
    return build(
        ends, r, x, bus_v, tap=tap, shift_rad=shift, b_pu=b, sources=places, rating_a=400.0, shunts=(buses // 2,)
    )


def chords(network: Network, seed: int, count: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return [(int(a), int(b)) for a, b in rng.integers(1, network.bus_count, (count, 2)) if a != b]


def meshed_network(seed: int, buses: int, count: int) -> Network:
    """A tree without ratios and `count` chords between any two buses."""
    rng = np.random.default_rng(seed)
    tree = random_network(seed, buses, shifted=False)
    ends = [*zip(tree.branch_from.tolist(), tree.branch_to.tolist(), strict=True), *chords(tree, seed, count)]
    r, x = rng.uniform(0.0005, 0.004, len(ends)), rng.uniform(0.0005, 0.004, len(ends))
    return build(ends, r, x, np.full(buses, 10_000.0), rating_a=400.0)


def random_injections(network: Network, seed: int, periods: int, total_w: float = 8e6) -> tuple[Floats, Floats]:
    """Loads and generators, W and var, (buses, periods)."""
    rng = np.random.default_rng(seed)
    scale = total_w / network.bus_count
    p_w = rng.normal(-0.4, 1.0, (network.bus_count, periods)) * scale
    return p_w, rng.normal(-0.1, 0.3, (network.bus_count, periods)) * scale


def baran_wu() -> tuple[Network, Floats, Floats]:
    """Baran and Wu's 33-bus feeder and its load."""
    rows = np.loadtxt(BARAN_WU, delimiter=",", skiprows=1)
    base_ohm = 12_660.0**2 / 1e6
    ends = [(int(f) - 1, int(t) - 1) for f, t in rows[:, :2]]
    network = build(ends, rows[:, 2] / base_ohm, rows[:, 3] / base_ohm, np.full(33, 12_660.0))
    network.source_v_pu[:] = 1.0
    p_w, q_var = np.zeros(33), np.zeros(33)
    p_w[[t for _, t in ends]] = -1e3 * rows[:, 4]
    q_var[[t for _, t in ends]] = -1e3 * rows[:, 5]
    return network, p_w, q_var

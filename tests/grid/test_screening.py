import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.grid.networks import build, meshed_network, random_injections, random_network
from tests.grid.newton import newton

from flexpeer.grid.checking import adopted, begun_from, check
from flexpeer.grid.limits import TOLERANCE, Kind, Limits, PowerLimit, limits_of
from flexpeer.grid.network import Complexes, Floats, Integers, Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.ramp import RampRow
from flexpeer.grid.screening import Assessment, TradeScreen, bracket_of, largest
from flexpeer.grid.topology import islanded, service

PERIODS = 8
HOURS = [0, 4, 8]
KERNELS: tuple[Any, ...] = (check, begun_from, adopted)


class Oracle:
    """The rule written down slowly: every value from full Newton, compared with the larger of limit and start."""

    def __init__(self, network: Network, p_w: Floats, q_var: Floats) -> None:
        self.network = network
        starts = [self.measure(p_w[:, t], q_var[:, t]) for t in range(PERIODS)]
        self.most = [np.maximum(values, self.limits()) for values in starts]

    def limits(self) -> Floats:
        buses = self.network.bus_count
        return np.concatenate([np.ones(self.network.branch_count), np.full(buses, 1.03), np.full(buses, -1.0)])

    def measure(self, p_w: Floats, q_var: Floats) -> Floats:
        """Loadings, voltages and negated voltages."""
        v, _ = newton(self.network, p_w, q_var)
        terminals = self.network.terminals()
        v_from, v_to = v[self.network.branch_from], v[self.network.branch_to]
        base_a = self.network.bus_base_a()
        load_from = np.abs(terminals.yff * v_from + terminals.yft * v_to) * base_a[self.network.branch_from]
        load_to = np.abs(terminals.ytf * v_from + terminals.ytt * v_to) * base_a[self.network.branch_to]
        rating = self.network.rating_from_a
        return np.concatenate([np.maximum(load_from, load_to) / rating, np.abs(v), -np.abs(v)])

    def excess(self, p_w: Floats, q_var: Floats, mtu: int) -> float:
        return float(np.max((self.measure(p_w, q_var) - self.most[mtu]) / np.abs(self.limits())))

    def grant(self, p_w: Floats, q_var: Floats, mtu: int) -> None:
        values = np.maximum(self.measure(p_w, q_var), self.limits())
        self.most[mtu] = np.minimum(self.most[mtu], values)


def case(network: Network, seed: int) -> tuple[Network, DayFlow, Limits, Floats, Floats]:
    ratings = np.full(network.branch_count, 60.0)
    low, high = np.full(network.bus_count, 1.0), np.full(network.bus_count, 1.03)
    tight = replace(network, rating_from_a=ratings, rating_to_a=ratings, v_min_pu=low, v_max_pu=high)
    p_w, q_var = random_injections(tight, seed, PERIODS, 4e6)
    return tight, DayFlow(tight, PERIODS), limits_of(tight, PERIODS), p_w, q_var


def test_kernels_have_one_type_whatever_the_grid_s_size() -> None:
    """An array of one row, or of one column, is in both orders at once, and would have its kernels compiled again."""
    known = list[int]()
    for buses, periods in ((12, 8), (2, 1), (2, 8), (12, 1)):
        series = np.full(buses - 1, 0.01)
        network = build([(n, n + 1) for n in range(buses - 1)], series, series, np.full(buses, 2e4))
        nothing = np.zeros((buses, periods))
        screen = TradeScreen(DayFlow(network, periods), limits_of(network, periods), nothing, nothing)
        screen.accept(screen.evaluate(np.array([1]), np.arange(periods), np.full((1, periods), 1e3)))
        assert (np.abs(screen.v[1]) != np.abs(screen.v[0])).all()
        known.append(sum(len(kernel.signatures) for kernel in KERNELS))
    assert known == known[:1] * 4


def moving(screen: TradeScreen, buses: Integers, mtu: int, signs: Floats) -> Callable[[int], Assessment]:
    return lambda quantity_w: screen.evaluate(buses, np.array([mtu]), signs * quantity_w)


@pytest.mark.parametrize("network", [random_network(41, 30), meshed_network(42, 30, 6)], ids=["radial", "meshed"])
def test_no_false_grant_and_no_false_refusal(network: Network) -> None:
    tight, day, limits, p_w, q_var = case(network, 43)
    screen, oracle = TradeScreen(day, limits, p_w, q_var), Oracle(tight, p_w, q_var)
    rng = np.random.default_rng(44)
    granted = refused = reduced = 0
    for _ in range(1_500):
        mtu, quantity_w = int(rng.integers(PERIODS)), int(10 ** rng.uniform(3.0, 6.0))
        buses = rng.choice(np.arange(1, tight.bus_count), 2, replace=False)
        signs = np.array([[1.0], [-1.0]])
        trade = moving(screen, buses, mtu, signs)
        fits_w = largest(lambda q, trade=trade: trade(q).excess, quantity_w)  # type: ignore[misc]
        if fits_w < quantity_w:
            after = p_w[:, mtu].copy()
            after[buses] += signs[:, 0] * quantity_w
            assert oracle.excess(after, q_var[:, mtu], mtu) > TOLERANCE * 0.99
        refused += fits_w == 0
        reduced += 0 < fits_w < quantity_w
        if fits_w > 0:
            granted += 1
            screen.accept(trade(fits_w))
            p_w[buses, mtu] += signs[:, 0] * fits_w
            assert oracle.excess(p_w[:, mtu], q_var[:, mtu], mtu) <= TOLERANCE * 1.01
            oracle.grant(p_w[:, mtu], q_var[:, mtu], mtu)
    assert min(granted, refused, reduced) > 50


def test_a_compiled_search_finds_what_trying_each_quantity_finds() -> None:
    tight, day, limits, p_w, q_var = case(meshed_network(45, 30, 6), 46)
    screen, rng, kinds = TradeScreen(day, limits, p_w, q_var), np.random.default_rng(47), set()
    mtus = np.array([2, 3])
    for _ in range(300):
        one, other = (int(bus) for bus in rng.choice(np.arange(1, tight.bus_count), 2, replace=False))
        ticks, times = int(10 ** rng.uniform(2.0, 5.0)), int(10 ** rng.uniform(4.0, 6.0))
        over = int(times * rng.uniform(0.3, 3.0))
        rows = [RampRow(one, 2, 4, 7, 1, 1, 0), RampRow(other, 3, 4, -7, times, over, int(rng.integers(2)))]

        def at(n: int, rows: list[RampRow] = rows) -> float:
            whole = -(-n * rows[1].times // rows[1].over) if rows[1].up else n * rows[1].times // rows[1].over
            change = np.array([[7.0 * n, 7.0 * n], [0.0, -7.0 * whole]])
            return screen.evaluate(np.array([rows[0].bus, rows[1].bus]), mtus, change).excess

        found = largest(at, ticks)
        if at(ticks) > TOLERANCE:
            assert screen.closed(np.array(rows, dtype=np.int64), mtus, bracket_of(at(0), ticks, at(ticks))) == found
            kinds.add(found > 0)
    assert kinds == {True, False}


def two_buses() -> tuple[DayFlow, Floats, Floats]:
    network = build([(0, 1), (1, 2)], np.full(2, 0.002), np.full(2, 0.004), np.full(3, 10_000.0))
    return DayFlow(network, PERIODS), np.zeros((3, PERIODS)), np.zeros((3, PERIODS))


def export_screen(limit_w: float, p_w: float, *, hourly: bool = False) -> TradeScreen:
    day, p, q = two_buses()
    p[2] = p_w
    return TradeScreen(
        day, limits_of(day.network, PERIODS, [PowerLimit("source 0", Kind.EXPORT, limit_w, hourly)], HOURS), p, q
    )


def test_binding_element_and_headroom() -> None:
    screen = export_screen(2e6, 1e6)
    exported = -screen.source_power_w(np.array([3]))[0, 0].real
    found = screen.evaluate(np.array([2]), np.array([3]), np.array([[1.5e6]]))
    assert not found.fits
    assert found.binding is not None
    assert found.binding[:3] == ("source 0", Kind.EXPORT, 3)
    assert found.binding.headroom_w == pytest.approx(2e6 - exported)
    assert found.excess == pytest.approx((-found.source_power_w[0, 0].real - 2e6) / 2e6)


def test_past_its_limit_an_element_may_improve_and_then_not_return() -> None:
    screen = export_screen(1e6, 2e6)
    mtus, bus = np.array([0]), np.array([2])
    assert not screen.evaluate(bus, mtus, np.array([[100.0]])).fits
    screen.accept(screen.evaluate(bus, mtus, np.array([[-0.5e6]])))
    assert not screen.evaluate(bus, mtus, np.array([[1_000.0]])).fits
    assert screen.evaluate(bus, mtus, np.array([[0.0]])).fits
    screen.accept(screen.evaluate(bus, mtus, np.array([[-1e6]])))
    assert screen.evaluate(bus, mtus, np.array([[0.4e6]])).fits


def test_tolerance_does_not_add_up_over_trades() -> None:
    screen = export_screen(1e6, 2e6)
    mtus, bus = np.array([0]), np.array([2])
    start = -screen.source_power_w(mtus)[0, 0].real
    for _ in range(200):
        quantity_w = largest(lambda q: screen.evaluate(bus, mtus, np.array([[float(q)]])).excess, 1)
        screen.accept(screen.evaluate(bus, mtus, np.array([[float(quantity_w)]])))
    assert -screen.source_power_w(mtus)[0, 0].real <= start + 1e6 * TOLERANCE


def test_an_hourly_limit_counts_the_other_mtus_of_the_hour() -> None:
    screen = export_screen(1e6, 0.9e6, hourly=True)
    bus = np.array([2])
    one = screen.evaluate(bus, np.array([1]), np.array([[0.3e6]]))
    assert one.fits
    assert not screen.evaluate(bus, np.array([1, 2]), np.array([[0.3e6, 0.3e6]])).fits
    screen.accept(one)
    assert not screen.evaluate(bus, np.array([2]), np.array([[0.3e6]])).fits
    assert screen.evaluate(bus, np.array([5]), np.array([[0.3e6]])).fits
    swap = screen.evaluate(bus, np.array([1, 2]), np.array([[-0.3e6, 0.29e6]]))
    assert swap.fits


def test_an_assessment_of_an_older_state_is_not_accepted() -> None:
    screen = export_screen(1e6, 0.9e6, hourly=True)
    bus, move = np.array([2]), np.array([[0.3e6]])
    first, second = (screen.evaluate(bus, np.array([mtu]), move) for mtu in (1, 2))
    other_hour = screen.evaluate(bus, np.array([6]), move)
    screen.accept(first)
    with pytest.raises(ValueError, match="changed since"):
        screen.accept(second)
    screen.accept(other_hour)
    with pytest.raises(ValueError, match="does not fit"):
        screen.accept(screen.evaluate(bus, np.array([2]), move))


def test_restoring_a_snapshot_undoes_state_and_ratchets() -> None:
    screen = export_screen(1e6, 1.5e6, hourly=True)
    mtus, bus = np.array([1]), np.array([2])
    v, ratchets = screen.v.copy(), [values.copy() for values in screen.allowed]
    snapshot = screen.snapshot(mtus)
    screen.accept(screen.evaluate(bus, mtus, np.array([[-0.6e6]])))
    assert not np.array_equal(screen.allowed.power_w, ratchets[3])
    screen.restore(snapshot)
    np.testing.assert_array_equal(screen.v, v)
    for values, old in zip(screen.allowed, ratchets, strict=True):
        np.testing.assert_array_equal(values, old)


def test_nothing_fits_without_a_power_flow() -> None:
    day, p_w, q_var = two_buses()
    p_w[2, 0] = 1e9
    screen = TradeScreen(day, limits_of(day.network, PERIODS), p_w, q_var)
    bus = np.array([2])
    assert not screen.evaluate(bus, np.array([0]), np.array([[-1e9]])).fits
    lost = screen.evaluate(bus, np.array([0, 1]), np.array([[0.0, -1e9]]))
    assert (lost.converged, lost.excess, lost.binding) == (False, math.inf, None)
    assert largest(lambda q: screen.evaluate(bus, np.array([1]), np.array([[-float(q)]])).excess, 10**9) < 10**9


def test_outages_apply_in_their_mtus() -> None:
    network = build(
        [(0, 1), (0, 1), (1, 2)], np.full(3, 0.002), np.full(3, 0.004), np.full(3, 10_000.0), rating_a=100.0
    )
    day = DayFlow(network, PERIODS, service(network, PERIODS, [("line 0", {4, 5})]))
    empty = np.zeros((3, PERIODS))
    screen = TradeScreen(day, limits_of(network, PERIODS), empty, empty)
    move = np.array([[1.0e6, 1.0e6, 2.5e6]])
    assert screen.evaluate(np.array([1]), np.array([0, 5, 6]), move).fits
    blocked = screen.evaluate(np.array([1]), np.array([0, 5, 6]), np.array([[1.0e6, 2.5e6, 1.0e6]]))
    assert blocked.binding is not None
    assert blocked.binding[:3] == ("line 1", Kind.LOADING, 5)


def test_mtus_of_two_topologies_are_checked_and_accepted_as_each_alone() -> None:
    tight, _, limits, p_w, q_var = case(meshed_network(45, 30, 6), 46)
    closed = next(name for name in tight.branch_names if name not in _bridges(tight))
    day = DayFlow(tight, PERIODS, service(tight, PERIODS, [(closed, {4, 5, 6, 7})]))
    together, apart = TradeScreen(day, limits, p_w, q_var), TradeScreen(day, limits, p_w, q_var)
    rng, mtus = np.random.default_rng(47), np.array([1, 6])
    accepted = 0
    for _ in range(60):
        buses, moved = rng.choice(np.arange(1, tight.bus_count), 2, replace=False), rng.normal(0.0, 1e5, (2, 2))
        both = together.evaluate(buses, mtus, moved)
        each = [apart.evaluate(buses, mtus[k : k + 1], moved[:, k : k + 1]) for k in (0, 1)]
        worst = max(each, key=lambda found: found.excess)
        assert both.excess == pytest.approx(worst.excess, abs=1e-12)
        assert both.binding is not None
        assert worst.binding is not None
        assert both.binding[:3] == worst.binding[:3]
        assert both.binding.headroom_w == pytest.approx(worst.binding.headroom_w, abs=1e-3)
        if both.fits:
            accepted += 1
            together.accept(both)
            for found in each:
                apart.accept(found)
        np.testing.assert_allclose(together.v, apart.v, atol=1e-12)
        np.testing.assert_allclose(together.allowed.loading, apart.allowed.loading, atol=1e-12)
    assert 5 < accepted < 55


def _bridges(network: Network) -> set[str]:
    """Branches without which something is cut off."""
    outages = {name: service(network, 1, [(name, {0})])[:, 0] for name in network.branch_names}
    return {name for name, closed in outages.items() if islanded(replace(network, in_service=closed)).any()}


def test_a_dictated_source_voltage_moves_the_state_and_raises_no_ratchet() -> None:
    day, p_w, q_var = two_buses()
    p_w[2] = 1e6
    screen = TradeScreen(day, limits_of(day.network, PERIODS), p_w, q_var)
    mtus, before = np.array([2]), screen.allowed.high.copy()
    dictated: Complexes = np.array([[1.12 + 0.0j]])
    found = screen.evaluate(np.array([2]), mtus, np.array([[0.0]]), None, dictated)
    assert found.binding is not None
    assert found.binding[:3] == ("bus 2", Kind.HIGH, 2)
    screen.set_source_voltage(mtus, dictated)
    assert screen.v[0, 2] == 1.12
    np.testing.assert_array_equal(screen.allowed.high, before)
    np.testing.assert_allclose(screen.source_power_w(mtus), found.source_power_w)


def test_reactive_moves_count() -> None:
    screen = export_screen(5e6, 1e6)
    found = screen.evaluate(np.array([1, 1]), np.array([0]), np.zeros((2, 1)), np.array([[1e5], [1e5]]))
    changed = found.source_power_w - screen.source_power_w(np.array([0]))
    assert changed[0, 0].imag == pytest.approx(-2e5, rel=0.02)


STEEP: list[tuple[Callable[[int], float], int]] = [
    (lambda q: (q - 700) / 1e6, 700),
    (lambda q: max(-0.5 + q / 3_000, (q - 1_234) / 50), 1_234),
    (lambda q: math.inf if q > 77 else -1.0, 77),
    (lambda q: (q / 5_000) ** 5 - 0.001, 1_255),
    (lambda q: 0.1 + q, 0),
    (lambda q: -1.0 - q, 5_000),
    (lambda q: max(-1e-9, (q - 3_210) / 1e4), 3_210),
    (lambda q: max(-1e-9, (q - 11) / 1e4, (q - 2_000) / 10), 11),
]


@pytest.mark.parametrize(("excess", "about"), STEEP)
def test_largest_is_the_last_that_fits(excess: Callable[[int], float], about: int) -> None:
    calls: list[int] = []

    def counted(quantity_w: int) -> float:
        calls.append(quantity_w)
        return excess(quantity_w)

    found = largest(counted, 5_000)
    slow = max((q for q in range(5_001) if excess(q) <= (TOLERANCE if q == 5_000 else TOLERANCE / 2)), default=0)
    assert found == slow
    assert abs(found - about) <= 2
    assert len(calls) <= 20

"""Points that nest, beside the optimum of one linear program with tangents of an AC power flow (`nested_feeders`)."""

import numpy as np
import pytest
from tests.cases.nested_feeders import A_WATT, WITHIN, Optimum, day, looked_at
from tests.cases.substations import substations


@pytest.mark.parametrize("seed", [*range(12), 90, 92, 237])
def test_a_random_feeder_reaches_its_optimum_whatever_its_names(seed: int) -> None:
    """Of 80 to 92 the clearing once took back what points beside needed, or bought what nobody had to move for.

    In 237 a BUY can be served by relief that is left over where others pay for it elsewhere.
    """
    found = looked_at(seed)
    assert found.levels >= 2
    assert not found.wrong


@pytest.mark.parametrize(("stress", "past", "unavoidable"), [(False, 21, 0), (True, 70, 2)])
def test_a_day_of_fourteen_substations(stress: bool, past: int, unavoidable: int) -> None:
    """Element-hours past their limits before the market and after it; what is bought costs what it must."""
    given = substations(stress)
    best = Optimum(given, outcome := day(given))
    bought = np.array([outcome.state.orders.orders[order.order].executed_w for order in best.orders], dtype=float)
    least, optimum = best.solved()
    assert (best.excess_w(0.0 * bought) > 2.0).sum() == past
    assert (best.excess_w(bought) > 2.0).sum() == (best.excess_w(least) > 2.0).sum() == unavoidable
    assert best.gained(bought) == pytest.approx(optimum, rel=WITHIN, abs=A_WATT)
    assert best.cost(bought) == pytest.approx(best.cost(least), rel=WITHIN)

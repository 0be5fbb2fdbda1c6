"""Nobody can be robbed by a clearing: random days looked at from outside (`python -m tests.cases.random_clearings`)."""

import pytest
from tests.cases.random_clearings import day_of, hopeless, looked_at


@pytest.mark.parametrize("seed", range(40))
def test_the_account_is_never_short_nobody_is_past_its_limit_and_hopeless_orders_move_no_price(seed: int) -> None:
    seen, beside = looked_at(day_of(seed)), looked_at(day_of(seed, hopeless(seed)))
    assert seen.wrong == beside.wrong == ()
    assert beside.prices == seen.prices


@pytest.mark.parametrize("seed", [45, 249, 510, 2632, 6756])
def test_minima_that_cannot_all_be_served_and_limits_without_need_leave_the_rest_at_its_optimum(seed: int) -> None:
    """Days that were cleared by halves before: minima held to beyond what limits let, prices of places without need."""
    seen = looked_at(day_of(seed))
    assert seen.wrong == ()
    assert seen.cleared > 0
    assert seen.missed_minor < 1.0


def test_watts_that_are_worth_more_to_another_order_of_their_storage_are_not_paid_beyond_what_buyers_support() -> None:
    """The market refused all of it for that, and half was tried. A part per million is the least that is told."""
    seen = looked_at(day_of(5678))
    assert seen.wrong == ()
    assert seen.cleared > 0
    assert seen.gap_ppm <= 1


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_limit_far_away_is_no_division_by_zero() -> None:
    """Beside a number so large that the least width of a band is lost in it."""
    assert looked_at(day_of(6141)).wrong == ()

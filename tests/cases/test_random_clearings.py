"""Nobody can be robbed by a clearing: random days looked at from outside (`python -m tests.cases.random_clearings`)."""

import pytest
from tests.cases.random_clearings import day_of, hopeless, looked_at


@pytest.mark.parametrize("seed", range(40))
def test_the_account_is_never_short_nobody_is_past_its_limit_and_hopeless_orders_move_no_price(seed: int) -> None:
    seen, beside = looked_at(day_of(seed)), looked_at(day_of(seed, hopeless(seed)))
    assert seen.wrong == beside.wrong == ()
    assert beside.prices == seen.prices

"""How much two orders may trade without leaving a limit price, beside trying every quantity."""

from itertools import count
from random import Random

import pytest

from flexpeer.market.matching.crossing import crosses, most_bought, most_sold


def _crossing(chance: Random) -> tuple[int, int, int, int]:
    """Prices and factors of two orders that cross, most of them by little."""
    for _ in count():
        bound = chance.choice((3, 12, 1000))
        buy, sell = chance.randint(-bound, bound), chance.randint(-bound, bound)
        ppm_buy, ppm_sell = chance.randint(1, bound), chance.randint(1, bound)
        if crosses(buy, ppm_buy, sell, ppm_sell):
            return buy, ppm_buy, sell, ppm_sell
    raise AssertionError


@pytest.mark.parametrize("seed", range(1500))
def test_the_most_within_limit_prices(seed: int) -> None:
    chance = Random(seed)
    buy, ppm_buy, sell, ppm_sell = _crossing(chance)
    limit = chance.randint(0, 400)
    bought = [q for q in range(limit + 1) if buy * q >= sell * -(-q * ppm_buy // ppm_sell)]
    assert most_bought(limit, buy, ppm_buy, sell, ppm_sell) == bought[-1]
    sold = [q for q in range(limit + 1) if buy * (q * ppm_sell // ppm_buy) >= sell * q]
    assert most_sold(limit, buy, ppm_buy, sell, ppm_sell) == sold[-1]

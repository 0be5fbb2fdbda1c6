"""Who may trade with whom, and how much: the rules of a meeting of two orders, in integers.

The price of a trade is that of the order that came first (`View.leg`).

Prices are minor units per MWh of the order's own resource and may be negative; `ppm_*` are the impact factors at the
point that sets the ratio of exchange, above 0 (1 and 1 under balanced exchange); quantities are watts at the resource.
One watt of the buyer is met by `ppm_buy / ppm_sell` watts of the seller, and prices are compared likewise.

Within the bounds of `quantities` every product stays below 2^63, so that compiled books are exact too.
"""

from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W

assert PRICE_LIMIT_MINOR * IMPACT_LIMIT_PPM < 2**63
assert QUANTITY_LIMIT_W * IMPACT_LIMIT_PPM < 2**63


def may_meet(organisation: str, other: str) -> bool:
    """Whether orders of two organisations may meet: nobody trades with itself."""
    return organisation != other


def crosses(price_buy_minor: int, ppm_buy: int, price_sell_minor: int, ppm_sell: int) -> bool:
    """Whether the buyer pays, on the grid side, at least what the seller asks."""
    return price_buy_minor * ppm_sell >= price_sell_minor * ppm_buy


def buyer_quantity_w(rest_buy_w: int, ppm_buy: int, rest_sell_w: int, ppm_sell: int) -> int:
    """The largest trade of two remaining quantities, in watts of the buyer; 0 when no whole watt can move."""
    return min(rest_buy_w, rest_sell_w * ppm_sell // ppm_buy)


def accepts(executed_w: int, minimum_w: int, fill_w: int) -> bool:
    """Whether a fill leaves the order's executed quantity at zero or at its minimum acceptance or more.

    For a resting order `fill_w` is the one fill at hand; for an incoming one, all its fills on arrival.
    """
    return executed_w + fill_w >= minimum_w


def fills_sell(rest_sell_w: int, ppm_sell: int, last_ppm_buy: int) -> bool:
    """Whether a SELL's rest is too little to move its last counterparty by one more watt."""
    return rest_sell_w * ppm_sell < last_ppm_buy


def most_bought(limit: int, price_buy_minor: int, ppm_buy: int, price_sell_minor: int, ppm_sell: int) -> int:
    """The most of `0..limit` of a buyer whose seller, rounded up to a whole one, costs no more than it pays."""
    if price_sell_minor <= 0:
        return limit
    return _largest_with_whole(limit, ppm_buy, ppm_sell, price_buy_minor, price_sell_minor)


def most_sold(limit: int, price_buy_minor: int, ppm_buy: int, price_sell_minor: int, ppm_sell: int) -> int:
    """The most of `0..limit` of a seller whose buyer, rounded down to a whole one, pays no less than it asks."""
    if price_sell_minor <= 0:
        return limit
    return _largest_with_whole(limit, price_sell_minor, price_buy_minor, ppm_sell, ppm_buy)


def _largest_with_whole(limit: int, low: int, low_of: int, high: int, high_of: int) -> int:
    """The largest n of `0..limit` with a whole number between `n * low / low_of` and `n * high / high_of`.

    Whole parts of the slopes move the whole number and nothing else; below one, n and the whole number change places,
    as in Euclid's algorithm, so that it takes about as many steps.
    """
    whole = low // low_of
    low, high = low - whole * low_of, high - whole * high_of
    if low == 0 or high >= high_of:
        return limit
    most = high * limit // high_of
    if low_of * most >= low * limit:
        return limit
    return _largest_with_whole(most, high_of, high, low_of, low) * low_of // low

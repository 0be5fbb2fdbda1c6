"""Who may trade with whom, and how much: every rule of a meeting of two orders, in integers.

The state machine and the naive book call these as they stand; the compiled engine compiles the same
text. Prices are minor units per MWh of the order's own resource and may be negative; `ppm` is that
resource's impact factor at the congestion point, above 0; quantities are watts at the resource.

A price is compared on the grid side, as price / ppm, by cross multiplication. Quantities are exchanged
by `weight`: under `neutral` exchange it is the impact factor, under `balanced` it is 1, so that one watt
of a buyer with weight `b` is met by `b / s` watts of a seller with weight `s`.

Within the bounds of `quantities` every product stays below 2^63, so the same text is exact in int64.
"""

from flexpeer.market.rulebook import Exchange
from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W

assert PRICE_LIMIT_MINOR * IMPACT_LIMIT_PPM < 2**63
assert QUANTITY_LIMIT_W * IMPACT_LIMIT_PPM < 2**63


def weight(exchange: Exchange, ppm: int) -> int:
    """What one watt of an order counts for in an exchange."""
    return ppm if exchange is Exchange.NEUTRAL else 1


def within_bounds(price_minor: int, ppm: int) -> bool:
    """Whether products of this price and impact factor are exact in int64."""
    return abs(price_minor) <= PRICE_LIMIT_MINOR and 0 < ppm <= IMPACT_LIMIT_PPM


def crosses(price_buy_minor: int, ppm_buy: int, price_sell_minor: int, ppm_sell: int) -> bool:
    """Whether the buyer pays, on the grid side, at least what the seller asks."""
    return price_buy_minor * ppm_sell >= price_sell_minor * ppm_buy


def buyer_quantity_w(rest_buy_w: int, weight_buy: int, rest_sell_w: int, weight_sell: int) -> int:
    """The largest trade of two remaining quantities, in watts of the buyer; 0 when no whole watt can move."""
    return min(rest_buy_w, rest_sell_w * weight_sell // weight_buy)


def seller_quantity_w(quantity_buy_w: int, weight_buy: int, weight_sell: int) -> int:
    """How far the seller moves for the buyer: rounded up, so the congestion point is no worse.

    Never above the seller's rest when the buyer's quantity is at most `buyer_quantity_w`.
    """
    return -(-quantity_buy_w * weight_buy // weight_sell)


def accepts(executed_w: int, minimum_w: int, fill_w: int) -> bool:
    """Whether a fill leaves the order's executed quantity at zero or at its minimum acceptance or more.

    For a resting order `fill_w` is the one fill at hand; for an incoming one, all its fills on arrival.
    """
    return executed_w + fill_w >= minimum_w


def fills_buy(rest_buy_w: int) -> bool:
    """Whether a BUY with this rest counts as entirely filled."""
    return rest_buy_w == 0


def fills_sell(rest_sell_w: int, weight_sell: int, last_weight_buy: int) -> bool:
    """Whether a SELL's rest is too little to move its last counterparty by one more watt."""
    return rest_sell_w * weight_sell < last_weight_buy

"""Exact quantities: integer watts, integer minor units per MWh, money as the exact product.

| quantity | unit | type |
|---|---|---|
| power | watt (W); injection into the grid is positive | `int` |
| energy | watt-minute (W min) | `int` |
| impact factor | parts per million (ppm) | `int` |
| price | minor unit (ore, cent) per MWh | `int` |
| money | minor unit x W min / MWh, the exact product (`MONEY_PER_MINOR` of them are one minor unit) | `int` |

Money is rounded once, at the invoice, by `round_to_zero_sum`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol, TypeVar

PPM = 1_000_000
WATT_MINUTES_PER_MWH = 60_000_000
MINOR_PER_MAJOR = 100
MONEY_PER_MINOR = WATT_MINUTES_PER_MWH
MONEY_PER_MAJOR = MONEY_PER_MINOR * MINOR_PER_MAJOR
QUANTITY_LIMIT_W = 10**11
PRICE_LIMIT_MINOR = 10**9
IMPACT_LIMIT_PPM = 8 * PPM


class Ranked(Protocol):
    """What can be put in order."""

    def __lt__(self, other: Any, /) -> bool:
        """Whether it comes before another."""


Payee = TypeVar("Payee", bound=Ranked)


def ceil_div(numerator: int, denominator: int) -> int:
    """The quotient rounded up; `denominator` is positive."""
    return -(-numerator // denominator)


def money(price_minor: int, quantity_w: int, minutes: int) -> int:
    """What `quantity_w` for `minutes` costs at a price per MWh, exactly."""
    return price_minor * quantity_w * minutes


def major(amount: int) -> Decimal:
    """An exact money amount in major units (SEK, EUR).

    Finite for every period whose length is a multiple of three minutes, so for every MTU.
    """
    whole, rest = divmod(abs(amount), MONEY_PER_MAJOR)
    value = Decimal(whole) + Decimal(rest) / Decimal(MONEY_PER_MAJOR)
    return -value if amount < 0 else value


def decimal_text(value: Decimal) -> str:
    """A decimal without exponent or trailing zeros, as files show it."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def round_to_zero_sum(amounts: Mapping[Payee, int]) -> dict[Payee, int]:
    """Each party's exact amount in whole minor units, by largest remainder.

    `amounts` must sum to zero; so does the result. No party is a whole minor unit or more from its
    exact amount; ties go to the first party in order.
    """
    if sum(amounts.values()) != 0:
        raise ValueError("amounts to round must sum to zero")
    floors = {party: amount // MONEY_PER_MINOR for party, amount in amounts.items()}
    short = -sum(floors.values())
    by_remainder = sorted(amounts, key=lambda party: (-(amounts[party] % MONEY_PER_MINOR), party))
    for party in by_remainder[:short]:
        floors[party] += 1
    return floors


def split(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """`total` >= 0 divided in proportion to non-negative `weights`, in whole units.

    Shares sum to `total`; ties of the largest remainder go to the first name.
    """
    whole = sum(weights.values())
    if whole <= 0:
        raise ValueError("a split needs a positive weight")
    shares = {name: total * weight // whole for name, weight in weights.items()}
    short = total - sum(shares.values())
    by_remainder = sorted(weights, key=lambda name: (-(total * weights[name] % whole), name))
    for name in by_remainder[:short]:
        shares[name] += 1
    return shares

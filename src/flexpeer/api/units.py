"""Units of the API and of the market: MW and watts, major and minor units, ISO 8601 and minutes; all exact."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from flexpeer.api.declining import denied, refused
from flexpeer.api.sentences import NOT_WHOLE_MINOR, NOT_WHOLE_WATTS
from flexpeer.market.reasons import Reason
from flexpeer.periods import parse_instant
from flexpeer.quantities import MINOR_PER_MAJOR, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_problems import Denial

WATTS_PER_MW = 1_000_000
REMEMBERED = 4_096
LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) // 60


def megawatts(watts: int) -> Decimal:
    """Exactly."""
    return Decimal(watts) / WATTS_PER_MW


def watts(quantity: Decimal) -> int:
    """Whole watts; refused as the market refuses a wrong quantity or tick."""
    if not quantity.is_finite() or abs(quantity) * WATTS_PER_MW > QUANTITY_LIMIT_W:
        raise refused(Reason.WRONG_QUANTITY, f"{quantity} MW")
    exact = _whole(quantity, WATTS_PER_MW)
    if exact is None:
        raise refused(Reason.WRONG_QUANTITY_TICK, f"{quantity} MW", NOT_WHOLE_WATTS)
    return exact


def minor_units(price: Decimal) -> int:
    """Whole minor units per MWh; refused as the market refuses a wrong price or tick."""
    if not price.is_finite() or abs(price) * MINOR_PER_MAJOR > PRICE_LIMIT_MINOR:
        raise refused(Reason.PRICE_OUTSIDE_CAP, f"{price}")
    exact = _whole(price, MINOR_PER_MAJOR)
    if exact is None:
        raise refused(Reason.WRONG_PRICE_TICK, f"{price}", NOT_WHOLE_MINOR)
    return exact


def price(minor: int) -> Decimal:
    """Major units."""
    return Decimal(minor) / MINOR_PER_MAJOR


def instant(text: str, name: str) -> int:
    """Minutes since 1970 UTC; declined where it is no instant."""
    try:
        minutes = _minutes(text)
        if not 0 <= minutes < LATEST:
            raise ValueError("outside the years 1970 to 9998")
        return minutes
    except (ValueError, OverflowError) as error:
        raise denied(Denial.MALFORMED, str(error), [ValidationError(name, str(error), text)]) from error


@lru_cache(REMEMBERED)
def utc(minutes: int) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(minutes * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(REMEMBERED)
def _minutes(text: str) -> int:
    return parse_instant(text.replace("Z", "+00:00"))


def _whole(value: Decimal, factor: int) -> int | None:
    """`value` times `factor` if that is a whole number."""
    top, bottom = value.as_integer_ratio()
    whole, rest = divmod(top * factor, bottom)
    return whole if rest == 0 else None

"""Every market rule as data: what a market operator may set, and the defaults."""

from enum import StrEnum

import msgspec

from flexpeer.market.timeline import Timeline


class Priority(StrEnum):
    """Which crossing resting order an incoming one meets first."""

    TIME = "time"
    PRICE_TIME = "price_time"


class Exchange(StrEnum):
    """How far the seller moves for the buyer's move: no worse at the point, or 1:1 in energy."""

    NEUTRAL = "neutral"
    BALANCED = "balanced"


class Pricing(StrEnum):
    """Whose price a continuous trade has."""

    RESTING = "resting"


class Residual(StrEnum):
    """What happens to the orders left at gate closure."""

    NONE = "none"
    DISTRIBUTED = "distributed"


class Reopening(StrEnum):
    """Whether the clearing may take back what an order has traded, at no worse than the order's own limit price."""

    NEVER = "never"
    OWN_LIMIT = "own_limit"


class DsoPurchase(StrEnum):
    """Whether a DSO buys the residual need by its own orders or in the clearing after the gate."""

    ORDERS = "orders"
    AUTOMATIC = "automatic"


class Allocation(StrEnum):
    """How curtailment obligations are shared between conditional resources."""

    PRO_RATA = "pro_rata"
    LIFO = "lifo"
    EQUAL = "equal"
    LEAST = "least"


class DeliveryRule(StrEnum):
    """How pay follows delivery: all or nothing at a threshold, or in proportion."""

    CLIFF = "cliff"
    PROPORTIONAL = "proportional"


class BaselineMethod(StrEnum):
    """What a resource would have done: the reference of its delivery."""

    PLAN = "plan"
    ZERO = "zero"
    MBMA = "mbma"
    ROLLING = "rolling"
    CAPACITY = "capacity"


class Rulebook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of one market. Powers in W, prices in minor units per MWh of the resource.

    Needs are those of injections at the quantile `need_quantile_percent` where injection loads a point, and at 100 less
    it where withdrawal does. `need_margin_ppm` of None means the default: 5,000 with a grid, 0 without.
    `fee_minor_per_mwh` is what each side of a trade pays the market operator.
    """

    priority: Priority = Priority.TIME
    exchange: Exchange = Exchange.NEUTRAL
    pricing: Pricing = Pricing.RESTING
    residual: Residual = Residual.DISTRIBUTED
    reopening: Reopening = Reopening.NEVER
    dso_purchase: DsoPurchase = DsoPurchase.ORDERS
    allocation: Allocation = Allocation.PRO_RATA
    need_margin_ppm: int | None = None
    need_quantile_percent: int = 50
    min_quantity_w: int = 1
    quantity_tick_w: int = 1
    price_tick_minor: int = 1
    price_cap_minor: int | None = None
    min_impact_ppm: int = 1
    delivery_rule: DeliveryRule = DeliveryRule.CLIFF
    cliff_percent: int = 80
    fee_minor_per_mwh: int = 0
    timeline: Timeline = Timeline()

"""Why a command is refused: one enumerated reason each, with what would have been accepted."""

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Every refusal of the market; `EXPECTED` says what would have been accepted."""

    ALREADY_KNOWN = "already_known"
    RESERVED_NAME = "reserved_name"
    UNKNOWN_ORGANISATION = "unknown_organisation"
    WRONG_ROLE = "wrong_role"
    UNKNOWN_RESOURCE = "unknown_resource"
    RANGE_UPSIDE_DOWN = "range_upside_down"
    NOT_QUALIFIED = "not_qualified"
    NOT_VIA_ITS_DSO = "not_via_its_dso"
    NOT_ITS_RESOURCE = "not_its_resource"
    NOT_THIS_DAY = "not_this_day"
    FROZEN = "frozen"
    GATE_NOT_OPEN = "gate_not_open"
    GATE_CLOSED = "gate_closed"
    GATE_NOT_CLOSED = "gate_not_closed"
    UNKNOWN_CONGESTION_POINT = "unknown_congestion_point"
    CONGESTION_POINT_NOT_STATED = "congestion_point_not_stated"
    NO_CONGESTION = "no_congestion"
    REGULATION_NOT_STATED = "regulation_not_stated"
    IMPOSSIBLE_PERIOD = "impossible_period"
    WRONG_REGULATION = "wrong_regulation"
    WRONG_QUANTITY = "wrong_quantity"
    WRONG_QUANTITY_TICK = "wrong_quantity_tick"
    WRONG_MIN_QUANTITY = "wrong_min_quantity"
    WRONG_PRICE_TICK = "wrong_price_tick"
    PRICE_OUTSIDE_CAP = "price_outside_cap"
    NO_IMPACT = "no_impact"
    OUTSIDE_RANGE = "outside_range"
    ALREADY_COMMITTED = "already_committed"
    DUPLICATE_KEY = "duplicate_key"
    DSO_ONLY_BUYS = "dso_only_buys"
    UNKNOWN_ORDER = "unknown_order"
    ORDER_NOT_OPEN = "order_not_open"
    MATCH_PENDING = "match_pending"
    NO_SUCH_MATCH = "no_such_match"
    VERDICT_IMPOSSIBLE = "verdict_impossible"
    PRICE_PAST_LIMIT = "price_past_limit"
    POINT_WORSE = "point_worse"
    PAST_ENERGY = "past_energy"
    SELF_TRADE = "self_trade"
    PRICE_UNSUPPORTED = "price_unsupported"
    ACCOUNT_SHORT = "account_short"
    NOTHING_SOLD = "nothing_sold"
    NO_METER_READING = "no_meter_reading"
    STAGE_OUT_OF_ORDER = "stage_out_of_order"


EXPECTED: dict[Reason, str] = {
    Reason.ALREADY_KNOWN: "an id not used before",
    Reason.RESERVED_NAME: "an id that files do not need for something else: not empty, nor a market-wide zone's name",
    Reason.UNKNOWN_ORGANISATION: "a registered organisation",
    Reason.WRONG_ROLE: "an organisation whose role allows this",
    Reason.UNKNOWN_RESOURCE: "a registered resource or portfolio",
    Reason.RANGE_UPSIDE_DOWN: "p_min_w <= p_max_w, both within the quantity limit",
    Reason.NOT_QUALIFIED: "a resource with a valid grid check and product check",
    Reason.NOT_VIA_ITS_DSO: "the order sent through the resource's connecting DSO",
    Reason.NOT_ITS_RESOURCE: "a resource of the organisation that sends the order",
    Reason.NOT_THIS_DAY: "one value for each MTU of the delivery day",
    Reason.FROZEN: "the change before gate closure: forecasts and plans freeze there",
    Reason.GATE_NOT_OPEN: "an order after gate opening",
    Reason.GATE_CLOSED: "an order before gate closure",
    Reason.GATE_NOT_CLOSED: "this after gate closure",
    Reason.UNKNOWN_CONGESTION_POINT: "a published congestion point",
    Reason.CONGESTION_POINT_NOT_STATED: "the congestion point stated at which a DSO buys",
    Reason.NO_CONGESTION: "MTUs in which a congestion point needs relief, or a congestion point named",
    Reason.REGULATION_NOT_STATED: "the regulation stated (UP or DOWN), as both are possible in these MTUs",
    Reason.IMPOSSIBLE_PERIOD: "a period of whole MTUs of the delivery day",
    Reason.WRONG_REGULATION: "the regulation that the side and the points in need imply",
    Reason.WRONG_QUANTITY: "a quantity of at least min_quantity_w and at most the quantity limit",
    Reason.WRONG_QUANTITY_TICK: "a quantity that is a multiple of quantity_tick_w",
    Reason.WRONG_MIN_QUANTITY: "a minimum acceptance between 0 and the quantity",
    Reason.WRONG_PRICE_TICK: "a price that is a multiple of price_tick",
    Reason.PRICE_OUTSIDE_CAP: "a price within plus or minus price_cap",
    Reason.NO_IMPACT: "an impact factor of min_impact_ppm or more, in every MTU at the point named, else at any",
    Reason.OUTSIDE_RANGE: "a plan of 0 or within the resource's qualified range, or a quantity that keeps it there",
    Reason.ALREADY_COMMITTED: "a quantity that open orders and trades leave free in the qualified range",
    Reason.DUPLICATE_KEY: "a new idempotency key, or the same order again",
    Reason.DSO_ONLY_BUYS: "a BUY at a congestion point: a DSO sells no flexibility",
    Reason.UNKNOWN_ORDER: "the id of an order of this organisation",
    Reason.ORDER_NOT_OPEN: "an order that is still open",
    Reason.MATCH_PENDING: "this after the order's sweep, and the verdicts on its match",
    Reason.NO_SUCH_MATCH: "verdicts of the pending match",
    Reason.VERDICT_IMPOSSIBLE: "a quantity between 0 and the proposed one, and within both orders and prices",
    Reason.PRICE_PAST_LIMIT: "a clearing price no worse for the order than its own limit price",
    Reason.POINT_WORSE: "an allocation whose SELLs relieve each congestion point by what its BUYs load it with",
    Reason.PAST_ENERGY: "an allocation that keeps resources within their energy limits",
    Reason.SELF_TRADE: "an allocation in which others serve what an organisation buys",
    Reason.PRICE_UNSUPPORTED: "prices above a seller's limit only as far as the traded buyers' limits support them",
    Reason.ACCOUNT_SHORT: "prices at which the buyers pay at least what the sellers get",
    Reason.NOTHING_SOLD: "a resource that sold something for this day",
    Reason.NO_METER_READING: "meter readings for the baseline and every ordered MTU",
    Reason.STAGE_OUT_OF_ORDER: "the stage that follows the last one reached",
}


class CommandRefused(msgspec.Struct, frozen=True, tag=True):
    """A command that changed nothing: its kind, what it was about, why, and a detail for the sender.

    `digest` is that of an order refused at the door: the same order again has the same.
    """

    command: str
    subject: str
    reason: Reason
    detail: str = ""
    sender: str = ""
    digest: str = ""

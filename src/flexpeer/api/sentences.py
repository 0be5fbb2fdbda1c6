"""What refusals say: a sentence for every reason of the market, with `{detail}` in the place of what it names."""

from typing import Final

from flexpeer.market.reasons import Reason
from flexpeer.wire.api import Sentence

SENTENCES: Final[dict[Reason, str]] = {
    Reason.ALREADY_KNOWN: "this is known already",
    Reason.RESERVED_NAME: "this name is needed for something else",
    Reason.UNKNOWN_ORGANISATION: "no such organisation is registered",
    Reason.WRONG_ROLE: "the role of an organisation does not allow this: {detail}",
    Reason.UNKNOWN_RESOURCE: "no resource or portfolio is called {detail}",
    Reason.RANGE_UPSIDE_DOWN: "the least power is above the most, or one of them is too large",
    Reason.NOT_QUALIFIED: "{detail} is not prequalified",
    Reason.NOT_VIA_ITS_DSO: "the resource is connected at another DSO: {detail}",
    Reason.NOT_ITS_RESOURCE: "the resource belongs to another organisation",
    Reason.NOT_THIS_DAY: "the delivery day has another number of market time units",
    Reason.FROZEN: "forecasts and plans are frozen since the gate closed",
    Reason.GATE_NOT_OPEN: "the gate is not open yet",
    Reason.GATE_CLOSED: "the gate is closed",
    Reason.GATE_NOT_CLOSED: "the gate is not closed yet",
    Reason.UNKNOWN_CONGESTION_POINT: "no congestion point is called {detail}",
    Reason.CONGESTION_POINT_NOT_STATED: "a DSO says at which congestion point it buys: {detail}",
    Reason.NO_CONGESTION: "no congestion point needs relief at these hours",
    Reason.REGULATION_NOT_STATED: "points of both directions need relief at these hours: state the regulation",
    Reason.IMPOSSIBLE_PERIOD: "the period is not made of whole market time units of the delivery day",
    Reason.WRONG_REGULATION: "at these hours the regulation is {detail}",
    Reason.WRONG_QUANTITY: "the quantity is too small or too large: {detail}",
    Reason.WRONG_QUANTITY_TICK: "the quantity is not a multiple of the tick: {detail}",
    Reason.WRONG_MIN_QUANTITY: "the minimum acceptance is not between 0 and the quantity: {detail}",
    Reason.WRONG_PRICE_TICK: "the price is not a multiple of the tick: {detail}",
    Reason.PRICE_OUTSIDE_CAP: "the price is past the cap: {detail}",
    Reason.NO_IMPACT: "the resource relieves no point enough at these hours: its impact factor is {detail}",
    Reason.OUTSIDE_RANGE: "outside the qualified range, whose room is {detail}",
    Reason.ALREADY_COMMITTED: "open orders and trades have the rest of the range; left free is {detail}",
    Reason.DUPLICATE_KEY: "another order has this id or key: {detail}",
    Reason.DSO_ONLY_BUYS: "a DSO buys relief and sells none",
    Reason.UNKNOWN_ORDER: "no order of yours has this id: {detail}",
    Reason.ORDER_NOT_OPEN: "the order is not open any more: {detail}",
    Reason.MATCH_PENDING: "the order is being matched at this moment",
    Reason.NO_SUCH_MATCH: "this match is not the one that waits",
    Reason.VERDICT_IMPOSSIBLE: "the verdict grants what was not asked",
    Reason.PRICE_PAST_LIMIT: "the clearing price is worse for an order than its own limit: {detail}",
    Reason.POINT_WORSE: "the allocation leaves a congestion point worse: {detail}",
    Reason.PAST_ENERGY: "the allocation takes a resource past its energy limits: {detail}",
    Reason.SELF_TRADE: "the allocation has an organisation trade with itself: {detail}",
    Reason.PRICE_UNSUPPORTED: "no buyer's limit supports a price of the allocation: {detail}",
    Reason.ACCOUNT_SHORT: "the buyers of the allocation pay less than its sellers get: {detail}",
    Reason.NOTHING_SOLD: "the resource sold nothing for this day",
    Reason.NO_METER_READING: "a meter reading is missing: {detail}",
    Reason.STAGE_OUT_OF_ORDER: "the day is at another stage: {detail}",
}
CAME_TOO_LATE: Final = "{detail} came after the needs of this day were found"
NOT_WHOLE_WATTS: Final = "{detail} is not a whole number of watts"
NOT_WHOLE_MINOR: Final = "the price {detail} is finer than the currency's smallest unit"
DETAIL: Final = "{detail}"


def sentence_of(reason: Reason, detail: str, said: str | None = None) -> Sentence:
    """Why the market refuses something; the reason's words where the sentence would name a detail that is not there."""
    template = SENTENCES[reason] if said is None else said
    if DETAIL not in template:
        return Sentence(template)
    return Sentence(template, {"detail": detail}) if detail else Sentence(str(reason).replace("_", " "))

"""What keeps orders from trading, in words."""

from flexpeer.market.matching.meetings import Obstacle, PutOff

GRID_LIMIT = "grid_limit"
NO_COUNTERPARTY = "no_counterparty"

TOLD_OF = {
    Obstacle.ENERGY: "the energy limits of {element} leave nothing for it",
    Obstacle.MINIMUM_ACCEPTANCE: "less than {element} accepts at least",
    Obstacle.FILL_OR_KILL: "{element} trades whole or not at all",
    Obstacle.SELF_TRADE: "both orders are of {owner}",
}


def told_of(put_off: PutOff) -> str:
    """What kept orders apart."""
    return TOLD_OF[put_off.obstacle].format(owner=put_off.owner, element=put_off.element)


def pairs_of(put_off: PutOff) -> str:
    """Which orders, as `buy/sell`."""
    return "; ".join(map("/".join, put_off.pairs))

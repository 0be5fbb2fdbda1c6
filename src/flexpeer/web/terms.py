"""What enumerated values are called on screens and on a terminal: words a person understands, never the raw name."""

from flexpeer.app.views.obstacles import GRID_LIMIT, NO_COUNTERPARTY
from flexpeer.app.views.orders import OrderStatus
from flexpeer.market.matching.meetings import Obstacle
from flexpeer.market.needs import Direction
from flexpeer.market.participants import Role
from flexpeer.market.rulebook import Allocation, BaselineMethod, Exchange, Pricing, Priority
from flexpeer.market.settlement import AccountKind
from flexpeer.market.trades import Phase

STATUSES = {
    OrderStatus.FILLED: "traded whole",
    OrderStatus.PARTLY: "traded in part",
    OrderStatus.UNTRADED: "not traded",
    OrderStatus.REFUSED: "refused at the door",
    OrderStatus.WITHDRAWN: "withdrawn",
    OrderStatus.KILLED: "ended at once",
}
STATUS_COLOURS = {
    OrderStatus.FILLED: "good",
    OrderStatus.PARTLY: "warn",
    OrderStatus.UNTRADED: "",
    OrderStatus.REFUSED: "bad",
    OrderStatus.WITHDRAWN: "",
    OrderStatus.KILLED: "",
}
PHASES = {
    Phase.CONTINUOUS: "first come, first served",
    Phase.CLEARING: "cleared after the gate",
    Phase.PURCHASE: "a DSO's purchase",
}
ACCOUNTS = {
    AccountKind.ORGANISATION: "organisation",
    AccountKind.CLEARING: "the clearing's pool",
    AccountKind.FEES: "fees, without an operator",
    AccountKind.WITHHELD: "pay not earned, without a point",
}
POSTINGS = {"purchase": "bought", "sale": "sold", "withheld": "pay not earned", "fee": "fees"}
DIRECTIONS = {
    Direction.EXPORT: "export (injection loads it)",
    Direction.IMPORT: "import (withdrawal loads it)",
    Direction.HIGH: "high voltage (injection raises it)",
    Direction.LOW: "low voltage (withdrawal lowers it)",
}
CONGESTIONS = {
    "loading": "current",
    "high": "voltage too high",
    "low": "voltage too low",
    "export": "export",
    "import": "import",
}
CONDUCT = {
    "both_sides": "ordered on both sides of a point",
    "plan_moved_after_need": "changed a plan after the need was published",
    "plan_above_past_meter": "plans more than its meter showed on any past day",
    "delivered_by_plan_only": "delivered against its plan, while the meter hardly moved",
}
BASELINES = {
    BaselineMethod.PLAN: "own plan, frozen at the gate",
    BaselineMethod.ZERO: "nothing",
    BaselineMethod.MBMA: "mean of the meter before and after",
    BaselineMethod.ROLLING: "mean of five days of the same type",
    BaselineMethod.CAPACITY: "a level to stay under",
}
RULES = {
    Priority.TIME: "first come, first served",
    Priority.PRICE_TIME: "best price first, then first come",
    Exchange.NEUTRAL: "exchanged so that no point is worse",
    Exchange.BALANCED: "exchanged one to one",
    Pricing.RESTING: "at the resting order's price",
    Allocation.PRO_RATA: "curtailed pro rata",
    Allocation.LIFO: "curtailed last agreement first",
    Allocation.EQUAL: "curtailed in equal shares",
    Allocation.LEAST: "curtailed as little as possible",
}
ROLES = {
    Role.REGIONAL_DSO: "regional DSO",
    Role.LOCAL_DSO: "local DSO",
    Role.MARKET_OPERATOR: "market operator",
    Role.FSP: "FSP",
    Role.AGGREGATOR: "aggregator",
    Role.BRP: "BRP",
    Role.OBSERVER: "observer",
}
OBSTACLES = {
    GRID_LIMIT: "a limit of the grid",
    NO_COUNTERPARTY: "nobody to trade with",
    Obstacle.ENERGY: "the energy limits of a resource",
    Obstacle.MINIMUM_ACCEPTANCE: "a minimum acceptance",
    Obstacle.FILL_OR_KILL: "an order that trades whole or not at all",
    Obstacle.SELF_TRADE: "both orders being of one organisation",
}

"""Who may do what: one table, and `may`, the one function that asks it."""

from enum import Enum, StrEnum, auto
from typing import NamedTuple

from flexpeer.app.registry import OVERSEEING, Rank
from flexpeer.market.participants import DSO_ROLES, OFFERING_ROLES, Role


class Caller(NamedTuple):
    """Who asks: an organisation through one of its clients, or of its users, who are persons."""

    organisation: str
    role: Role
    rank: Rank
    client: str
    person: bool = False


class Owned(NamedTuple):
    """Whose an object is, and the DSOs it concerns."""

    organisation: str
    dsos: tuple[str, ...] = ()


class Permission(Enum):
    """`HIDDEN` is told as if the object were not there."""

    ALLOWED = auto()
    FORBIDDEN = auto()
    HIDDEN = auto()


class Action(StrEnum):
    """What may be done."""

    READ_MARKETS = "read markets"
    READ_ZONES = "read congestion points"
    READ_PUBLIC_ORDERS = "read the public book"
    READ_HEADS = "read heads"
    READ_CLOCK = "read the clock"
    READ_EVENTS = "follow events"
    READ_PORTFOLIOS = "read portfolios"
    READ_ORDERS = "read orders"
    READ_TRADES = "read trades"
    READ_CONFIRMATIONS = "read confirmations"
    READ_ACTIVATIONS = "read activations"
    READ_SETTLEMENT = "read settlement"
    READ_KPIS = "read KPIs"
    READ_VERDICTS = "read verdicts"
    READ_PLANS = "read plans"
    READ_METER = "read meter readings"
    READ_LOG = "read the log"
    READ_RESULT = "read the result of a day"
    READ_HEALTH = "read how the service is"
    READ_GRID = "read one's own grid"
    WRITE_GRID = "send one's own grid, forecast, limits and outages"
    WRITE_PORTFOLIOS = "register resources and portfolios"
    PREQUALIFY = "ask for and answer prequalification"
    PLACE_ORDERS = "place orders"
    CHANGE_ORDERS = "amend and withdraw orders"
    WRITE_PLANS = "send plans"
    WRITE_METER = "send meter readings"
    READ_WEBHOOKS = "read webhooks"
    WRITE_WEBHOOKS = "subscribe webhooks"
    READ_PURCHASE = "read one's own purchase of relief"
    STATE_CEILINGS = "state what one pays for relief at most"
    READ_STANDING_ORDERS = "read standing orders"
    WRITE_STANDING_ORDERS = "make and end standing orders"
    MOVE_CLOCK = "move the virtual clock"
    READ_ACCOUNTS = "read users and clients"
    MANAGE_ACCOUNTS = "invite and revoke users, make and revoke clients"
    REGISTER_ORGANISATIONS = "register organisations"
    CHANGE_OWN_LOGIN = "have one's own login ask for codes"


class Rule(NamedTuple):
    """Which roles; whether DSOs count whom the object concerns but who do not own it; whether it changes anything.

    Some is for `owners` alone, some for `persons` of any rank alone.
    """

    roles: frozenset[Role]
    concerned_dsos: bool = True
    changes: bool = False
    owners: bool = False
    persons: bool = False


EVERYBODY = frozenset(Role)
DSOS = frozenset(DSO_ROLES)
FSPS = frozenset(OFFERING_ROLES)
OVERSEERS = frozenset(OVERSEEING)
TRADERS = FSPS | DSOS

RULES: dict[Action, Rule] = {
    Action.READ_MARKETS: Rule(EVERYBODY),
    Action.READ_ZONES: Rule(EVERYBODY),
    Action.READ_PUBLIC_ORDERS: Rule(EVERYBODY),
    Action.READ_HEADS: Rule(EVERYBODY),
    Action.READ_CLOCK: Rule(EVERYBODY),
    Action.READ_EVENTS: Rule(EVERYBODY),
    Action.READ_PORTFOLIOS: Rule(TRADERS | OVERSEERS),
    Action.READ_ORDERS: Rule(TRADERS | OVERSEERS),
    Action.READ_TRADES: Rule(TRADERS | OVERSEERS),
    Action.READ_CONFIRMATIONS: Rule(TRADERS | OVERSEERS),
    Action.READ_ACTIVATIONS: Rule(TRADERS | OVERSEERS),
    Action.READ_SETTLEMENT: Rule(TRADERS | OVERSEERS, concerned_dsos=False),
    Action.READ_KPIS: Rule(DSOS | OVERSEERS),
    Action.READ_VERDICTS: Rule(TRADERS | OVERSEERS),
    Action.READ_PLANS: Rule(TRADERS | OVERSEERS),
    Action.READ_METER: Rule(TRADERS | OVERSEERS),
    Action.READ_LOG: Rule(OVERSEERS),
    Action.READ_RESULT: Rule(OVERSEERS),
    Action.READ_HEALTH: Rule(OVERSEERS),
    Action.READ_GRID: Rule(DSOS, concerned_dsos=False),
    Action.WRITE_GRID: Rule(DSOS, concerned_dsos=False, changes=True),
    Action.WRITE_PORTFOLIOS: Rule(FSPS, changes=True),
    Action.PREQUALIFY: Rule(TRADERS, changes=True),
    Action.PLACE_ORDERS: Rule(TRADERS, changes=True),
    Action.CHANGE_ORDERS: Rule(TRADERS, concerned_dsos=False, changes=True),
    Action.WRITE_PLANS: Rule(FSPS, changes=True),
    Action.WRITE_METER: Rule(TRADERS, changes=True),
    Action.READ_WEBHOOKS: Rule(TRADERS, concerned_dsos=False),
    Action.WRITE_WEBHOOKS: Rule(TRADERS, concerned_dsos=False, changes=True),
    Action.READ_PURCHASE: Rule(DSOS, concerned_dsos=False),
    Action.STATE_CEILINGS: Rule(DSOS, concerned_dsos=False, changes=True),
    Action.READ_STANDING_ORDERS: Rule(TRADERS, concerned_dsos=False),
    Action.WRITE_STANDING_ORDERS: Rule(TRADERS, concerned_dsos=False, changes=True),
    Action.MOVE_CLOCK: Rule(frozenset({Role.MARKET_OPERATOR}), changes=True),
    Action.READ_ACCOUNTS: Rule(EVERYBODY, concerned_dsos=False),
    Action.MANAGE_ACCOUNTS: Rule(EVERYBODY, concerned_dsos=False, changes=True, owners=True),
    Action.REGISTER_ORGANISATIONS: Rule(frozenset({Role.MARKET_OPERATOR}), changes=True, owners=True),
    Action.CHANGE_OWN_LOGIN: Rule(EVERYBODY, concerned_dsos=False, persons=True),
}


def may(caller: Caller, action: Action, owned: Owned | None = None) -> Permission:
    """Whether a caller may do something, and to an object: its own, for a DSO also what concerns it."""
    rule = RULES[action]
    if caller.role not in rule.roles or not _ranked(caller, rule):
        return Permission.FORBIDDEN
    if owned is None or caller.organisation == owned.organisation:
        return Permission.ALLOWED
    if caller.role in OVERSEERS and not rule.changes:
        return Permission.ALLOWED
    concerned = rule.concerned_dsos and caller.role in DSOS and caller.organisation in owned.dsos
    return Permission.ALLOWED if concerned else Permission.HIDDEN


def _ranked(caller: Caller, rule: Rule) -> bool:
    """Whether the rank is enough for one's own organisation."""
    if rule.persons:
        return caller.person
    return caller.rank is Rank.OWNER if rule.owners else not (rule.changes and caller.rank is Rank.READER)

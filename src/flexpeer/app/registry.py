"""The registry: who takes part and with what, under which rulebook, and who may act for whom, on a log of its own.

A day takes over what stands here when it is announced, and begins its own log with it; what changes while a day is open
enters that day as commands too. Accounts are users and API clients: who they are is here, what proves it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol, get_args

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.app.scenario import OrganisationRow, ResourceRow, Scenario
from flexpeer.market import participants
from flexpeer.market.participants import (
    FormPortfolio,
    Participants,
    RecordGridCheck,
    RecordProductCheck,
    RegisterOrganisation,
    RegisterResource,
    Role,
)
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Rulebook

REGISTRY, DENIALS = "registry", "denials"
BESIDE_DAYS = (REGISTRY, DENIALS)
"""The name of its log, and of that of who was not let in."""
OVERSEEING = (Role.MARKET_OPERATOR, Role.OBSERVER)
MINUTES_PER_HOUR = 60


class Rank(StrEnum):
    """What an account may do for its organisation; API clients are contributors."""

    OWNER = "owner"
    CONTRIBUTOR = "contributor"
    READER = "reader"


class HolderKind(StrEnum):
    """A person, or a program."""

    USER = "user"
    CLIENT = "client"


class Life(StrEnum):
    """Where an account is in its life; a closed one is never opened again."""

    INVITED = "invited"
    OPEN = "open"
    CLOSED = "closed"


class MarketAccount(msgspec.Struct, frozen=True):
    """Who may act for an organisation."""

    account: str
    organisation: str
    rank: Rank
    kind: HolderKind = HolderKind.USER
    life: Life = Life.OPEN


class AdoptRulebook(msgspec.Struct, frozen=True, tag=True):
    """Command: days that are announced from now on follow these rules."""

    rulebook: Rulebook


class KeepAccount(msgspec.Struct, frozen=True, tag=True):
    """Command: a new account, or how one known is from now on."""

    account: MarketAccount


class RulebookAdopted(msgspec.Struct, frozen=True, tag=True):
    """Days that are announced from now on follow these rules."""

    rulebook: Rulebook


class AccountKept(msgspec.Struct, frozen=True, tag=True):
    """An account is new, or is like this from now on."""

    account: MarketAccount


class AccessDenied(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Somebody was not let in, or not to what they asked for; nothing follows from it.

    `at` is an instant in UTC, `request` the number of the request; `account` is empty where nobody knows whose it was.
    `others` that came before it, too fast for a record each, are only counted.
    """

    at: str
    reason: str
    path: str
    method: str
    account: str = ""
    request: str = ""
    others: int = 0


Command = participants.Command | AdoptRulebook | KeepAccount
Entry = participants.Event | RulebookAdopted | AccountKept | AccessDenied | CommandRefused


class Registered(msgspec.Struct, frozen=True):
    """Everything the registry's log says."""

    participants: Participants = Participants()
    rulebook: Rulebook | None = None
    accounts: HashTrieMap[str, MarketAccount] = HashTrieMap()

    def open(self, account: str, kind: HolderKind) -> MarketAccount | None:
        """An open account of this name and kind."""
        found = self.accounts.get(account)
        return found if found is not None and (found.kind, found.life) == (kind, Life.OPEN) else None

    def owners(self, organisation: str) -> int:
        """How many persons own an organisation's account, those invited not counted."""
        wanted = (organisation, Rank.OWNER, HolderKind.USER, Life.OPEN)
        return sum((a.organisation, a.rank, a.kind, a.life) == wanted for a in self.accounts.values())


def decide(known: Registered, command: Command) -> Sequence[Entry]:
    """What a command leads to; nothing where it says what is so already."""
    match command:
        case AdoptRulebook(rulebook):
            return [] if rulebook == known.rulebook else [RulebookAdopted(rulebook)]
        case KeepAccount(account):
            return _kept(known, account)
        case _:
            return participants.decide(known.participants, command)


def _kept(known: Registered, new: MarketAccount) -> Sequence[Entry]:
    before, reason = known.accounts.get(new.account), None
    if not new.account:
        reason = Reason.RESERVED_NAME
    elif new.organisation not in known.participants.organisations:
        reason = Reason.UNKNOWN_ORGANISATION
    elif before is not None and (before.life is Life.CLOSED or before == new or _another(before, new)):
        reason = Reason.ALREADY_KNOWN
    return [CommandRefused("KeepAccount", new.account, reason)] if reason else [AccountKept(new)]


def _another(before: MarketAccount, new: MarketAccount) -> bool:
    """Whether a name would go from one to another; of an account only its life changes, and forward."""
    lives = list(Life)
    return replace(new, life=before.life) != before or lives.index(new.life) < lives.index(before.life)


def evolve(known: Registered, entry: Entry) -> Registered:
    """The registry after an entry of its log."""
    match entry:
        case RulebookAdopted(rulebook):
            return replace(known, rulebook=rulebook)
        case AccountKept(account):
            return replace(known, accounts=known.accounts.insert(account.account, account))
        case CommandRefused() | AccessDenied():
            return known
        case _:
            return replace(known, participants=participants.evolve(known.participants, entry))


class RegistryLog(Protocol):
    """Where the entries are kept, as those of a day."""

    def read(self) -> Iterable[Sequence[Any]]:
        """What it has; asked once, before anything is appended."""

    def append(self, events: Sequence[Any], /) -> None:
        """One batch at the end."""

    def sync(self) -> None:
        """Everything appended outlives the program when this returns."""


class Registry:
    """The registry on its log; one thread submits and commits, any may read what is `published`."""

    def __init__(self, log: RegistryLog) -> None:
        self._log, self.state, self._fresh = log, Registered(), False
        for batch in log.read():
            for entry in batch:
                self.state = evolve(self.state, entry)
        self.published = self.state

    def submit(self, command: Command) -> Sequence[Entry]:
        """What a command leads to; `commit` makes it last and shows it."""
        entries = decide(self.state, command)
        if entries:
            self._log.append(entries)
            self._fresh = True
        for entry in entries:
            self.state = evolve(self.state, entry)
        return entries

    def fill(self, commands: Iterable[Command]) -> None:
        """Those of the commands that say something new."""
        for command in commands:
            if not self._says_nothing_new(command):
                self.submit(command)

    def _says_nothing_new(self, command: Command) -> bool:
        people = self.state.participants
        match command:
            case RegisterOrganisation(organisation):
                return organisation.organisation in people.organisations
            case RegisterResource(resource):
                return resource.resource in people.resources
            case FormPortfolio(portfolio):
                return portfolio.portfolio in people.portfolios
            case RecordGridCheck(resource):
                known = people.prequalifications.get(resource)
                return known is not None and known.grid is not None
            case RecordProductCheck(resource):
                known = people.prequalifications.get(resource)
                return known is not None and known.product is not None
            case KeepAccount(account):
                return account.account in self.state.accounts
            case _:
                return False

    def commit(self) -> bool:
        """Sync what was submitted and publish it; whether anything was."""
        if not self._fresh:
            return False
        self._log.sync()
        self.published, self._fresh = self.state, False
        return True


def beginning(batches: Iterable[Sequence[Any]]) -> Participants:
    """What a day's log has taken over: the participants of its first batch; nobody where it has none."""
    people, kinds = Participants(), get_args(participants.Event)
    for event in next(iter(batches), ()):
        if isinstance(event, kinds):
            people = participants.evolve(people, event)
    return people


def takes_over(scenario: Scenario, people: Participants, has_node: Callable[[str], bool]) -> Scenario:
    """A day's scenario with what the registry has beyond it; who only oversees a market is none of a day's.

    Resources take part where their prequalification is passed and their node is one of the day's.
    """
    names = {each.organisation for each in scenario.organisations}
    known = {each.resource for each in scenario.resources}
    organisations = tuple(
        OrganisationRow(each.organisation, str(each.role), each.parent)
        for each in _sorted(people.organisations)
        if each.organisation not in names and each.role not in OVERSEEING
    )
    resources = tuple(
        _row(each)
        for each in _sorted(people.resources)
        if each.resource not in known and has_node(each.node) and _passed(people, each.resource)
    )
    taking_part = known | {each.resource for each in resources}
    formed = {
        each.portfolio: each
        for each in _sorted(people.portfolios)
        if each.portfolio not in scenario.portfolios and taking_part.issuperset(each.members)
    }
    return replace(
        scenario,
        organisations=scenario.organisations + organisations,
        resources=scenario.resources + resources,
        portfolios=scenario.portfolios | {name: each.members for name, each in formed.items()},
        portfolio_fsp=scenario.portfolio_fsp | {name: each.organisation for name, each in formed.items()},
        registered=people,
    )


def _sorted(known: HashTrieMap[str, Any]) -> list[Any]:
    return [known[name] for name in sorted(known)]


def _passed(people: Participants, resource: str) -> bool:
    checks = people.prequalifications.get(resource)
    return checks is not None and all(check is not None and check.passed for check in (checks.grid, checks.product))


def _row(resource: participants.Resource) -> ResourceRow:
    """A resource as a row of a scenario; what is not said of it there is as the registry has it."""
    return ResourceRow(
        resource=resource.resource,
        fsp=resource.organisation,
        bus=resource.node,
        kind=resource.kind,
        p_min_w=resource.p_min_w,
        p_max_w=resource.p_max_w,
        conditional=resource.conditional,
        cost_minor=resource.cost_minor,
        baseline=resource.baseline,
        energy_wh=None if resource.energy_wm is None else resource.energy_wm // MINUTES_PER_HOUR,
        energy_start_wh=None if resource.energy_start_wm is None else resource.energy_start_wm // MINUTES_PER_HOUR,
    )

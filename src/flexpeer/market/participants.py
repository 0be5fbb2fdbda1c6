"""Stage 1: organisations, resources, portfolios and their prequalification."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import BaselineMethod
from flexpeer.quantities import QUANTITY_LIMIT_W, split


class Role(StrEnum):
    """What an organisation may be."""

    REGIONAL_DSO = "REGIONAL_DSO"
    LOCAL_DSO = "LOCAL_DSO"
    MARKET_OPERATOR = "MARKET_OPERATOR"
    FSP = "FSP"
    AGGREGATOR = "AGGREGATOR"
    BRP = "BRP"
    OBSERVER = "OBSERVER"


DSO_ROLES = (Role.REGIONAL_DSO, Role.LOCAL_DSO)
OFFERING_ROLES = (Role.FSP, Role.AGGREGATOR)


class Organisation(msgspec.Struct, frozen=True):
    """A party; `parent` is the overlying DSO of a DSO, the bidding DSO of the others, or None."""

    organisation: str
    role: Role
    parent: str | None = None


class Resource(msgspec.Struct, frozen=True):
    """A controllable unit at one grid node of its connecting DSO. Powers in W, injection positive.

    `energy_wm` is a storage's size (W min) when `energy_start_wm` is its content at the start of the
    day; without a start it bounds how far the traded energy may run ahead or behind (rebound).
    """

    resource: str
    organisation: str
    dso: str
    node: str
    kind: str
    p_min_w: int
    p_max_w: int
    conditional: bool = False
    agreement_date: str = ""
    cost_minor: int | None = None
    baseline: BaselineMethod = BaselineMethod.PLAN
    energy_wm: int | None = None
    energy_start_wm: int | None = None


class Portfolio(msgspec.Struct, frozen=True):
    """Resources of one organisation and one DSO, traded as one; shares follow the members' ranges."""

    portfolio: str
    organisation: str
    members: tuple[str, ...]


class Check(msgspec.Struct, frozen=True):
    """One DSO's answer in a prequalification; `valid_until` is an instant, or None for ever."""

    dso: str
    passed: bool
    reasons: tuple[str, ...] = ()
    valid_until: int | None = None


class Prequalification(msgspec.Struct, frozen=True):
    """Grid check by the connecting DSO and product check by the procuring DSO."""

    grid: Check | None = None
    product: Check | None = None

    def valid_at(self, instant: int) -> bool:
        """Whether both checks passed and neither has expired."""
        return all(
            check is not None and check.passed and (check.valid_until is None or instant < check.valid_until)
            for check in (self.grid, self.product)
        )


class RegisterOrganisation(msgspec.Struct, frozen=True, tag=True):
    """Command: a new organisation."""

    organisation: Organisation


class RegisterResource(msgspec.Struct, frozen=True, tag=True):
    """Command: a new resource of an FSP or aggregator, at a DSO."""

    resource: Resource


class FormPortfolio(msgspec.Struct, frozen=True, tag=True):
    """Command: trade several resources as one."""

    portfolio: Portfolio


class RecordGridCheck(msgspec.Struct, frozen=True, tag=True):
    """Command: the connecting DSO's answer for a resource."""

    resource: str
    check: Check


class RecordProductCheck(msgspec.Struct, frozen=True, tag=True):
    """Command: the procuring DSO's answer for a resource."""

    resource: str
    check: Check


class OrganisationRegistered(msgspec.Struct, frozen=True, tag=True):
    """A new organisation takes part."""

    organisation: Organisation


class ResourceRegistered(msgspec.Struct, frozen=True, tag=True):
    """A new resource is known; it still needs its prequalification."""

    resource: Resource


class PortfolioFormed(msgspec.Struct, frozen=True, tag=True):
    """Resources are traded as one from now on."""

    portfolio: Portfolio


class GridChecked(msgspec.Struct, frozen=True, tag=True):
    """The connecting DSO has answered."""

    resource: str
    check: Check


class ProductChecked(msgspec.Struct, frozen=True, tag=True):
    """The procuring DSO has answered."""

    resource: str
    check: Check


Command = RegisterOrganisation | RegisterResource | FormPortfolio | RecordGridCheck | RecordProductCheck
Event = OrganisationRegistered | ResourceRegistered | PortfolioFormed | GridChecked | ProductChecked


class Participants(msgspec.Struct, frozen=True):
    """Who takes part, and with what."""

    organisations: HashTrieMap[str, Organisation] = HashTrieMap()
    resources: HashTrieMap[str, Resource] = HashTrieMap()
    portfolios: HashTrieMap[str, Portfolio] = HashTrieMap()
    prequalifications: HashTrieMap[str, Prequalification] = HashTrieMap()

    def knows(self, name: str) -> bool:
        """Whether an organisation, a resource or a portfolio has this id; all may stand for a unit in an order."""
        return name in self.organisations or name in self.resources or name in self.portfolios

    def is_dso(self, organisation: str) -> bool:
        """Whether the id is a DSO's own."""
        known = self.organisations.get(organisation)
        return known is not None and known.role in DSO_ROLES

    def members(self, unit: str) -> tuple[Resource, ...]:
        """The resources behind a resource or portfolio id; empty for a DSO."""
        if unit in self.resources:
            return (self.resources[unit],)
        portfolio = self.portfolios.get(unit)
        return tuple(self.resources[member] for member in portfolio.members) if portfolio else ()

    def shares(self, unit: str, quantity_w: int) -> dict[str, int]:
        """How `quantity_w` >= 0 of a unit is divided between its resources, in watts."""
        members = self.members(unit)
        if len(members) == 1:
            return {members[0].resource: quantity_w}
        ranges = {member.resource: member.p_max_w - member.p_min_w for member in members}
        return split(quantity_w, ranges) if ranges else {}

    def organisation_of(self, unit: str) -> str | None:
        """Who answers for a resource, a portfolio or a DSO's own orders."""
        if unit in self.resources:
            return self.resources[unit].organisation
        if unit in self.portfolios:
            return self.portfolios[unit].organisation
        return unit if self.is_dso(unit) else None

    def qualified(self, unit: str, instant: int) -> bool:
        """Whether every resource of the unit is prequalified at an instant."""
        nothing = Prequalification()
        return all(
            self.prequalifications.get(member.resource, nothing).valid_at(instant) for member in self.members(unit)
        )


def decide(participants: Participants, command: Command) -> list[Event | CommandRefused]:
    """What a command about participants leads to."""
    match command:
        case RegisterOrganisation(organisation):
            return _refuse_organisation(participants, organisation) or [OrganisationRegistered(organisation)]
        case RegisterResource(resource):
            return _refuse_resource(participants, resource) or [ResourceRegistered(resource)]
        case FormPortfolio(portfolio):
            return _refuse_portfolio(participants, portfolio) or [PortfolioFormed(portfolio)]
        case RecordGridCheck(resource, check):
            return _refuse_check(participants, command) or [GridChecked(resource, check)]
        case RecordProductCheck(resource, check):
            return _refuse_check(participants, command) or [ProductChecked(resource, check)]


def _refuse_organisation(participants: Participants, new: Organisation) -> list[Event | CommandRefused]:
    if not new.organisation:
        return [CommandRefused("RegisterOrganisation", "", Reason.RESERVED_NAME)]
    if participants.knows(new.organisation):
        return [CommandRefused("RegisterOrganisation", new.organisation, Reason.ALREADY_KNOWN)]
    if new.parent is not None and not participants.is_dso(new.parent):
        return [CommandRefused("RegisterOrganisation", new.organisation, Reason.WRONG_ROLE, f"parent {new.parent}")]
    return []


def _refuse_resource(participants: Participants, new: Resource) -> list[Event | CommandRefused]:
    reason = None
    owner = participants.organisations.get(new.organisation)
    if not new.resource:
        reason = Reason.RESERVED_NAME
    elif participants.knows(new.resource):
        reason = Reason.ALREADY_KNOWN
    elif owner is None:
        reason = Reason.UNKNOWN_ORGANISATION
    elif owner.role not in OFFERING_ROLES or not participants.is_dso(new.dso):
        reason = Reason.WRONG_ROLE
    elif not -QUANTITY_LIMIT_W <= new.p_min_w <= new.p_max_w <= QUANTITY_LIMIT_W:
        reason = Reason.RANGE_UPSIDE_DOWN
    return [CommandRefused("RegisterResource", new.resource, reason)] if reason else []


def _refuse_portfolio(participants: Participants, new: Portfolio) -> list[Event | CommandRefused]:
    reason = None
    members = [participants.resources.get(member) for member in new.members]
    if not new.portfolio:
        reason = Reason.RESERVED_NAME
    elif participants.knows(new.portfolio):
        reason = Reason.ALREADY_KNOWN
    elif not members or None in members:
        reason = Reason.UNKNOWN_RESOURCE
    elif {member.organisation for member in members if member} != {new.organisation}:
        reason = Reason.NOT_ITS_RESOURCE
    elif len({member.dso for member in members if member}) > 1:
        reason = Reason.NOT_VIA_ITS_DSO
    elif not any(member.p_max_w > member.p_min_w for member in members if member):
        reason = Reason.RANGE_UPSIDE_DOWN
    return [CommandRefused("FormPortfolio", new.portfolio, reason)] if reason else []


def _refuse_check(
    participants: Participants, command: RecordGridCheck | RecordProductCheck
) -> list[Event | CommandRefused]:
    resource = participants.resources.get(command.resource)
    kind = type(command).__name__
    if resource is None:
        return [CommandRefused(kind, command.resource, Reason.UNKNOWN_RESOURCE)]
    connecting = isinstance(command, RecordProductCheck) or command.check.dso == resource.dso
    if not participants.is_dso(command.check.dso) or not connecting:
        return [CommandRefused(kind, command.resource, Reason.WRONG_ROLE, command.check.dso)]
    return []


def evolve(participants: Participants, event: Event) -> Participants:
    """The participants after an event."""
    match event:
        case OrganisationRegistered(organisation):
            known = participants.organisations.insert(organisation.organisation, organisation)
            return replace(participants, organisations=known)
        case ResourceRegistered(resource):
            return replace(participants, resources=participants.resources.insert(resource.resource, resource))
        case PortfolioFormed(portfolio):
            return replace(participants, portfolios=participants.portfolios.insert(portfolio.portfolio, portfolio))
        case GridChecked(resource_id, check):
            return _with_check(participants, resource_id, grid=check)
        case ProductChecked(resource_id, check):
            return _with_check(participants, resource_id, product=check)


def _with_check(participants: Participants, resource: str, **checks: Check) -> Participants:
    before = participants.prequalifications.get(resource, Prequalification())
    after = participants.prequalifications.insert(resource, replace(before, **checks))
    return replace(participants, prequalifications=after)

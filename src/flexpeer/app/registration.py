"""A scenario's participants as commands: organisations, resources, portfolios and their prequalification."""

from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import GridDay, topmost_dso
from flexpeer.market.participants import (
    DSO_ROLES,
    Check,
    Command,
    FormPortfolio,
    Organisation,
    Participants,
    Portfolio,
    Prequalification,
    RecordGridCheck,
    RecordProductCheck,
    RegisterOrganisation,
    RegisterResource,
    Resource,
    Role,
)

MINUTES_PER_HOUR = 60


def resource_dsos(scenario: Scenario, grid: GridDay | None) -> dict[str, str]:
    """The connecting DSO of each resource: its bus's owner, else the DSO its FSP bids through, else the topmost."""
    top = topmost_dso(scenario)
    roles = {o.organisation: o.role for o in scenario.organisations}
    through = {o.organisation: o.parent for o in scenario.organisations if roles.get(o.parent or "") in DSO_ROLES}
    dsos = {}
    for resource in scenario.resources:
        if grid is not None and (scenario.areas or len(set(grid.owners)) > 1):
            dsos[resource.resource] = grid.owners[grid.bus_of[resource.resource]]
        else:
            registered = scenario.registered.resources.get(resource.resource)
            dsos[resource.resource] = (
                registered.dso if registered else scenario.areas.get(resource.bus) or through.get(resource.fsp) or top
            )
    return dsos


def registrations(scenario: Scenario, dso_of: dict[str, str]) -> list[Command]:
    """Every participant; resources count as prequalified for the day where the registry has no answer of a DSO.

    Resources of the registry that take no part in the day are known to it all the same.
    """
    commands = organisations_of(scenario)
    for row in scenario.resources:
        resource = _resource(scenario, row.resource, dso_of[row.resource])
        commands += _registering(resource, scenario.registered, Check(resource.dso, True))
    for name, members in scenario.portfolios.items():
        commands.append(FormPortfolio(Portfolio(name, scenario.portfolio_fsp[name], members)))
    return [*commands, *_left(scenario)]


def organisations_of(scenario: Scenario) -> list[Command]:
    """A scenario's organisations, those above before those below."""
    commands: list[Command] = []
    parents_first = sorted(
        scenario.organisations, key=lambda o: (o.role not in DSO_ROLES, _depth(scenario, o.organisation))
    )
    dsos = {o.organisation for o in scenario.organisations if o.role in DSO_ROLES}
    for organisation in parents_first:
        parent = organisation.parent if organisation.parent in dsos else None
        commands.append(RegisterOrganisation(Organisation(organisation.organisation, Role(organisation.role), parent)))
    return commands


def _registering(resource: Resource, known: Participants, otherwise: Check | None) -> list[Command]:
    """A resource and the answers of its DSOs."""
    checks = known.prequalifications.get(resource.resource, Prequalification(otherwise, otherwise))
    commands: list[Command] = [RegisterResource(resource)]
    if checks.grid is not None:
        commands.append(RecordGridCheck(resource.resource, checks.grid))
    if checks.product is not None:
        commands.append(RecordProductCheck(resource.resource, checks.product))
    return commands


def _left(scenario: Scenario) -> list[Command]:
    """What the registry has beyond the scenario."""
    people, known = scenario.registered, {row.resource for row in scenario.resources}
    commands: list[Command] = []
    for name in sorted(set(people.resources) - known):
        commands += _registering(people.resources[name], people, None)
    formed = sorted(set(people.portfolios) - set(scenario.portfolios))
    return [*commands, *(FormPortfolio(people.portfolios[name]) for name in formed)]


def _depth(scenario: Scenario, organisation: str) -> int:
    parents = {o.organisation: o.parent for o in scenario.organisations}
    depth, at = 0, parents.get(organisation)
    while at is not None and depth < len(parents):
        depth, at = depth + 1, parents.get(at)
    return depth


def _resource(scenario: Scenario, name: str, dso: str) -> Resource:
    row = next(resource for resource in scenario.resources if resource.resource == name)
    return Resource(
        resource=row.resource,
        organisation=row.fsp,
        dso=dso,
        node=row.bus,
        kind=row.kind,
        p_min_w=row.p_min_w,
        p_max_w=row.p_max_w,
        conditional=row.conditional,
        agreement_date=row.agreement_date.isoformat() if row.agreement_date else "",
        cost_minor=row.cost_minor,
        baseline=row.baseline,
        energy_wm=None if row.energy_wh is None else row.energy_wh * MINUTES_PER_HOUR,
        energy_start_wm=None if row.energy_start_wh is None else row.energy_start_wh * MINUTES_PER_HOUR,
    )

"""Resources and portfolios of an organisation, and their prequalification by DSOs."""

from decimal import Decimal

from flexpeer.api.declining import denied
from flexpeer.api.documents import dsos_of
from flexpeer.api.edge import JSON, Answer, Asked, Route
from flexpeer.api.listing import listed, matching
from flexpeer.api.permissions import DSOS, Action, Owned
from flexpeer.api.units import instant, megawatts, utc, watts
from flexpeer.market.participants import (
    Check,
    Command,
    FormPortfolio,
    Participants,
    Portfolio,
    Prequalification,
    RecordGridCheck,
    RecordProductCheck,
    RegisterResource,
    Resource,
)
from flexpeer.wire.api import StatusWord, ValidationError
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery, OwnerQuery
from flexpeer.wire.api_registry import (
    CheckAnswer,
    CheckDocument,
    PortfolioDocument,
    PortfolioList,
    PortfolioRequest,
    PrequalificationRequest,
)

NOT_ASKED = Prequalification()
NOTHING = Decimal(0)


def portfolio_document(people: Participants, now: int, unit: str) -> PortfolioDocument:
    """A resource or portfolio as it is at an instant."""
    members = people.members(unit)
    one = people.resources.get(unit)
    checks = people.prequalifications.get(unit, NOT_ASKED)
    return PortfolioDocument(
        id=unit,
        name=unit,
        status=StatusWord.ACTIVE if people.qualified(unit, now) else StatusWord.PENDING,
        owner_organization_id=members[0].organisation,
        dso=members[0].dso,
        resources=tuple(member.resource for member in members),
        minimum_quantity=megawatts(sum(member.p_min_w for member in members)),
        maximum_quantity=megawatts(sum(member.p_max_w for member in members)),
        grid_node_id=None if one is None else one.node,
        kind=None if one is None else one.kind,
        grid_check=_check(checks.grid),
        product_check=_check(checks.product),
    )


def _check(check: Check | None) -> CheckDocument | None:
    if check is None:
        return None
    until = None if check.valid_until is None else utc(check.valid_until)
    return CheckDocument(check.passed, check.dso, check.reasons, until)


def owned(people: Participants, unit: str) -> Owned:
    """Whose a unit is, and its DSOs; declined where there is none."""
    members = people.members(unit)
    if not members:
        raise denied(Denial.NOT_FOUND)
    return Owned(members[0].organisation, dsos_of(people, unit))


def _people(asked: Asked) -> Participants:
    """Those of the registry, or of the day that the query names."""
    market_id = asked.query.market_id
    day = None if market_id is None else asked.day(market_id)
    return asked.service.registry.published.participants if day is None else day.published.state.participants


def _as_registered(asked: Asked, unit: str) -> PortfolioDocument:
    people = asked.service.registry.published.participants
    return portfolio_document(people, asked.service.clock.now(), unit)


async def read_all(asked: Asked) -> Answer:
    """Units that the caller may see, by name."""
    people, now = _people(asked), asked.service.clock.now()
    names = sorted((*people.resources, *people.portfolios))
    documents = [portfolio_document(people, now, name) for name in names if asked.sees(owned(people, name))]
    if asked.query.portfolio_id is not None:
        documents = [document for document in documents if document.id == asked.query.portfolio_id]
    query = OwnerQuery(owner_organization_id=asked.query.owner_organization_id)
    return listed(asked, matching(query, documents), PortfolioList)


async def read(asked: Asked) -> Answer:
    """One unit."""
    people = _people(asked)
    asked.require(owned(people, asked.id))
    return Answer(200, portfolio_document(people, asked.service.clock.now(), asked.id))


async def create(asked: Asked) -> Answer:
    """A portfolio of known resources, or a new resource."""
    wanted = asked.of(PortfolioRequest)
    await _registered(asked, _registering(asked.caller.organisation, wanted))
    return Answer(201, _as_registered(asked, wanted.id))


async def put(asked: Asked) -> Answer:
    """The same under its own path: new, or as it is already."""
    wanted, people = asked.of(PortfolioRequest), asked.service.registry.published.participants
    if wanted.id != asked.id:
        wrong = ValidationError("$.id", "is not the id of the path", wanted.id)
        raise denied(Denial.MALFORMED, wrong.message, [wrong])
    command, known = _registering(asked.caller.organisation, wanted), _known(people, asked.id)
    if known is not None:
        asked.require(owned(people, asked.id))
    if command != known:
        await _registered(asked, command)
    return Answer(201 if known is None else 200, _as_registered(asked, asked.id))


def _known(people: Participants, name: str) -> Command | None:
    """The command that would register what is registered."""
    if name in people.resources:
        return RegisterResource(people.resources[name])
    return FormPortfolio(people.portfolios[name]) if name in people.portfolios else None


def _registering(organisation: str, wanted: PortfolioRequest) -> Command:
    if wanted.resources:
        return FormPortfolio(Portfolio(wanted.id, organisation, wanted.resources))
    if wanted.grid_node_id is None or wanted.dso is None:
        missing = ValidationError("$", "Expected resources, or gridNodeId and dso of a new resource")
        raise denied(Denial.MALFORMED, missing.message, [missing])
    low, high = watts(wanted.minimum_quantity or NOTHING), watts(wanted.maximum_quantity or NOTHING)
    kind = wanted.kind or "other"
    return RegisterResource(Resource(wanted.id, organisation, wanted.dso, wanted.grid_node_id, kind, low, high))


async def _registered(asked: Asked, *commands: Command) -> None:
    """All of them, up to the first that is refused: in the registry, and in every day under way."""
    await asked.service.done(lambda: asked.service.register(commands))


async def prequalify(asked: Asked) -> Answer:
    """A DSO's answers for a resource; from its owner a request for them, which changes nothing."""
    wanted, name = asked.of(PrequalificationRequest), asked.id
    people = asked.service.registry.published.participants
    asked.require(owned(people, name))
    answers = (wanted.grid_check, wanted.product_check)
    if any(answers) and asked.caller.role not in DSOS:
        raise denied(Denial.FORBIDDEN)
    commands: list[Command] = []
    for member in people.members(name):
        if wanted.grid_check is not None:
            commands.append(RecordGridCheck(member.resource, _answer(asked, wanted.grid_check)))
        if wanted.product_check is not None:
            commands.append(RecordProductCheck(member.resource, _answer(asked, wanted.product_check)))
    await _registered(asked, *commands)
    return Answer(200, _as_registered(asked, name))


def _answer(asked: Asked, said: CheckAnswer) -> Check:
    until = None if said.valid_until is None else instant(said.valid_until, "validUntil")
    return Check(asked.caller.organisation, said.passed, said.reasons, until)


ROUTES = (
    Route(
        "GET", "/api/Portfolios", Action.READ_PORTFOLIOS, read_all, "Resources and portfolios", {200: PortfolioList},
        query=OwnerQuery,
    ),
    Route(
        "POST", "/api/Portfolios", Action.WRITE_PORTFOLIOS, create, "Register a resource or form a portfolio",
        {201: PortfolioDocument}, query=ListQuery, bodies={JSON: PortfolioRequest},
    ),
    Route(
        "GET", "/api/Portfolios/{id}", Action.READ_PORTFOLIOS, read, "One resource or portfolio",
        {200: PortfolioDocument}, query=ListQuery,
    ),
    Route(
        "PUT", "/api/Portfolios/{id}", Action.WRITE_PORTFOLIOS, put, "Register under this id",
        {200: PortfolioDocument, 201: PortfolioDocument}, query=ListQuery, bodies={JSON: PortfolioRequest},
    ),
    Route(
        "POST", "/api/Portfolios/{id}/prequalification", Action.PREQUALIFY, prequalify,
        "Ask for a prequalification or, as a DSO, answer", {200: PortfolioDocument}, query=ListQuery,
        bodies={JSON: PrequalificationRequest},
    ),
)  # fmt: skip

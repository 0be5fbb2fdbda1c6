"""What came of orders: trades, confirmations, verdicts, activations, settlement; each seen by whom it concerns."""

from flexpeer.api.documents import (
    activation_document,
    allocation_document,
    clearing_document,
    confirmation_document,
    delivery_documents,
    dsos_of,
    order_owned,
    settlement_document,
    trade_document,
    trade_owned,
    verdict_document,
)
from flexpeer.api.edge import Answer, Asked, Route, apart
from flexpeer.api.listing import listed, matching
from flexpeer.api.permissions import Action, Owned
from flexpeer.market.machine import State
from flexpeer.market.settlement import Account
from flexpeer.market.trades import Match
from flexpeer.wire.api import (
    ActivationList,
    ConfirmationList,
    SettlementList,
    TradeDocument,
    TradeList,
    VerdictList,
)
from flexpeer.wire.api_live import AllocationDocument, AllocationList, ClearingList, DeliveryDocument, DeliveryList
from flexpeer.wire.api_queries import AccountQuery, ListQuery, OwnerQuery, TradeQuery


def seen_sides(asked: Asked, owned: tuple[Owned, ...]) -> list[str]:
    """The organisations of a trade whose side the caller may see."""
    return [each.organisation for each in owned if asked.sees(each)]


def trades(asked: Asked) -> Answer:
    """Trades in the order they were concluded."""
    documents: list[TradeDocument] = []
    for market_id, served in asked.days(asked.query.market_id):
        published = served.published
        state = published.state
        for name in list(published.trades):
            trade = state.trades.trades.get(name)
            sides = seen_sides(asked, trade_owned(state, trade)) if trade is not None else []
            if trade is not None and sides:
                documents.append(trade_document(market_id, state, trade, sides))
    return listed(asked, matching(asked.query, documents), TradeList)


def confirmations(asked: Asked) -> Answer:
    """Confirmations in the order of trades."""
    documents = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        documents += [
            confirmation_document(market_id, state, told)
            for told in state.activations.confirmations
            if asked.sees(Owned(told.organisation, dsos_of(state.participants, told.unit)))
        ]
    return listed(asked, matching(asked.query, documents), ConfirmationList)


def activations(asked: Asked) -> Answer:
    """Schedules by resource."""
    documents = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        for name in sorted(state.activations.schedules_w):
            unit = state.participants.resources[name]
            if asked.sees(Owned(unit.organisation, (unit.dso,))):
                documents.append(activation_document(market_id, state, name))
    return listed(asked, matching(asked.query, documents), ActivationList)


def allocations(asked: Asked) -> Answer:
    """What resources owe by rule."""
    documents: list[AllocationDocument] = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        for name in sorted(state.needs.curtailment_w):
            unit = state.participants.resources[name]
            if any(state.needs.curtailment_w[name]) and asked.sees(Owned(unit.organisation, (unit.dso,))):
                documents.append(allocation_document(market_id, state, name))
    return listed(asked, matching(asked.query, documents), AllocationList)


def deliveries(asked: Asked) -> Answer:
    """What resources delivered, once it is verified."""
    documents: list[DeliveryDocument] = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        for name in sorted(state.activations.deliveries):
            unit = state.participants.resources[name]
            if asked.sees(Owned(unit.organisation, (unit.dso,))):
                documents += delivery_documents(market_id, state, name)
    return listed(asked, matching(asked.query, documents), DeliveryList)


def settlement(asked: Asked) -> Answer:
    """Accounts as the last revision has them."""
    documents = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        documents += [
            settlement_document(market_id, state, account)
            for account in sorted(accounts_of(state))
            if asked.sees(Owned(account.organisation))
        ]
    return listed(asked, matching(asked.query, documents), SettlementList)


def accounts_of(state: State) -> set[Account]:
    """Every account that anything was posted to."""
    return {*state.settlements.balances_minor(), *(posting.account for posting in state.settlements.postings)}


def verdicts(asked: Asked) -> Answer:
    """What grid owners said, in order; an FSP is told of its own orders only."""
    documents = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        for answered in list(served.published.answers):
            seen = [name for name in orders_of(answered.match) if asked.sees(_owned(state, name))]
            if seen:
                documents.append(verdict_document(market_id, state, answered, seen))
    return listed(asked, documents, VerdictList)


def orders_of(match: Match) -> list[str]:
    """The orders of a match, each once."""
    return list(dict.fromkeys(party.order for leg in match.legs for party in leg.parties))


def _owned(state: State, name: str) -> Owned:
    order = state.orders.orders.get(name)
    return Owned("") if order is None else order_owned(state, order)


def clearings(asked: Asked) -> Answer:
    """Clearings at the gate, with their certificates."""
    documents = [
        clearing_document(market_id, served.published.state, cleared)
        for market_id, served in asked.days(asked.query.market_id)
        for cleared in list(served.published.clearings)
    ]
    return listed(asked, documents, ClearingList)


ROUTES = (
    Route("GET", "/api/Trades", Action.READ_TRADES, apart(trades), "Trades", {200: TradeList}, query=TradeQuery),
    Route(
        "GET", "/api/Confirmations", Action.READ_CONFIRMATIONS, apart(confirmations), "Confirmations with remuneration",
        {200: ConfirmationList}, query=OwnerQuery,
    ),
    Route(
        "GET", "/api/Activations", Action.READ_ACTIVATIONS, apart(activations), "Schedules of resources",
        {200: ActivationList}, query=OwnerQuery,
    ),
    Route(
        "GET", "/api/Allocations", Action.READ_PLANS, apart(allocations), "What resources owe by rule",
        {200: AllocationList}, query=OwnerQuery,
    ),
    Route(
        "GET", "/api/Clearings", Action.READ_RESULT, apart(clearings), "Clearings at the gate with their certificates",
        {200: ClearingList}, query=ListQuery,
    ),
    Route(
        "GET", "/api/Deliveries", Action.READ_ACTIVATIONS, apart(deliveries), "What resources delivered, once verified",
        {200: DeliveryList}, query=OwnerQuery,
    ),
    Route(
        "GET", "/api/Settlement", Action.READ_SETTLEMENT, apart(settlement), "Accounts and their postings",
        {200: SettlementList}, query=AccountQuery,
    ),
    Route(
        "GET", "/api/Verdicts", Action.READ_VERDICTS, apart(verdicts), "What grid owners said", {200: VerdictList},
        query=ListQuery,
    ),
)  # fmt: skip

"""Stage 8: who pays whom. Double entry in exact money; every revision sums to zero, exactly and as invoiced.

A buyer pays the whole amount. Its seller gets the share its delivery earned; what is withheld goes to the DSO
of the congestion point, who has to make up for it. Fees go from both sides to the market operator. Cleared orders
pay to and are paid by the account `POOL`, each at its node's price: what stays there is the congestion rent.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.activation import Activations
from flexpeer.market.needs import Needs
from flexpeer.market.participants import Participants, Role
from flexpeer.market.trades import POOL, Trade, Trades
from flexpeer.quantities import money, round_to_zero_sum

OPERATOR_ACCOUNT = "market operator"


class Settle(msgspec.Struct, frozen=True, tag=True):
    """Command: settle with what is verified by now; after the first time, as a correction."""


class Posting(msgspec.Struct, frozen=True):
    """One entry: `amount` of exact money to (positive) or from (negative) an account, for a trade."""

    account: str
    trade: str
    kind: str
    amount: int


class SettlementIssued(msgspec.Struct, frozen=True, tag=True):
    """A revision: every posting as it stands now, and what each account is invoiced in it (minor units)."""

    revision: int
    postings: tuple[Posting, ...]
    invoice_minor: dict[str, int]


class Settlements(msgspec.Struct, frozen=True):
    """The last revision, and what each account has been invoiced in total."""

    revision: int = 0
    postings: tuple[Posting, ...] = ()
    balances_minor: HashTrieMap[str, int] = HashTrieMap()


def settle(
    participants: Participants, needs: Needs, trades: Trades, activations: Activations, settlements: Settlements
) -> list[SettlementIssued]:
    """A new revision; nothing if it would change nothing."""
    ordered = sorted(trades.trades.values(), key=lambda trade: (trade.match, trade.trade))
    payee = operator(participants)
    postings = tuple(p for trade in ordered for p in _postings(participants, needs, activations, trade, payee))
    exact: dict[str, int] = {}
    for posting in postings:
        exact[posting.account] = exact.get(posting.account, 0) + posting.amount
    rounded = round_to_zero_sum(exact)
    accounts = sorted({*rounded, *settlements.balances_minor})
    invoice = {a: rounded.get(a, 0) - settlements.balances_minor.get(a, 0) for a in accounts}
    if settlements.revision and not any(invoice.values()):
        return []
    return [SettlementIssued(settlements.revision + 1, postings, invoice)]


def _postings(
    participants: Participants, needs: Needs, activations: Activations, trade: Trade, payee: str
) -> list[Posting]:
    assert needs.day is not None, "a day was opened before anything was traded"
    minutes, leg = needs.day.mtu_minutes, trade.leg
    amount = trade.amount(minutes)
    earned = sum(
        money(leg.price_minor, leg.resting_w, minutes) * _earned_ppm(participants, activations, trade, mtu) // 1_000_000
        for mtu in leg.span.mtus
    )
    postings = [
        Posting(trade.buyer, trade.trade, "purchase", -amount),
        Posting(trade.seller, trade.trade, "sale", earned),
    ]
    if amount != earned:
        postings.append(Posting(_owner(participants, needs, trade.zone), trade.trade, "withheld", amount - earned))
    fee = needs.rulebook.fee_minor_per_mwh
    for party, quantity_w in ((trade.buyer, leg.quantity_buy_w), (trade.seller, leg.quantity_sell_w)):
        if fee and quantity_w:
            charge = money(fee, quantity_w, minutes * len(leg.span))
            postings.append(Posting(party, trade.trade, "fee", -charge))
            postings.append(Posting(payee, trade.trade, "fee", charge))
    return postings


def _earned_ppm(participants: Participants, activations: Activations, trade: Trade, mtu: int) -> int:
    """The share of pay the seller's delivery earned in an MTU; all of it until it is verified, and of the pool."""
    if trade.seller == POOL:
        return 1_000_000
    shares = participants.shares(trade.leg.sell_unit, trade.leg.quantity_sell_w)
    earned = 0
    for resource, share in shares.items():
        delivery = activations.deliveries.get(resource)
        earned += share * (1_000_000 if delivery is None else delivery.payable_ppm[mtu])
    return earned // max(1, sum(shares.values()))


def _owner(participants: Participants, needs: Needs, zone: str) -> str:
    """The DSO of a congestion point; of a market-wide zone, the first regional (else local) one."""
    if zone in needs.points:
        return needs.points[zone].dso
    dsos = sorted(
        (o.role is not Role.REGIONAL_DSO, o.organisation)
        for o in participants.organisations.values()
        if participants.is_dso(o.organisation)
    )
    return dsos[0][1]


def operator(participants: Participants) -> str:
    """The account fees go to: the registered market operator's, or one of that name."""
    names = sorted(o.organisation for o in participants.organisations.values() if o.role is Role.MARKET_OPERATOR)
    return names[0] if names else OPERATOR_ACCOUNT


def evolve(settlements: Settlements, event: object) -> Settlements:
    """The accounts after an event."""
    if not isinstance(event, SettlementIssued):
        return settlements
    balances = settlements.balances_minor
    for account, change in event.invoice_minor.items():
        balances = balances.insert(account, balances.get(account, 0) + change)
    return replace(settlements, revision=event.revision, postings=event.postings, balances_minor=balances)

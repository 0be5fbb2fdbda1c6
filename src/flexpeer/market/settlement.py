"""Stage 8: who pays whom. Double entry in exact money; every revision sums to zero, exactly and as invoiced.

A buyer pays the whole amount. Its seller gets the share its delivery earned; what is withheld goes to the DSO
of the congestion point, who has to make up for it. A seller that pays to move (a negative price) pays in full whatever
it delivered, so that nobody earns by not delivering and nobody else pays for it. Fees go from both sides to the market
operator. Cleared orders pay to and are paid by the account of the clearing, each at its node's price: what stays there
is the congestion rent.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from flexpeer.market.activation import Activations, reversed_w
from flexpeer.market.needs import Needs
from flexpeer.market.orders import Orders, Side
from flexpeer.market.participants import Participants, Role
from flexpeer.market.trades import Trade, Trades
from flexpeer.quantities import PPM, ceil_div, money, round_to_zero_sum


class AccountKind(StrEnum):
    """Whose an account is: an organisation's, or the market's own for one purpose.

    FEES takes them where no market operator is registered, WITHHELD what was not earned where no congestion point has
    an owner.
    """

    ORGANISATION = "organisation"
    CLEARING = "clearing"
    FEES = "fees"
    WITHHELD = "withheld"


class Account(msgspec.Struct, frozen=True, order=True):
    """An account; `organisation` is empty for the market's own."""

    kind: AccountKind
    organisation: str = ""


CLEARING, FEES, WITHHELD = (Account(kind) for kind in (AccountKind.CLEARING, AccountKind.FEES, AccountKind.WITHHELD))


def account_of(organisation: str) -> Account:
    """The account of an organisation, whatever it is called."""
    return Account(AccountKind.ORGANISATION, organisation)


class Settle(msgspec.Struct, frozen=True, tag=True):
    """Command: settle with what is verified by now; after the first time, as a correction."""


class Posting(msgspec.Struct, frozen=True):
    """One entry: `amount` of exact money to (positive) or from (negative) an account, for a trade."""

    account: Account
    trade: str
    kind: str
    amount: int


class Invoice(msgspec.Struct, frozen=True):
    """What an account is invoiced, in whole minor units; positive to receive."""

    account: Account
    minor: int


class SettlementIssued(msgspec.Struct, frozen=True, tag=True):
    """A revision: every posting as it stands now, and what each account is invoiced in it."""

    revision: int
    postings: tuple[Posting, ...]
    invoices: tuple[Invoice, ...]


class Settlements(msgspec.Struct, frozen=True):
    """The last revision, and what each account has been invoiced in total."""

    revision: int = 0
    postings: tuple[Posting, ...] = ()
    balances: tuple[Invoice, ...] = ()

    def balances_minor(self) -> dict[Account, int]:
        """What each account has been invoiced, minor units, in order of accounts."""
        return {balance.account: balance.minor for balance in self.balances}

    def exact(self) -> dict[Account, int]:
        """What each account gets, as exact money, in order of accounts."""
        sums: dict[Account, int] = {}
        for posting in self.postings:
            sums[posting.account] = sums.get(posting.account, 0) + posting.amount
        return dict(sorted(sums.items()))


class _Basis(NamedTuple):
    """What postings are made from."""

    participants: Participants
    needs: Needs
    orders: Orders
    activations: Activations
    reversed_w: dict[str, int]
    fees: Account


def settle(
    participants: Participants,
    needs: Needs,
    orders: Orders,
    trades: Trades,
    activations: Activations,
    settlements: Settlements,
) -> list[SettlementIssued]:
    """A new revision; nothing if it would change nothing."""
    ordered = sorted(trades.trades.values(), key=lambda trade: (trade.match, trade.trade))
    basis = _Basis(participants, needs, orders, activations, reversed_w(orders, trades), fee_account(participants))
    postings = tuple(posting for trade in ordered for posting in _postings(basis, trade))
    rounded = round_to_zero_sum(Settlements(postings=postings).exact())
    before = settlements.balances_minor()
    accounts = sorted({*rounded, *before})
    invoices = tuple(Invoice(a, rounded.get(a, 0) - before.get(a, 0)) for a in accounts)
    if settlements.revision and not any(invoice.minor for invoice in invoices):
        return []
    return [SettlementIssued(settlements.revision + 1, postings, invoices)]


def _postings(basis: _Basis, trade: Trade) -> Iterator[Posting]:
    assert basis.needs.day is not None, "a day was opened before anything was traded"
    minutes, leg = basis.needs.day.mtu_minutes, trade.leg
    buyer, seller = (CLEARING if party is None else account_of(party) for party in (trade.buyer, trade.seller))
    amount = trade.amount(minutes)
    earned = sum(
        _earned(money(leg.price_minor, leg.resting_w, minutes), _earned_ppm(basis, trade, mtu)) for mtu in leg.span.mtus
    )
    yield Posting(buyer, trade.trade, "purchase", -amount)
    yield Posting(seller, trade.trade, "sale", earned)
    if amount != earned:
        yield Posting(_relieved(basis.needs, trade), trade.trade, "withheld", amount - earned)
    fee = basis.needs.rulebook.fee_minor_per_mwh
    for party, quantity_w in ((buyer, leg.quantity_buy_w), (seller, leg.quantity_sell_w)):
        if fee and quantity_w:
            charge = money(fee, quantity_w, minutes * len(leg.span))
            yield Posting(party, trade.trade, "fee", -charge)
            yield Posting(basis.fees, trade.trade, "fee", charge)


def _earned(amount: int, share_ppm: int) -> int:
    """What a seller gets of an MTU's amount; all of it where it is the seller who pays."""
    return amount if amount <= 0 else amount * share_ppm // PPM


def _earned_ppm(basis: _Basis, trade: Trade, mtu: int) -> int:
    """The share of pay the seller's delivery earned in an MTU; all of it until it is verified.

    The pool and a DSO, which have no resources, deliver nothing and earn all.
    """
    if trade.seller is None:
        return PPM
    order = basis.orders.orders[trade.leg.sell]
    regulation = order.regulation if order.side is Side.SELL else order.regulation.opposite
    shares = basis.participants.shares(trade.leg.sell_unit, trade.leg.quantity_sell_w)
    if not shares:
        return PPM
    earned = 0
    for resource, share in shares.items():
        delivery = basis.activations.deliveries.get(resource)
        earned += share * (PPM if delivery is None else delivery.payable_ppm(regulation, mtu))
    share_ppm = earned // max(1, sum(shares.values()))
    taken_back_w = basis.reversed_w.get(order.order, 0) if order.side is Side.SELL else 0
    if not taken_back_w:
        return share_ppm
    return PPM - ceil_div((PPM - share_ppm) * order.executed_w, order.executed_w + taken_back_w)


def _relieved(needs: Needs, trade: Trade) -> Account:
    """Who has to make up for what was not delivered: the DSO of the trade's congestion point."""
    return account_of(needs.points[trade.zone].dso) if trade.zone in needs.points else WITHHELD


def fee_account(participants: Participants) -> Account:
    """The account fees go to: the registered market operator's, or the market's own."""
    names = sorted(o.organisation for o in participants.organisations.values() if o.role is Role.MARKET_OPERATOR)
    return account_of(names[0]) if names else FEES


def evolve(settlements: Settlements, event: object) -> Settlements:
    """The accounts after an event."""
    if not isinstance(event, SettlementIssued):
        return settlements
    balances = settlements.balances_minor()
    for invoice in event.invoices:
        balances[invoice.account] = balances.get(invoice.account, 0) + invoice.minor
    totals = tuple(Invoice(account, minor) for account, minor in sorted(balances.items()))
    return replace(settlements, revision=event.revision, postings=event.postings, balances=totals)

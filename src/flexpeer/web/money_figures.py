"""Who pays whom: flows of money between accounts, and the settlement that sums to zero."""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.settlement import Account, Posting, fee_account
from flexpeer.quantities import MINOR_PER_MAJOR, MONEY_PER_MAJOR
from flexpeer.web.figures import NARROW, WIDE, Bar, Figure, bar_chart, drawing, path, rect, shortened, text
from flexpeer.web.terms import ACCOUNTS
from flexpeer.web.wording import counted, money

ACCOUNTS_SHOWN = 9
ROWS_SHOWN = 60
COLOURS = 6
OTHERS = "all others"
KINDS = ("purchase", "sale", "withheld", "fee")
SANKEY_HEIGHT, GAP = 340.0, 12.0
LEFT, RIGHT, THICK = 210.0, WIDE.width - 210.0, 12.0


End = Account | None
"""Where money comes from or goes to in the figure; None is all others."""


class AccountRow(NamedTuple):
    """A row of the settlement: exact amounts by kind, their sum, and what is invoiced (minor units).

    `whose` says whether `name` is an organisation's or the row one of the market's own accounts.
    """

    name: str
    whose: str
    by_kind: tuple[int, ...]
    exact: int
    invoiced_minor: int

    def cells(self) -> list[str]:
        """Every amount in major units, positive to receive."""
        exact = [money(amount / MONEY_PER_MAJOR, "", 2).strip() for amount in (*self.by_kind, self.exact)]
        return [*exact, money(self.invoiced_minor / MINOR_PER_MAJOR, "", 2).strip()]


def settlement_rows(outcome: DayOutcome) -> tuple[list[AccountRow], AccountRow]:
    """The accounts, largest first, and their sum; beyond `ROWS_SHOWN` the rest is one row."""
    settlements = outcome.state.settlements
    sums: dict[Account, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for posting in settlements.postings:
        sums[posting.account][posting.kind] += posting.amount
    balances = settlements.balances_minor()
    rows = [_row(account, sums[account], balances.get(account, 0)) for account in sorted({*sums, *balances})]
    rows.sort(key=lambda row: (-abs(row.exact), row.whose, row.name))
    if len(rows) > ROWS_SHOWN:
        rest = rows[ROWS_SHOWN:]
        rows = [*rows[:ROWS_SHOWN], _total(f"{OTHERS} ({len(rest)})", rest)]
    return rows, _total("Sum", rows)


def _row(account: Account, kinds: Mapping[str, int], invoiced_minor: int) -> AccountRow:
    by_kind = tuple(kinds.get(kind, 0) for kind in KINDS)
    whose = "organisation" if account.organisation else "the market's own"
    return AccountRow(shown(account), whose, by_kind, sum(kinds.values()), invoiced_minor)


def _total(name: str, rows: list[AccountRow]) -> AccountRow:
    by_kind = tuple(sum(row.by_kind[k] for row in rows) for k in range(len(KINDS)))
    exact, invoiced = sum(row.exact for row in rows), sum(row.invoiced_minor for row in rows)
    return AccountRow(name, "", by_kind, exact, invoiced)


def shown(end: End) -> str:
    """An organisation's name, or what the market's own account is."""
    if end is None:
        return OTHERS
    return end.organisation or ACCOUNTS[end.kind]


def money_flows(outcome: DayOutcome) -> dict[tuple[Account, Account], int]:
    """Exact money from payer to receiver, over all postings."""
    fees = fee_account(outcome.state.participants)
    by_trade: dict[str, list[Posting]] = defaultdict(list)
    for posting in outcome.state.settlements.postings:
        by_trade[posting.trade].append(posting)
    flows: dict[tuple[Account, Account], int] = defaultdict(int)
    for postings in by_trade.values():
        buyer = next(posting.account for posting in postings if posting.kind == "purchase")
        for posting in postings:
            _add(flows, posting, buyer, fees)
    return {pair: amount for pair, amount in flows.items() if pair[0] != pair[1]}


def _add(flows: dict[tuple[Account, Account], int], posting: Posting, buyer: Account, fees: Account) -> None:
    if posting.kind == "purchase" or (posting.kind == "fee" and posting.account == fees and posting.amount > 0):
        return
    payer, receiver, amount = buyer, posting.account, posting.amount
    if posting.kind == "fee":
        payer, receiver, amount = posting.account, fees, -posting.amount
    pair = (payer, receiver) if amount >= 0 else (receiver, payer)
    flows[pair] += abs(amount)


def money_figure(outcome: DayOutcome) -> Figure | None:
    """Payers on the left, receivers on the right, ribbons as wide as the amounts."""
    flows = money_flows(outcome)
    whole = sum(flows.values())
    if not whole:
        return None
    currency = outcome.scenario.currency
    payers, receivers = (_grouped(flows, end) for end in (0, 1))
    merged: dict[tuple[End, End], int] = defaultdict(int)
    for (payer, receiver), amount in flows.items():
        merged[payer if payer in payers else None, receiver if receiver in receivers else None] += amount
    largest, amount = min(flows.items(), key=lambda item: (-item[1], item[0]))
    paying, paid = ({pair[end] for pair in flows} for end in (0, 1))
    label = (
        f"{money(whole / MONEY_PER_MAJOR, currency)} change hands between {counted(len(paying), 'payer')} and "
        f"{counted(len(paid), 'receiver')} (fees included); most, {money(amount / MONEY_PER_MAJOR, currency)}, "
        f"from {shown(largest[0])} to {shown(largest[1])}."
    )
    wide = drawing(_ribbons(merged, (payers, receivers), currency), WIDE, SANKEY_HEIGHT + 50, label)
    return Figure("Who pays whom", currency, (wide, _totals((payers, receivers), currency, label)), label)


def _totals(ends: tuple[dict[End, int], dict[End, int]], currency: str, label: str) -> Markup:
    """The same where there is no room for ribbons: what each account pays, and what each receives."""
    bars = [
        Bar(f"{shown(end)} {verb}", (float(amount / MONEY_PER_MAJOR),))
        for accounts, verb in zip(ends, ("pays", "receives"), strict=True)
        for end, amount in accounts.items()
    ]
    return bar_chart(NARROW, bars, ("node",), currency, label)


def _grouped(flows: Mapping[tuple[Account, Account], int], end: int) -> dict[End, int]:
    """The largest accounts at one end of the flows, and the others as one."""
    totals: dict[Account, int] = defaultdict(int)
    for pair, amount in flows.items():
        totals[pair[end]] += amount
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    kept: dict[End, int] = dict(ranked[:ACCOUNTS_SHOWN])
    rest = sum(amount for _, amount in ranked[ACCOUNTS_SHOWN:])
    return {**kept, None: rest} if rest else kept


def _ribbons(
    flows: Mapping[tuple[End, End], int], ends: tuple[dict[End, int], dict[End, int]], currency: str
) -> list[Markup]:
    whole = sum(flows.values())
    scale = (SANKEY_HEIGHT - GAP * (max(len(end) for end in ends) - 1)) / whole
    parts: list[Markup] = []
    tops: list[dict[End, float]] = []
    for side, accounts in enumerate(ends):
        tops.append(_stack(accounts, scale, parts, side))
    colour = {payer: f"flow f{n % COLOURS}" for n, payer in enumerate(ends[0])}
    order = {name: n for n, name in enumerate([*ends[0]])}, {name: n for n, name in enumerate([*ends[1]])}
    for (payer, receiver), amount in sorted(flows.items(), key=lambda f: (order[0][f[0][0]], order[1][f[0][1]])):
        wide, start, end = amount * scale, tops[0][payer], tops[1][receiver]
        tops[0][payer], tops[1][receiver] = start + wide, end + wide
        told = f"{shown(payer)} pays {shown(receiver)} {money(amount / MONEY_PER_MAJOR, currency, 2)}"
        parts.append(path(_ribbon(start, end, wide), colour[payer], told))
    return parts


def _ribbon(start: float, end: float, wide: float) -> str:
    left, right, middle = LEFT + THICK, RIGHT - THICK, (LEFT + RIGHT) / 2
    return (
        f"M{left:.1f} {start:.1f}C{middle:.1f} {start:.1f} {middle:.1f} {end:.1f} {right:.1f} {end:.1f}"
        f"v{wide:.2f}C{middle:.1f} {end + wide:.1f} {middle:.1f} {start + wide:.1f} {left:.1f} {start + wide:.1f}Z"
    )


def _stack(accounts: Mapping[End, int], scale: float, parts: list[Markup], side: int) -> dict[End, float]:
    """Draw one side's accounts from top to bottom; where each of them begins."""
    begins: dict[End, float] = {}
    y = 6.0
    for end, amount in accounts.items():
        begins[end] = y
        high = amount * scale
        x, anchor = (LEFT, "end") if side == 0 else (RIGHT - THICK, "start")
        parts.append(rect((x, y, THICK, max(high, 1.0)), "node"))
        at = LEFT - 7 if side == 0 else RIGHT + 7
        label = f"{shortened(shown(end), 23)} {money(amount / MONEY_PER_MAJOR, '').strip()}"
        parts.append(text(at, y + high / 2 + 4, label, "name", anchor))
        y += max(high, 3.0) + GAP
    return begins

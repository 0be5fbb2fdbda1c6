"""What organisations are invoiced for a month: the basis of their invoices, as JSON, as CSV, and to be printed.

Lines are the postings of the settlement, exact; a line for each day brings them to the whole minor units that were
invoiced. So the lines of an invoice add up to it, and all invoices of a month to zero.
"""

import csv
from collections.abc import Iterator
from decimal import Decimal
from html import escape
from io import StringIO

from flexpeer.api.edge import CSV, Answer, Asked, Route, apart
from flexpeer.api.listing import listed
from flexpeer.api.permissions import Action, Owned
from flexpeer.api.units import price
from flexpeer.market.machine import State
from flexpeer.market.settlement import Account, AccountKind
from flexpeer.market.timeline import Stage
from flexpeer.quantities import MONEY_PER_MINOR, major
from flexpeer.wire.api_invoices import InvoiceDocument, InvoiceLine, InvoiceList, MonthQuery

HTML = "text/html"
COLUMNS = ("organisation", "account", "market", "revision", "kind", "trade", "amount", "currency")
STYLE = (
    "@page{size:A4;margin:20mm}body{font:11pt/1.4 sans-serif;color:#111;max-width:180mm;margin:auto}"
    "section{break-after:page}section:last-child{break-after:auto}table{width:100%;border-collapse:collapse}"
    "th,td{padding:1mm 2mm;text-align:left;border-bottom:.2mm solid #999}thead{display:table-header-group}"
    "tr{break-inside:avoid}td:last-child,th:last-child{text-align:right;font-variant-numeric:tabular-nums}"
)


def invoices(asked: Asked) -> list[InvoiceDocument]:
    """Of the settled days of a month, by account and currency, those that the caller may see."""
    lines: dict[tuple[Account, str], list[InvoiceLine]] = {}
    for market_id, served in asked.days(None):
        state = served.published.state
        if market_id.startswith(asked.query.month) and state.stages.stage is Stage.SETTLED:
            for account in _accounts(asked, state):
                lines.setdefault((account, state.needs.currency), []).extend(_lines(market_id, state, account))
    return [
        InvoiceDocument(
            month=asked.query.month,
            account=str(account.kind),
            owner_organization_id=account.organisation or None,
            amount=sum((line.amount for line in own), Decimal(0)),
            currency=currency,
            lines=tuple(own),
        )
        for (account, currency), own in sorted(lines.items())
    ]


def _accounts(asked: Asked, state: State) -> Iterator[Account]:
    wanted = asked.query.owner_organization_id
    for account in sorted({*state.settlements.exact(), *state.settlements.balances_minor()}):
        named = account.organisation if account.kind is AccountKind.ORGANISATION else None
        if wanted in (None, named) and asked.sees(Owned(account.organisation)):
            yield account


def _lines(market_id: str, state: State, account: Account) -> Iterator[InvoiceLine]:
    settlements = state.settlements
    for posting in settlements.postings:
        if posting.account == account:
            yield InvoiceLine(
                market_id, settlements.revision, posting.kind, major(posting.amount), posting.trade or None
            )
    rounding = settlements.balances_minor().get(account, 0) * MONEY_PER_MINOR - settlements.exact().get(account, 0)
    if rounding:
        yield InvoiceLine(market_id, settlements.revision, "rounding", major(rounding))


def as_json(asked: Asked) -> Answer:
    """Invoices with their lines."""
    return listed(asked, invoices(asked), InvoiceList)


def as_csv(asked: Asked) -> Answer:
    """Every line of every invoice."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for invoice in invoices(asked):
        for line in invoice.lines:
            whose = (invoice.owner_organization_id or "", invoice.account, line.market_id, line.revision)
            table.writerow((*whose, line.kind, line.trade_id or "", f"{line.amount:f}", invoice.currency))
    name = f"invoices-{asked.query.month}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(200, text.getvalue().encode(), headers, f"{CSV}; charset=utf-8")


def as_html(asked: Asked) -> Answer:
    """A page for each invoice, to be printed or kept as PDF."""
    sections = "".join(_section(invoice) for invoice in invoices(asked))
    title = f"Invoice basis {asked.query.month}"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<body>{sections or '<p>No day of this month is settled.</p>'}</body></html>"
    )
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Answer(200, page.encode(), policy, f"{HTML}; charset=utf-8")


def _section(invoice: InvoiceDocument) -> str:
    rows = "".join(
        f"<tr><td>{line.market_id}</td><td>{line.revision}</td><td>{escape(line.kind)}</td>"
        f"<td>{escape(line.trade_id or '')}</td><td>{line.amount:f}</td></tr>"
        for line in invoice.lines
    )
    whose = escape(invoice.owner_organization_id or f"the market's account: {invoice.account}")
    meaning = "to receive" if invoice.amount >= 0 else "to pay"
    return (
        f"<section><h1>Invoice basis {invoice.month}</h1><p>{whose}</p><table><thead><tr><th>Day</th><th>Revision</th>"
        f"<th>Entry</th><th>Trade</th><th>{escape(invoice.currency)}</th></tr></thead><tbody>{rows}</tbody>"
        f"<tfoot><tr><th colspan=4>Sum, {meaning}</th><th>{price(_minor(invoice)):.2f}</th></tr></tfoot></table>"
        "<p>Positive amounts are received, negative ones paid. Each day is rounded to whole minor units once.</p>"
        "</section>"
    )


def _minor(invoice: InvoiceDocument) -> int:
    minor = invoice.amount * 100
    assert minor == minor.to_integral_value(), "an invoice is in whole minor units"
    return int(minor)


ROUTES = (
    Route(
        "GET", "/api/Invoices", Action.READ_SETTLEMENT, apart(as_json), "What a month's settled days are invoiced",
        {200: InvoiceList}, query=MonthQuery,
    ),
    Route(
        "GET", "/api/Invoices.csv", Action.READ_SETTLEMENT, apart(as_csv), "The same, line by line", {200: None},
        query=MonthQuery, media=CSV,
    ),
    Route(
        "GET", "/api/Invoices.html", Action.READ_SETTLEMENT, apart(as_html), "The same, to be printed", {200: None},
        query=MonthQuery, media=HTML,
    ),
)  # fmt: skip

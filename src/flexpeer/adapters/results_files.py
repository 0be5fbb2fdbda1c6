"""The files of a finished day: CSV tables beside `result.json`, `report.html` and `events.log`."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from flexpeer.app.views.orders import OrderLine
from flexpeer.app.views.outcome import DayOutcome, Refusal
from flexpeer.market.activation import Confirmation
from flexpeer.market.trades import Trade
from flexpeer.quantities import MINOR_PER_MAJOR, decimal_text, major

Row = Sequence[object]

TABLES: dict[str, tuple[str, ...]] = {
    "trades.csv": (
        "trade", "order_buy", "order_sell", "congestion_point", "from", "to", "quantity_buy_w", "quantity_sell_w",
        "price", "amount", "phase", "buyer", "seller",
    ),
    "refusals.csv": ("order", "reason", "owner", "element", "from", "headroom", "granted_w", "detail"),
    "orders.csv": (
        "order", "arrival", "organisation", "status", "filled_w", "left_w", "trades", "reason", "owner", "element",
        "from", "headroom_w", "detail",
    ),
    "confirmations.csv": (
        "trade", "organisation", "order", "resource", "side", "from", "to", "quantity_w", "price", "remuneration",
        "phase", "price_of",
    ),
    "schedules.csv": ("resource", "from", "before_w", "after_w", "start_w"),
    "settlement.csv": ("account_kind", "organisation", "trade", "kind", "amount", "invoiced"),
    "deliveries.csv": (
        "resource", "regulation", "from", "baseline_w", "ordered_w", "delivered_w", "metered_w", "payable_percent",
    ),
    "needs.csv": ("congestion_point", "element", "direction", "dso", "from", "need_w", "residual_need_w"),
}  # fmt: skip


def write_results(outcome: DayOutcome, result: dict[str, Any], report: str, folder: Path) -> None:
    """Write everything but the log into an existing folder."""
    rows = rows_of(outcome)
    for name in TABLES:
        _write_table(name, rows[name], folder)
    (folder / "result.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(report, encoding="utf-8")


def rows_of(outcome: DayOutcome) -> dict[str, Iterable[Row]]:
    """The rows of every table, by file, as `TABLES` has their columns; made when they are asked for."""
    return {
        "trades.csv": (_trade(outcome, trade) for trade in _in_log_order(outcome)),
        "refusals.csv": (_refusal(outcome, refusal) for refusal in outcome.refusals),
        "orders.csv": (_order(outcome, line) for line in outcome.orders),
        "confirmations.csv": (_confirmation(outcome, c) for c in outcome.state.activations.confirmations),
        "schedules.csv": _schedules(outcome),
        "settlement.csv": _settlement(outcome),
        "deliveries.csv": _deliveries(outcome),
        "needs.csv": _needs(outcome),
    }


def dso_tables(outcome: DayOutcome, dso: str, home: Mapping[str, str]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """What concerns the FSPs of one DSO, rows by table; `home` is the DSO of each resource."""
    members = outcome.scenario.portfolios
    confirmed = (
        _confirmation(outcome, c)
        for c in outcome.state.activations.confirmations
        if home.get(members.get(c.unit, (c.unit,))[0], c.unit) == dso
    )
    schedules = (row for row in _schedules(outcome) if home[str(row[0])] == dso)
    tables = {"confirmations.csv": confirmed, "schedules.csv": schedules}
    return [(name, [tuple(map(str, row)) for row in rows]) for name, rows in tables.items()]


def write_dso_tables(tables: Mapping[str, Iterable[Row]], folder: Path) -> None:
    """Those of `dso_tables`, into an existing folder."""
    for name in ("confirmations.csv", "schedules.csv"):
        _write_table(name, tables.get(name, ()), folder)


def _write_table(name: str, rows: Iterable[Row], folder: Path) -> None:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TABLES[name])
        writer.writerows(rows)


def _in_log_order(outcome: DayOutcome) -> list[Trade]:
    return sorted(outcome.state.trades.trades.values(), key=lambda t: (t.match, len(t.trade), t.trade))


def _trade(outcome: DayOutcome, trade: Trade) -> Row:
    leg, day = trade.leg, outcome.scenario.day
    return (
        trade.trade, leg.buy, leg.sell, trade.zone, day.local(leg.span.first), day.local(leg.span.end),
        leg.quantity_buy_w, leg.quantity_sell_w, _price(leg.price_minor),
        decimal_text(major(trade.amount(day.mtu_minutes))), trade.phase, trade.buyer or "", trade.seller or "",
    )  # fmt: skip


def _price(price_minor: int) -> str:
    sign, (whole, rest) = "-" if price_minor < 0 else "", divmod(abs(price_minor), MINOR_PER_MAJOR)
    return f"{sign}{whole}.{rest:02}" if rest else f"{sign}{whole}"


def _refusal(outcome: DayOutcome, refusal: Refusal) -> Row:
    when = "" if refusal.mtu is None else outcome.scenario.day.local(refusal.mtu)
    headroom = "" if refusal.headroom_w is None else refusal.headroom_w
    return (
        refusal.subject, refusal.reason, refusal.owner, refusal.element, when, headroom, refusal.quantity_w,
        refusal.detail,
    )  # fmt: skip


def _order(outcome: DayOutcome, line: OrderLine) -> Row:
    when = None if line.mtu is None else outcome.scenario.day.local(line.mtu)
    row = line._replace(mtu=None)._asdict() | {"mtu": when}
    return tuple("" if value is None else value for value in row.values())


def _confirmation(outcome: DayOutcome, c: Confirmation) -> Row:
    span, day = outcome.state.trades.trades[c.trade].leg.span, outcome.scenario.day
    return (
        c.trade, c.organisation, c.order, c.unit, c.side, day.local(span.first), day.local(span.end), c.quantity_w,
        _price(c.price_minor), decimal_text(major(c.remuneration)), c.phase,
        c.phase.price_of,
    )  # fmt: skip


def _schedules(outcome: DayOutcome) -> Iterable[Row]:
    day = outcome.scenario.day
    times = [day.local(mtu) for mtu in range(day.mtu_count)]
    for name, before in outcome.before_w.items():
        columns = zip(times, before, outcome.after_w[name], outcome.start_w[name], strict=True)
        yield from ((name, *column) for column in columns)


def _settlement(outcome: DayOutcome) -> Iterable[Row]:
    """Every posting, exact, then a line per account with what it is invoiced (positive to receive)."""
    settlements = outcome.state.settlements
    for posting in settlements.postings:
        account, amount = posting.account, decimal_text(major(posting.amount))
        yield account.kind, account.organisation, posting.trade, posting.kind, amount, ""
    for account, minor in settlements.balances_minor().items():
        yield account.kind, account.organisation, "", f"invoice {settlements.revision}", "", _price(minor)


def _deliveries(outcome: DayOutcome) -> Iterable[Row]:
    """Every MTU in which a verified resource had sold something, by direction."""
    day = outcome.scenario.day
    for name, verified in sorted(outcome.state.activations.deliveries.items()):
        for delivery in verified.deliveries:
            for mtu, ordered in enumerate(delivery.ordered_w):
                metered = delivery.metered_w[mtu]
                if ordered:
                    yield (
                        name, delivery.regulation, day.local(mtu), verified.baseline_w[mtu], ordered,
                        delivery.delivered_w[mtu], "" if metered is None else metered,
                        decimal_text(Decimal(delivery.payable_ppm[mtu]).scaleb(-4)),
                    )  # fmt: skip


def _needs(outcome: DayOutcome) -> Iterable[Row]:
    day = outcome.scenario.day
    for point in outcome.points:
        p = point.point
        for mtu, (need, left) in enumerate(zip(point.need_w, point.residual_need_w, strict=True)):
            yield p.congestion_point, p.element, p.direction, p.dso, day.local(mtu), need, left

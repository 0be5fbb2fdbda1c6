"""The rows of `orders.csv`: orders, and what their senders change of them later in the file."""

from collections.abc import Iterator

from msgspec.structs import replace

from flexpeer.adapters.scenario_files.layouts import AMEND, ORDERS, PLACE
from flexpeer.adapters.scenario_files.tables import BAD, Table
from flexpeer.adapters.scenario_files.times import FoundRow
from flexpeer.app.scenario import OrderRow

OF_EVERY_ROW = ("order", "arrival", "action")
OF_AN_ORDER = ("resource", "side", "from", "to", "quantity_w", "price")
AMENDED = ("quantity_w", "price")


def order_rows(table: Table) -> tuple[OrderRow, ...]:
    """The rows of a table without findings; those that change an order have what they leave as it was before."""
    columns = {name: table.column(name) for name in ORDERS.names}
    columns["time_in_force"] = [each or "day" for each in columns["time_in_force"]]
    rows = map(OrderRow, *columns.values())
    if not _changing(table):
        return tuple(rows)
    found: list[OrderRow] = []
    known: dict[str, OrderRow] = {}
    for row in rows:
        known[row.order] = row if row.action == PLACE else _changed(known[row.order], row)
        found.append(known[row.order])
    return tuple(found)


def said_with(action: str) -> tuple[str, ...]:
    """The columns that a row with this action may fill."""
    if action == PLACE:
        return ORDERS.names
    return (*OF_EVERY_ROW, *AMENDED) if action == AMEND else OF_EVERY_ROW


def _changed(before: OrderRow, row: OrderRow) -> OrderRow:
    given = {name: getattr(row, name) for name in ("quantity_w", "price_minor") if getattr(row, name) is not None}
    return replace(before, arrival=row.arrival, action=row.action, **given)


def _changing(table: Table) -> bool:
    """Whether some row changes an order."""
    return any(action != PLACE for action in set(table.column("action")))


def _arrivals(table: Table) -> Iterator[FoundRow]:
    arrivals = table.column("arrival")
    for line, before, arrival in zip(table.lines[1:], arrivals, arrivals[1:], strict=False):
        if before is not BAD and arrival is not BAD and arrival <= before:
            yield line, "arrival", f"{arrival} does not follow {before}", "a whole number above that of the row before"


def _whole_orders(table: Table) -> Iterator[FoundRow]:
    """An order says all that one needs."""
    for column in ORDERS.columns:
        values = table.column(column.name)
        if column.name not in OF_AN_ORDER or None not in values:
            continue
        for line, action, value in zip(table.lines, table.column("action"), values, strict=True):
            if value is None and action == PLACE:
                yield line, column.name, "the cell is empty", column.expected


def _changes(table: Table) -> Iterator[FoundRow]:
    """An amendment says quantity or price or both, a withdrawal nothing; of the rest neither can change anything."""
    if not _changing(table):
        return
    columns = zip(*map(table.column, ORDERS.names), strict=True)
    for line, values in zip(table.lines, columns, strict=True):
        row = dict(zip(ORDERS.names, values, strict=True))
        action = row["action"]
        if action in (PLACE, BAD):
            continue
        if action == AMEND and all(row[name] is None for name in AMENDED):
            yield line, "quantity_w", "there is neither quantity_w nor price", "what is amended: one of them or both"
        for name, value in row.items():
            if value not in (None, BAD) and name not in said_with(action):
                yield line, name, f"a row with action {action} has no {name}", "nothing"


def _placed_once(table: Table) -> Iterator[FoundRow]:
    """An order is placed once, and changed only afterwards."""
    orders = table.column("order")
    changing = _changing(table)
    if not changing and len(set(orders)) == len(orders):
        return
    judged = changing and not table.partial and BAD not in (*orders, *table.column("action"))
    placed: dict[str, int] = {}
    for line, order, action in table.rows("order", "action"):
        if action != PLACE:
            if judged and order not in placed:
                yield line, "order", f"no row above places order {order}", "the id of an order placed before"
        elif placed.setdefault(order, line) != line:
            yield line, "order", f"order {order} is already on line {placed[order]}", "each once"


ORDER_CHECKS = (_arrivals, _whole_orders, _changes, _placed_once)

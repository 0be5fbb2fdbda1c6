"""Many orders in one body: a JSON array, or `orders.csv` as a scenario has it; each line stands or falls alone."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from flexpeer.api.declining import Declined, denied
from flexpeer.api.edge import csv_table, malformed
from flexpeer.api.units import WATTS_PER_MW
from flexpeer.wire.api import ImportedChange, OrderRequest, ValidationError
from flexpeer.wire.api_problems import Denial

MOST_ROWS = 100_000
REQUIRED = ("order", "resource", "side", "from", "to", "quantity_w", "price")
OPTIONAL = ("arrival", "action", "congestion_point", "regulation", "min_quantity_w", "time_in_force")
TIMES_IN_FORCE = {"": "Day", "day": "Day", "fak": "FaK", "fok": "FoK"}


class ImportRow(NamedTuple):
    """One order, or what changes it, and where it stands: a line of the file, or its place in the array from 1."""

    line: int
    wanted: OrderRequest | ImportedChange | Declined


def json_rows(body: bytes) -> list[ImportRow]:
    """The orders of an array; declined if it is none. Mostly all of it is orders: then it is read once."""
    try:
        orders = msgspec.json.decode(body, type=list[OrderRequest])
        _not_too_many(len(orders))
        return [ImportRow(*numbered) for numbered in enumerate(orders, 1)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _each(body)


def _each(body: bytes) -> list[ImportRow]:
    try:
        parts = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error
    _not_too_many(len(parts))
    return [ImportRow(number, _decoded(part)) for number, part in enumerate(parts, 1)]


def _decoded(part: msgspec.Raw) -> OrderRequest | ImportedChange | Declined:
    try:
        if b'"action"' in bytes(part):
            return msgspec.json.decode(part, type=ImportedChange)
        return msgspec.json.decode(part, type=OrderRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return malformed(str(error))


def csv_rows(body: bytes, market_id: str | None) -> list[ImportRow]:
    """The orders of a file for the market named in the query; declined if its header is none."""
    if market_id is None:
        missing = ValidationError("marketId", "missing in the query", None)
        raise denied(Denial.MALFORMED, "a CSV file is for the market that the query names", [missing])
    names, rows = csv_table(body)
    _known_header(names)
    _not_too_many(len(rows))
    return [ImportRow(line, _converted(row, market_id)) for line, row in rows]


def _not_too_many(count: int) -> None:
    if count > MOST_ROWS:
        raise denied(Denial.TOO_LARGE, "{count} orders; at most {most}", count=count, most=MOST_ROWS)


def _known_header(names: list[str]) -> None:
    wrong = [ValidationError(name, "unknown column") for name in names if name not in REQUIRED + OPTIONAL]
    wrong += [ValidationError(name, "missing column") for name in REQUIRED if name not in names]
    if wrong:
        raise denied(Denial.MALFORMED, "the header is not that of orders.csv", wrong)


def _converted(row: Mapping[str, Any], market_id: str) -> OrderRequest | ImportedChange | Declined:
    if None in row or None in row.values():
        return malformed("the row has another number of fields than the header")
    action = row.get("action") or "place"
    try:
        if action != "place":
            return msgspec.convert(_change(row, action, market_id), ImportedChange)
        return msgspec.convert(_fields(row, market_id), OrderRequest)
    except msgspec.ValidationError as error:
        return malformed(str(error))
    except (InvalidOperation, LookupError):
        return malformed("a quantity or price is no number, or time_in_force none of day, fak, fok")


def _change(row: Mapping[str, str], action: str, market_id: str) -> dict[str, Any]:
    points = [_point(row)] if action == "amend" else None
    return {"action": action, "id": row["order"], "marketId": market_id, "pricePoints": points}


def _point(row: Mapping[str, str]) -> dict[str, Decimal]:
    return {"quantity": Decimal(row["quantity_w"]) / WATTS_PER_MW, "unitPrice": Decimal(row["price"])}


def _fields(row: Mapping[str, str], market_id: str) -> dict[str, Any]:
    minimum = row.get("min_quantity_w", "")
    return {
        "id": row["order"],
        "marketId": market_id,
        "portfolioId": row["resource"],
        "side": row["side"].capitalize(),
        "periodFrom": row["from"],
        "periodTo": row["to"],
        "pricePoints": [_point(row)],
        "flexibilityZoneId": row.get("congestion_point") or None,
        "regulationType": row.get("regulation", "").capitalize() or None,
        "minimumAcceptanceQuantity": Decimal(minimum) / WATTS_PER_MW if minimum else None,
        "timeInForce": TIMES_IN_FORCE[row.get("time_in_force", "").lower()],
    }

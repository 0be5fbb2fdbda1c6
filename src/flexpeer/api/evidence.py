"""Evidence of a day in one file: what the caller may see as CSV and JSON, and the signed heads of the log."""

import asyncio
import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from flexpeer.api.documents import (
    activation_document,
    confirmation_document,
    dsos_of,
    order_owned,
    settlement_document,
    trade_document,
    trade_owned,
    verdict_document,
)
from flexpeer.api.edge import Answer, Asked, Route, encode
from flexpeer.api.operating import Heads
from flexpeer.api.outcomes import accounts_of, orders_of, seen_sides
from flexpeer.api.permissions import Action, Caller, Owned, Permission, may
from flexpeer.api.service import ServedDay
from flexpeer.api.zones import zone_documents
from flexpeer.wire.api_operations import EvidenceQuery
from flexpeer.wire.heads import SignedHead

MEDIA = "application/zip"
NO_TIME = (1980, 1, 1, 0, 0, 0)
"""What a file of the archive says of its time: nothing, so that the same evidence is the same bytes."""
ABOUT = """Evidence of {market} for {caller}, as of event {events} of the log (state {state}).

Each table is here as CSV and as JSON. heads.json has the heads of the log at every stage, signed by the market
operator: whoever has the log can tell with them that nothing was changed since (docs/how-to/check-an-operator.md).
Quantities are MW (injection positive), prices major units per MWh, instants UTC.
"""
Tables = dict[str, Sequence[msgspec.Struct]]


class Evidence:
    """The one route; `heads` are the signed ones by market."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads

    async def read(self, asked: Asked) -> Answer:
        """A ZIP archive."""
        served = asked.day(asked.query.market_id)
        heads = self._heads(served.market_id)
        tables = await asyncio.to_thread(_tables, asked, served)
        content = await asyncio.to_thread(_archive, asked.caller, served, tables, heads)
        name = f'attachment; filename="evidence-{served.market_id}.zip"'
        return Answer(200, content, {"Content-Disposition": name}, MEDIA)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its own."""
        return (
            Route(
                "GET", "/api/Evidence", Action.READ_TRADES, self.read, "A day's evidence in one file",
                {200: None}, query=EvidenceQuery, media=MEDIA,
            ),
        )  # fmt: skip


def _tables(asked: Asked, served: ServedDay) -> Tables:
    """What the caller sees of a day, by the name of its table."""
    name, state, published = served.market_id, served.published.state, served.published
    people = state.participants

    def sees(*owned: Owned) -> bool:
        return asked.sees(*owned)

    trades = [(trade, seen_sides(asked, trade_owned(state, trade))) for trade in state.trades.trades.values()]
    return {
        "points": list(zone_documents(name, state, asked.caller.organisation)),
        "trades": [trade_document(name, state, trade, sides) for trade, sides in trades if sides],
        "verdicts": [
            verdict_document(name, state, answered, seen)
            for answered in list(published.answers)
            if (seen := _seen_orders(state, orders_of(answered.match), sees))
        ],
        "confirmations": [
            confirmation_document(name, state, told)
            for told in state.activations.confirmations
            if sees(Owned(told.organisation, dsos_of(people, told.unit)))
        ],
        "activations": [
            activation_document(name, state, unit)
            for unit in sorted(state.activations.schedules_w)
            if sees(Owned(people.resources[unit].organisation, (people.resources[unit].dso,)))
        ],
        "settlement": [
            settlement_document(name, state, account)
            for account in sorted(accounts_of(state))
            if _may_settle(asked.caller, account.organisation)
        ],
    }


def _seen_orders(state: Any, names: Sequence[str], sees: Callable[..., bool]) -> list[str]:
    known = [name for name in names if name in state.orders.orders]
    return [name for name in known if sees(order_owned(state, state.orders.orders[name]))]


def _may_settle(caller: Caller, organisation: str) -> bool:
    return may(caller, Action.READ_SETTLEMENT, Owned(organisation)) is Permission.ALLOWED


def _archive(caller: Caller, served: ServedDay, tables: Tables, heads: Sequence[SignedHead]) -> bytes:
    files = {f"{name}.json": encode(rows) for name, rows in tables.items()}
    files |= {f"{name}.csv": _csv(rows) for name, rows in tables.items()}
    files["heads.json"] = encode(heads)
    about = {
        "market": served.market_id,
        "caller": caller.organisation,
        "events": heads[-1].n if heads else 0,
        "state": heads[-1].hash if heads else "not signed yet",
    }
    files["README.txt"] = ABOUT.format(**about).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, NO_TIME), files[name])
    return content.getvalue()


def _csv(rows: Sequence[msgspec.Struct]) -> bytes:
    """A table with a column for each field; what has parts of its own is JSON in its cell."""
    plain = [msgspec.to_builtins(row, builtin_types=(), enc_hook=str) for row in rows]
    names = list(dict.fromkeys(name for row in plain for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    for row in plain:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return encode(value).decode() if isinstance(value, list | tuple | dict) else value

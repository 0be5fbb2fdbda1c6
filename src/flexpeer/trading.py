"""`flexpeer order`, `book`, `trades` and `settlement`: the SDK as commands, for one organisation of a served market."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

import msgspec
import typer
from rich.table import Table

from flexpeer.adapters.json_files import read_json
from flexpeer.errors import BadInput, Finding, Unusable, bad_input
from flexpeer.loading import when_used
from flexpeer.narration import titled
from flexpeer.terminal import AsJson, say, show
from flexpeer.wire.api import (
    OrderChange,
    OrderDocument,
    OrderRequest,
    PublicOrderDocument,
    QuantityPricePoint,
    RegulationWord,
    SideWord,
    TimeInForceWord,
)

if TYPE_CHECKING:
    from flexpeer import sdk
else:
    sdk = when_used("flexpeer.sdk")

T = TypeVar("T")
ENCODER = msgspec.json.Encoder(decimal_format="number")
HERE = "http://127.0.0.1:8080"
AGAIN_S, POSTINGS_SHOWN = 1.0, 4

Url = Annotated[str, typer.Option("--url", envvar="FLEXPEER_URL", help="Where the market is served.")]
Credentials = Annotated[
    Path,
    typer.Option(
        "--credentials", envvar="FLEXPEER_CREDENTIALS", help="The file that flexpeer serve wrote, or one's part."
    ),
]
As = Annotated[str, typer.Option("--as", envvar="FLEXPEER_ORGANISATION", help="The organisation that asks.")]
MarketId = Annotated[str | None, typer.Option("--market", help="Delivery day; the latest if none is named.")]

order_app = typer.Typer(help="Place, list, amend and withdraw orders in a served market.", no_args_is_help=True)
book_app = typer.Typer(help="Look at the public order book of a served market.", no_args_is_help=True)


class OwnCredentials(msgspec.Struct, frozen=True):
    """An organisation's client, of the credentials file."""

    client_id: str
    client_secret: str


class CredentialsOfAll(msgspec.Struct, frozen=True):
    """The file that `flexpeer serve` writes when it makes a market; of others' parts nothing is needed."""

    organisations: dict[str, OwnCredentials]


class MarketAddress(NamedTuple):
    """A market, as one organisation reaches it."""

    client: "sdk.Client"
    market_id: str

    def all(self, listing: "sdk.Listing[T]") -> list[T]:
        """Every item of a list."""
        return list(self.client.all(listing))


@contextmanager
def market(url: str, credentials: Path, organisation: str, market_id: str | None) -> Iterator[MarketAddress]:
    """The market that is meant; `BadInput` for whatever the service refuses, with what it would have accepted."""
    known = read_json(credentials, CredentialsOfAll, "credentials", "holds none", "what flexpeer serve wrote")
    own = known.organisations.get(organisation)
    if own is None:
        expected = ", ".join(sorted(known.organisations)) or "an organisation"
        raise bad_input(str(credentials), f"{organisation!r} is not in it", expected, field="--as")
    with sdk.Client(url, own.client_id, own.client_secret) as client:
        try:
            days = [day.id for day in client.all(sdk.markets())]
            if market_id is not None and market_id not in days:
                raise bad_input(url, f"there is no market of {market_id}", ", ".join(days), field="--market")
            yield MarketAddress(client, market_id or max(days))
        except sdk.Refused as refused:
            raise BadInput(list(_findings(url, refused))) from refused
        except sdk.Unreachable as error:
            raise Unusable(url, "does not answer", "a market that is served there") from error


def _findings(url: str, refused: "sdk.Refused") -> Iterable[Finding]:
    problem = refused.problem
    for each in problem.validation_errors:
        yield Finding(url, 0, each.property, each.message, problem.accepted)
    if not problem.validation_errors:
        yield Finding(url, 0, problem.reason, problem.detail, problem.accepted)


def _decimal(text: str, field: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise bad_input("order", f"{text!r} is no number", "digits with a decimal point", field=field) from error


def _told(document: msgspec.Struct | Sequence[msgspec.Struct], as_json: bool, table: Table) -> None:
    if not as_json:
        show(table)
        return
    say(ENCODER.encode({"items": document} if isinstance(document, list) else document).decode())


@order_app.command("place")
def place(  # noqa: PLR0913, PLR0917 - what an order has
    resource: Annotated[str, typer.Argument(help="The resource or portfolio; a DSO's own name for its purchase.")],
    side: Annotated[SideWord, typer.Argument(case_sensitive=False)],
    begins: Annotated[str, typer.Option("--from", help="ISO 8601 with offset.")],
    ends: Annotated[str, typer.Option("--to", help="ISO 8601 with offset.")],
    quantity: Annotated[str, typer.Option(help="MW, resource side.")],
    price: Annotated[str, typer.Option(help="Per MWh of the resource, in the market's currency.")],
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    order_id: Annotated[str | None, typer.Option("--id", help="One's own name for it.")] = None,
    zone: Annotated[str | None, typer.Option(help="The one congestion point it is for.")] = None,
    regulation: Annotated[RegulationWord | None, typer.Option(case_sensitive=False)] = None,
    minimum: Annotated[str | None, typer.Option(help="MW that must be accepted at least.")] = None,
    time_in_force: Annotated[TimeInForceWord, typer.Option(case_sensitive=False)] = TimeInForceWord.DAY,
    as_json: AsJson = False,
) -> None:
    """Place an order; it stands when this returns. Exit 2 with what would have been accepted if it is refused."""
    point = QuantityPricePoint(_decimal(quantity, "--quantity"), _decimal(price, "--price"))
    least = None if minimum is None else _decimal(minimum, "--minimum")
    with market(url, credentials, organisation, market_id) as there:
        wanted = OrderRequest(
            there.market_id, side, begins, ends, (point,), id=order_id,
            portfolio_id=None if resource == organisation else resource, regulation_type=regulation,
            minimum_acceptance_quantity=least, flexibility_zone_id=zone, time_in_force=time_in_force,
        )  # fmt: skip
        placed = there.client.send(sdk.place(wanted, order_id))
    _told(placed, as_json, _orders([placed]))


@order_app.command("list")
def list_orders(
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    as_json: AsJson = False,
) -> None:
    """One's own orders by arrival; a DSO's also those of the resources it connects."""
    with market(url, credentials, organisation, market_id) as there:
        found = there.all(sdk.orders(there.market_id))
    _told(found, as_json, _orders(found))


@order_app.command("amend")
def amend(  # noqa: PLR0913 - what may be changed
    order_id: Annotated[str, typer.Argument(help="The order.")],
    quantity: Annotated[str, typer.Option(help="MW in all, what is filled included.")],
    price: Annotated[str, typer.Option(help="Per MWh of the resource.")],
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    as_json: AsJson = False,
) -> None:
    """Another quantity and price; only a lower quantity at the same price keeps its place."""
    change = OrderChange((QuantityPricePoint(_decimal(quantity, "--quantity"), _decimal(price, "--price")),))
    with market(url, credentials, organisation, market_id) as there:
        changed = there.client.send(sdk.amend(order_id, change, there.market_id))
    _told(changed, as_json, _orders([changed]))


@order_app.command("withdraw")
def withdraw(
    order_id: Annotated[str, typer.Argument(help="The order.")],
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    as_json: AsJson = False,
) -> None:
    """Take what is left of an order out of the book."""
    with market(url, credentials, organisation, market_id) as there:
        there.client.send(sdk.withdraw(order_id, there.market_id))
        left = there.client.send(sdk.order(order_id, there.market_id))
    _told(left, as_json, _orders([left]))


def _orders(found: Sequence[OrderDocument]) -> Table:
    columns = ("order", "no.", "resource", "side", "from", "to", "MW", "filled, MW", "price", "status")
    table = titled("Orders (resource side)", *columns)
    for each in found:
        for point in each.price_points:
            status = str(each.completion_type or each.status)
            table.add_row(
                each.id, str(each.arrival), each.portfolio_id or each.owner_organization_id, str(each.side),
                each.period_from, each.period_to, f"{point.quantity:f}", f"{each.filled_quantity:f}",
                f"{point.unit_price:f}", status,
            )  # fmt: skip
    return table


@book_app.command("watch")
def watch(
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    once: Annotated[bool, typer.Option("--once", help="Show it as it is, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """The open orders of everybody, without names; shown again when they have changed, until interrupted."""
    with market(url, credentials, organisation, market_id) as there:
        listing = sdk.public_orders(there.market_id)
        found = there.all(listing)
        _told(found, as_json, _book(found))
        if once:
            return
        while True:
            time.sleep(AGAIN_S)
            now = there.all(listing)
            if now != found:
                found = now
                _told(found, as_json, _book(found))


def _book(found: Sequence[PublicOrderDocument]) -> Table:
    table = titled("Open orders (resource side)", "side", "regulation", "from", "to", "MW", "price", "congestion point")
    for each in sorted(found, key=lambda o: (o.period_from, o.period_to, o.side, o.unit_price)):
        table.add_row(
            str(each.side), str(each.regulation_type or ""), each.period_from, each.period_to, f"{each.quantity:f}",
            f"{each.unit_price:f}", each.flexibility_zone_id or "any",
        )  # fmt: skip
    return table


def trades(
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    as_json: AsJson = False,
) -> None:
    """One's own trades, in the order in which they were concluded."""
    with market(url, credentials, organisation, market_id) as there:
        found = there.all(sdk.trades(there.market_id))
    table = titled("Trades (resource side)", "trade", "order", "side", "from", "to", "MW", "price", "amount", "point")
    for each in found:
        table.add_row(
            each.id, each.order_id, str(each.side), each.period_from, each.period_to, f"{each.quantity:f}",
            f"{each.unit_price:f} ({each.price_of})", f"{each.amount:f}", each.flexibility_zone_id or "",
        )  # fmt: skip
    _told(found, as_json, table)


def settlement(
    credentials: Credentials,
    organisation: As,
    *,
    url: Url = HERE,
    market_id: MarketId = None,
    as_json: AsJson = False,
) -> None:
    """What one's account stands at, and what that is made of."""
    with market(url, credentials, organisation, market_id) as there:
        found = there.all(sdk.settlement(there.market_id))
    table = titled("Settlement", "account", "revision", "receives (pays)", "currency", "what it is made of")
    for each in found:
        made_of = ", ".join(f"{posting.kind} {posting.amount:f}" for posting in each.postings[:POSTINGS_SHOWN])
        more = len(each.postings) - POSTINGS_SHOWN
        whose = each.owner_organization_id or each.account
        told = made_of + (f", {more} more" if more > 0 else "")
        table.add_row(whose, str(each.revision), f"{each.amount:f}", each.currency, told)
    _told(found, as_json, table)

"""Days without a grid, written down as data and run through the public path."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day
from flexpeer.app.scenario import CongestionPointRow, OrderRow, OrganisationRow, Profile, ResourceRow, Scenario
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import Rulebook
from flexpeer.periods import MarketDay
from flexpeer.quantities import MONEY_PER_MAJOR, PPM

DAY = MarketDay(date(2026, 2, 10), "Europe/Stockholm", 60)
MW = 1_000_000


class NoWatch:
    """Times nothing."""

    @contextmanager
    def stage(self, _name: str, /) -> Iterator[None]:
        """Nothing."""
        yield

    def progress(self, done: int, total: int) -> None:
        """Nothing."""

    def timings_s(self) -> dict[str, float]:
        """Nothing."""
        return {}


def hour_of(hour: int, watts: int, day: MarketDay = DAY) -> Profile:
    """Watts in one MTU, nothing in the others."""
    return Profile(tuple(watts if mtu == hour else 0 for mtu in range(day.mtu_count)), (0,) * day.mtu_count)


def order(name: str, arrival: int, unit: str, side: str, megawatts: float, price: float, hour: int) -> OrderRow:
    """An order of one hour; price in major units per MWh."""
    begins = DAY.instant(hour)
    return OrderRow(name, arrival, unit, side, begins, begins + 60, round(megawatts * MW), round(price * 100), "CP")


def scenario(
    resources: tuple[ResourceRow, ...],
    forecast: Mapping[str, Profile],
    point: tuple[str, int],
    factors: Mapping[str, int],
    orders: tuple[OrderRow, ...],
    rulebook: Rulebook,
) -> Scenario:
    """A day with one congestion point (direction, limit in W); every resource has its own FSP."""
    owners = sorted({resource.fsp for resource in resources})
    day = DAY
    return Scenario(
        name="a case worked by hand",
        day=day,
        currency="SEK",
        grid_source=None,
        rulebook=rulebook,
        alternative=Alternative(temporary_subscription=Decimal(260), overdraw=Decimal(2800)),
        costs=Costs(),
        organisations=(
            OrganisationRow("DSO", "REGIONAL_DSO", None),
            *(OrganisationRow(o, "FSP", None) for o in owners),
        ),
        areas={},
        resources=resources,
        portfolios={},
        bus_forecast={},
        resource_forecast=dict(forecast),
        congestion_points=(CongestionPointRow("CP", "transformer", point[0], point[1], None, None),),
        impact_ppm={"CP": {r.resource: (factors.get(r.resource, PPM),) * day.mtu_count for r in resources}},
        obligations_w=None,
        outages=(),
        orders=orders,
        meter_w=None,
    )


def run(given: Scenario) -> DayOutcome:
    """The day, from forecast to report."""
    return Day(given, MemoryLog(), NoWatch()).run()


def trades(outcome: DayOutcome) -> list[tuple[str, str, int, int, int]]:
    """Buyer's unit, seller's unit, what each moves (W), price (major units); in order of the log."""
    concluded = sorted(
        outcome.state.trades.trades.values(), key=lambda trade: [int(part) for part in trade.trade[1:].split(".")]
    )
    legs = [trade.leg for trade in concluded]
    return [
        (leg.buy_unit, leg.sell_unit, leg.quantity_buy_w, leg.quantity_sell_w, leg.price_minor // 100) for leg in legs
    ]


def balances(outcome: DayOutcome) -> dict[str, Decimal]:
    """What every organisation gets, in major units, the market's own accounts by their kind.

    Checked against the exact postings.
    """
    state = outcome.state.settlements
    exact = state.exact()
    invoiced = {account: Decimal(minor) / 100 for account, minor in state.balances_minor().items()}
    assert sum(exact.values()) == 0
    assert sum(invoiced.values()) == 0
    for account, amount in exact.items():
        assert abs(Decimal(amount) / MONEY_PER_MAJOR - invoiced[account]) < Decimal("0.01")
    return {account.organisation or str(account.kind): amount for account, amount in invoiced.items()}

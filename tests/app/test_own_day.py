"""What an organisation sees of a day: all of its own, and nothing of anybody else."""

import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.cases.days import DAY, MW, hour_of, order, run, scenario

from flexpeer.adapters.organisation_files import own_rows
from flexpeer.app.scenario import OrganisationRow, ResourceRow
from flexpeer.app.views.obstacles import GRID_LIMIT, NO_COUNTERPARTY
from flexpeer.app.views.orders import OrderStatus
from flexpeer.app.views.outcome import DayOutcome, Refusal
from flexpeer.app.views.own_day import OwnDay, own_days
from flexpeer.app.views.remaining import remaining
from flexpeer.market.matching.meetings import Obstacle
from flexpeer.market.reasons import EXPECTED, Reason
from flexpeer.market.rulebook import Rulebook
from flexpeer.quantities import MONEY_PER_MAJOR
from flexpeer.web.organisation import OrganisationPages

HOUR = 10
OWN = {"Windy Hill": ("Turbine-1", "Turbine-9"), "Breezy Bay": ("Turbine-2",), "Hot Water": ("Kettle-3",)}
ORDERS = {"Windy Hill": ("Ord-301", "Ord-304"), "Breezy Bay": ("Ord-302",), "Hot Water": ("Ord-303",)}
TIMES = [DAY.local(mtu) for mtu in range(DAY.mtu_count + 1)]


@pytest.fixture(scope="module")
def outcome() -> DayOutcome:
    resources = (
        ResourceRow("Turbine-1", "Windy Hill", "n", "wind", 0, 40 * MW, conditional=True),
        ResourceRow("Turbine-9", "Windy Hill", "n", "wind", 0, 10 * MW),
        ResourceRow("Turbine-2", "Breezy Bay", "n", "wind", 0, 30 * MW, conditional=True),
        ResourceRow("Kettle-3", "Hot Water", "n", "boiler", -5 * MW, 0),
    )
    forecast = {"Turbine-1": hour_of(HOUR, 40 * MW), "Turbine-2": hour_of(HOUR, 30 * MW)}
    orders = (
        order("Ord-302", 1, "Turbine-2", "SELL", 2, 250, HOUR),
        order("Ord-303", 2, "Kettle-3", "SELL", 3, 180.5, HOUR),
        order("Ord-301", 3, "Turbine-1", "BUY", 4, 420, HOUR),
        order("Ord-304", 4, "Turbine-1", "BUY", 90, 420, HOUR),
    )
    given = scenario(resources, forecast, ("export", 60 * MW), {}, orders, Rulebook(fee_minor_per_mwh=100))
    others = (OrganisationRow("Near Grid", "REGIONAL_DSO", None), OrganisationRow("Ledger", "BRP", None))
    return run(msgspec.structs.replace(given, organisations=(*others, *given.organisations[1:])))


@pytest.fixture(scope="module")
def days(outcome: DayOutcome) -> dict[str, OwnDay]:
    return {day.organisation: day for day in own_days(outcome)}


def test_together_they_see_the_whole_day_once(outcome: DayOutcome, days: dict[str, OwnDay]) -> None:
    assert set(days) == {o.organisation for o in outcome.scenario.organisations}
    assert sorted(o.order for day in days.values() for o in day.orders) == sorted(o.order for o in outcome.orders)
    assert sum(len(day.trades) for day in days.values()) == len(outcome.state.activations.confirmations)
    assert sum(day.invoiced_minor for day in days.values()) == -sum(
        minor for account, minor in outcome.state.settlements.balances_minor().items() if not account.organisation
    )
    left = remaining(outcome)
    owed, still = (
        sum(sum(getattr(each, row)) for day in days.values() for each in day.resources) / MW
        for row in ("owed_w", "left_w")
    )
    assert owed == pytest.approx(float(left.curtailed))
    assert still == pytest.approx(float(left.still_curtailed))
    assert sum(sum(each.left_w) for each in days["Near Grid"].connected) == still * MW


def test_what_the_avoided_curtailment_is_worth(days: dict[str, OwnDay]) -> None:
    """Windy Hill bought 4 of its MWh back, ready to pay 420 each; it paid 2 x 250 + 2 x 180.5."""
    worth = days["Windy Hill"].worth
    assert worth.avoided_wm == 4 * MW * 60
    assert worth.avoided == 4 * 420 * MONEY_PER_MAJOR
    paid = -sum(trade.confirmation.remuneration for trade in days["Windy Hill"].trades)
    assert paid == (2 * 250 + 2 * 180.5) * MONEY_PER_MAJOR
    assert worth.gain == worth.avoided - paid
    assert days["Hot Water"].worth.avoided_wm == 0


def test_a_dso_sees_its_points_and_what_it_connects(outcome: DayOutcome) -> None:
    refusal = Refusal("Ord-301/Ord-303", GRID_LIMIT, "REDUCED", "Near Grid", "bus 7", HOUR, 5, 3)
    seen = {day.organisation: day for day in own_days(replace(outcome, refusals=(*outcome.refusals, refusal)))}
    assert [point.point.congestion_point for point in seen["Near Grid"].points] == ["CP"]
    assert len(seen["Near Grid"].connected) == 4
    assert seen["Near Grid"].refusals == (("bus 7", 0, 1),)
    assert not any((seen["Windy Hill"].points, seen["Windy Hill"].connected, seen["Windy Hill"].refusals))


def _text(day: OwnDay, outcome: DayOutcome) -> str:
    rows = "\n".join(" ".join(map(str, row.values())) for row in own_rows(day, TIMES))
    return f"{rows}\n{OrganisationPages(outcome).render(day)}"


def _of_others(name: str) -> set[str]:
    others = {word for other in OWN if other != name for word in (other, *OWN[other], *ORDERS[other])}
    return others | {"Near Grid", "Ledger"}


EVERY_REASON: list[Any] = ["", GRID_LIMIT, NO_COUNTERPARTY, *Obstacle, *Reason]


@pytest.mark.parametrize("reason", EVERY_REASON)
def test_a_file_of_an_fsp_names_nobody_else(reason: str, outcome: DayOutcome) -> None:
    """Whatever was in the way of each order, and whoever's element or order that was."""
    foreign = {"Windy Hill": "Hot Water", "Breezy Bay": "Windy Hill", "Hot Water": "Breezy Bay"}
    at_door = reason in set(Reason)
    lines = []
    for line in outcome.orders:
        other = foreign[line.organisation]
        detail = f"with {ORDERS[other][0]}: {OWN[other][0]} (Near Grid) has room for 7 W"
        if at_door:
            named = {Reason.NOT_ITS_RESOURCE: other, Reason.NOT_VIA_ITS_DSO: "Near Grid"}.get(Reason(reason), "7 W")
            detail = f"refused at the door: expected {EXPECTED[Reason(reason)]} ({named})"
        status = OrderStatus.REFUSED if at_door else line.status
        told: dict[str, Any] = {
            "reason": reason,
            "owner": other,
            "element": OWN[other][0],
            "mtu": HOUR,
            "headroom_w": 7,
        }
        lines.append(line._replace(status=status, detail=detail, **told))
    told_day = replace(outcome, orders=tuple(lines))
    for day in own_days(told_day):
        if day.organisation in OWN:
            text = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", _text(day, told_day), flags=re.DOTALL)
            found = {word for word in _of_others(day.organisation) if re.search(rf"\b{re.escape(word)}\b", text)}
            assert not found, day.organisation
            assert all(word in text for word in (*OWN[day.organisation][:1], *ORDERS[day.organisation]))


def test_an_order_for_a_resource_of_another_does_not_name_it() -> None:
    resources = (
        ResourceRow("Turbine-1", "Windy Hill", "n", "wind", 0, 40 * MW, conditional=True),
        ResourceRow("Kettle-3", "Hot Water", "n", "boiler", -5 * MW, 0),
    )
    given = scenario(
        resources, {"Turbine-1": hour_of(HOUR, 40 * MW)}, ("export", 30 * MW), {},
        (order("Ord-1", 1, "Kettle-3", "SELL", 1, 100, HOUR),), Rulebook(),
    )  # fmt: skip
    done = run(given)
    line = done.orders[0]._replace(organisation="Windy Hill", status=OrderStatus.REFUSED, reason="not_its_resource")
    seen = {day.organisation: day for day in own_days(replace(done, orders=(line,)))}
    assert seen["Windy Hill"].orders[0].unit == ""
    assert "Kettle-3" not in _text(seen["Windy Hill"], done)

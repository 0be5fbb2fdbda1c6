"""What is written reads back as what it was."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.adapters.scenario_folder import folder_of, swap_hour

from flexpeer.adapters.scenario_files import read_scenario, write_scenario
from flexpeer.app import scenario as data
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import (
    Allocation,
    BaselineMethod,
    DeliveryRule,
    DsoPurchase,
    Exchange,
    Priority,
    Rulebook,
)
from flexpeer.periods import MarketDay, Span

DAYS = [date(2026, 1, 15), date(2026, 3, 29), date(2026, 10, 25)]
NAMES = ["Bus, 7", 'Line "4"', "Ås", "x"]
RESOURCES = ["W1", "W 2", "vind;3"]
watts = st.integers(-(10**11), 10**11)
sizes = st.integers(0, 10**11)
amounts = st.none() | st.decimals(0, 10**9, places=4)


def profiles(count: int, values: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, ...]]:
    """A few different values over a day: mostly the same one."""
    return st.tuples(values, values, st.integers(0, count)).map(
        lambda each: (each[0],) * each[2] + (each[1],) * (count - each[2])
    )


rulebooks = st.builds(
    Rulebook,
    priority=st.sampled_from(Priority),
    exchange=st.sampled_from(Exchange),
    dso_purchase=st.sampled_from(DsoPurchase),
    allocation=st.sampled_from(Allocation),
    need_margin_ppm=st.none() | st.integers(0, 999_999),
    min_quantity_w=st.integers(1, 10**9),
    price_tick_minor=st.integers(1, 10**4),
    price_cap_minor=st.none() | st.integers(-(10**9), 10**9),
    delivery_rule=st.sampled_from(DeliveryRule),
    fee_minor_per_mwh=st.integers(0, 10**6),
)
alternatives = st.builds(
    Alternative,
    overdraw=amounts,
    capex=amounts,
    wacc=st.none() | st.decimals(0, Decimal("0.9"), places=5),
    lifetime_years=st.none() | st.integers(1, 99),
)


@st.composite
def resources(draw: st.DrawFn, name: str) -> data.ResourceRow:
    low, high = sorted((draw(watts), draw(watts)))
    energy = draw(st.none() | sizes)
    return data.ResourceRow(
        resource=name,
        fsp=draw(st.sampled_from(["Region", "Vind"])),
        bus=draw(st.sampled_from(NAMES)),
        kind=draw(st.sampled_from(["wind", ""])),
        p_min_w=low,
        p_max_w=high,
        conditional=draw(st.booleans()),
        agreement_date=draw(st.none() | st.dates()),
        cost_minor=draw(st.none() | st.integers(-(10**12), 10**12)),
        baseline=draw(st.sampled_from(BaselineMethod)),
        energy_wh=energy,
        energy_start_wh=None if energy is None else draw(st.none() | st.integers(0, energy)),
    )


def points(draw: st.DrawFn) -> tuple[data.CongestionPointRow, ...]:
    limit_pu = draw(st.floats(1e-3, 1e6))
    return (
        data.CongestionPointRow("P1", draw(st.sampled_from(NAMES)), "import", draw(sizes), None, None),
        data.CongestionPointRow("P2", "T", draw(st.sampled_from(["high", "low"])), None, limit_pu, "Region"),
    )


def orders(draw: st.DrawFn, start: int) -> tuple[data.OrderRow, ...]:
    row = st.builds(
        data.OrderRow,
        order=st.just(""),
        arrival=st.just(0),
        resource=st.sampled_from([*RESOURCES, "Group", "Region"]),
        side=st.sampled_from(["BUY", "SELL"]),
        start=st.integers(start - 9, start + 2_000),
        end=st.integers(start - 9, start + 2_000),
        quantity_w=watts,
        price_minor=st.integers(-(10**12), 10**12),
        congestion_point=st.sampled_from([None, "P1", "P2"]),
        regulation=st.sampled_from([None, "UP", "DOWN"]),
        min_quantity_w=st.none() | watts,
        time_in_force=st.sampled_from(["day", "fak", "fok"]),
    )
    rows = draw(st.lists(row, max_size=4))
    placed = [replace(each, order=f"O{place}", arrival=3 * place) for place, each in enumerate(rows)]
    changed: list[data.OrderRow] = []
    for place in range(draw(st.integers(0, 3)) if placed else 0):
        before = draw(st.sampled_from([*placed, *changed]))
        latest = next(each for each in [*reversed(changed), *placed] if each.order == before.order)
        action = draw(st.sampled_from(["amend", "withdraw"]))
        asked = {"quantity_w": draw(watts), "price_minor": draw(st.integers(-(10**12), 10**12))}
        more = asked if action == "amend" else {}
        changed.append(replace(latest, arrival=100 + place, action=action, **more))
    return (*placed, *changed)


@st.composite
def scenarios(draw: st.DrawFn) -> data.Scenario:
    day = MarketDay(draw(st.sampled_from(DAYS)), "Europe/Stockholm", draw(st.sampled_from([15, 60])))
    count = day.mtu_count
    some = st.sets(st.sampled_from(RESOURCES), max_size=2)

    def of_some(values: st.SearchStrategy[Any]) -> dict[str, Any]:
        return {name: draw(values) for name in sorted(draw(some))}

    first = draw(st.integers(0, count - 1))
    profile = st.builds(data.Profile, p_w=profiles(count, watts), q_var=profiles(count, watts))
    units = {name: draw(resources(name)) for name in RESOURCES}
    ranges = {name: st.just(0) | st.integers(unit.p_min_w, unit.p_max_w) for name, unit in units.items()}
    factors = {point: of_some(profiles(count, st.integers(-8_000_000, 8_000_000))) for point in ("P1", "P2")}
    history = st.dictionaries(
        st.integers(1, 99).map(lambda hours: day.start - 60 * hours), watts, min_size=1, max_size=3
    )
    metered = draw(st.booleans())
    return data.Scenario(
        name=draw(st.sampled_from(NAMES)),
        day=day,
        currency="EUR",
        grid_source="cigre_mv",
        rulebook=draw(rulebooks),
        alternative=draw(alternatives),
        costs=Costs(per_order=draw(st.decimals(0, 9, places=3))),
        organisations=(
            data.OrganisationRow("Region", "REGIONAL_DSO", None),
            data.OrganisationRow("Vind", "FSP", "Region"),
        ),
        areas=draw(st.dictionaries(st.sampled_from(NAMES), st.just("Region"))),
        resources=tuple(units.values()),
        portfolios={"Group": draw(st.sampled_from([("W1",), ("vind;3", "W1")]))},
        bus_forecast={bus: draw(profile) for bus in draw(st.sets(st.sampled_from(NAMES), max_size=1))},
        resource_forecast={
            name: data.Profile(draw(profiles(count, ranges[name])), draw(profiles(count, watts)))
            for name in sorted(draw(some))
        },
        congestion_points=points(draw),
        impact_ppm=draw(st.sampled_from([None, {point: of for point, of in factors.items() if of}])),
        obligations_w=draw(st.sampled_from([None, of_some(profiles(count, sizes))])),
        outages=(data.OutageRow("Line", Span(first, count), draw(st.none() | sizes)),),
        orders=orders(draw, day.start),
        meter_w=of_some(profiles(count, watts)) if metered else None,
        meter_history_w=of_some(history) if metered else {},
        portfolio_fsp={"Group": "Vind"},
    )


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_reading_what_was_written_gives_the_same(scenario: data.Scenario) -> None:
    with TemporaryDirectory() as folder:
        write_scenario(scenario, Path(folder))
        assert read_scenario(Path(folder)) == scenario


def test_the_grid_file_comes_along_and_old_files_go(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["scenario.toml"] += '[grid]\nsource = "grids/grid.json"\n'
    texts["resources.csv"] = texts["resources.csv"].replace("Vind,,", "Vind,B,").replace("Flex,,", "Flex,B,")
    (tmp_path / "first" / "grids").mkdir(parents=True)
    (tmp_path / "first" / "grids" / "grid.json").write_text("{}")
    first = read_scenario(folder_of(texts, tmp_path / "first"))
    target = folder_of({"meter.csv": "old\n"}, tmp_path / "second")
    write_scenario(first, target, tmp_path / "first" / "grids" / "grid.json")
    assert (target / "grids" / "grid.json").read_text() == "{}"
    assert read_scenario(target) == first

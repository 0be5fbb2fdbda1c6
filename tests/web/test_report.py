"""The page a person reads: whole, self-contained, escaped, and with the numbers of the day."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from time import perf_counter

import msgspec
import numpy as np
import pytest
from tests.cases.days import DAY, MW, hour_of, order, run, scenario
from tests.grid.networks import meshed_network, random_network

from flexpeer.app.scenario import OrderRow, Profile, ResourceRow, Scenario
from flexpeer.app.views.outcome import Congestion, DayOutcome, GridPicture, Refusal
from flexpeer.grid.network import Network
from flexpeer.market.kpi import KpiReport
from flexpeer.market.rulebook import Rulebook
from flexpeer.periods import MarketDay
from flexpeer.web.figures import NARROW, WIDE, Canvas, band, frame_for, steps
from flexpeer.web.grid_layout import NO_PARENT, places, spanning_tree
from flexpeer.web.kpi_rows import DISCLAIMER, kpi_rows
from flexpeer.web.money_figures import money_flows, settlement_rows, shown
from flexpeer.web.report import render_report
from flexpeer.web.resource_figures import lost_w
from flexpeer.web.wording import LocalClock, energy, money, number, readable

VOID = {"meta", "input", "br"}
HOUR, SMALL_DAY_BYTES = 10, 1_500_000
HOSTILE = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """Checks that tags are balanced and collects ids, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.scripts = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def small_day(names: dict[str, str] | None = None) -> Scenario:
    called = (names or {}).get
    w1, w2, boiler = (called(name, name) for name in ("W1", "W2", "boiler"))
    resources = (
        ResourceRow(w1, called("A", "A"), "n", "wind", 0, 40 * MW, conditional=True),
        ResourceRow(w2, "B", "n", called("wind", "wind"), 0, 30 * MW, conditional=True),
        ResourceRow(boiler, "C", "n", "boiler", -5 * MW, 0),
    )
    forecast = {w1: hour_of(HOUR, 40 * MW), w2: hour_of(HOUR, 30 * MW)}
    orders = (
        order("1", 1, w2, "SELL", 2, 250, HOUR),
        order("2", 2, boiler, "SELL", 3, 180.5, HOUR),
        order("3", 3, w1, "BUY", 4, 420, HOUR),
        order("4", 4, called("nobody", "nobody"), "BUY", 4, 420, HOUR),
    )
    made = scenario(resources, forecast, ("export", 60 * MW), {}, orders, Rulebook(fee_minor_per_mwh=100))
    return msgspec.structs.replace(made, name=called("day", "a small day"))


def with_grid(outcome: DayOutcome, network: Network, seed: int = 1) -> DayOutcome:
    rng = np.random.default_rng(seed)
    before = rng.uniform(0.1, 1.3, (network.branch_count, outcome.scenario.day.mtu_count))
    before[0] = np.nan
    v_pu = np.ones((network.bus_count, before.shape[1]))
    owners = tuple("North" if bus % 3 else HOSTILE for bus in range(network.bus_count))
    past = tuple(
        Congestion(network.branch_names[b], "loading", "North", int(t), float(before[b, t]), 1.0)
        for b, t in np.argwhere(before > 1.0)
    )
    bus_of = {resource.resource: network.bus_count - 1 for resource in outcome.scenario.resources}
    picture = GridPicture(network, owners, bus_of, before, np.minimum(before, 0.9), v_pu, v_pu)
    return replace(outcome, grid=picture, congestions_before=past, congestions_after=(), verified_by="another flow 1.0")


@pytest.fixture(scope="module")
def outcome() -> DayOutcome:
    return run(small_day())


@pytest.fixture(scope="module")
def on_grid(outcome: DayOutcome) -> DayOutcome:
    refusal = Refusal("3/2", "grid_limit", "REDUCED", "North", "bus 7", HOUR, 5, 3)
    return replace(with_grid(outcome, meshed_network(3, 40, 4)), refusals=(*outcome.refusals, refusal))


def rendered(outcome: DayOutcome) -> Page:
    return Page(render_report(outcome))


def told(page: Page) -> str:
    return re.sub(r"[\s\u202f]+", " ", " ".join(page.text))


def test_the_page_is_whole_without_a_grid(outcome: DayOutcome) -> None:
    page = rendered(outcome)
    assert {"flows", "market", "curtailment", "money", "kpis", "checks"} <= set(page.ids)
    assert "map" not in page.ids
    assert len(page.ids) == len(set(page.ids))


def test_the_page_is_whole_with_a_grid(on_grid: DayOutcome) -> None:
    page = rendered(on_grid)
    assert {"map", "mtu", "map-data"} <= set(page.ids)
    assert sum(name == "data-b" and value == "1" for _, name, value in page.attributes) == 2
    assert len(page.ids) == len(set(page.ids))
    assert "another flow 1.0" in told(page)


def test_the_page_is_whole_when_nothing_happens() -> None:
    quiet = scenario((ResourceRow("W", "A", "n", "wind", 0, MW),), {}, ("export", MW), {}, (), Rulebook())
    text = told(rendered(run(quiet)))
    assert "nothing can be concluded from that" in text
    assert "Nobody pays anybody." in text


@pytest.mark.parametrize("which", ["outcome", "on_grid"])
def test_nothing_is_loaded_from_elsewhere(which: str, request: pytest.FixtureRequest) -> None:
    html = render_report(request.getfixturevalue(which))
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc\s*=", html.replace("'//", ""), re.IGNORECASE)
    loading = {"src", "href", "data", "action", "srcset", "poster"}
    links = [value for _, name, value in Page(html).attributes if name in loading]
    assert all(value.startswith("#") for value in links)
    assert len(html.encode()) < SMALL_DAY_BYTES


def test_what_is_past_its_limit_is_marked(on_grid: DayOutcome) -> None:
    """A bus that only bound a trade has its name, and no mark."""
    text = render_report(replace(on_grid, congestions_before=on_grid.congestions_before[:1]))
    assert on_grid.grid is not None
    highest = max(row.max() for row in on_grid.grid.loading_before[1:])
    assert f'<span class="status bad">{100 * highest:.1f}' in text
    assert set(re.findall(r'class="(element[^"]*)"[^>]*>([^<]*)<', text)) == {
        ("element past", on_grid.congestions_before[0].element), ("element", "bus 7"),
    }  # fmt: skip


def test_words_of_files_are_readable() -> None:
    told = "22000 of 9000000 W traded; North has room for 1234567 W at 2026-02-11T15:30+01:00; T123456"
    assert readable(told).replace("\u202f", " ") == (
        "22 000 of 9 000 000 W traded; North has room for 1 234 567 W at 15:30; T123456"
    )


def test_hostile_names_stay_text() -> None:
    words = {name: f"{name}{HOSTILE}" for name in ("W1", "W2", "boiler", "A", "wind", "nobody", "day")}
    hostile = with_grid(run(small_day(words)), random_network(2, 12))
    plain = rendered(with_grid(run(small_day()), random_network(2, 12)))
    html = render_report(hostile)
    page = Page(html)
    assert page.scripts == plain.scripts
    assert "<script>alert" not in html
    assert '</script>"&' not in html
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert words["day"] in " ".join(page.text)


def test_every_kpi_is_there_with_its_formula(outcome: DayOutcome) -> None:
    rows = kpi_rows(outcome)
    text = told(rendered(outcome))
    assert {row.name for row in rows} | {"null_reasons"} == set(KpiReport.__struct_fields__)
    assert all(row.about for row in rows)
    assert all(row.formula for row in rows)
    assert all(row.name in text for row in rows)
    assert DISCLAIMER in text
    report = outcome.state.kpis.report
    assert report is not None
    assert sum(row.name == "saving" for row in rows) == len(report.saving) == 2


def test_every_chart_can_be_read_without_being_seen(on_grid: DayOutcome) -> None:
    html = render_report(on_grid)
    labels = re.findall(r'<svg [^>]*role="img" aria-label="([^"]+)"', html)
    assert len(labels) == html.count("<svg ") >= 7
    assert all(len(label) > 40 for label in labels)


def test_quantities_say_which_side_they_are_on(on_grid: DayOutcome) -> None:
    captions = re.findall(
        r"<figcaption><strong>(.*?)</strong> <span class=\"side\">(.*?)</span>", render_report(on_grid)
    )
    without = {title for title, side in captions if "grid side" not in side and "resource side" not in side}
    assert without == {"Who pays whom", "What the grid refused, where and when"}


def test_the_headline_tells_the_day(outcome: DayOutcome) -> None:
    text = told(rendered(outcome))
    assert "Between 10:00 and 11:00 the forecast passes what the grid can carry at 1 congestion point" in text
    assert "10 MWh of relief is needed (grid side)" in text
    assert "4 orders came in and became 2 trades of 4 MWh" in text
    assert "at 180.5 to 250 SEK/MWh" in text
    assert "No relief is missing. Of 10.000 MWh curtailed by rule 6.000 MWh stays curtailed (resource side)." in text
    assert "Relieved, with curtailment" in text


def test_settlement_sums_to_zero_and_flows_are_its_postings(outcome: DayOutcome) -> None:
    accounts, total = settlement_rows(outcome)
    assert (total.exact, total.invoiced_minor) == (0, 0)
    net: dict[str, int] = {}
    for (payer, receiver), amount in money_flows(outcome).items():
        assert amount > 0
        net[shown(payer)] = net.get(shown(payer), 0) - amount
        net[shown(receiver)] = net.get(shown(receiver), 0) + amount
    assert net == {account.name: account.exact for account in accounts if account.exact}
    assert "It sums to exactly zero." in told(rendered(outcome))


def test_refusals_are_counted_by_reason_and_place(on_grid: DayOutcome) -> None:
    text = told(rendered(on_grid))
    assert re.search(r"unknown (organisation|resource) ?1", text)
    assert "bus 7 North 0 1" in text.replace("  ", " ")


def test_readouts_are_the_flows(outcome: DayOutcome) -> None:
    page = rendered(outcome)
    readouts = [json.loads(value) for _, name, value in page.attributes if name == "data-readout"]
    flows = dict(readouts[0]["series"])
    assert readouts[0]["unit"] == "MW"
    assert (flows["forecast"][HOUR], flows["after"][HOUR], flows["limit"][HOUR], flows["need"][HOUR]) == (
        70,
        60,
        60,
        10,
    )
    book = dict(readouts[1]["series"])
    assert (book["SELL offered"][HOUR], book["BUY traded"][HOUR]) == (5, 4)


def map_data(outcome: DayOutcome) -> dict[str, list[list[float]]]:
    found = re.search(r'id="map-data">(.*?)</script>', render_report(outcome))
    assert found is not None
    decoded: dict[str, list[list[float]]] = json.loads(found[1])
    return decoded


def test_the_map_has_every_loading_in_per_cent(on_grid: DayOutcome) -> None:
    data, grid = map_data(on_grid), on_grid.grid
    assert grid is not None
    assert len(data["branches"]) == grid.network.branch_count
    assert data["before"][0] == [-1] * DAY.mtu_count
    assert np.allclose(data["before"][1:], 100 * grid.loading_before[1:], atol=0.1)
    assert np.array_equal(np.array(data["before"]) > 100, grid.loading_before > 1)
    assert str(data["worst"]) == str(HOUR)
    counts = np.zeros(DAY.mtu_count)
    np.add.at(counts, [c.mtu for c in on_grid.congestions_before], 1)
    without_need = map_data(replace(on_grid, points=()))
    assert counts[int(str(without_need["worst"]))] == counts.max()


def test_a_large_grid_is_cut_down_and_says_so(outcome: DayOutcome) -> None:
    large = with_grid(outcome, random_network(5, 5_000))
    html = render_report(large)
    assert "The grid is large" in html
    assert len(map_data(large)["branches"]) < 2_500
    assert len(html.encode()) < SMALL_DAY_BYTES


def tree_ways(network: Network) -> Iterator[tuple[int, int]]:
    tree = spanning_tree(network)
    assert sorted(tree.order) == list(range(network.bus_count))
    for bus in tree.order:
        if tree.parent[bus] != NO_PARENT:
            branch = tree.parent_branch[bus]
            ends = {int(network.branch_from[branch]), int(network.branch_to[branch])}
            assert ends == {bus, int(tree.parent[bus])}
            yield int(tree.parent[bus]), bus


@pytest.mark.parametrize("seed", range(4))
def test_the_layout_is_a_tree_without_two_buses_in_one_place(seed: int) -> None:
    network = meshed_network(seed, 60, 8)
    network.in_service[-12:] = False
    column, row = places(spanning_tree(network), np.ones(60, dtype=np.bool_))
    assert len(set(zip(column.tolist(), row.tolist(), strict=True))) == 60
    assert all(column[bus] == column[above] + 1 for above, bus in tree_ways(network))


def test_what_is_lost_counts_in_the_direction_of_the_plan() -> None:
    assert lost_w((10, 10, -5, -5, 0), (4, 12, -2, -7, -3)) == 6 + 3


def test_steps_leave_gaps_and_bands_merge() -> None:
    frame = frame_for(WIDE, 4, [0.0, 2.0])
    assert steps(frame, [1.0, float("nan"), 2.0, 2.0]).count("M") == 2
    assert steps(frame, [1.0] * 4) == f"M{frame.x(0)} {frame.y(1)}H{frame.x(4)}"
    assert band(frame, [0.0] * 4, [1.0, 1.0, 0.0, 2.0]).count("Z") == 2


@pytest.mark.parametrize("values", [[0.0], [5.0], [-3.0], [-0.2, 17.3], [1e-9], [1234567.0]])
@pytest.mark.parametrize("canvas", [WIDE, NARROW])
def test_a_frame_holds_its_values(values: list[float], canvas: Canvas) -> None:
    frame = frame_for(canvas, 10, values)
    assert frame.low <= min([0.0, *values])
    assert frame.high >= max([0.0, *values])
    assert 2 <= len(frame.ticks) <= 12
    assert frame.high > frame.low


@pytest.mark.parametrize("values", [[], [46.0], [46.1, 46.9], [-0.2, 17.3], [1e-9, 2e-9], [0.1, float("nan")]])
def test_a_frame_of_changes_alone_is_close_to_its_values(values: list[float]) -> None:
    frame = frame_for(WIDE, 10, values, hold=float("nan"))
    known = [value for value in values if math.isfinite(value)] or [0.0]
    assert frame.low <= min(known) <= max(known) <= frame.high
    assert frame.high - frame.low <= max(2.0 * (max(known) - min(known)), 1.0)
    assert 2 <= len(frame.ticks) <= 12


def test_numbers_are_for_people() -> None:
    assert number(1234567.891) == "1\u202f234\u202f567.89"
    assert number(-0.0001) == "0"
    assert number(float("nan")) == "–"
    assert money(-1234.5, "SEK", 2) == "\u22121\u202f234.50\u00a0SEK"
    assert energy(0.0005) == "500\u00a0Wh"
    assert energy(48.499) == "48.5\u00a0MWh"


def test_a_day_with_a_changed_clock_tells_its_hours_apart() -> None:
    clock = LocalClock(MarketDay(DAY.delivery_day.replace(month=10, day=25), "Europe/Stockholm", 60))
    assert len(set(clock.all())) == 25
    assert LocalClock(DAY).during(23) == "23:00–24:00"


def test_a_hundred_resources_in_quarters_take_less_than_a_second() -> None:
    day = MarketDay(DAY.delivery_day, "Europe/Stockholm", 15)
    resources = tuple(ResourceRow(f"R{n}", f"F{n}", "n", "wind", 0, MW, conditional=True) for n in range(100))
    flat = Profile((MW // 2,) * 96, (0,) * 96)
    orders = tuple(
        OrderRow(
            f"O{n}", n, f"R{n % 100}", "SELL" if n % 2 else "BUY", day.instant(n % 96), day.instant(n % 96 + 1),
            1000 + n, 30_000 + n % 7, "CP",
        )
        for n in range(1, 401)
    )  # fmt: skip
    base = scenario(resources, {}, ("export", 40 * MW), {}, (), Rulebook())
    whole = msgspec.structs.replace(
        base,
        day=day,
        orders=orders,
        resource_forecast={r.resource: flat for r in resources},
        impact_ppm={"CP": {r.resource: (1_000_000,) * 96 for r in resources}},
    )
    done = run(whole)
    began = perf_counter()
    html = render_report(done)
    assert perf_counter() - began < 1.0
    assert len(html.encode()) < SMALL_DAY_BYTES

"""The report and an organisation's page in a browser: nothing cut, no error, tables to search and sort."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.cli.test_serve_and_play import EXAMPLE
from tests.docs.pictures import SLICE, subjects, take
from tests.web.chromium import chromium

from flexpeer.bootstrap import run_folder

MANY = 10_000
AT_ONCE = 100


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    run_folder(EXAMPLE, out, lambda _done, _total: None)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def _opened(browser: Browser, file: Path, width: int, dark: bool = False) -> tuple[Page, list[str]]:
    wrong: list[str] = []
    scheme: Any = "dark" if dark else "light"
    page = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme).new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url != file.as_uri() else None)
    page.goto(file.as_uri())
    return page, wrong


def _pages(results: Path) -> list[Path]:
    return [
        results / "report.html",
        *(results / "organisations" / f"{name}.html" for name in ("North-Wind", "Coast-Grid")),
    ]


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1400, False), (1400, True)])
def test_every_page_fits(browser: Browser, results: Path, width: int, dark: bool) -> None:
    for file in _pages(results):
        page, wrong = _opened(browser, file, width, dark)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, file.name
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        cut = page.evaluate(
            "[...document.querySelectorAll('.chart .scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert cut == 0, file.name
        outside = page.evaluate(
            "[...document.querySelectorAll('.chart svg')].filter((svg) => svg.clientWidth)"
            ".flatMap((svg) => [...svg.querySelectorAll('text')].map((t) => [t, svg, t.getBoundingClientRect()]))"
            ".filter(([, svg, t]) => { const box = svg.getBoundingClientRect();"
            " return t.left < box.left - 1 || t.right > box.right + 1; }).map(([t]) => t.textContent)"
        )
        assert outside == [], file.name
        assert wrong == [], file.name
        page.context.close()


def test_the_search_finds_a_trade_and_an_order(browser: Browser, results: Path) -> None:
    page, wrong = _opened(browser, results / "report.html", 1400)
    trades = page.locator("[data-rows=trades-rows]")
    expect(trades.locator("tbody tr")).to_have_count(4)
    trades.get_by_role("searchbox").fill("pellet t1")
    expect(trades.locator("tbody tr")).to_have_count(1)
    expect(trades.locator("tbody tr")).to_contain_text("North Wind")
    expect(trades.get_by_role("status")).to_have_text("1 shown of 1 found")
    orders = page.locator("[data-rows=orders-rows]")
    orders.get_by_role("searchbox").fill("refused at the door")
    expect(orders.locator("tbody tr td").first).to_have_text("N1b")
    orders.get_by_role("searchbox").fill("nothing like it")
    expect(orders.locator("tbody tr")).to_have_count(0)
    assert wrong == []
    page.context.close()


def test_a_table_is_sorted_and_a_chart_read_with_the_keyboard(browser: Browser, results: Path) -> None:
    page, wrong = _opened(browser, results / "report.html", 1400)
    trades = page.locator("[data-rows=trades-rows]")
    column = [head.removesuffix("\n") for head in trades.locator("thead th").all_inner_texts()].index("price, SEK/MWh")
    prices = trades.locator(f"tbody td:nth-child({column + 1})")
    trades.get_by_role("button", name="price").focus()
    page.keyboard.press("Enter")
    assert prices.all_inner_texts() == ["180.00", "240.00", "300.00", "410.00"]
    page.keyboard.press("Enter")
    assert prices.all_inner_texts() == ["410.00", "300.00", "240.00", "180.00"]
    expect(trades.locator("th[aria-sort=descending]")).to_have_count(1)
    chart = page.locator("figure[data-readout]").first
    chart.locator(".scroll").focus()
    for _ in range(11):
        page.keyboard.press("ArrowRight")
    expect(chart.locator(".readout")).to_contain_text("10:00–11:00: forecast 24 MW")
    assert wrong == []
    page.context.close()


def test_of_ten_thousand_rows_a_screenful_is_drawn(browser: Browser, results: Path, tmp_path: Path) -> None:
    html = (results / "report.html").read_text(encoding="utf-8")
    found = re.search(r'id="orders-rows">(.*?)</script>', html)
    assert found is not None
    table = json.loads(found[1])
    table["columns"][0]["words"] = [f"order {n}" for n in range(MANY)]
    table["rows"] = [[n, *table["rows"][0][1:]] for n in range(MANY)]
    large = tmp_path / "large.html"
    large.write_text(html[: found.start(1)] + json.dumps(table) + html[found.end(1) :], encoding="utf-8")
    page, wrong = _opened(browser, large, 390)
    orders = page.locator("[data-rows=orders-rows]")
    expect(orders.locator("tbody tr")).to_have_count(AT_ONCE)
    orders.get_by_role("searchbox").fill("order 9999")
    expect(orders.locator("tbody tr")).to_have_count(1)
    orders.get_by_role("searchbox").fill("order")
    orders.get_by_role("button", name="Show more").click()
    expect(orders.locator("tbody tr")).to_have_count(6 * AT_ONCE)
    assert wrong == []
    page.context.close()


def test_a_telephone_shows_status_and_narrow_charts(browser: Browser, results: Path) -> None:
    page, wrong = _opened(browser, results / "report.html", 390)
    expect(page.locator(".verdict")).to_contain_text("Relieved, with curtailment")
    expect(page.locator(".tiles .warn")).to_have_count(1)
    expect(page.locator("svg.narrow:visible").first).to_be_visible()
    assert page.locator("svg.wide:visible").count() == 0
    assert wrong == []
    page.context.close()


def test_pictures_are_taken_from_top_to_bottom(browser: Browser, results: Path, tmp_path: Path) -> None:
    assert [subject.name for subject in subjects(results)] == ["report", "dso", "fsp"]
    taken = take(browser, list(subjects(results))[2], "telephone", "dark", tmp_path)
    assert [picture.name for picture in taken] == [f"fsp-telephone-dark-{n}.png" for n in range(1, len(taken) + 1)]
    heights = [int.from_bytes(picture.read_bytes()[20:24]) for picture in taken]
    assert set(heights[:-1]) == {SLICE}
    assert 0 < heights[-1] <= SLICE
    assert all(picture.stat().st_size > 5_000 for picture in taken[:-1])

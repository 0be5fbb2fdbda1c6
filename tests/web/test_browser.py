"""The pages in a browser, from the first login to a settled trade; nothing cut, nothing from elsewhere, no error."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.cli.test_serve_and_play import EXAMPLE, free_port, served
from tests.web.chromium import chromium

from flexpeer.market.participants import Role
from flexpeer.web.site.pages import PAGES

WAIT_MS = 300_000
OPERATOR = "Market operator"


class Market(NamedTuple):
    """A served market, its logins, and a browser."""

    url: str
    logins: dict[str, Any]
    browser: Browser


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    data = tmp_path_factory.mktemp("served") / "market"
    with chromium() as browser, served(data, free_port(), "--scenario", str(EXAMPLE)) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        yield Market(facts["url"], logins, browser)


class Person:
    """Somebody at a browser; what goes wrong there is kept."""

    def __init__(self, market: Market, organisation: str, width: int = 1400, *, dark: bool = False, locale: str = "en"):
        self.market, self.wrong = market, list[str]()
        login = market.logins[organisation]
        context = market.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", locale=locale
        )
        context.set_default_timeout(WAIT_MS)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda asked: self._from_here(asked.url))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(f"{market.url}/login")
        self.page.fill("input[name=user]", login["user"])
        self.page.fill("input[name=password]", login["password"])
        self.page.click("button.main")
        self.ready()

    def _from_here(self, url: str) -> None:
        if not url.startswith((self.market.url, "data:")):
            self.wrong.append(f"asked for {url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.market.url + path)
        self.ready()
        return self.page

    def ready(self) -> None:
        self.page.wait_for_selector("main:not([aria-busy])", timeout=WAIT_MS)

    def leave(self) -> None:
        assert self.wrong == []
        self.page.context.close()


def _click_on_to(operator: Person, stage: str) -> None:
    page = operator.open("/")
    page.get_by_role("button", name=f"On to: {stage}").click()
    expect(page.locator("li.done", has_text=stage)).to_have_count(1, timeout=WAIT_MS)


def _order(person: Person, resource: str, side: str, hours: tuple[str, str], quantity: str, price: str) -> None:
    page = person.open("/bid")
    page.select_option("select[name=portfolioId]", resource)
    page.select_option("select[name=side]", side)
    page.select_option("select[name=periodFrom]", label=hours[0])
    page.select_option("select[name=periodTo]", label=hours[1])
    page.fill("input[name=quantity]", quantity)
    page.fill("input[name=unitPrice]", price)
    page.get_by_role("button", name="Send the order").click()


def test_from_a_login_to_a_settled_trade(market: Market) -> None:
    """A mill sells, a wind farm buys; the market operator moves the clock; a DSO looks on."""
    operator, mill = Person(market, OPERATOR), Person(market, "Pellet Mill", locale="en-GB")
    wind, grid = Person(market, "North Wind", locale="en-GB"), Person(market, "Coast Grid")
    early = ("Dryer", "Sell", ("10:00", "12:00"), "1", "240")
    _order(mill, *early)
    expect(mill.page.get_by_role("alert")).to_contain_text("gate", ignore_case=True)
    mill.wrong.clear()
    _click_on_to(operator, "open")
    expect(grid.open("/").locator("article.card")).not_to_have_count(0)
    _order(mill, *early)
    expect(mill.page.locator("p.good")).to_contain_text("number 1")
    expect(wind.open("/book").locator("tbody tr")).to_have_count(1)
    _order(wind, "N1", "Buy", ("10:00", "12:00"), "1", "300,5")
    expect(wind.page.locator("p.good")).to_contain_text("number 2")
    expect(mill.open("/orders").locator("tbody tr")).to_contain_text("Filled", timeout=WAIT_MS)
    _order(mill, "Dryer", "Sell", ("11:00", "12:00"), "0.5", "9999")
    page = mill.open("/orders")
    page.get_by_role("button", name="Amend", exact=True).click()
    page.locator("dialog input").nth(1).fill("8888")
    page.locator("dialog button.main").click()
    expect(page.locator("tbody")).to_contain_text("8,888", timeout=WAIT_MS)
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(page.locator("tbody")).to_contain_text("Cancelled", timeout=WAIT_MS)
    for stage in ("closed", "cleared", "confirmed", "delivered", "verified", "settled"):
        _click_on_to(operator, stage)
    expect(wind.open("/trades").locator("section").first).to_contain_text("240")
    expect(wind.page.locator("section").nth(1)).to_contain_text("N1")
    expect(mill.open("/money").locator("tbody tr")).to_contain_text("480.00")
    expect(operator.open("/kpis").locator("tbody tr")).not_to_have_count(0)
    expect(operator.open("/audit").locator("section").nth(1)).to_contain_text("StageReached")
    for person in (operator, mill, wind, grid):
        person.leave()


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1400, False), (1600, True)])
@pytest.mark.parametrize("organisation", ["North Wind", "Coast Grid", OPERATOR])
def test_every_page_fits(market: Market, organisation: str, width: int, dark: bool) -> None:
    person = Person(market, organisation, width, dark=dark, locale="sv" if dark else "en")
    role = Role(market.logins[organisation]["role"])
    for each in PAGES:
        if role in each.roles:
            page = person.open(each.path)
            beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert beyond <= 0, (each.path, beyond)
            unnamed = page.evaluate(
                "[...document.querySelectorAll('input,select,button')]"
                ".filter((e) => !(e.innerText || e.ariaLabel || e.getAttribute('aria-label') || e.type === 'hidden'"
                " || e.closest('label'))).length"
            )
            assert unnamed == 0, each.path
    person.leave()


def test_whoever_has_left_sees_no_page(market: Market) -> None:
    person = Person(market, "North Wind")
    person.page.get_by_role("button", name="Log out").click()
    person.page.wait_for_url("**/login")
    person.page.goto(f"{market.url}/orders")
    assert person.page.url.endswith("/login?to=/orders")
    person.leave()


def test_a_demo_trades_by_itself_at_the_speed_its_operator_likes(market: Market, tmp_path: Path) -> None:
    words = ("--scenario", str(EXAMPLE), "--demo")
    with served(tmp_path / "demo", free_port(), *words) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        demo = Market(facts["url"], logins, market.browser)
        operator, wind = Person(demo, OPERATOR), Person(demo, "North Wind", 390)
        bar = operator.page.locator("#clock-bar")
        expect(bar).to_contain_text("120 times as fast")
        bar.get_by_role("button", name="Pause").click()
        expect(bar).to_contain_text("paused")
        bar.get_by_role("button", name="Run").click()
        bar.get_by_role("button", name="Faster").click()
        expect(bar).to_contain_text("600 times as fast")
        expect(wind.page.locator("#clock-bar")).to_contain_text("600 times as fast", timeout=30_000)
        expect(wind.page.locator("#clock-bar")).to_contain_text("The market operator moves it.")
        expect(wind.page.locator("#clock-bar button")).to_have_count(0)
        bar.get_by_role("button", name="Pause").click()
        bar.get_by_role("button", name="On to: closed").click()
        expect(operator.page.locator("li.done", has_text="closed")).to_have_count(1, timeout=WAIT_MS)
        expect(wind.open("/trades").locator("tbody tr")).not_to_have_count(0)
        for person in (operator, wind):
            person.leave()

"""The pages in a browser, from the first login to a settled trade; nothing cut, nothing from elsewhere, no error."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from tests.api.test_grids_over_api import grid_folder
from tests.cli.test_serve_and_play import EXAMPLE, free_port, served
from tests.web.chromium import chromium
from tests.web.qr_reader import read

from flexpeer.api.one_time_codes import STEP_S, code_at
from flexpeer.market.participants import Role
from flexpeer.web.site.pages import PAGES
from flexpeer.web.site.statics import statics_version

WAIT_MS = 60_000
SHOWN = ((390, "dark"), (1400, "light"), (1600, "dark"))
LOGIN_ACTIONS = len(("user", "password", "log in"))
WIDEST_READ = 1400
AXE = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
OPERATOR = "Market operator"


class Market(NamedTuple):
    """A served market, its logins, and a browser."""

    url: str
    logins: dict[str, Any]
    browser: Browser
    link: str = ""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    data = tmp_path_factory.mktemp("served") / "market"
    with chromium() as browser, served(data, free_port(), "--scenario", str(EXAMPLE)) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        yield Market(facts["url"], logins, browser, facts["link"])


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grid_folder(tmp_path_factory.mktemp("grids"))


def _heard(page: Page) -> list[str]:
    """What goes wrong on a page, as it happens."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    return wrong


class Person:
    """Somebody at a browser; what goes wrong there is kept."""

    def __init__(
        self,
        market: Market,
        organisation: str,
        width: int = 1400,
        *,
        dark: bool = False,
        locale: str = "en",
        link: str = "",
    ):
        self.market = market
        login = market.logins[organisation]
        context = market.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", locale=locale
        )
        context.set_default_timeout(WAIT_MS)
        self.page: Page = context.new_page()
        self.wrong = _heard(self.page)
        self.page.on("request", lambda asked: self._from_here(asked.url))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(link or f"{market.url}/login")
        if not link:
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


def _anybody_sees(market: Market, price: str) -> None:
    """The public page, without a login: results, figures and rules, nobody's names, nothing cut."""
    for width, dark in ((390, True), (1400, False)):
        context = market.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        wrong = _heard(page)
        page.goto(f"{market.url}/login")
        page.get_by_role("link", name="Public market").click()
        page.wait_for_selector("main:not([aria-busy])")
        expect(page.locator("tbody").first).to_contain_text(price)
        expect(page.locator("main")).to_contain_text("priority")
        assert not any(name in page.inner_text("main") for name in market.logins)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert wrong == []
        context.close()


def test_a_resource_waits_in_its_dsos_inbox(market: Market) -> None:
    mill, grid = Person(market, "Pellet Mill"), Person(market, "Coast Grid", 390, locale="sv")
    for name in ("Boiler", "Kiln"):
        page = mill.open("/resources")
        card = page.locator("section.card").filter(has=page.get_by_role("heading", name="Register a resource"))
        for label, text in (
            ("Name", name),
            ("Kind", "load"),
            ("DSO", "Coast Grid"),
            ("Bus it is connected to", "Town"),
        ):
            card.get_by_label(label, exact=True).fill(text)
        card.get_by_label("Least in MW").fill("-0,5")
        card.get_by_label("Most in MW").fill("0")
        card.get_by_role("button", name="Register").click()
        expect(page.locator("tbody")).to_contain_text(name, timeout=WAIT_MS)
    page = grid.open("/resources")
    request = page.locator("article.card").filter(has_text="Boiler")
    request.get_by_role("button", name="Godta").click()
    expect(page.locator("article.card")).to_have_count(1, timeout=WAIT_MS)
    request = page.locator("article.card").filter(has_text="Kiln")
    request.get_by_role("button", name="Avvisa").click()
    expect(request.get_by_role("alert")).to_contain_text("Säg varför")
    request.get_by_label("Skäl (krävs").fill("no cable there")
    request.get_by_role("button", name="Avvisa").click()
    expect(page.locator("article.card")).to_have_count(0, timeout=WAIT_MS)
    page = mill.open("/resources")
    expect(page.locator("tr").filter(has_text="Boiler")).to_contain_text("passed, Coast Grid")
    expect(page.locator("tr").filter(has_text="Kiln")).to_contain_text("no cable there")
    for person in (mill, grid):
        person.leave()


def test_a_standing_order_is_made_and_ended_on_its_page(market: Market) -> None:
    mill = Person(market, "Pellet Mill", 390)
    page = mill.open("/standing")
    assert "You have no standing order" in page.inner_text("main")
    page.get_by_label("Quantity in MW").fill("0,5")
    page.get_by_role("button", name="Make the standing order").click()
    expect(page.locator("tbody tr")).to_contain_text("waits for the next gate", timeout=WAIT_MS)
    page.get_by_role("button", name="End").click()
    expect(page.locator("tbody tr")).to_have_count(0, timeout=WAIT_MS)
    mill.leave()


def _little_is_not_said_to_be_none(page: Page) -> None:
    words = f"import('/static/{statics_version()}/text.js')"
    said = f"{words}.then((text) => [0, 3e-6, 1.5e-3, 48.5].map(text.WHAT))"
    told = [page.evaluate(said.replace("WHAT", what)) for what in ("mwh", "mw")]
    assert told == [["0 MWh", "3 Wh", "1.5 kWh", "48.5 MWh"], ["0 MW", "3 W", "0.002 MW", "48.5 MW"]]


def test_from_a_one_time_link_to_a_metered_and_settled_trade(market: Market) -> None:
    """A mill sells, a wind farm buys; a DSO looks on; the market operator, who came with the link, moves the clock."""
    operator, mill = Person(market, OPERATOR, link=market.link), Person(market, "Pellet Mill", locale="en-GB")
    wind, grid = Person(market, "North Wind", locale="en-GB"), Person(market, "Coast Grid")
    early = ("Dryer", "Sell", ("10:00", "12:00"), "1", "240")
    _order(mill, *early)
    expect(mill.page.get_by_role("alert")).to_contain_text("gate", ignore_case=True)
    mill.open("/book")
    _click_on_to(operator, "open")
    expect(grid.open("/").locator("article.card")).not_to_have_count(0)
    mill.wrong.clear()
    _little_is_not_said_to_be_none(grid.page)
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
    for stage in ("closed", "cleared", "confirmed", "delivered"):
        _click_on_to(operator, stage)
    assert "Dryer" in mill.open("/delivery").inner_text("main")
    read = [f"Dryer,2026-04-21T{hour}:00+02:00,-2000000\n" for hour in (10, 11)]
    _sent(mill.open("/uploads"), "Meter readings", _csv(f"resource,from,p_w\n{''.join(read)}"))
    for stage in ("verified", "settled"):
        _click_on_to(operator, stage)
    expect(mill.open("/delivery").locator("tbody tr")).to_contain_text("100%")
    expect(wind.open("/trades").locator("section").first).to_contain_text("240")
    expect(wind.page.locator("section").nth(1)).to_contain_text("N1")
    expect(mill.open("/money").locator("tbody tr").first).to_contain_text("480.00")
    expect(operator.open("/kpis").locator("tbody tr")).not_to_have_count(0)
    _anybody_sees(market, "240")
    page = operator.open("/audit")
    expect(page.locator("section").nth(2)).to_contain_text("StageReached")
    page.get_by_role("button", name="Check the log").click()
    expect(page.locator("main")).to_contain_text("Whole:")
    for person in (operator, mill, wind, grid):
        person.leave()


@pytest.mark.parametrize(("organisation", "locale"), [("North Wind", "en"), ("Coast Grid", "sv"), (OPERATOR, "en")])
def test_every_page_fits_and_shuts_nobody_out(market: Market, organisation: str, locale: str) -> None:
    person = Person(market, organisation, 390, dark=True, locale=locale)
    role = Role(market.logins[organisation]["role"])
    for each in PAGES:
        if role not in each.roles:
            continue
        page = person.open(each.path)
        for width, scheme in SHOWN:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert beyond <= 0, (each.path, width, beyond)
            if width <= WIDEST_READ:
                assert serious(page) == [], (each.path, width)
    person.leave()


def serious(page: Page) -> list[str]:
    """What axe finds that would keep somebody out: rule and where."""
    found = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['html'][:120]} {node['failureSummary'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


def _csv(text: str) -> dict[str, Any]:
    return {"name": "file.csv", "mimeType": "text/csv", "buffer": text.encode()}


def _sent(page: Page, title: str, file: dict[str, Any]) -> Locator:
    """The card of a file, once it is answered."""
    card = page.locator("section.card").filter(has=page.get_by_role("heading", name=title, exact=True))
    card.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    card.get_by_role("button", name="Send the file").click()
    expect(card.locator("p.good, p.warn, p.bad").first).to_be_visible(timeout=WAIT_MS)
    return card


def test_files_of_an_fsp_are_answered_line_by_line(market: Market, tmp_path: Path) -> None:
    with served(tmp_path / "market", free_port(), "--scenario", str(EXAMPLE)) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        mill = Person(Market(facts["url"], logins, market.browser), "Pellet Mill", 390)
        page = mill.open("/uploads")
        rows = "Dryer,2026-04-21T10:00+02:00,-1000\n"
        expect(_sent(page, "Plans", _csv(f"resource,from,p_w\n{rows}")).locator("p").last).to_contain_text("own plan")
        broken = _sent(page, "Plans", _csv(f"resource,from,p_w\n{rows}Dryer,2026-04-21T10:00+02:00,much\n"))
        expect(broken.locator("tbody tr")).to_contain_text("line 3")
        orders = "order,resource,side,from,to,quantity_w,price\nF1,Dryer,SELL,2026-04-21T10:00+02:00,soon,1000,300\n"
        answered = _sent(page, "Orders", _csv(orders))
        expect(answered.locator("p.warn")).to_contain_text("1 refused")
        expect(answered.locator("tbody tr")).to_contain_text("periodTo")
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        mill.wrong.clear()
        mill.leave()


def test_a_dso_brings_its_grid_until_the_need_is_published(grids: Path, market: Market, tmp_path: Path) -> None:
    with served(tmp_path / "market", free_port(), "--scenario", str(grids / "scenario")) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        here = Market(facts["url"], logins, market.browser)
        dso = next(name for name, at in logins.items() if at["role"] == "LOCAL_DSO")
        grid, operator = Person(here, dso, 390, dark=True), Person(here, OPERATOR)
        page = grid.open("/grid")
        assert "What to do next" in page.inner_text("main")
        own = json.loads((grids / "grids" / f"{dso}.json").read_text(encoding="utf-8"))
        file = {"name": "own.json", "mimeType": "application/json", "buffer": b'{"format": 1}'}
        expect(_sent(page, "Grid file", file).locator("tbody tr")).not_to_have_count(0)
        grid.wrong.clear()
        file["buffer"] = json.dumps(own).encode()
        expect(_sent(page, "Grid file", file)).to_contain_text("this is your grid now")
        broken = _sent(
            page, "Forecast", _csv("from,bus,p_w,q_var\n2026-01-15T12:00+01:00,Nowhere,1,0\nnoon,Nowhere,1,0\n")
        )
        expect(broken.locator("tbody tr")).to_have_count(2)
        grid.wrong.clear()
        branch = page.locator("#branches option").first.get_attribute("value") or ""
        outages = page.locator("section.card").filter(has=page.get_by_role("heading", name="Outages", exact=True))
        outages.get_by_label("Branch").fill(branch)
        outages.get_by_label("Limit in MW").fill("0,25")
        outages.get_by_role("button", name="Send", exact=True).click()
        expect(outages.locator("tbody tr")).to_contain_text("0.25 MW", timeout=WAIT_MS)
        outages.get_by_role("button", name="Take back").click()
        expect(outages.locator("tbody tr")).to_have_count(0, timeout=WAIT_MS)
        limits = page.locator("section.card").filter(has=page.get_by_role("heading", name="Limits", exact=True))
        limits.get_by_label("Branch", exact=True).fill(branch)
        limits.get_by_label("Current in A").fill("150")
        limits.get_by_role("button", name="Send", exact=True).first.click()
        expect(limits.locator("tbody tr")).to_contain_text("150 A", timeout=WAIT_MS)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        _click_on_to(operator, "open")
        page = grid.open("/grid")
        expect(page.get_by_role("button", name="Send the file").first).to_be_disabled()
        expect(page.locator("p.warn")).to_contain_text("too late")
        for person in (grid, operator):
            person.leave()


def test_whoever_has_left_sees_no_page(market: Market) -> None:
    person = Person(market, "North Wind")
    person.page.get_by_role("button", name="Log out").click()
    person.page.wait_for_url("**/login")
    person.page.goto(f"{market.url}/orders")
    assert person.page.url.endswith("/login?to=/orders")
    person.leave()


def _shown_once(page: Page, count: int = 1) -> list[str]:
    """What a page shows once, until somebody says that it is kept."""
    expect(page.locator(".once code")).to_have_count(count, timeout=WAIT_MS)
    told = page.locator(".once code").all_inner_texts()
    page.get_by_role("button", name="I have kept it").click()
    expect(page.locator(".once")).to_have_count(0, timeout=WAIT_MS)
    return told


def test_somebody_invited_on_a_page_comes_in_with_codes_until_revoked(market: Market) -> None:
    owner = Person(market, "Pellet Mill", 390)
    page = owner.open("/people")
    assert "You are the only one" in page.inner_text("main")
    page.get_by_label("Name to log in with").fill("miller")
    page.get_by_role("combobox", name="May").select_option("reader")
    page.get_by_role("button", name="Make the link").click()
    link = _shown_once(page)[0]
    row = page.locator("tr").filter(has_text="miller")
    expect(row).to_contain_text("invited")
    page.get_by_role("button", name="Make a client").click()
    client, secret = _shown_once(page, 2)
    assert client in page.inner_text("main")
    assert secret not in page.content()
    miller = Person(market, "Pellet Mill", 390, link=link)
    theirs = miller.open("/people")
    expect(theirs.get_by_role("button", name="Make the link")).to_have_count(0)
    theirs.get_by_role("button", name="Turn codes on").click()
    expect(theirs.locator("svg.qr")).to_be_visible(timeout=WAIT_MS)
    codes, address = theirs.locator(".secret code").all_inner_texts()
    assert read(theirs.locator("svg.qr path").get_attribute("d") or "") == address
    assert theirs.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    now = int(time.time()) // STEP_S
    theirs.get_by_label("Code of your authenticator").fill(code_at(codes, now))
    theirs.get_by_role("button", name="Turn codes on").click()
    expect(theirs.locator("#told")).to_contain_text("Codes are on", timeout=WAIT_MS)
    theirs.get_by_role("button", name="Log out").click()
    for name, text in (("user", "miller"), ("password", market.logins["Pellet Mill"]["password"])):
        theirs.fill(f"input[name={name}]", text)
    theirs.fill("input[name=code]", code_at(codes, now + 1))
    theirs.click("button.main")
    expect(miller.open("/people").locator("main")).to_contain_text("on: your login")
    page = owner.open("/people")
    expect(row).to_contain_text("codes")
    for account in ("miller", client):
        page.locator("tr").filter(has_text=account).get_by_role("button", name="Revoke").click()
        expect(page.locator("tr").filter(has_text=account)).to_have_count(0, timeout=WAIT_MS)
    theirs.goto(f"{market.url}/people")
    assert theirs.url.endswith("/login?to=/people")
    for person in (owner, miller):
        person.leave()


def _own_order(person: Person) -> int:
    """What somebody new clicks, after the login, until an order of theirs is accepted."""
    page = person.page
    clicks = [page.get_by_role("link", name="New order"), page.get_by_role("button", name="Send the order")]
    clicks[0].click()
    expect(page.locator("form.bid")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("main")).to_contain_text("It would be accepted", timeout=WAIT_MS)
    clicks[1].click()
    expect(page.locator("p.good")).to_contain_text("Accepted as number", timeout=WAIT_MS)
    return len(clicks)


def test_a_demo_trades_by_itself_at_the_speed_its_operator_likes(market: Market, tmp_path: Path) -> None:
    words = ("--scenario", str(EXAMPLE), "--demo")
    with served(tmp_path / "demo", free_port(), *words) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        demo = Market(facts["url"], logins, market.browser)
        operator, wind = Person(demo, OPERATOR), Person(demo, "North Wind", 390)
        assert _own_order(wind) + LOGIN_ACTIONS <= 10
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

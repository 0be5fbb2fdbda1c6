"""The pages in a browser, from the first login to a settled trade; nothing cut, nothing from elsewhere, no error."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.api.test_grids_over_api import grid_folder
from tests.cli.test_serve_and_play import EXAMPLE, free_port, served
from tests.web.chromium import chromium
from tests.web.qr_reader import read
from tests.web.visitors import WAIT_MS, Market, Person, csv_file, heard, sent, serious, tab_to

from flexpeer.api.one_time_codes import STEP_S, code_at
from flexpeer.market.participants import Role
from flexpeer.web.site.pages import PAGES
from flexpeer.web.site.statics import statics_version

STAGE_MS = 5 * WAIT_MS
SHOWN = ((390, "dark"), (1400, "light"), (1600, "dark"))
LOGIN_ACTIONS = len(("user", "password", "log in"))
WIDEST_READ = 1400
OPERATOR = "Market operator"
LARGE_TABLE = """async (module) => {
  const { table } = await import(module);
  const frames = async () => { for (let n = 0; n < 3; n += 1) await new Promise(requestAnimationFrame); };
  const rows = Array.from({ length: 10000 }, (_, n) => ({ key: n, name: `row ${n}` }));
  const columns = [["Name", (row) => row.name, true, (row) => row.name]];
  const node = table("Rows", columns, rows, "", (row) => row.key);
  document.querySelector("main").append(node);
  await frames();
  const [scroll, search] = [node.querySelector(".scroll"), node.querySelector("input")];
  const texts = () => [...node.querySelectorAll("tbody tr")].map((row) => row.textContent);
  const told = { drawn: texts().length, rowcount: node.querySelector("table").getAttribute("aria-rowcount") };
  scroll.scrollTop = scroll.scrollHeight;
  await frames();
  told.end = texts().at(-1);
  const beneath = (row) => row.getBoundingClientRect().bottom > scroll.getBoundingClientRect().top + 40;
  const top = () => [...node.querySelectorAll("tbody tr")].find(beneath).textContent;
  scroll.scrollTop = scroll.scrollHeight / 2;
  await frames();
  told.held = top();
  search.focus();
  node.live.set([{ key: 10000, name: "row 10000" }, ...rows]);
  await frames();
  told.later = top();
  told.focused = document.activeElement === search;
  scroll.scrollTop = 0;
  await frames();
  told.first = texts()[0];
  search.value = "row 777";
  search.dispatchEvent(new Event("input"));
  await frames();
  told.found = texts().filter((text) => text === "row 777");
  return told;
}"""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    data = tmp_path_factory.mktemp("served") / "market"
    with chromium() as browser, served(data, free_port(), "--scenario", str(EXAMPLE)) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        yield Market(facts["url"], logins, browser, facts["link"])


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grid_folder(tmp_path_factory.mktemp("grids"))


def _click_on_to(operator: Person, stage: str) -> None:
    page = operator.open("/")
    page.get_by_role("button", name=f"On to: {stage}").click()
    expect(page.locator("li.done", has_text=stage)).to_have_count(1, timeout=STAGE_MS)


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
        wrong = heard(page)
        page.goto(f"{market.url}/login")
        page.get_by_role("link", name="Public market").click()
        page.wait_for_selector("main:not([aria-busy])")
        expect(page.locator("tbody").first).to_contain_text(price)
        expect(page.locator("main")).to_contain_text("priority")
        assert not any(name in page.inner_text("main") for name in market.logins)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert serious(page) == []
        page.goto(f"{market.url}/login")
        assert serious(page) == []
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


def _invited(market: Market, organisation: str, name: str) -> str:
    """The one-time link that an owner makes for somebody of the organisation."""
    owner = Person(market, organisation)
    page = owner.open("/people")
    page.get_by_label("Name to log in with").fill(name)
    page.get_by_role("combobox", name="May").select_option("contributor")
    page.get_by_role("button", name="Make the link").click()
    link = _shown_once(page)[0]
    owner.leave()
    return link


def _foreign(person: Person, paths: dict[str, int]) -> None:
    """What is somebody else's is not there, or not for this role, whoever asks for it from a page."""
    for path, status in paths.items():
        assert person.page.evaluate("(path) => fetch(path).then((answer) => answer.status)", path) == status, path
    person.wrong.clear()


def test_from_a_one_time_link_to_a_metered_and_settled_trade_as_every_role_sees_it(market: Market) -> None:
    """A seller of a mill, an engineer of a DSO and the market operator each came with a link; a wind farm buys."""
    operator = Person(market, OPERATOR, link=market.link)
    mill = Person(market, "Pellet Mill", locale="en-GB", link=_invited(market, "Pellet Mill", "seller"))
    grid = Person(market, "Coast Grid", link=_invited(market, "Coast Grid", "engineer"))
    wind = Person(market, "North Wind", locale="en-GB")
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
    order = page.locator("tbody tr").first.locator("td").nth(1).inner_text()
    _foreign(wind, {f"/api/Orders/{order}": 404, "/api/Grid": 403, "/api/Log?marketId=2026-04-21": 403})
    page.get_by_role("button", name="Amend", exact=True).click()
    page.locator("dialog input").nth(1).fill("8888")
    page.locator("dialog button.main").click()
    expect(page.locator("tbody")).to_contain_text("8,888", timeout=WAIT_MS)
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(page.locator("tbody")).to_contain_text("Cancelled", timeout=WAIT_MS)
    _dso_looks_on(grid)
    for stage in ("closed", "cleared", "confirmed", "delivered"):
        _click_on_to(operator, stage)
    assert "Dryer" in mill.open("/delivery").inner_text("main")
    read = [f"Dryer,2026-04-21T{hour}:00+02:00,-2000000\n" for hour in (10, 11)]
    sent(mill.open("/uploads"), "Meter readings", csv_file(f"resource,from,p_w\n{''.join(read)}"))
    for stage in ("verified", "settled"):
        _click_on_to(operator, stage)
    for person in (mill, grid, operator):
        expect(person.open("/delivery").locator("tbody tr")).to_contain_text("100%")
        expect(person.open("/trades").locator("section").nth(1)).to_contain_text("Dryer")
    expect(wind.open("/trades").locator("section").first).to_contain_text("240")
    expect(wind.page.locator("section").nth(1)).to_contain_text("N1")
    expect(mill.open("/money").locator("tbody tr").first).to_contain_text("480.00")
    assert "North Wind" not in mill.page.inner_text("main")
    _operator_looks_back(operator)
    _anybody_sees(market, "240")
    for person in (operator, mill, wind, grid):
        person.leave()


def _dso_looks_on(grid: Person) -> None:
    """Whose orders meet at its point, what it said of them, and what it would buy."""
    expect(grid.open("/orders").locator("tbody")).to_contain_text("N1")
    verdict = grid.open("/grid-check").locator("tbody tr").first
    expect(verdict).to_contain_text("granted")
    expect(grid.open("/purchase").locator("main")).to_contain_text("orders of their own")
    _foreign(grid, {"/api/Health": 403, "/api/Log?marketId=2026-04-21": 403})


def _operator_looks_back(operator: Person) -> None:
    """The whole market is settled, the owner has answered, and the log is whole."""
    expect(operator.open("/money").locator("tbody").first).to_contain_text("Pellet Mill")
    expect(operator.open("/kpis").locator("tbody tr")).not_to_have_count(0)
    health = operator.open("/operations").locator("section.rows").filter(has_text="Grid owners of the day")
    expect(health.locator("tbody tr").filter(has_text="Coast Grid")).to_contain_text("answers")
    page = operator.open("/audit")
    expect(page.locator("section").nth(2)).to_contain_text("StageReached")
    page.get_by_role("button", name="Check the log").click()
    expect(page.locator("main")).to_contain_text("Whole:")
    _foreign(operator, {"/api/Grid": 403, "/api/Purchase": 403, "/drawings/map?market=2026-04-21": 403})


@pytest.mark.parametrize(("organisation", "locale"), [("North Wind", "en"), ("Coast Grid", "sv"), (OPERATOR, "en")])
def test_every_page_fits_and_shuts_nobody_out(market: Market, organisation: str, locale: str) -> None:
    person = Person(market, organisation, 390, dark=True, locale=locale)
    role = Role(market.logins[organisation]["role"])
    others = {name for name, at in market.logins.items() if at["role"] == "FSP"} - {organisation}
    for each in PAGES:
        if role not in each.roles:
            continue
        page = person.open(each.path)
        if role is Role.FSP:
            assert not [name for name in others if name in page.inner_text("main")], each.path
        for width, scheme in SHOWN:
            _fits(page, width, scheme, each.path)
    person.leave()


LOOKING = {"Sum": "AGGREGATOR", "Balance": "BRP", "Regulator": "OBSERVER"}
REGISTER = """async ([id, role]) => {
  const word = document.querySelector("meta[name=word]").content;
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": word };
  const body = JSON.stringify({ id, role, owner: `owner of ${id}` });
  return (await (await fetch("/api/Organizations", { method: "POST", headers, body })).json()).link;
}"""


def test_who_comes_with_a_link_finds_pages_that_fit_and_shut_nobody_out(market: Market) -> None:
    """An aggregator that has nothing yet, a BRP and an observer; the invitation before, and when it is used."""
    operator = Person(market, OPERATOR)
    for name, role in LOOKING.items():
        link = operator.page.evaluate(REGISTER, [name, role])
        locale = "sv" if role == "BRP" else "en"
        if role == "BRP":
            _invitation_fits(market, link, "input[name=password]", locale)
        here = market._replace(logins={**market.logins, name: {"password": f"what {name} chooses", "user": ""}})
        person = Person(here, name, 390, dark=True, locale=locale, link=link)
        for each in PAGES:
            if Role(role) in each.roles:
                page = person.open(each.path)
                for width, scheme in SHOWN[:2]:
                    _fits(page, width, scheme, each.path)
        person.leave()
        if role == "BRP":
            _invitation_fits(market, link, "p.bad", locale)
    operator.leave()


def _invitation_fits(market: Market, link: str, what: str, locale: str) -> None:
    page = market.browser.new_context(locale=locale).new_page()
    page.goto(link)
    expect(page.locator(what)).to_be_visible()
    for width, scheme in SHOWN[:2]:
        _fits(page, width, scheme, link)
    page.context.close()


def _fits(page: Page, width: int, scheme: str, name: str) -> None:
    """Nothing is beyond the window's edge, and nothing keeps anybody out."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert beyond <= 0, (name, width, beyond)
    if width <= WIDEST_READ:
        assert serious(page) == [], (name, width)


def test_files_of_an_fsp_are_answered_line_by_line(market: Market, tmp_path: Path) -> None:
    with served(tmp_path / "market", free_port(), "--scenario", str(EXAMPLE)) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        mill = Person(Market(facts["url"], logins, market.browser), "Pellet Mill", 390)
        page = mill.open("/uploads")
        rows = "Dryer,2026-04-21T10:00+02:00,-1000\n"
        taken = sent(page, "Plans", csv_file(f"resource,from,p_w\n{rows}"))
        expect(taken.locator("p").last).to_contain_text("own plan")
        broken = sent(page, "Plans", csv_file(f"resource,from,p_w\n{rows}Dryer,2026-04-21T10:00+02:00,much\n"))
        expect(broken.locator("tbody tr")).to_contain_text("line 3")
        orders = "order,resource,side,from,to,quantity_w,price\nF1,Dryer,SELL,2026-04-21T10:00+02:00,soon,1000,300\n"
        answered = sent(page, "Orders", csv_file(orders))
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
        expect(sent(page, "Grid file", file).locator("tbody tr")).not_to_have_count(0)
        grid.wrong.clear()
        file["buffer"] = json.dumps(own).encode()
        expect(sent(page, "Grid file", file)).to_contain_text("this is your grid now")
        broken = sent(
            page, "Forecast", csv_file("from,bus,p_w,q_var\n2026-01-15T12:00+01:00,Nowhere,1,0\nnoon,Nowhere,1,0\n")
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
    owner = Person(market, "Island Storage", 390)
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
    miller = Person(market, "Island Storage", 390, link=link)
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
    for name, text in (("user", "miller"), ("password", market.logins["Island Storage"]["password"])):
        theirs.fill(f"input[name={name}]", text)
    theirs.fill("input[name=code]", code_at(codes, max(now + 1, int(time.time()) // STEP_S)))
    theirs.click("button.main")
    expect(miller.open("/people").locator("main")).to_contain_text("on: your login")
    page = owner.open("/people")
    expect(row).to_contain_text("codes")
    for account in ("miller", client):
        page.locator("tr").filter(has_text=account).get_by_role("button", name="Revoke").click()
        expect(page.locator("tr").filter(has_text=account)).to_have_count(0, timeout=WAIT_MS)
    theirs.goto(f"{market.url}/people")
    assert theirs.url.endswith("/login?to=/people")
    miller.wrong.clear()
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


def _order_by_keyboard(market: Market, organisation: str) -> None:
    """From the login page to an accepted order without a pointer; what comes of it is told where readers listen."""
    login = market.logins[organisation]
    page = market.browser.new_context(viewport={"width": 1400, "height": 900}, locale="en").new_page()
    page.goto(f"{market.url}/login")
    page.keyboard.type(login["user"])
    page.keyboard.press("Tab")
    page.keyboard.type(login["password"])
    page.keyboard.press("Enter")
    page.wait_for_selector("main:not([aria-busy])")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to(page, "nav a[href='/bid']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/bid")
    expect(page.locator("form.bid")).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "input[name=quantity]", 6)
    page.keyboard.press("Control+A")
    page.keyboard.type("0,5")
    expect(page.locator("[aria-live=polite]", has_text="It would be accepted")).to_have_count(1, timeout=WAIT_MS)
    tab_to(page, "form.bid button.main", 6)
    page.keyboard.press("Enter")
    expect(page.locator("[role=status] p.good")).to_contain_text("Accepted as number", timeout=WAIT_MS)
    assert page.evaluate("document.activeElement.matches('form.bid button.main')")
    page.context.close()


def _refused_in_swedish(market: Market, organisation: str) -> None:
    """Why an order would be refused, and what is wrong with files, whole sentences in the language of the page."""
    person = Person(market, organisation, locale="sv")
    page = person.open("/bid")
    page.fill("input[name=quantity]", "9999")
    expect(page.locator("p.bad").first).to_contain_text("utanför det godkända området", timeout=WAIT_MS)
    rows = "resource,from,p_w\nDryer,2026-04-21T10:00+02:00,much\nDryer,soon,-1000\n"
    page = person.open("/uploads")
    card = sent(page, "Planer", csv_file(rows), "Skicka filen")
    expect(card.locator("tbody tr").first).to_contain_text("rad 2much är inget tal")
    expect(card.locator("tbody tr").last).to_contain_text("rad 3soon är ingen tidpunkt")
    person.wrong.clear()
    person.leave()


def test_ten_thousand_rows_are_drawn_as_far_as_one_looks(market: Market) -> None:
    person = Person(market, "North Wind")
    person.open("/trades")
    module = f"/static/{statics_version()}/table.js"
    told = person.page.evaluate(LARGE_TABLE, module)
    assert told["drawn"] < 120
    assert told["rowcount"] == "10001"
    assert told["end"] == "row 9999"
    assert told["held"] == told["later"]
    assert told["first"] == "row 10000"
    assert told["found"] == ["row 777"]
    assert told["focused"]
    person.leave()


def test_a_demo_trades_by_itself_at_the_speed_its_operator_likes(market: Market, tmp_path: Path) -> None:
    words = ("--scenario", str(EXAMPLE), "--demo")
    with served(tmp_path / "demo", free_port(), *words) as (_, facts):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
        demo = Market(facts["url"], logins, market.browser)
        operator, wind = Person(demo, OPERATOR), Person(demo, "North Wind", 390)
        assert _own_order(wind) + LOGIN_ACTIONS <= 10
        _order_by_keyboard(demo, "South Wind")
        _refused_in_swedish(demo, "Pellet Mill")
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

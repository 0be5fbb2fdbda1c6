"""How the pages keep up: `python -m benchmarks.pages` serves the demo and looks at it with Debian's Chromium.

Ready: from going to a page until it is no longer busy, every page of three logins. Book: how long after an order is
acknowledged the table of the page shows it, at 100 orders a second from another thread. Large: pages with 10,000 orders
more in the book, until they are ready, while one scrolls through all of it, and searches. Memory: the page's heap after
a collection, before and after an hour of virtual trading. Map: 5,507 buses, both states solved and drawn. Clicks: what
a new user clicks and fills, from the login page until an order of theirs is accepted.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import numpy as np
from playwright.sync_api import Browser, Page
from tests.web.chromium import chromium

from flexpeer.app.views.outcome import GridPicture
from flexpeer.grid.powerflow import DayFlow
from flexpeer.market.participants import Role
from flexpeer.periods import MarketDay
from flexpeer.simulation.bench_grid_cases import cases
from flexpeer.web.grid_map import Subject
from flexpeer.web.site.maps import Shown, map_document
from flexpeer.web.site.pages import PAGES

MANY, OF_A_RESOURCE, STEPS = 10_000, 2_500, 60
ORDERS, PER_SECOND, CONNECTIONS, WATTS_PER_MW, DEAR = 2_000, 100, 16, 1_000_000, 2_900
ROLES = ("REGIONAL_DSO", "FSP", "MARKET_OPERATOR")
LARGE = "5,507 buses, power flow, day"
WATCH = """() => {
  window.seen = [];
  const content = document.getElementById("content");
  new MutationObserver(() => window.seen.push([Date.now(), Number(content.dataset.drawn)]))
    .observe(content, { attributes: true, attributeFilter: ["data-drawn"] });
}"""
SCROLL = """async (steps) => {
  const [scroll, search] = [document.querySelector(".scroll.many"), document.querySelector("input[type=search]")];
  const frame = () => new Promise(requestAnimationFrame);
  const took = [];
  for (let n = 0; n < steps; n += 1) {
    const began = performance.now();
    scroll.scrollTop = (n * scroll.scrollHeight) / steps;
    await frame();
    await frame();
    took.push(performance.now() - began);
  }
  const drawn = scroll.querySelectorAll("tbody tr").length;
  const began = performance.now();
  search.value = "10:00";
  search.dispatchEvent(new Event("input"));
  return { took: took.sort((a, b) => a - b), drawn, searched: performance.now() - began };
}"""
WHOLE = "(document.querySelector('.scroll.many') || {}).scrollHeight > 200000"
Row = tuple[str, str, str]


class Demo(NamedTuple):
    """A served demo and who may come in."""

    url: str
    logins: dict[str, Any]

    def of(self, role: str) -> str:
        """The first organisation of a role."""
        return next(name for name, at in self.logins.items() if at["role"] == role)


@contextmanager
def demo() -> Iterator[Demo]:
    """As `flexpeer serve --demo` has it."""
    with tempfile.TemporaryDirectory() as folder:
        words = (sys.executable, "-m", "flexpeer", "serve", "--demo", "--port", "0", "--json", "--data", f"{folder}/m")
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
            assert program.stdout is not None
            facts = json.loads(program.stdout.readline())
            known = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))
            try:
                yield Demo(facts["url"], known["organisations"])
            finally:
                program.terminate()


class Visit:
    """Somebody at a browser; what is clicked and filled is counted."""

    def __init__(self, browser: Browser, here: Demo, organisation: str) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        self.here, self.done = here, 0
        self.page.goto(f"{here.url}/login")
        login = here.logins[organisation]
        self.fill("input[name=user]", login["user"])
        self.fill("input[name=password]", login["password"])
        self.click("button.main")

    def fill(self, field: str, text: str) -> None:
        """One field."""
        self.done += 1
        self.page.fill(field, text)

    def click(self, what: str) -> None:
        """One click, and the page is ready again."""
        self.done += 1
        self.page.click(what)
        self.page.wait_for_selector("main:not([aria-busy])")

    def open(self, path: str) -> float:
        """Seconds until a page is ready."""
        began = time.perf_counter()
        self.page.goto(self.here.url + path)
        self.page.wait_for_selector("main:not([aria-busy])")
        return time.perf_counter() - began


def ready(browser: Browser, here: Demo) -> Iterator[Row]:
    """Every page of three logins, twice: the second time as one finds it when one goes back and forth."""
    for role in ROLES:
        visit, took = Visit(browser, here, here.of(role)), {}
        paths = [page.path for page in PAGES if Role(role) in page.roles]
        for path in paths:
            took[path] = [visit.open(path), visit.open(path)]
        first, again = ([each[n] for each in took.values()] for n in (0, 1))
        worst = max(took, key=lambda path: took[path][1])
        told = f"median {median(again):.2f} s, slowest {max(again):.2f} s ({worst}); at first {max(first):.2f} s"
        yield (f"{role}, {len(paths)} pages", "ready", told)
        visit.page.context.close()


def clicks(browser: Browser, here: Demo) -> Iterator[Row]:
    """A new FSP's way to an order that is accepted, from the login page on."""
    began, visit = time.perf_counter(), Visit(browser, here, here.of("FSP"))
    visit.page.wait_for_selector("main:not([aria-busy])")
    visit.click('nav a[href="/bid"]')
    visit.page.wait_for_selector("text=It would be accepted")
    visit.click("form.bid button.main")
    visit.page.wait_for_selector("p.good")
    yield ("login to an accepted order", "clicks and fields", f"{visit.done}, in {time.perf_counter() - began:.1f} s")
    visit.page.context.close()


@contextmanager
def signed_in(here: Demo, organisation: str) -> Iterator[httpx.Client]:
    """A program of an organisation."""
    login = here.logins[organisation]
    with httpx.Client(base_url=here.url, timeout=120) as client:
        who = (login["client_id"], login["client_secret"])
        token = client.post("/api/token", auth=who).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


class Sender:
    """Orders that meet nobody, at their pace over several connections; when each was acknowledged."""

    def __init__(self, here: Demo, organisation: str) -> None:
        login = here.logins[organisation]
        self._client = httpx.Client(base_url=here.url, timeout=60)
        who = (login["client_id"], login["client_secret"])
        token = self._client.post("/api/token", auth=who).json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"
        self._body = self._template()
        self.acknowledged: list[float] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(CONNECTIONS)]
        self._began = time.perf_counter()
        for thread in self._threads:
            thread.start()

    @property
    def busy(self) -> bool:
        """Whether there are more to come."""
        return any(thread.is_alive() for thread in self._threads)

    def _template(self) -> dict[str, Any]:
        unit = self._client.get("/api/Portfolios").json()["items"][0]["id"]
        market = next(each for each in self._client.get("/api/Markets").json()["items"] if each["status"] == "open")
        zones = self._client.get(f"/api/FlexibilityZones?take=1000&marketId={market['id']}").json()["items"]
        zone = next(each for each in zones if unit in each["portfolioIds"])
        named = {"marketId": market["id"], "portfolioId": unit, "flexibilityZoneId": zone["id"], "side": "Sell"}
        least = str(Decimal(market["rulebook"]["min_quantity_w"]) / WATTS_PER_MW)
        return {**named, "periodFrom": zone["periodFrom"], "periodTo": zone["periodTo"], "quantity": least}

    def _run(self, first: int) -> None:
        for number in range(first, ORDERS, CONNECTIONS):
            time.sleep(max(0.0, self._began + number / PER_SECOND - time.perf_counter()))
            body = dict(self._body)
            body["pricePoints"] = [{"quantity": body.pop("quantity"), "unitPrice": str(DEAR + number % 50)}]
            answer = self._client.post("/api/Orders", json=body)
            assert answer.is_success, answer.text
            self.acknowledged.append(time.time() * 1e3)


def book(browser: Browser, here: Demo) -> Iterator[Row]:
    """From the acknowledgement to the table; the clock stands still meanwhile."""
    operator = Visit(browser, here, here.of("MARKET_OPERATOR"))
    operator.page.click("text=Pause")
    visit = Visit(browser, here, here.of("REGIONAL_DSO"))
    visit.open("/book")
    base = int(visit.page.get_attribute("#content", "data-drawn") or 0)
    visit.page.evaluate(WATCH)
    sender = Sender(here, here.of("FSP"))
    while sender.busy:
        visit.page.wait_for_timeout(200)
    visit.page.wait_for_timeout(1000)
    seen, acknowledged = visit.page.evaluate("window.seen"), sorted(sender.acknowledged)
    late = []
    for number, at in enumerate(acknowledged, 1):
        shown = next((when for when, count in seen if count >= base + number), None)
        assert shown is not None, f"order {number} was never shown"
        late.append(max(0.0, shown - at))
    late.sort()
    rate = 1e3 * (len(acknowledged) - 1) / (acknowledged[-1] - acknowledged[0])
    told = f"median {median(late):.0f} ms, 99 of 100 within {late[int(0.99 * len(late))]:.0f} ms, all {late[-1]:.0f} ms"
    yield (
        f"{len(acknowledged):,} orders, {rate:.0f} a second, {base:,} in the book before",
        "book shows an order",
        told,
    )
    visit.page.context.close()
    operator.page.click("text=Run")
    operator.page.context.close()


def fill(here: Demo, count: int) -> int:
    """Orders that meet nobody, as few watts as may be, of as many resources as it takes; how many were taken."""
    taken = 0
    for name, login in here.logins.items():
        if login["role"] != "FSP" or taken >= count:
            continue
        with signed_in(here, name) as client:
            market = next(each for each in client.get("/api/Markets").json()["items"] if each["status"] == "open")
            zones = client.get(f"/api/FlexibilityZones?take=1000&marketId={market['id']}").json()["items"]
            units = [each["id"] for each in client.get("/api/Portfolios").json()["items"]]
            rows = [row for unit in units for row in _rows(market, zones, unit)][: count - taken]
            body = "\n".join(["order,resource,side,from,to,quantity_w,price,congestion_point", *rows])
            path = f"/api/Orders/import?marketId={market['id']}"
            answer = client.post(path, content=body.encode(), headers={"Content-Type": "text/csv"})
            taken += answer.json()["accepted"]
    return taken


def _rows(market: dict[str, Any], zones: list[dict[str, Any]], unit: str) -> Iterator[str]:
    zone = next((each for each in zones if unit in each["portfolioIds"]), None)
    if zone is None:
        return
    hours, least = f"{zone['periodFrom']},{zone['periodTo']}", market["rulebook"]["min_quantity_w"]
    for number in range(OF_A_RESOURCE):
        yield f"{unit} {number},{unit},SELL,{hours},{least},{DEAR + number % 50},{zone['id']}"


def large(browser: Browser, here: Demo) -> Iterator[Row]:
    """A book of 10,000 orders: ready, scrolled from end to end, searched; the clock stands still meanwhile."""
    operator = Visit(browser, here, here.of("MARKET_OPERATOR"))
    operator.page.click("text=Pause")
    taken = fill(here, MANY)
    for path in ("/book", "/orders"):
        again = min(operator.open(path), operator.open(path))
        while not operator.page.evaluate(WHOLE):
            operator.page.wait_for_timeout(200)
        told = operator.page.evaluate(SCROLL, STEPS)
        frames = f"{told['drawn']} rows drawn; a step of the scroll median {median(told['took']):.0f} ms, "
        yield (
            f"{path}, {taken:,} orders more",
            "ready, scrolled, searched",
            f"{again:.2f} s; {frames}worst {told['took'][-1]:.0f} ms; searched in {told['searched']:.0f} ms",
        )
    operator.page.click("text=Run")
    operator.page.context.close()


def memory(browser: Browser, here: Demo) -> Iterator[Row]:
    """The heap over an hour of the demo's own trading, on the pages that change most."""
    visits = {path: Visit(browser, here, here.of("REGIONAL_DSO")) for path in ("/book", "/", "/orders")}
    for path, visit in visits.items():
        visit.open(path)
    time.sleep(10)
    before = {path: heap(visit.page) for path, visit in visits.items()}
    clock = visits["/"].page.evaluate("fetch('/api/clock').then((a) => a.json())")
    time.sleep(3600 / clock["speed"])
    for path, visit in visits.items():
        told = f"{before[path] / 1e6:.1f} MB, then {heap(visit.page) / 1e6:.1f} MB"
        yield (f"{path}, an hour at {clock['speed']:.0f} times real time", "heap", told)
        visit.page.context.close()


def heap(page: Page) -> float:
    """Bytes of the page's heap that are used after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in found if each["name"] == "JSHeapUsedSize"))


def large_map() -> Iterator[Row]:
    """Both states of a large grid, and the drawings of its most loaded part."""
    case = cases(None)[LARGE]()
    network, count = case.network, case.periods
    flow = DayFlow(network, count)
    flow.solve(case.p_w, case.q_var)
    began = time.perf_counter()
    for _ in ("before", "now"):
        flow.solve(case.p_w, case.q_var)
    solved = time.perf_counter() - began
    loading = np.random.default_rng(1).uniform(0.0, 1.2, (network.branch_count, count))
    v_pu = np.ones((network.bus_count, count))
    owners = ("DSO",) * network.bus_count
    picture = GridPicture(network, owners, {}, loading, loading, v_pu, v_pu)
    shown = Shown(
        Subject(picture, (), (), (), (0,) * count), MarketDay(date(2026, 2, 11), "Europe/Stockholm", 15), False
    )
    began = time.perf_counter()
    size = len(json.dumps(map_document(shown)))
    drawn = time.perf_counter() - began
    told = f"solved in {solved:.2f} s, drawn in {drawn:.2f} s, {size / 1e3:,.0f} kB"
    yield (f"{network.bus_count:,} buses, {count} periods", "map", told)


def main() -> None:
    """Print a table."""
    print("| what | measured | value |\n|---|---|---|", flush=True)
    rows: list[Iterator[Row]] = [large_map()]
    for row in (row for part in rows for row in part):
        print(f"| {' | '.join(row)} |", flush=True)
    with chromium() as browser, demo() as here:
        for measure in (clicks, ready, book, memory, large):
            for row in measure(browser, here):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

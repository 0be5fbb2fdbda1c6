"""Somebody at a browser, for tests of pages: who comes in how, what goes wrong there, and whom a page shuts out."""

from typing import Any, NamedTuple

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)
AXE = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


class Market(NamedTuple):
    """A served market, its logins, and a browser."""

    url: str
    logins: dict[str, Any]
    browser: Browser
    link: str = ""


def heard(page: Page) -> list[str]:
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
        self.wrong = heard(self.page)
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
        assert self.wrong == [], self.wrong
        self.page.context.close()


def serious(page: Page) -> list[str]:
    """What axe finds that would keep somebody out: rule and where."""
    axe = Axe("0") if page.evaluate("'axe' in window") else Axe()
    found = axe.run(page, options=AXE).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['html'][:120]} {node['failureSummary'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


def csv_file(text: str) -> dict[str, Any]:
    return {"name": "file.csv", "mimeType": "text/csv", "buffer": text.encode()}


def sent(page: Page, title: str, file: dict[str, Any], button: str = "Send the file") -> Locator:
    """The card of a file, once it is answered."""
    card = page.locator("section.card").filter(has=page.get_by_role("heading", name=title, exact=True))
    card.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    card.get_by_role("button", name=button).click()
    expect(card.locator("p.good, p.warn, p.bad").first).to_be_visible(timeout=WAIT_MS)
    return card


def tab_to(page: Page, selector: str, most: int = 60) -> None:
    """Tab on until something has the focus; every stop on the way can be seen to have it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"no way to {selector} by keyboard")

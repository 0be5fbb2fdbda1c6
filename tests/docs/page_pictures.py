"""Pictures of the pages for documents and for a look: `python -m tests.docs.page_pictures OUT`.

Serves the demo and takes every page of a DSO, an FSP and the market operator, as a desk and as a telephone show it,
light in English and dark in Swedish. They are made again, never committed.
"""

import json
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from tests.cli.test_serve_and_play import free_port, served
from tests.docs.pictures import SCHEMES, SLICE, WIDTHS
from tests.web.chromium import chromium

from flexpeer.market.participants import Role
from flexpeer.web.site.pages import PAGES

ROLES = (Role.REGIONAL_DSO, Role.FSP, Role.MARKET_OPERATOR)
LANGUAGES = {"light": "en", "dark": "sv"}


def entered(browser: Browser, url: str, login: dict[str, Any], device: str, scheme: str) -> Page:
    """Somebody's page after the login."""
    size: Any = {"width": WIDTHS[device], "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, locale=LANGUAGES[scheme])  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{url}/login")
    page.fill("input[name=user]", login["user"])
    page.fill("input[name=password]", login["password"])
    page.click("button.main")
    page.wait_for_selector("main:not([aria-busy])")
    return page


def take(page: Page, url: str, role: Role, out: Path, name: str) -> None:
    """Every page of a role, as its visitor's window shows it."""
    for each in PAGES:
        if role not in each.roles:
            continue
        page.goto(url + each.path)
        page.wait_for_selector("main:not([aria-busy])")
        width, high = page.evaluate("[window.innerWidth, document.documentElement.scrollHeight]")
        picture = out / f"{role.lower()}-{each.module}-{name}.png"
        part: Any = {"x": 0, "y": 0, "width": width, "height": min(SLICE, high)}
        page.screenshot(path=str(picture), full_page=True, clip=part)
        print(picture)


def main(out: str) -> None:
    """Take them and say where they are."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        chromium() as browser,
        served(Path(scratch) / "demo", free_port(), "--demo") as (_, facts),
    ):
        logins = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"].values()
        for role, device, scheme in product(ROLES, WIDTHS, SCHEMES):
            login = next(each for each in logins if each["role"] == role)
            page = entered(browser, facts["url"], login, device, scheme)
            take(page, facts["url"], role, folder, f"{device}-{scheme}")
            page.context.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

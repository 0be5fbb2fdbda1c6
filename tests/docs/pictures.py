"""Pictures for documents and for a look: `python -m tests.docs.pictures OUT [RESULTS]`.

Of the results in the folder RESULTS, or of the built-in day, which it runs: the report, and the pages of the DSO and of
the FSP with most trades, as a desk and as a telephone show them, light and dark. They are made again, never committed.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from csv import DictReader
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser
from tests.web.chromium import chromium

from flexpeer.bootstrap import run_demo

WIDTHS = {"desk": 1400, "telephone": 390}
SCHEMES = ("light", "dark")
SLICE = 2_400
"""Pictures are no higher, so that a viewer need not shrink them: a long page gives several."""


class Subject(NamedTuple):
    """A page and what its pictures are called."""

    name: str
    page: Path


def subjects(results: Path) -> Iterator[Subject]:
    """The report, and the two organisations."""
    yield Subject("report", results / "report.html")
    files = {
        each["organisation"]: results / each["html"]
        for each in json.loads((results / "result.json").read_text(encoding="utf-8"))["organisations"]
    }
    dsos = _most_often(results / "needs.csv", "dso")
    traders = [name for name in _most_often(results / "confirmations.csv", "organisation") if name not in dsos]
    yield from (Subject(name, files[found[0]]) for name, found in (("dso", dsos), ("fsp", traders)) if found)


def _most_often(table: Path, column: str) -> list[str]:
    with table.open(encoding="utf-8", newline="") as file:
        return [name for name, _ in Counter(row[column] for row in DictReader(file)).most_common() if name]


def take(browser: Browser, subject: Subject, device: str, scheme: str, out: Path) -> list[Path]:
    """The pictures of one page, from top to bottom, in an existing folder."""
    width, colours = WIDTHS[device], {"color_scheme": scheme}
    context = browser.new_context(viewport={"width": width, "height": 900}, **colours)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(subject.page.resolve().as_uri())
    high = page.evaluate("document.documentElement.scrollHeight")
    taken = []
    for number, top in enumerate(range(0, high, SLICE), 1):
        taken.append(out / f"{subject.name}-{device}-{scheme}-{number}.png")
        part: Any = {"x": 0, "y": top, "width": width, "height": min(SLICE, high - top)}
        page.screenshot(path=str(taken[-1]), full_page=True, clip=part)
    context.close()
    return taken


def main(out: str, results: str = "") -> None:
    """Take them and say where they are."""
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        folder = Path(results) if results else Path(scratch) / "demo"
        if not results:
            run_demo(folder, lambda _done, _total: None, lambda _outcome, _result: None)
        Path(out).mkdir(parents=True, exist_ok=True)
        for subject, device, scheme in product(subjects(folder), WIDTHS, SCHEMES):
            for picture in take(browser, subject, device, scheme, Path(out)):
                print(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])

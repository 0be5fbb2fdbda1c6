"""A browser for tests: Debian's Chromium, installed if that may be done, else a skip that says why."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from tests.debian import install

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


def _installed() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser without a window."""
    why = "" if _installed() else install("chromium")
    path = _installed()
    if path is None:
        pytest.skip(f"NOT RUN: there is no Chromium: {why}")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        except Error as error:
            pytest.skip(f"NOT RUN: Chromium does not start: {error.message[:300]}")
        try:
            yield browser
        finally:
            browser.close()

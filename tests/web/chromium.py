"""A browser for tests: Debian's Chromium, installed if that may be done, else a skip that says why."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


def _installed() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _install() -> str:
    """From Debian's packages; what hindered it."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "it is not installed, and only root can install Debian's package chromium"
    command = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    except subprocess.TimeoutExpired:
        return "installing Debian's package chromium took more than 400 s"
    return "" if done.returncode == 0 else f"installing Debian's package chromium failed: {done.stderr[-300:]}"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser without a window."""
    why = "" if _installed() else _install()
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

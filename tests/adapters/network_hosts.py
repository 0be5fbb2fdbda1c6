"""Hosts on one machine: network namespaces on a bridge, whose links can be cut without the hosts being told."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from tests.docs.pages import ROOT


def _ip(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


def _must(*words: str) -> None:
    done = _ip(*words)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Hosts:
    """Each at an address of its own; `start` runs Python there."""

    def __init__(self, tag: str, names: Sequence[str]) -> None:
        self._lan, self._space = f"{tag}-lan", {name: f"{tag}-{name}" for name in names}
        self.address = {name: f"10.213.0.{number}" for number, name in enumerate(names, 1)}

    def build(self) -> None:
        _must("netns", "add", self._lan)
        _must("-n", self._lan, "link", "add", "bridge", "type", "bridge")
        _must("-n", self._lan, "link", "set", "bridge", "up")
        for name, space in self._space.items():
            _must("netns", "add", space)
            _must("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", name, "netns", self._lan)
            _must("-n", self._lan, "link", "set", name, "master", "bridge", "up")
            _must("-n", space, "address", "add", f"{self.address[name]}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _must("-n", space, "link", "set", device, "up")

    def remove(self) -> None:
        for space in (*self._space.values(), self._lan):
            _ip("netns", "delete", space)

    def cut(self, name: str) -> None:
        """Take the host off the bridge; its own device stays up, and what it sends is lost."""
        _must("-n", self._lan, "link", "set", name, "nomaster")

    def heal(self, name: str) -> None:
        _must("-n", self._lan, "link", "set", name, "master", "bridge")

    def start(self, name: str, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["ip", "netns", "exec", self._space[name], sys.executable, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip


@contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Skips where namespaces cannot be made."""
    tag = f"fp{os.getpid()}"
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` to make network namespaces with")
    tried = _ip("netns", "add", f"{tag}-try")
    if tried.returncode != 0:
        pytest.skip(f"network namespaces cannot be made here: {tried.stderr.strip()}")
    _ip("netns", "delete", f"{tag}-try")
    found = Hosts(tag, names)
    try:
        found.build()
        yield found
    finally:
        found.remove()

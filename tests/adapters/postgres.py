"""A real PostgreSQL for tests: a cluster of its own in a folder, on a Unix socket, ended when the tests are over."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.debian import install

ROOM_BYTES = 1 << 30
PLACES = ("/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/homebrew/opt/postgresql")


def _programs() -> Path | None:
    """The newest installed version's programs."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(path for place in PLACES for path in Path(place).glob("*/bin") if (path / "initdb").exists())
    return found[-1] if found else None


def _scratch() -> str | None:
    """In memory where there is room: a kill loses nothing there either, and other work on the disk costs no time."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES else None


def _as_nobody() -> dict[str, int]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    who = pwd.getpwnam("postgres" if any(p.pw_name == "postgres" for p in pwd.getpwall()) else "nobody")
    return {"user": who.pw_uid, "group": who.pw_gid}


class Cluster:
    """A server that can be stopped and started; `url` is one of its databases."""

    def __init__(self, programs: Path, folder: Path, settings: Sequence[str] = ()) -> None:
        self._programs, self._folder, self._who = programs, folder, _as_nobody()
        self._settings = [word for setting in ("listen_addresses=", *settings) for word in ("-c", setting)]
        self._server: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(folder, self._who["user"], self._who["group"])
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "flexpeer", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"
        )

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments], check=True, capture_output=True, cwd="/", **self._who
        )  # type: ignore[call-overload]

    def start(self) -> None:
        """Take connections."""
        options = ["-D", str(self._folder / "data"), "-k", str(self._folder), *self._settings]
        self._server = subprocess.Popen(
            [str(self._programs / "postgres"), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", **self._who,
        )  # type: ignore[call-overload]  # fmt: skip
        for _ in range(300):
            ready = [str(self._programs / "pg_isready"), "-h", str(self._folder), "-q"]
            if subprocess.run(ready, check=False, cwd="/").returncode == 0:
                return
            assert self._server.poll() is None, "PostgreSQL ended"
            time.sleep(0.1)
        raise AssertionError("PostgreSQL does not answer")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._server is not None
        self._server.send_signal(3)
        self._server.wait()
        self._server = None

    def database(self, name: str) -> str:
        """The address of a new database."""
        self._run("createdb", "-h", str(self._folder), "-U", "flexpeer", name)
        return f"postgresql://flexpeer@/{name}?host={self._folder}"

    def again(self) -> None:
        """End it if it runs, and start it."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it if it runs."""
        if self._server is not None:
            self.kill()


@contextmanager
def postgres(*settings: str, folder: Path | None = None) -> Iterator[Cluster]:
    """A running cluster, in a folder of its own or below the given one; skips with the reason where there is none."""
    programs = _programs()
    if programs is None:
        why = install("postgresql")
        programs = _programs()
        if programs is None:
            warnings.warn(f"tests on PostgreSQL are NOT RUN: {why}", stacklevel=1)
            pytest.skip(f"NOT RUN: PostgreSQL cannot be started: {why}")
    with tempfile.TemporaryDirectory(prefix="flexpeer-pg-", dir=folder or _scratch()) as own:
        cluster = Cluster(programs, Path(own), settings)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()

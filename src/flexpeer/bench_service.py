"""How many orders a second a service acknowledges, and how soon, beside what it could not be faster than.

A market of 64 congestion points is served by a program of its own; clients in another send orders over connections that
stay open, each the next when the last is acknowledged. Beside it in the same run: the same service with its store in
memory, where a sync costs nothing, and a plain FastAPI service that checks a body with pydantic, inserts one row and
commits, request by request. With `FLEXPEER_DATABASE` the service on that PostgreSQL database too.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np
import uvicorn
from fastapi import FastAPI
from msgspec.structs import replace
from pydantic import BaseModel

from flexpeer import __version__
from flexpeer.adapters.gridfiles import GridFile, write_flexpeer_json
from flexpeer.adapters.log_file import FileLog
from flexpeer.adapters.scenario_files.writer import write_scenario
from flexpeer.app.day import Day
from flexpeer.app.scenario import OrderRow
from flexpeer.errors import bad_input
from flexpeer.market.timeline import Stage
from flexpeer.playing import order_body
from flexpeer.simulation.bench_market import DAY, MarketCase, NoTimes, hours_in_need, orders, points_case, wide_case

CLIENTS, BATCH = 64, 100
GRID = "grid.json"
MEMORY = Path("/dev/shm")
UNLIMITED = "1000000"
Rows = list[dict[str, Any]]


class Load(NamedTuple):
    """What is measured: how many orders, how many in a request, on which market."""

    orders: int
    batch: int
    case: Callable[[], MarketCase]


class ServiceFigures(NamedTuple):
    """Acknowledged orders a second, and how long each request took, in ascending order."""

    per_second: float
    seconds: list[float]
    peak_memory_bytes: int

    def within_ms(self, share: float) -> float:
        """The time within which this share of the requests was answered."""
        return 1e3 * self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


CASES = {
    "single orders, 64 clients": Load(10_000, 1, points_case),
    "batches of 100, 64 clients": Load(40_000, BATCH, points_case),
    "single orders, AC check of 1,099 buses, 64 clients": Load(4_000, 1, wide_case),
}


def rows(case: str | None, tell: Callable[[str], None]) -> Rows:
    """One row for each case and engine."""
    if case is not None and case not in CASES:
        raise bad_input("bench", f"unknown case {case!r}", "; ".join(CASES))
    found: Rows = []
    for name in [case] if case else CASES:
        own: float | None = None
        for engine, measure in _engines(CASES[name]):
            tell(f"{name}: {engine}")
            figures = measure()
            own = own or figures.per_second
            found.append(_row(name, engine, figures, own))
    return found


def _row(case: str, engine: str, figures: ServiceFigures, own: float) -> dict[str, Any]:
    return {
        "case": case,
        "engine": engine,
        "version": __version__,
        "per_second": figures.per_second,
        "p50_ms": figures.within_ms(0.5),
        "p99_ms": figures.within_ms(0.99),
        "ratio_to_ours": own / figures.per_second,
        "peak_memory_bytes": figures.peak_memory_bytes,
    }


def _engines(load: Load) -> Iterator[tuple[str, Callable[[], ServiceFigures]]]:
    yield "flexpeer, SQLite", lambda: _flexpeer(load, None, None)
    database = os.environ.get("FLEXPEER_DATABASE")
    if database:
        yield "flexpeer, PostgreSQL", lambda: _flexpeer(load, None, database)
    if MEMORY.is_dir():
        yield "flexpeer, store in memory (no sync)", lambda: _flexpeer(load, MEMORY, None)
    if load.batch == 1:
        yield "FastAPI, pydantic, commit per request", lambda: _plain(load)


def _flexpeer(load: Load, parent: Path | None, database: str | None) -> ServiceFigures:
    case = load.case()
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        _write(case, Path(folder) / "scenario")
        with _served(Path(folder), database) as (url, credentials, process):
            known = json.loads(credentials.read_text())["organisations"]
            tokens = {name: _token(url, each) for name, each in known.items()}
            _open_gate(url, known, tokens)
            return _measured(url, process, _requests(load, case, tokens))


def _write(case: MarketCase, folder: Path) -> None:
    """The scenario with its grid, if any."""
    if case.grid is None:
        write_scenario(case.scenario, folder)
        return
    write_scenario(replace(case.scenario, grid_source=GRID), folder)
    count = case.grid.network.bus_count
    write_flexpeer_json(GridFile(case.grid.network, np.zeros(count), np.zeros(count), ("",) * count), folder / GRID)


@contextmanager
def _served(folder: Path, database: str | None) -> Iterator[tuple[str, Path, subprocess.Popen[bytes]]]:
    environment = {
        **os.environ, "FLEXPEER_REQUESTS_PER_SECOND": UNLIMITED, "FLEXPEER_BURST": UNLIMITED,
        "FLEXPEER_LOG_LEVEL": "error",
    }  # fmt: skip
    environment.pop("FLEXPEER_DATABASE", None)
    chosen = ["--database", database] if database else []
    command = [
        sys.executable, "-m", "flexpeer", "serve", "--data", str(folder / "market"), "--scenario",
        str(folder / "scenario"), "--clock", "virtual", "--port", "0", "--json", *chosen,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise bad_input("bench", "the service did not start", "what it says on standard error")
        ready = json.loads(said)
        if "url" not in ready:
            raise bad_input("bench", f"the service did not start: {said.decode().strip()}", "a service that is ready")
        yield ready["url"], Path(ready["credentials"]), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _token(url: str, known: dict[str, str]) -> str:
    answer = httpx.post(f"{url}/api/token", auth=(known["client_id"], known["client_secret"]))
    token: str = answer.raise_for_status().json()["access_token"]
    return token


def _open_gate(url: str, known: dict[str, dict[str, str]], tokens: dict[str, str]) -> None:
    operator = next(name for name, each in known.items() if each["role"] == "MARKET_OPERATOR")
    headers = {"Authorization": f"Bearer {tokens[operator]}"}
    market = httpx.get(f"{url}/api/Markets/{DAY.delivery_day}", headers=headers).raise_for_status().json()
    moved = httpx.post(f"{url}/api/clock", json={"to": market["gate"]["opens"]}, headers=headers, timeout=120)
    moved.raise_for_status()


def _requests(load: Load, case: MarketCase, tokens: dict[str, str]) -> list[bytes]:
    """HTTP/1.1 requests, ready to be sent."""
    owners = {unit.resource: unit.fsp for unit in case.scenario.resources}
    stream = _stream(case, load.orders)
    if load.batch == 1:
        return [
            _request("/api/Orders", tokens[owners[row.resource]], order_body(row, str(DAY.delivery_day)))
            for row in stream
        ]
    by_owner: dict[str, list[dict[str, Any]]] = {}
    for row in stream:
        by_owner.setdefault(owners[row.resource], []).append(order_body(row, str(DAY.delivery_day)))
    return [
        _request("/api/Orders/import", tokens[name], bodies[first : first + load.batch])
        for name, bodies in by_owner.items()
        for first in range(0, len(bodies), load.batch)
    ]


def _stream(case: MarketCase, count: int) -> list[OrderRow]:
    """Orders in the hours that need relief, of units that some point feels in all of theirs: others are refused."""
    with tempfile.TemporaryDirectory() as folder, FileLog(Path(folder) / "events.log") as log:
        day = Day(case.scenario, log, NoTimes(), case.grid)
        day.due(day.instant(Stage.OPEN))
    known = day.market.state.needs

    def relieves(row: OrderRow) -> bool:
        """Whether some point in need feels its unit throughout."""
        span = case.scenario.day.span(row.start, row.end)
        assert span is not None, "an order is of the day"
        return any(
            all(ppm.get(row.resource, ())[mtu : mtu + 1] > (0,) and known.needs_w[point][mtu] for mtu in span.mtus)
            for point, ppm in known.impacts_ppm.items()
        )

    return list(filter(relieves, orders(case, hours_in_need(day), 2 * count)))[:count]


def _request(path: str, token: str, body: Any) -> bytes:
    content = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _measured(url: str, process: subprocess.Popen[bytes], requests: Sequence[bytes]) -> ServiceFigures:
    port = int(url.rpartition(":")[2])
    with multiprocessing.get_context("spawn").Pool(1) as sender:
        whole, seconds, lost = sender.apply(_sent, (port, list(requests)))
    if lost:
        raise bad_input("bench", f"{len(lost)} requests were answered otherwise", lost[0])
    return ServiceFigures(_orders_of(requests) / whole, sorted(seconds), _memory(process.pid))


def _orders_of(requests: Sequence[bytes]) -> int:
    return sum(request.count(b'"portfolioId"') for request in requests)


def _memory(pid: int) -> int:
    """The most resident memory a program has had, where the system tells."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _sent(port: int, requests: list[bytes]) -> tuple[float, list[float], list[str]]:
    """Seconds for all, for each, and what was answered with anything but a success."""
    return asyncio.run(_send_all(port, requests))


async def _send_all(port: int, requests: list[bytes]) -> tuple[float, list[float], list[str]]:
    left, seconds, lost = iter(requests), list[float](), list[str]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in left:
            began = perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            seconds.append(perf_counter() - began)
            if not head.startswith(b"HTTP/1.1 20"):
                lost.append((head + body).decode())
        writer.close()

    began = perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return perf_counter() - began, seconds, lost


class PlainOrder(BaseModel):
    """An order as the plain service checks it."""

    id: str
    marketId: str  # noqa: N815
    portfolioId: str  # noqa: N815
    side: str
    periodFrom: str  # noqa: N815
    periodTo: str  # noqa: N815
    pricePoints: list[dict[str, str]]  # noqa: N815


def plain_app(database: Path) -> FastAPI:
    """A body that pydantic checks, a row, a commit."""
    app, lock = FastAPI(), threading.Lock()
    kept = sqlite3.connect(database, check_same_thread=False)
    kept.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE orders (id, content);")

    @app.post("/api/Orders", status_code=201)
    def place(order: PlainOrder) -> PlainOrder:
        with lock, kept:
            kept.execute("INSERT INTO orders VALUES (?, ?)", (order.id, order.model_dump_json()))
        return order

    return app


def _plain(load: Load) -> ServiceFigures:
    case = load.case()
    tokens = {unit.fsp: "none" for unit in case.scenario.resources}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flexpeer.bench_service", str(Path(folder) / "orders.db")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            port = process.stdout.readline().decode().strip()
            return _measured(f"http://127.0.0.1:{port}", process, _requests(load, case, tokens))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


class _Plain(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        """As it is, and then tell the port."""
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    _Plain(uvicorn.Config(plain_app(Path(sys.argv[1])), port=0, log_level="error", access_log=False)).run()

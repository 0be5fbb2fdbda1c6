"""The writer: nothing shown before it is durable, the whole day in the state of `run`, failures that end it."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

import pytest
from tests.adapters.spreadsheets import workbook
from tests.api.small_service import (
    CREDENTIALS,
    DSO,
    LOGINS,
    MARKET,
    MILL,
    NORTH,
    OPERATOR,
    SCENARIO,
    SOUTH,
    Running,
    basic,
    order,
    running,
    serving,
)
from tests.cases.days import NoWatch
from tests.docs.pages import DOCS
from tests.market.small_market import MemoryLog

from flexpeer.api.clocks import SystemClock, VirtualClock
from flexpeer.api.edge import XLSX
from flexpeer.api.limits import RateLimits
from flexpeer.api.log_lines import lines
from flexpeer.api.service import ServedDay
from flexpeer.app.day import Day
from flexpeer.market.machine import state_hash
from flexpeer.market.timeline import Stage
from flexpeer.simulation.arrivals import spread
from flexpeer.wire.chain import read_events

ORDERS = (DOCS / "examples" / "maintenance-hours" / "orders.csv").read_text(encoding="utf-8").splitlines(keepends=True)


async def send_rows(here: Running, rows: Iterable[str]) -> None:
    """Rows of the file through their DSO, each when nobody waits for a sweep."""
    async with here.client(DSO) as client:
        for row in rows:
            answer = await client.post(
                f"/api/Orders/import?marketId={MARKET}", content=ORDERS[0] + row, headers={"Content-Type": "text/csv"}
            )
            assert answer.status_code == 200
            while (await client.get(f"/api/Markets/{MARKET}/line?wait=10")).json()["line"]:
                pass


@pytest.fixture(scope="module")
def run_hash() -> str:
    return Day(SCENARIO, MemoryLog(), NoWatch()).run().state_hash


@pytest.mark.parametrize("restart_after", [0, 2, 5])
def test_a_day_over_the_api_ends_in_the_state_of_run_also_after_a_restart(run_hash: str, restart_after: int) -> None:
    log = MemoryLog()

    async def first(here: Running) -> None:
        await here.open_gate()
        await send_rows(here, ORDERS[1 : 1 + restart_after])

    async def then(here: Running) -> None:
        await here.open_gate()
        await send_rows(here, ORDERS[1:])
        for stage in list(Stage)[3:]:
            await here.move(stage)
        async with here.client(OPERATOR) as client:
            market = (await client.get(f"/api/Markets/{MARKET}")).json()
            assert (market["status"], market["stateHash"]) == ("settled", run_hash)
            result = (await client.get(f"/api/Markets/{MARKET}/result")).json()
            assert (result["state_hash"], result["orders"], result["settlement_sum"]) == (run_hash, 6, 0)
            sealed = await client.get(f"/api/Log?marketId={MARKET}&sealed=true")
        events, seal, damages = read_events(sealed.content.splitlines(keepends=True))
        assert not damages
        assert seal is not None
        assert (seal.records, seal.state_hash) == (len(events), run_hash)

    with running(log) as here:
        asyncio.run(first(here))
    with running(log) as here:
        asyncio.run(then(here))


class FailingLog(MemoryLog):
    """Does not sync any more once told so."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def sync(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


def test_a_sync_that_fails_ends_the_service_and_shows_nothing() -> None:
    log = FailingLog()

    async def story(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            assert (await client.post("/api/Orders", json=order("A1"))).status_code == 201
            log.full = True
            failed = await client.post("/api/Orders", json=order("A2", pricePoints=[{"quantity": 0.1, "unitPrice": 1}]))
            assert (failed.status_code, failed.json()["reason"]) == (503, "stopping")
            later = await client.post("/api/Orders", json=order("A3", pricePoints=[{"quantity": 0.1, "unitPrice": 1}]))
            assert later.status_code == 503
            assert set(here.day.published.placed) == {"A1"}
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200

    with running(log) as here:
        asyncio.run(story(here))
        assert isinstance(here.service.failure, OSError)


def test_every_order_at_once_is_acknowledged_and_numbered_once() -> None:
    small = [{"quantity": 0.001, "unitPrice": 240}]

    async def story(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            bodies = [order(f"A{n}", pricePoints=small) for n in range(60)]
            answers = await asyncio.gather(*(client.post("/api/Orders", json=body) for body in bodies))
        assert {answer.status_code for answer in answers} == {201}
        assert sorted(answer.json()["arrival"] for answer in answers) == list(range(1, 61))
        published = here.day.published
        assert published.state.events == len(published.events)
        whole = b"".join(lines(published, len(published.events), 0, sealed=True))
        assert not read_events(whole.splitlines(keepends=True))[2]

    with running() as here:
        asyncio.run(story(here))


def test_the_clock_moves_forward_and_only_by_the_operator() -> None:
    async def story(here: Running) -> None:
        async with here.client(OPERATOR) as client:
            opens = here.day.day.instant(Stage.OPEN)
            before = (await client.get("/api/clock")).json()
            moved = await client.post("/api/clock", json={"to": "2026-04-19T10:30:00+02:00"})
            assert moved.json()["reached"] == [{"marketId": MARKET, "stage": "open"}]
            assert here.service.clock.now() == opens
            back = await client.post("/api/clock", json={"to": before["now"]})
            assert (back.status_code, back.json()["reason"]) == (409, "clock_goes_forward")

    with running() as here:
        asyncio.run(story(here))


def test_a_real_clock_never_goes_back_and_a_virtual_one_runs_as_fast_as_told() -> None:
    now = [6_000.0]
    real = SystemClock(lambda: now[0])
    assert (real.now(), real.seconds_until(101)) == (100, 60.0)
    now[0] = 0.0
    assert real.now() == 100
    kept: list[int] = []
    virtual = VirtualClock(100, 120.0, kept.append, lambda: now[0])
    assert virtual.seconds_until(102) == 1.0
    now[0] = 1.0
    assert virtual.now() == 102
    virtual.move(200)
    assert (virtual.now(), kept) == (200, [200])
    assert VirtualClock(5).seconds_until(6) is None


def test_a_virtual_clock_keeps_its_fraction_of_a_minute_when_it_changes_speed() -> None:
    now, kept = [0.0], list[int]()
    clock = VirtualClock(100, 60.0, kept.append, lambda: now[0])
    now[0] = 1.5
    clock.run_at(0.0)
    now[0] = 60.0
    assert (clock.now(), clock.speed, clock.seconds_until(102), kept) == (101, 0.0, None, [101])
    clock.run_at(600.0)
    assert clock.seconds_until(102) == pytest.approx(0.05)
    clock.move(101)
    assert clock.seconds_until(102) == pytest.approx(0.05)


def test_the_operator_says_how_fast_the_clock_runs() -> None:
    async def story(here: Running) -> None:
        async with here.client(OPERATOR) as client:
            for speed in (600, 0):
                answer = await client.post("/api/clock", json={"speed": speed})
                assert (answer.status_code, answer.json()["speed"]) == (200, speed)
            opened = await client.post("/api/clock", json={"speed": 0.5, "to": "2026-04-19T10:30:00+02:00"})
            assert (opened.json()["reached"][0]["stage"], opened.json()["speed"]) == ("open", 0.5)
            for wrong in ({}, {"speed": -1}, {"speed": 1e7}):
                assert (await client.post("/api/clock", json=wrong)).status_code == 400
        async with here.client(MILL) as client:
            assert (await client.get("/api/clock")).json()["speed"] == 0.5
            assert (await client.post("/api/clock", json={"speed": 0})).status_code == 403

    with running() as here:
        asyncio.run(story(here))


def coming(log: MemoryLog) -> ServedDay:
    """The example's day, whose orders come by themselves."""
    day = Day(SCENARIO, MemoryLog(), NoWatch())
    orders = spread(SCENARIO.orders, day.instant(Stage.OPEN), day.instant(Stage.CLOSED))
    return ServedDay(lambda hear, _: Day(SCENARIO, log, NoWatch(), listeners=(hear,)), coming=orders)


@pytest.mark.parametrize("restart_after_hours", [0, 8, 20])
def test_orders_that_come_by_themselves_end_in_the_trades_of_run(restart_after_hours: int) -> None:
    log, ran = MemoryLog(), Day(SCENARIO, MemoryLog(), NoWatch()).run()

    async def first(here: Running) -> None:
        await here.open_gate()
        assert not here.day.published.state.orders.orders
        at = here.service.clock.now() + 60 * restart_after_hours
        await here.service.done(lambda: here.service.move_clock(at))
        came = here.day.published.state.orders.orders.values()
        assert all(here.day.day.instant(Stage.OPEN) < order.at <= at for order in came)
        assert (len(came) > 0) is (restart_after_hours > 0)

    async def then(here: Running) -> None:
        for stage in list(Stage)[3:]:
            await here.move(stage)

    with serving(coming(log), CREDENTIALS, LOGINS) as here:
        asyncio.run(first(here))
    with serving(coming(log), CREDENTIALS, LOGINS) as here:
        asyncio.run(then(here))
        state = here.day.published.state
        assert state.trades.trades == ran.state.trades.trades
        assert here.day.day.orders.rows() == ran.orders
        assert state_hash(state) == state_hash(here.day.day.market.state)


def test_orders_are_spread_in_order_of_arrival_inside_the_gate() -> None:
    rows = spread(SCENARIO.orders[::-1], 100, 160)
    assert [row.arrival for _, row in rows] == sorted(row.arrival for row in SCENARIO.orders)
    assert [at for at, _ in rows] == sorted(at for at, _ in rows)
    assert (rows[0][0], max(at for at, _ in rows) < 160) == (101, True)
    assert spread((), 1, 2) == []


def test_a_clients_limits_are_its_own() -> None:
    async def story(here: Running) -> None:
        async with here.client(MILL) as client:
            statuses = [(await client.get("/api/Orders")).status_code for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
        async with here.client(NORTH) as client:
            assert (await client.get("/api/Orders")).status_code == 200
            huge = await client.post(
                "/api/Orders", content=b" " * (2 << 20), headers={"Content-Type": "application/json"}
            )
            assert (huge.status_code, huge.json()["reason"]) == (413, "too_large")
            text = await client.post("/api/Orders", content=b"x", headers={"Content-Type": "text/html"})
            assert text.status_code == 415

    with running(limits=RateLimits(0.001, 3, 1)) as here:
        asyncio.run(story(here))


def test_a_token_for_a_client_with_its_secret_only() -> None:
    async def story(here: Running) -> None:
        login = here.login(SOUTH)
        async with here.client() as client:
            form = {"grant_type": "client_credentials"}
            right = await client.post("/api/token", data=form, headers=basic(login.client_id, login.client_secret))
            assert right.status_code == 200
            assert right.json()["expires_in"] == 3600
            client.headers["Authorization"] = f"Bearer {right.json()['access_token']}"
            assert (await client.get("/api/Orders")).status_code == 200
            for headers in (basic(login.client_id, "x"), basic("x", login.client_secret), {"Authorization": "Basic !"}):
                wrong = await client.post("/api/token", data=form, headers=headers)
                assert (wrong.status_code, wrong.json()["reason"]) == (401, "unauthenticated")
            other = await client.post("/api/token", data={"grant_type": "password"}, headers=basic("a", "b"))
            assert other.status_code == 400

    with running() as here:
        asyncio.run(story(here))


def test_plans_until_the_gate_and_meters_after_it() -> None:
    plan = b"resource,from,p_w\nDryer,2026-04-21T03:00+02:00,-2000000\n"
    reading = [{
        "portfolioId": "Dryer", "periodFrom": "2026-04-21T10:00:00+02:00", "periodTo": "2026-04-21T12:00:00+02:00",
        "quantity": -1.5,
    }]  # fmt: skip

    async def story(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            headers = {"Content-Type": "text/csv"}
            sent = await client.post("/api/BaselineIntervals/import", content=plan, headers=headers)
            assert sent.json() == {"accepted": 1, "refused": 0}
            kept = (await client.get("/api/BaselineIntervals?portfolioId=Dryer")).json()["items"]
            assert [each["quantity"] for each in kept] == [-1, -2, -1]
            book = workbook({"plans": [["resource", "from", "p_mw"], ["Dryer", datetime(2026, 4, 21, 5), -0.5]]})
            sheet = await client.post("/api/BaselineIntervals/import", content=book, headers={"Content-Type": XLSX})
            assert sheet.json() == {"accepted": 1, "refused": 0}
            kept = (await client.get("/api/BaselineIntervals?portfolioId=Dryer")).json()["items"]
            assert [each["quantity"] for each in kept] == [-1, -2, -1, -0.5, -1]
            await here.move(Stage.CLOSED)
            frozen = (await client.post("/api/BaselineIntervals/import", content=plan, headers=headers)).json()
            assert (frozen["refused"], frozen["findings"][0]["message"].split(":")[0]) == (1, "frozen")
            assert (await client.post("/api/MeterReadings/import", json=reading)).json()["accepted"] == 1
            read = (await client.get("/api/MeterReadings")).json()["items"]
            assert [each["quantity"] for each in read] == [-1.5, -1.5]
        async with here.client(NORTH) as client:
            assert (await client.post("/api/MeterReadings/import", json=reading)).status_code == 404

    with running() as here:
        asyncio.run(story(here))
        assert len(state_hash(here.day.published.state)) == 64

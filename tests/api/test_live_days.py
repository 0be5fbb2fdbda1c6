"""A day that is still traded: previews are what happens, costs so far are the report's, evidence is one's own."""

import asyncio
import csv
import io
import json
import random
import zipfile
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.api.small_service import DSO, MARKET, MILL, NORTH, OPERATOR, OTHER_DSO, SOUTH, Running, order, running
from tests.api.test_grids_over_api import grid_folder, market
from tests.market.small_market import MemoryLog

from flexpeer.api.live_grids import LiveGrids
from flexpeer.api.standing import KeptStanding, Standing
from flexpeer.app.study.live_grid import live_grid, own_part
from flexpeer.app.views.so_far import kpis_so_far
from flexpeer.market.timeline import Stage
from flexpeer.market.trades import Decision

STANDING = {"portfolioId": "Dryer", "side": "Sell", "timeFrom": "10:00", "timeTo": "12:00"}
STANDING |= {"quantity": 1, "unitPrice": 240}  # type: ignore[dict-item]
Story = Callable[[Running], Coroutine[Any, Any, None]]


def play(story: Story, log: MemoryLog | None = None) -> None:
    with running(log) as here:
        asyncio.run(story(here))


async def got(here: Running, who: str, path: str) -> Any:
    async with here.client(who) as client:
        return (await client.get(path)).json()


async def sent(here: Running, who: str, path: str, body: Any) -> Any:
    async with here.client(who) as client:
        return (await client.post(path, json=body)).json()


def test_what_a_preview_says_is_what_happens() -> None:
    chance = random.Random(7)
    units = {NORTH: "N1", SOUTH: "S1", MILL: "Dryer"}

    async def story(here: Running) -> None:
        await here.open_gate()
        met = 0
        for number in range(60):
            who = chance.choice(list(units))
            point = {"quantity": chance.randrange(1, 9) / 10, "unitPrice": chance.randrange(200, 320)}
            side = "Sell" if who == MILL else "Buy"
            body = order(f"P{number}", units[who], side, pricePoints=[point])
            told = await sent(here, who, "/api/Orders/preview", body)
            answer = await sent(here, who, "/api/Orders", body)
            assert told["accepted"] is ("arrival" in answer), (told, answer)
            if not told["accepted"]:
                assert (told["reason"], told["detail"]) == (answer["reason"], answer["detail"])
                continue
            await here.service.done(here.day.day.market.work_through)
            answers = here.day.published.answers
            if any(v.decision is not Decision.GRANTED for each in answers for v in each.verdict.verdicts):
                continue
            filled = (await got(here, who, f"/api/Orders/P{number}"))["filledQuantity"]
            assert Decimal(str(told["metQuantity"])) == Decimal(str(filled)), number
            met += told["metQuantity"] > 0
        assert met > 5

    play(story)


def test_a_preview_changes_nothing_and_says_what_it_counts_for() -> None:
    async def story(here: Running) -> None:
        await here.open_gate()
        await sent(here, MILL, "/api/Orders", order("A1"))
        await here.service.done(here.day.day.market.work_through)
        events = len(here.day.published.events)
        told = await sent(here, NORTH, "/api/Orders/preview", order("B1", "N1", "Buy", pricePoints=[
            {"quantity": 2, "unitPrice": 300}
        ]))  # fmt: skip
        assert len(here.day.published.events) == events
        (meeting,) = told["meetings"]
        point = next(each for each in told["points"] if each["flexibilityZoneId"] == meeting["flexibilityZoneId"])
        assert meeting["unitPrice"] == 240
        assert told["metQuantity"] + told["leftQuantity"] == 2
        assert point["quantity"] == pytest.approx(2 * point["factor"])
        assert point["unitPrice"] == pytest.approx(300 / point["factor"], abs=0.01)
        amount = meeting["unitPrice"] * meeting["quantityTheirs"]
        assert meeting["ownUnitPrice"] * meeting["quantity"] == pytest.approx(amount, rel=1e-4)

    play(story)


def test_a_preview_of_what_is_no_order_yet_says_so_and_is_no_error() -> None:
    """While somebody types, the end may come before the beginning for a moment."""

    async def story(here: Running) -> None:
        await here.open_gate()
        for wrong in (
            {"periodTo": "2026-04-21T09:00:00+02:00"},
            {"periodTo": "2026-04-21T10:07:00+02:00"},
            {"pricePoints": [{"quantity": "0.0000001", "unitPrice": 240}]},
        ):
            told = await sent(here, MILL, "/api/Orders/preview", order(None, **wrong))
            assert told["accepted"] is False
            assert told["points"] == told["meetings"] == []
            assert told["reason"]

    play(story)


def test_costs_so_far_become_those_of_the_report() -> None:
    async def story(here: Running) -> None:
        early = await got(here, DSO, f"/api/Markets/{MARKET}/costs")
        assert early["reason"] == "not_yet"
        await here.open_gate()
        await sent(here, MILL, "/api/Orders", order("A1"))
        await sent(
            here, NORTH, "/api/Orders", order("B1", "N1", "Buy", pricePoints=[{"quantity": 1, "unitPrice": 300}])
        )
        await here.move(Stage.CLEARED)
        so_far = await got(here, DSO, f"/api/Markets/{MARKET}/costs")
        state = here.day.published.state
        assert so_far["final"] is False
        await here.move(Stage.SETTLED)
        final = await got(here, DSO, f"/api/Markets/{MARKET}/costs")
        assert final["final"] is True
        for name in ("cost_by_perspective", "alternative_cost", "saving", "need_mwh", "residual_need_mwh"):
            assert so_far["kpi"][name] == final["kpi"][name], name
        assert kpis_so_far(here.day.day.scenario, state).cost_vs_grid_alternative

    play(story)


def test_flows_are_told_to_the_owner_of_the_point_only() -> None:
    async def story(here: Running) -> None:
        assert (await got(here, DSO, "/api/Flows"))["items"] == []
        await here.open_gate()
        items = (await got(here, DSO, "/api/Flows"))["items"]
        assert items
        assert (await got(here, OTHER_DSO, "/api/Flows"))["items"] == []
        days = {each.point.congestion_point: each for each in here.day.day.outcome().points}
        for item in items:
            day = days[item["flexibilityZoneId"]]
            assert [round(w) for w in day.before_w] == [round(1e6 * mw) for mw in item["before"]]
            assert [round(w) for w in day.after_w] == [round(1e6 * mw) for mw in item["now"]]
            assert [round(w) for w in day.limit_w] == [round(1e6 * mw) for mw in item["limit"]]

    play(story)


def test_a_large_grid_is_solved_a_tenth_of_the_time_at_most() -> None:
    now = [0.0]

    async def story(here: Running) -> None:
        await here.open_gate()
        grids = LiveGrids(lambda: now[0])
        first = await grids.of(here.day)
        assert not first.late
        assert (await grids.of(here.day)).live is first.live
        await sent(here, MILL, "/api/Orders", order("A1"))
        await sent(
            here, NORTH, "/api/Orders", order("B1", "N1", "Buy", pricePoints=[{"quantity": 1, "unitPrice": 300}])
        )
        await here.service.done(here.day.day.market.work_through)
        now[0] -= 1.0
        assert (await grids.of(here.day)).late
        now[0] += 1.0
        assert not (await grids.of(here.day)).late

    play(story)


def test_a_dso_is_shown_its_own_part_of_the_grid(tmp_path: Path) -> None:
    with market(grid_folder(tmp_path)) as here:
        asyncio.run(here.open_gate())
        day, state = here.day.day, here.day.published.state
        side = day.physical
        assert side is not None
        live = live_grid(side, day.before_w(), day.schedules_w(state))
        assert live.readings_before is not None
        names, seen = side.grid.network.branch_names, set[str]()
        for dso in set(side.grid.owners):
            part = own_part(side, live, dso)
            assert part is not None
            mine = {
                bus for bus, owner in zip(side.grid.network.bus_names, side.grid.owners, strict=True) if owner == dso
            }
            strange = set(part.picture.network.bus_names) - mine
            assert all(part.picture.owners[part.picture.network.bus_names.index(bus)] != dso for bus in strange)
            for row, name in enumerate(part.picture.network.branch_names):
                whole = live.readings_before.loading[names.index(name)]
                assert list(part.picture.loading_before[row][:4]) == pytest.approx(list(whole[:4]), nan_ok=True)
            assert not seen & set(part.picture.network.branch_names)
            seen |= set(part.picture.network.branch_names)
            assert {each.owner for each in part.before} <= {dso}
        assert own_part(side, live, "Nobody") is None


def test_a_standing_order_comes_with_every_gate_and_survives_a_restart() -> None:
    log, kept = MemoryLog(), [KeptStanding()]

    async def before(here: Running) -> None:
        made = await sent(here, MILL, "/api/StandingOrders", STANDING)
        assert "placed" not in made
        assert (await sent(here, NORTH, "/api/StandingOrders", STANDING))["status"] == 404
        await here.open_gate()
        (shown,) = (await got(here, MILL, "/api/StandingOrders"))["items"]
        assert shown["placed"] == [{"marketId": MARKET, "orderId": f"{made['id']} {MARKET}"}]
        own = await got(here, MILL, f"/api/Orders/{made['id']} {MARKET}")
        assert (own["remainingQuantity"], own["periodFrom"]) == (1, "2026-04-21T08:00:00Z")
        at_once = await sent(here, MILL, "/api/StandingOrders", {**STANDING, "unitPrice": 250})
        assert len(at_once["placed"]) == 1
        refused = await sent(here, MILL, "/api/StandingOrders", {**STANDING, "timeFrom": "10:07"})
        assert refused["placed"][0]["reason"]
        async with here.client(MILL) as client:
            assert (await client.delete(f"/api/StandingOrders/{refused['id']}")).status_code == 204
        assert len((await got(here, MILL, "/api/StandingOrders"))["items"]) == 2

    with running(log, standing=Standing(KeptStanding(), kept.append)) as here:
        asyncio.run(before(here))
    count = sum(len(batch) for batch in log.read())

    async def after(here: Running) -> None:
        shown = (await got(here, MILL, "/api/StandingOrders"))["items"]
        assert [len(each["placed"]) for each in shown] == [1, 1]
        assert len(here.day.published.placed) == 2

    with running(log, standing=Standing(kept[-1], kept.append)) as here:
        asyncio.run(after(here))
    assert sum(len(batch) for batch in log.read()) == count


def test_a_standing_order_is_placed_though_the_service_ended_as_the_gate_opened() -> None:
    log, kept = MemoryLog(), [KeptStanding()]
    with running(log) as here:
        asyncio.run(here.open_gate())
    with running(standing=Standing(KeptStanding(), kept.append)) as here:
        asyncio.run(sent(here, MILL, "/api/StandingOrders", STANDING))
    with running(log, standing=Standing(kept[-1], kept.append)) as here:
        (shown,) = asyncio.run(got(here, MILL, "/api/StandingOrders"))["items"]
        assert len(shown["placed"]) == 1


def files_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_evidence_is_ones_own_in_both_forms_and_the_same_bytes_again() -> None:
    async def story(here: Running) -> None:
        await here.open_gate()
        await sent(here, MILL, "/api/Orders", order("A1"))
        await sent(
            here, NORTH, "/api/Orders", order("B1", "N1", "Buy", pricePoints=[{"quantity": 1, "unitPrice": 300}])
        )
        await here.service.done(here.day.day.market.work_through)
        await here.move(Stage.CONFIRMED)
        found: dict[str, dict[str, bytes]] = {}
        for who in (MILL, NORTH, SOUTH, DSO, OPERATOR):
            async with here.client(who) as client:
                answer = await client.get(f"/api/Evidence?marketId={MARKET}")
                assert answer.headers["content-type"] == "application/zip"
                assert (await client.get(f"/api/Evidence?marketId={MARKET}")).content == answer.content
            found[who] = files_of(answer.content)
        for who, files in found.items():
            for name in ("points", "trades", "verdicts", "confirmations", "activations", "settlement"):
                rows = json.loads(files[f"{name}.json"])
                lines = list(csv.DictReader(io.StringIO(files[f"{name}.csv"].decode())))
                assert len(rows) == len(lines), (who, name)
            assert json.loads(files["heads.json"]) == []
        owners = {row["ownerOrganizationId"] for row in json.loads(found[MILL]["confirmations.json"])}
        assert owners == {MILL}
        assert json.loads(found[SOUTH]["trades.json"]) == []
        assert len(json.loads(found[OPERATOR]["confirmations.json"])) == 2

    play(story)

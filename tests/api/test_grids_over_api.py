"""DSOs bring their own grid files, forecasts, limits and outages: needs come from them, and nobody else sees them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.adapters.scenario_folder import folder_of
from tests.adapters.spreadsheets import workbook
from tests.api.small_service import Running, serving
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders
from tests.cases.days import NoWatch
from tests.market.small_market import MemoryLog

from flexpeer.adapters.gridfiles import write_flexpeer_json
from flexpeer.adapters.gridfiles.several_grids import separated
from flexpeer.api.accounts import AccountHolder, new_accounts
from flexpeer.api.edge import XLSX
from flexpeer.api.service import ServedDay
from flexpeer.app.contribution import Contribution
from flexpeer.app.day import Day
from flexpeer.bootstrap import contributed, read_whole
from flexpeer.market.participants import Role

MARKET = "2026-01-15"
NOON = {"periodFrom": "2026-01-15T11:00:00Z", "periodTo": "2026-01-15T12:00:00Z"}
WINDY = 11
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grid_folder(tmp_path_factory.mktemp("market"))


def grid_folder(made: Path) -> Path:
    """A scenario of three DSOs, one above the other, and `grids`, the file of each."""
    texts = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 3)))
    folder_of(texts, made / "scenario")
    given, grid = read_whole(made / "scenario")
    assert grid is not None
    (made / "grids").mkdir()
    owners = tuple(given.areas[name] for name in grid.network.bus_names)
    for dso, (file, _) in separated(grid, owners).items():
        write_flexpeer_json(file, made / "grids" / f"{dso}.json")
    return made


@contextmanager
def market(folder: Path, said: dict[str, Contribution] | None = None) -> Iterator[Running]:
    scenario, opened = read_whole(folder / "scenario")
    accounts, logins = new_accounts([AccountHolder(o.organisation, Role(o.role)) for o in scenario.organisations])
    log = MemoryLog()

    def opening(listener: Any, contributions: Any) -> Day:
        merged, grid = contributed(scenario, opened, contributions)
        return Day(merged, log, NoWatch(), grid, listeners=(listener,))

    kept = {} if said is None else said
    with serving(ServedDay(opening, dict(kept), kept.__setitem__), accounts, logins) as here:
        yield here


def told(here: Running, *requests: tuple[str, str, str, Any]) -> list[httpx.Response]:
    """Who, method, path and body of each request, one after the other."""

    async def all_of_them() -> list[httpx.Response]:
        answers = []
        for who, method, path, body in requests:
            async with here.client(who) as client:
                sent = {"content": body, "headers": BYTES} if isinstance(body, bytes) else {"json": body}
                answers.append(await client.request(method, path, **(sent if body is not None else {})))
        return answers

    return asyncio.run(all_of_them())


def needs(here: Running) -> dict[str, tuple[int, ...]]:
    asyncio.run(here.open_gate())
    return dict(here.day.day.market.state.needs.needs_w)


def test_the_same_files_lead_to_the_same_needs(folder: Path) -> None:
    with market(folder) as here:
        before = needs(here)
        assert any(map(any, before.values()))
    said: dict[str, Contribution] = {}
    with market(folder, said) as here:
        for dso in ("Region", "Local", "Village"):
            content = (folder / "grids" / f"{dso}.json").read_bytes()
            (answer,) = told(here, (dso, "PUT", f"/api/Grid?file={dso}.json", content))
            assert answer.status_code == 200, answer.text
        assert {dso for dso, each in said.items() if each.grid} == {"Region", "Local", "Village"}
        after = needs(here)
    assert before.keys() == after.keys()
    for name, row in before.items():
        assert all(abs(a - b) <= 1 + a // 10**6 for a, b in zip(row, after[name], strict=True))
    with market(folder, said) as again:
        assert needs(again) == after


def test_another_cable_is_another_need(folder: Path) -> None:
    grid = json.loads((folder / "grids" / "Local.json").read_text(encoding="utf-8"))
    for branch in grid["branches"]:
        if branch["name"] == "Cable 3":
            branch["rating_from_a"] = branch["rating_to_a"] = 4_000.0
    with market(folder) as here:
        before = needs(here)
    with market(folder) as here:
        told(here, ("Local", "PUT", "/api/Grid?file=new.json", json.dumps(grid).encode()))
        after = needs(here)
    assert sum(map(sum, after.values())) < sum(map(sum, before.values()))


def test_a_file_with_findings_changes_nothing(folder: Path) -> None:
    with market(folder) as here:
        wrong, border, shown = told(
            here,
            ("Local", "PUT", "/api/Grid?file=new.json", b'{"format": "flexpeer-grid-1", "buses": [{"name": 1}]}'),
            (
                "Local", "PUT",
                '/api/Grid?file=new.json&borders=[{"bus": "A", "dso": "Region", "theirBus": "Substation"}]',
                (folder / "grids" / "Local.json").read_bytes(),
            ),
            ("Local", "GET", "/api/Grid", None),
        )  # fmt: skip
        assert (wrong.status_code, wrong.json()["reason"]) == (422, "bad_file")
        assert len(wrong.json()["validation-errors"]) > 1
        assert (border.status_code, border.json()["validation-errors"][0]["message"].split(";")[0]) == (
            422, "A: is no border",
        )  # fmt: skip
        assert set(shown.json()["buses"]) == {"Busbar", "A", "B", "Island"}
        assert here.day.said == {}


def test_a_script_is_not_run(folder: Path, tmp_path: Path) -> None:
    said = f'clear\nnew circuit.x bus1=a\nsave circuit dir="{tmp_path}/saved"\n'.encode()
    with market(folder) as here:
        (answer,) = told(here, ("Local", "PUT", "/api/Grid?file=x.DSS", said))
        assert (answer.status_code, answer.json()["reason"]) == (422, "bad_file")
        assert "flexpeer init makes of it" in answer.json()["validation-errors"][0]["message"]
    assert not any(tmp_path.iterdir())


def test_nobody_sees_the_grid_of_another(folder: Path) -> None:
    with market(folder) as here:
        answers = told(
            here,
            ("Village", "GET", "/api/Grid", None),
            ("North", "GET", "/api/Grid", None),
            ("Village", "POST", "/api/Outages", {"element": "Cable 3", **NOON}),
            ("Village", "PUT", "/api/Limits", {"ratings": [{"element": "Cable 3", **NOON, "current": 1.0}]}),
            ("Village", "POST", "/api/Forecasts/import", [{"busId": "A", "quantity": 1, **NOON}]),
        )
        assert set(answers[0].json()["buses"]) == {"C"}
        assert answers[1].status_code == 403
        for answer in answers[2:]:
            assert answer.status_code == 400
            assert "the caller's own grid" in answer.json()["validation-errors"][0]["message"]


def test_forecast_limits_and_outages_count(folder: Path) -> None:
    with market(folder) as here:
        before = needs(here)
    with market(folder) as here:
        answers = told(
            here,
            ("Local", "POST", "/api/Forecasts/import", [{"portfolioId": "WA", "quantity": 0, **NOON}]),
            ("Local", "PUT", "/api/Limits", {"ratings": [{"element": "Cable 3", **NOON, "current": 40.0}]}),
            ("Local", "POST", "/api/Outages", {"id": "work", "element": "Cable 2", **NOON}),
            ("Local", "GET", "/api/Outages", None),
            ("Local", "GET", "/api/Limits", None),
        )
        assert [answer.status_code for answer in answers] == [200, 200, 201, 200, 200], [a.text for a in answers]
        assert answers[0].json() == {"series": 1, "values": 1}
        assert answers[3].json()["items"][0]["id"] == "work"
        assert answers[4].json()["ratings"][0]["current"] == 40.0
        scenario = here.day.day.scenario
        assert scenario.resource_forecast["WA"].p_w[12] == 0
        assert scenario.resource_forecast["WA"].p_w[13] != 0
        assert needs(here) != before
        late = told(here, ("Local", "DELETE", "/api/Outages/work", None), ("Local", "PUT", "/api/Limits", {}))
        assert [(answer.status_code, answer.json()["reason"]) for answer in late] == [(409, "need_is_found")] * 2


def test_a_forecast_as_a_file_is_taken_whole_or_not_at_all(folder: Path) -> None:
    rows = ["from,bus,resource,p_w,q_var", "2026-01-15T12:00+01:00,A,,-250000,-50000"]
    bad = [
        *rows,
        "2026-01-15T12:00+01:00,A,,-1,0",
        "2026-01-15T12:10+01:00,A,,1,0",
        "2026-01-15T13:00+01:00,,WA,9900000,0",
    ]
    wide = workbook({"Sheet1": [["from", "WA_kw", "A_kw"], ["2026-01-15 12:00", 40, -0.5]]})
    with market(folder) as here:

        async def sent(content: bytes, media: str = "text/csv") -> httpx.Response:
            async with here.client("Local") as client:
                return await client.post("/api/Forecasts/import", content=content, headers={"Content-Type": media})

        refused, taken = (asyncio.run(sent("\n".join(lines).encode())) for lines in (bad, rows))
        assert [e["property"] for e in refused.json()["validation-errors"]] == ["line 3", "line 4", "line 5"]
        assert taken.json() == {"series": 1, "values": 1}
        assert here.day.day.scenario.bus_forecast["A"].p_w[12] == -250_000
        assert here.day.day.scenario.bus_forecast["A"].q_var[12] == -50_000
        assert asyncio.run(sent(wide, XLSX)).json() == {"series": 2, "values": 2}
        assert here.day.day.scenario.bus_forecast["A"].p_w[12] == -500
        assert here.day.day.scenario.resource_forecast["WA"].p_w[12] == 40_000

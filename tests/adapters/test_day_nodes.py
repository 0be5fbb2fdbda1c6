"""A market day between programs over NATS: the trades of one process, with every DSO's grid in its own."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.adapters.nats_server import free_port, nats_server
from tests.adapters.scenario_folder import folder_of
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders

from flexpeer.adapters.day_share_files import BORDERS, PROMISES, read_operator
from flexpeer.adapters.meeting_place import MeetingPlace
from flexpeer.app.day_split import DSOS as ADDRESSES
from flexpeer.app.day_split import OWN_GRID
from flexpeer.app.study.area_study import AreaStudy
from flexpeer.bootstrap import LOG_NAME, run_folder
from flexpeer.day_nodes import UNFINISHED, read_dso, run_day_operator, split_scenario
from flexpeer.errors import BadInput

DSOS = ("region", "local", "village")
END_S = 300.0
ANSWER_S = 120.0
KILLED_AT_BYTES = 4_000
UNKNOWN_BORDER = b'{"dso": "Village", "above": [{"border": "Village 1", "parent": "Local", "bus": "nowhere"}]}'


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def matches_of(log: Path) -> set[int]:
    """The matches that became trades."""
    events = [json.loads(line).get("event", {}) for line in log.read_text(encoding="utf-8").splitlines()]
    return {event["trade"]["match"] for event in events if event.get("type") == "TradeConcluded"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`scenario`, what one process makes of it (`whole`), and its shares."""
    folder = tmp_path_factory.mktemp("day")
    texts = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 3)))
    run_folder(folder_of(texts, folder / "scenario"), folder / "whole", lambda _done, _total: None)
    facts = split_scenario(folder / "scenario", folder / "shares")
    assert list(facts["dsos"]) == list(DSOS)
    assert sum(dso["orders"] for dso in facts["dsos"].values()) == 40
    return folder


def fresh(folders: Path, to: Path) -> Path:
    """The shares as they were split: other tests of this module may have left promises in them."""
    return Path(shutil.copytree(folders / "shares", to / "shares", ignore=shutil.ignore_patterns(f"{PROMISES}*")))


@contextmanager
def program(dso: str, shares: Path, at: tuple[str, str], out: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ["--dso", dso, "--scenario", str(shares / dso), "--keys", str(shares), *at]
    words += ["--timeout", "20", "--out", str(out / dso), "--json"]
    running = subprocess.Popen(
        [sys.executable, "-m", "flexpeer", "node", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(END_S)


def ready(programs: Iterable[subprocess.Popen[bytes]]) -> None:
    """Once they are at their servers, they wait for questions."""
    for running in programs:
        assert running.stderr is not None
        assert b": at nats://" in running.stderr.readline()


def test_programs_trade_as_one_process_does(folders: Path, tmp_path: Path) -> None:
    shares = folders / "shares"
    with nats_server() as server, ExitStack() as programs:
        at = ("--server", server)
        running = {dso: programs.enter_context(program(dso, shares, at, tmp_path)) for dso in DSOS}
        ready(running.values())
        place = MeetingPlace(server, shares, ANSWER_S)
        result = run_day_operator(shares / "market-operator", place, tmp_path / "market", lambda _done, _total: None)
        told = {dso: json.loads(each.communicate(timeout=END_S)[0]) for dso, each in running.items()}
    assert result["trades"] > 0
    for name in ("trades.csv", "refusals.csv", "schedules.csv", "confirmations.csv", "settlement.csv"):
        assert (tmp_path / "market" / name).read_bytes() == (folders / "whole" / name).read_bytes(), name
    pages, whole = (folder / "organisations" for folder in (tmp_path / "market", folders / "whole"))
    assert sorted(each.name for each in pages.iterdir()) == sorted(each.name for each in whole.iterdir())
    for each in pages.glob("*.csv"):
        own, same = (table(place / each.name) for place in (pages, whole))
        assert [row for row in own if row["what"] != "need"] == [row for row in same if row["what"] != "need"], (
            each.name
        )
    assert (result["max_loading_percent_before"], result["welfare_optimum"], result["verified_by"]) == (None,) * 3
    assert all(dso["told"] and not dso["unconfirmed"] and not dso["silences"] for dso in result["dsos"].values())
    assert all(dso["accepted"] and not dso["in_doubt"] for dso in told.values())
    confirmed = [row for dso in DSOS for row in table(tmp_path / dso / "confirmations.csv")]
    assert len(confirmed) == len(table(folders / "whole" / "confirmations.csv"))
    for dso in DSOS:
        resources = {row["resource"] for row in table(tmp_path / dso / "schedules.csv")}
        assert resources == {row.resource for row in read_dso(shares / dso).scenario.resources}


def test_a_day_over_servers_of_their_own(folders: Path, tmp_path: Path) -> None:
    shares, hub = folders / "shares", f"127.0.0.1:{free_port()}"
    with ExitStack() as programs:
        running = [programs.enter_context(program(dso, shares, ("--hub", hub), tmp_path)) for dso in DSOS]
        ready(running)
        place = MeetingPlace(None, shares, ANSWER_S, listen=hub)
        run_day_operator(shares / "market-operator", place, tmp_path / "market", lambda _done, _total: None)
        assert [each.wait(END_S) for each in running] == [0, 0, 0]
    for name in ("trades.csv", "refusals.csv", "settlement.csv"):
        assert (tmp_path / "market" / name).read_bytes() == (folders / "whole" / name).read_bytes(), name


def test_a_dso_killed_in_the_middle_of_the_day_and_started_again(folders: Path, tmp_path: Path) -> None:
    """What the log says was traded is what the DSO has committed, whatever it lost on the way."""
    shares = fresh(folders, tmp_path)
    with nats_server() as server, ExitStack() as programs:
        at = ("--server", server)
        running = {dso: programs.enter_context(program(dso, shares, at, tmp_path)) for dso in DSOS}
        ready(running.values())
        promises, ends = shares / "local" / PROMISES, list[int]()

        def kill() -> None:
            began = time.monotonic()
            while not (promises.exists() and promises.stat().st_size > KILLED_AT_BYTES):
                if time.monotonic() - began > END_S:
                    return
                time.sleep(0.002)
            os.kill(running["local"].pid, signal.SIGKILL)
            ends.append(running["local"].wait(END_S))
            running["local"] = programs.enter_context(program("local", shares, at, tmp_path))

        killing = threading.Thread(target=kill)
        killing.start()
        place = MeetingPlace(server, shares, ANSWER_S)
        result = run_day_operator(shares / "market-operator", place, tmp_path / "market", lambda _done, _total: None)
        killing.join()
        told = {dso: json.loads(each.communicate(timeout=END_S)[0]) for dso, each in running.items()}
    traded = matches_of(tmp_path / "market" / LOG_NAME)
    assert ends == [-signal.SIGKILL]
    assert result["dsos"]["Local"]["unconfirmed"] == []
    assert told["local"]["accepted"]
    assert not told["local"]["in_doubt"]
    assert 0 < told["local"]["committed"] <= len(traded)


@pytest.mark.parametrize("killed_at_bytes", [1, 4_000])
def test_an_operator_killed_in_the_middle_of_the_day_goes_on(
    killed_at_bytes: int, folders: Path, tmp_path: Path
) -> None:
    shares = fresh(folders, tmp_path)
    promises = shares / "local" / PROMISES
    with nats_server() as server, ExitStack() as programs:
        at = ("--server", server)
        running = {dso: programs.enter_context(program(dso, shares, at, tmp_path)) for dso in DSOS}
        ready(running.values())
        words = ["--market-operator", str(shares / "market-operator"), "--keys", str(shares), *at]
        operator = [sys.executable, "-m", "flexpeer", "node", *words, "--out", str(tmp_path / "market"), "--json"]
        first = subprocess.Popen(operator, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        while not (promises.exists() and promises.stat().st_size >= killed_at_bytes):
            assert first.poll() is None and time.monotonic() - began < END_S  # noqa: PT018
            time.sleep(0.002)
        first.kill()
        first.wait(END_S)
        again = subprocess.run(operator, capture_output=True, timeout=END_S, check=True)
        told = {dso: json.loads(each.communicate(timeout=END_S)[0]) for dso, each in running.items()}
    for name in ("trades.csv", "refusals.csv", "schedules.csv", "confirmations.csv", "settlement.csv"):
        assert (tmp_path / "market" / name).read_bytes() == (folders / "whole" / name).read_bytes(), name
    assert all(not dso["unconfirmed"] for dso in json.loads(again.stdout)["dsos"].values())
    assert all(dso["accepted"] and not dso["in_doubt"] for dso in told.values())
    assert not (shares / "market-operator" / UNFINISHED).exists()


def test_nobody_gets_what_is_others(folders: Path) -> None:
    shares = folders / "shares"
    operator = "".join(path.read_text(encoding="utf-8") for path in (shares / "market-operator").iterdir())
    assert not any(name in operator for name in ("Cable 1", "Busbar", "Substation", "Island", "r_ohm"))
    assert table(shares / "market-operator" / "orders.csv") == []
    village = read_dso(shares / "village")
    assert set(village.grid.network.bus_names) == {"B", "C"}
    assert {row.resource for row in village.scenario.orders} <= {row.resource for row in village.scenario.resources}
    assert [row.resource for row in village.scenario.resources] == ["WC"]
    assert all(not path.stat().st_mode & 0o077 for path in [shares, *shares.rglob("*")])


def test_files_that_are_not_what_they_should_be(folders: Path, tmp_path: Path) -> None:
    shares = folders / "shares"
    with pytest.raises(BadInput, match="cannot be read"):
        read_dso(shares / "market-operator")
    with pytest.raises(BadInput, match=ADDRESSES):
        read_operator(shares / "village")
    with pytest.raises(BadInput, match="there is no such folder"):
        read_operator(tmp_path / "nowhere")
    texts = {name: text for name, text in small_day().items() if name != "grid.json"}
    texts["scenario.toml"] = texts["scenario.toml"].replace('[grid]\nsource = "grid.json"\n', "")
    texts["congestion_points.csv"] = "congestion_point,element,direction,limit_w\nP,E,export,1\n"
    texts["impact_factors.csv"] = "congestion_point,resource,ppm\nP,WA,1000000\n"
    with pytest.raises(BadInput, match=r"no \[grid\]"):
        split_scenario(folder_of(texts, tmp_path / "gridless"), tmp_path / "out")
    (tmp_path / "other").mkdir()
    for path in (shares / "village").iterdir():
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    for name, content in ((OWN_GRID, b"{}"), (BORDERS, b"{}"), (BORDERS, UNKNOWN_BORDER)):
        right = (shares / "village" / name).read_bytes()
        (tmp_path / "other" / name).write_bytes(content)
        with pytest.raises(BadInput, match=name):
            AreaStudy(*read_dso(tmp_path / "other"))
        (tmp_path / "other" / name).write_bytes(right)
    AreaStudy(*read_dso(tmp_path / "other"))

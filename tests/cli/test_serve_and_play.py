"""`flexpeer serve` and `flexpeer play` as programs: a day over the API, the server killed in between."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.program import flexpeer
from tests.docs.pages import DOCS

from flexpeer.bootstrap import read_whole
from flexpeer.market.timeline import Stage
from flexpeer.playing import Api, PlayingClient, order_body

EXAMPLE = DOCS / "examples" / "maintenance-hours"
PROGRAM = (sys.executable, "-m", "flexpeer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(data: Path, port: int, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The program, and the one line it prints when it is ready."""
    words = (*PROGRAM, "serve", "--data", str(data), "--port", str(port), "--clock", "virtual", "--json", *more)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        try:
            assert program.stdout is not None
            yield program, json.loads(program.stdout.readline())
        finally:
            if program.poll() is None:
                program.kill()


def clients(facts: dict[str, Any]) -> dict[str, PlayingClient]:
    known = json.loads(Path(facts["credentials"]).read_text(encoding="utf-8"))["organisations"]
    return {name: PlayingClient(at["role"], at["client_id"], at["client_secret"]) for name, at in known.items()}


def test_a_day_over_the_api_ends_as_run_does_though_the_server_was_killed(tmp_path: Path) -> None:
    data, port = tmp_path / "market", free_port()
    scenario, _ = read_whole(EXAMPLE)
    market_id = str(scenario.day.delivery_day)
    owners = {each.resource: each.fsp for each in scenario.resources}
    with served(data, port, "--scenario", str(EXAMPLE)) as (program, facts):
        credentials = Path(facts["credentials"])
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        known = clients(facts)
        operator = next(Api(facts["url"], client) for client in known.values() if client.role == "MARKET_OPERATOR")
        gate = operator.call("GET", f"/api/Markets/{market_id}").json()["gate"]
        assert operator.call("POST", "/api/clock", {"to": gate["opens"]}).status_code == 200
        for row in scenario.orders[:3]:
            api = Api(facts["url"], known[owners[row.resource]])
            body = order_body(row, market_id)
            assert api.call("POST", "/api/Orders", body, Idempotency_Key=row.order).status_code == 201
            while api.call("GET", f"/api/Markets/{market_id}/line?wait=10").json()["line"]:
                pass
        before = credentials.read_bytes()
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    with served(data, port) as (program, facts):
        assert credentials.read_bytes() == before
        played = flexpeer(
            "play", EXAMPLE, "--credentials", credentials, "--url", facts["url"], "--clients", "2", "--json"
        )
        assert played.code == 0, played.err
        ran = flexpeer("run", EXAMPLE, "--out", tmp_path / "out", "--json")
        for name in ("state_hash", "log_head", "orders", "trades", "welfare", "settlement_sum"):
            assert played.object[name] == ran.object[name], name
        operator = next(Api(facts["url"], each) for each in clients(facts).values() if each.role == "MARKET_OPERATOR")
        log, heads = tmp_path / "events.log", tmp_path / "heads.json"
        log.write_bytes(operator.call("GET", f"/api/Log?marketId={market_id}&sealed=true").content)
        heads.write_bytes(operator.call("GET", f"/api/Heads?marketId={market_id}").content)
        signed = json.loads(heads.read_bytes())["items"]
        assert [head["stage"] for head in signed] == list(Stage)[1:]
        assert flexpeer("audit", "verify", log, "--head", heads, "--json").object["whole"]
        assert flexpeer("replay", log, "--json").object["state_hash"] == ran.object["state_hash"]
        assert httpx.get(f"{facts['url']}/readyz").json() == {"status": "ready"}
        program.send_signal(signal.SIGTERM)
        assert program.wait(300) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "{}/none"), "there is no market here"),
        (("--data", "{}/a", "--scenario", "{}/nowhere"), "scenario.toml"),
        (("--data", "{}/a", "--port", "70000"), "less than or equal to 65535"),
        (("--data", "{}/a", "--clock", "sundial"), "virtual"),
        (("--data", "{}/a", "--scenario", str(EXAMPLE), "--clock", "virtual", "--start", "noon"), "ISO 8601"),
        (("--database", "mysql://x", "--data", "{}/a"), "postgresql://"),
    ],
)
def test_what_cannot_be_served_is_one_report(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    answer = flexpeer("serve", *(word.format(tmp_path) for word in words))
    assert answer.code == 2
    assert said in answer.err


def test_play_says_who_is_not_there(tmp_path: Path) -> None:
    nothing = tmp_path / "credentials.json"
    nothing.write_text('{"organisations": {}}', encoding="utf-8")
    answer = flexpeer("play", EXAMPLE, "--credentials", nothing)
    assert (answer.code, "market operator" in answer.err) == (2, True)
    other = tmp_path / "other.json"
    other.write_text("[]", encoding="utf-8")
    assert flexpeer("play", EXAMPLE, "--credentials", other).code == 2

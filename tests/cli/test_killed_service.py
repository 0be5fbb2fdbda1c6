"""A server on PostgreSQL, killed while a day is played: the day ends as `flexpeer run` does."""

from pathlib import Path

from tests.adapters.postgres import postgres
from tests.cli.killed_service import played
from tests.cli.program import flexpeer
from tests.cli.test_serve_and_play import EXAMPLE


def test_a_day_on_postgresql_ends_as_run_does_though_the_server_was_killed(tmp_path: Path) -> None:
    with postgres() as cluster:
        found = played(EXAMPLE, tmp_path / "market", cluster.database("market"), [0.5], 2)
    ran = flexpeer("run", EXAMPLE, "--out", tmp_path / "out", "--json")
    for name in ("state_hash", "log_head", "orders", "trades", "welfare", "settlement_sum"):
        assert found.result[name] == ran.object[name], name

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.program import everything_in, flexpeer

from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import write_problem


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    write_problem(clearing_problem(200, 24), tmp_path / "problem.npz")
    return tmp_path / "problem.npz"


def test_split(problem: Path, tmp_path: Path) -> None:
    answer = flexpeer("split", problem, "--out", tmp_path / "shares", "--json")
    assert answer.code == 0
    peers = {"dso-0": 142, "dso-1": 44, "dso-2": 14}
    assert answer.object == {"dsos": peers, "agents": {}, "pieces": 3, "periods": 24}
    names = {"market-operator", "dso-0", "dso-1", "dso-2"}
    files = {f"{name}.key" for name in names} | {f"{name}.npz" for name in names - {"market-operator"}}
    passwords = {f"{name}.password" for name in names - {"market-operator"}}
    assert everything_in(tmp_path / "shares") == files | passwords | {
        "outline.json", "public-keys.json", "authority.pem", "authority.key",
    }  # fmt: skip
    assert all((tmp_path / "shares" / f"{name}.key").stat().st_mode & 0o077 == 0 for name in names)
    assert flexpeer("split", problem, "--out", tmp_path / "shares").code == 2


def test_split_with_agents(problem: Path, tmp_path: Path) -> None:
    answer = flexpeer("split", problem, "--out", tmp_path / "shares", "--agent", "5", "--agent", "6", "--json")
    assert answer.code == 0
    assert set(answer.object["agents"]) == {"peer-5", "peer-6"}
    dso = answer.object["agents"]["peer-5"]
    found = everything_in(tmp_path / "shares")
    assert {f"peer-5/{name}" for name in ("peer-5.npz", "peer-5.key", "public-keys.json")} <= found
    assert {f"{dso}-agents/{name}" for name in ("agents.json", f"{dso}.key", "public-keys.json")} <= found
    assert "peer-5" not in (tmp_path / "shares" / "public-keys.json").read_text()
    assert "peer-5" not in (tmp_path / "shares" / "outline.json").read_text()
    assert flexpeer("split", problem, "--out", tmp_path / "again", "--agent", "200").code == 2


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--dso", "dso-0"],
        ["--dso", "a.b", "--problem", "x.npz"],
        ["--market-operator", "o.json", "--dso", "dso-0"],
        ["--peer", "peer-1", "--problem", "x.npz"],
        ["--market-operator", "o.json", "--hub", "127.0.0.1:1"],
        ["--dso", "dso-0", "--problem", "x.npz", "--hub", "127.0.0.1:1", "--server", "nats://127.0.0.1"],
    ],
)
def test_a_node_needs_one_role_and_a_name(words: list[str], tmp_path: Path) -> None:
    answer = flexpeer("node", *words, "--keys", tmp_path, "--json")
    assert answer.code == 2
    assert answer.object["error"] == "bad input"


def test_files_and_keys_that_are_missing_are_bad_input(problem: Path, tmp_path: Path) -> None:
    flexpeer("split", problem, "--out", tmp_path / "shares")
    wrong: tuple[list[str | Path], ...] = (
        ["--market-operator", tmp_path / "outline.json", "--keys", tmp_path / "shares"],
        ["--market-operator", tmp_path / "shares" / "outline.json", "--keys", tmp_path],
        ["--dso", "dso-9", "--problem", tmp_path / "shares" / "dso-0.npz", "--keys", tmp_path / "shares"],
        ["--dso", "dso-0", "--problem", problem, "--keys", tmp_path / "shares"],
    )
    for words in wrong:
        assert flexpeer("node", *words).code == 2


def test_a_node_does_not_load_what_it_does_not_use() -> None:
    """A hundred of them share a machine."""
    said = "import sys, flexpeer.cli; print([name for name in ('scipy.optimize', 'jinja2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.program import flexpeer

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.errors import BadInput
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import read_problem, write_problem
from flexpeer.laboratory.files.publication_files import OPENED, PUBLISHED

KEYS = {
    "objective", "dual_bound", "gap", "gap_relative_to_gain", "no_trade_objective", "max_violation_kw", "relief_kw",
    "congestion_rent", "engine", "status", "seconds", "buses", "peers", "periods",
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "problem.npz"
    write_problem(clearing_problem(40, 4, 1), file)
    return file


def changed(path: Path, **arrays: Any) -> Path:
    with np.load(path) as loaded:
        kept = {name: loaded[name] for name in loaded.files if name not in arrays or arrays[name] is not None}
    np.savez(path, allow_pickle=True, **(kept | {name: array for name, array in arrays.items() if array is not None}))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    plain = clearing_problem(40, 4, 1, shift=0.3, storage=0.3)
    factor = np.ones((1, plain.buses))
    meshed = replace(
        plain, row_factor=factor, row_base_kw=np.ones((1, 4)), row_limit_kw=np.ones((1, 4)), row_price=2.0,
        step_whole=plain.step_kw[:, 0] > 9.0,
    )  # fmt: skip
    for problem in (plain, meshed):
        write_problem(problem, tmp_path / "p.npz")
        found = read_problem(tmp_path / "p.npz")
        for each in fields(ClearingProblem):
            np.testing.assert_array_equal(getattr(found, each.name), getattr(problem, each.name))


def test_peers_are_free_unless_the_file_says_otherwise(path: Path) -> None:
    found = read_problem(changed(path, peer_kind=None, energy_kwh=None, energy_start_kwh=None))
    assert not found.peer_kind.any()


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"parent": None}, {"parent"}),
        ({"parent": None, "base_kw": None, "line_price": np.array("x")}, {"parent", "base_kw", "line_price"}),
        ({"other": np.ones(2)}, {"other"}),
        ({"step_kw": np.array([object()])}, {"step_kw"}),
        ({"peer_bus": np.full(40, 99)}, {"peer_bus"}),
        ({"peer_bus": np.full(40, 0.5)}, {"peer_bus"}),
        ({"base_kw": np.ones(3)}, {"base_kw"}),
        ({"import_price": np.full(4, -9.0), "step_sign": np.array([1, 1, 2, -1])}, {"import_price", "step_sign"}),
        ({"import_price": np.full(4, np.nan)}, {"import_price"}),
        ({"line_limit_kw": np.full((5, 4), np.nan)}, {"line_limit_kw"}),
        ({"parent": np.array([-1, 0, 3, 1, 0])}, {"parent"}),
        ({"peer_kind": np.full(40, 2), "energy_kwh": None}, {"energy_kwh"}),
        ({"voltage_low": np.array(9.0)}, {"voltage_low"}),
        ({"base_kw": np.ones((5, 3))}, {"base_kw"}),
    ],
)
def test_every_finding_of_a_bad_file(path: Path, arrays: dict[str, Any], named: set[str]) -> None:
    with pytest.raises(BadInput) as caught:
        read_problem(changed(path, **arrays))
    assert named <= {finding.field for finding in caught.value.findings}
    answer = flexpeer("clear", path, "--json")
    assert answer.code == 2
    assert len(answer.object["findings"]) == len(caught.value.findings)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "problem.npz"
    file.write_bytes(content)
    assert flexpeer("clear", file).code == 2
    assert flexpeer("clear", tmp_path / "none.npz").code == 2
    np.save(tmp_path / "one.npy", np.ones(3))
    assert flexpeer("clear", tmp_path / "one.npy").code == 2


@pytest.mark.parametrize("engine", ["auto", "price-newton", "price-posting", "central"])
def test_clear(path: Path, tmp_path: Path, engine: str) -> None:
    out = tmp_path / "out.npz"
    answer = flexpeer("clear", path, "--engine", engine, "--out", out, "--json", "--verify")
    assert answer.code == 0
    facts = answer.object
    assert {*KEYS, "verified", "damages", "rounds" if engine == "price-posting" else "steps"} == set(facts)
    assert facts["verified"]
    assert facts["gap_relative_to_gain"] < 1e-3
    problem = read_problem(path)
    with np.load(out, allow_pickle=False) as found:
        assert found["x_kw"].shape == (problem.peers, problem.periods)
        for name in ("price", "flow_kw", "voltage"):
            assert found[name].shape == problem.base_kw.shape
    told = flexpeer("clear", path, "--engine", engine, "--verify")
    assert told.code == 0
    assert "the certificate holds" in told.out


def test_clear_that_cannot_be(path: Path, tmp_path: Path) -> None:
    assert flexpeer("clear", path, "--engine", "magic").code == 2
    assert flexpeer("clear", path, "--engine", "tree-sweep").code == 2
    assert flexpeer("clear", path, "--out", tmp_path / "no" / "folder.npz").code == 2
    write_problem(replace(read_problem(path), voltage_price=0.0), path)
    answer = flexpeer("clear", path, "--engine", "tree-sweep", "--json")
    assert answer.code == 0
    assert answer.object["gap"] == pytest.approx(0.0, abs=1e-7)


def test_a_publication_is_verified_without_bid_or_grid(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    cleared = flexpeer("clear", path, "--publish", folder, "--json").object
    path.unlink()
    answer = flexpeer("clear", folder, "--verify", "--json")
    assert answer.code == 0
    assert answer.object["verified"]
    assert answer.object["gap"] == pytest.approx(cleared["gap"], abs=1e-9)
    assert answer.object["parties"] == 40 + 5 + 5
    assert "the certificate holds" in flexpeer("clear", folder, "--verify").out


Json = dict[str, Any]


def moved(published: Json, _opened: Json) -> None:
    published["gap"] += 1.0


def better(published: Json, _opened: Json) -> None:
    published["dual_bound"] += 1.0


def exchanged(published: Json, _opened: Json) -> None:
    published["terms"]["peer 0"] = published["terms"]["peer 1"]


def denied(_published: Json, opened: Json) -> None:
    opened["peer 3"]["term"] = (0.5).hex()


def kept(_published: Json, opened: Json) -> None:
    del opened["line 1"]


@pytest.mark.parametrize("lie", [moved, better, exchanged, denied, kept])
def test_a_publication_that_does_not_hold(path: Path, tmp_path: Path, lie: Callable[[Json, Json], None]) -> None:
    folder = tmp_path / "published"
    assert flexpeer("clear", path, "--publish", folder).code == 0
    files = [folder / PUBLISHED, folder / OPENED]
    contents = [json.loads(file.read_bytes()) for file in files]
    lie(*contents)
    for file, content in zip(files, contents, strict=True):
        file.write_text(json.dumps(content))
    answer = flexpeer("clear", folder, "--verify", "--json")
    assert answer.code == 1
    assert not answer.object["verified"]
    assert answer.object["damages"]


def test_what_is_no_publication(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    assert flexpeer("clear", tmp_path, "--verify").code == 2
    assert flexpeer("clear", path, "--publish", folder).code == 0
    assert flexpeer("clear", path, "--publish", folder).code == 2
    (folder / OPENED).write_text('{"peer 0": {"term": "x", "salt": ""}}')
    assert flexpeer("clear", folder, "--verify").code == 2
    (folder / PUBLISHED).write_text("[]")
    assert flexpeer("clear", folder, "--verify").code == 2

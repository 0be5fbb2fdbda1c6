"""Files made to harm: each is one clear refusal, before memory or time is spent on it."""

import errno
import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.adapters.cim_documents import Document, Ref, small
from tests.adapters.scenario_folder import HOURS, folder_of, swap_hour
from tests.adapters.test_gridfile_matpower import MESHED
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.split_days import node_of, nominal_state
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders
from tests.cli.program import flexpeer

from flexpeer.adapters.day_share_files import PROMISES, PromisesFile
from flexpeer.adapters.gridfiles import open_grid
from flexpeer.adapters.npz_files import arrays_of
from flexpeer.bootstrap import read_whole
from flexpeer.day_nodes import read_dso, split_scenario
from flexpeer.errors import BadInput, Finding
from flexpeer.wire.grants import Began, Commit, Entry, Held, Shift, Started, Try
from flexpeer.wire.study import StudyState

DIGEST = b"d" * 32
RUN = f"{DIGEST.hex()}-1"


def findings_of(read: Callable[[], object]) -> tuple[Finding, ...]:
    with pytest.raises(BadInput) as caught:
        read()
    assert all(finding.expected for finding in caught.value.findings)
    return caught.value.findings


def finding_of(read: Callable[[], object]) -> str:
    (finding,) = findings_of(read)
    return str(finding)


# ---- grids

ASKING = [
    "x = (1:1e5)' + (1:1e5);",
    "x = zeros(1e5, 1e5);",
    "x = ones(1e5, 1)(1e5);x = (1:1e5)' .^ (1:1e5);",
    "a = ones(1, 4e7);\nb = -a;\nc = a';",
    "a = 1:2e7; b = a + 1; c = b + 1;",
]


@pytest.mark.parametrize("text", ASKING)
def test_an_expression_is_refused_before_it_is_calculated(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.m").write_text(MESHED + text + "\n")
    assert any("numbers to calculate" in f.problem for f in findings_of(lambda: open_grid("grid.m", tmp_path)))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '{"format": "flexpeer-grid-1", "buses": ' * 9_999],
    ids=["lists", "objects", "grids"],
)
def test_json_may_not_be_too_deep(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text(text)
    assert "nested too deeply" in finding_of(lambda: open_grid("grid.json", tmp_path))


def test_an_integer_of_six_thousand_digits_is_one_finding(tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text('{"format": "flexpeer-grid-1", "buses": [' + "9" * 6_000 + "]}")
    assert "cannot be read" in finding_of(lambda: open_grid("grid.json", tmp_path))


def _many(document: Document, body: str) -> str:
    return document.text().replace("</rdf:RDF>", body + "</rdf:RDF>")


def test_references_of_one_attribute_are_gathered_in_linear_time(tmp_path: Path) -> None:
    """Looking for each among those before takes minutes."""
    references = "".join(f'<cim:OperationalLimitSet.Terminal rdf:resource="#_t{n}"/>' for n in range(60_000))
    limit_set = f'<cim:OperationalLimitSet rdf:ID="_s">{references}</cim:OperationalLimitSet>'
    limit = (
        '<cim:CurrentLimit rdf:ID="_c"><cim:CurrentLimit.value>5</cim:CurrentLimit.value>'
        '<cim:OperationalLimit.OperationalLimitSet rdf:resource="#_s"/></cim:CurrentLimit>'
    )
    (tmp_path / "grid.xml").write_text(_many(small(), limit_set + limit))
    assert "limits of 60000 terminals" in finding_of(lambda: open_grid("grid.xml", tmp_path))


def test_terminals_of_one_equipment_are_bounded(tmp_path: Path) -> None:
    terminals = "".join(
        f'<cim:Terminal rdf:ID="_x{n}"><cim:Terminal.ConductingEquipment rdf:resource="#_line"/></cim:Terminal>'
        for n in range(20_000)
    )
    (tmp_path / "grid.xml").write_text(_many(small(), terminals))
    assert "20002 terminals" in finding_of(lambda: open_grid("grid.xml", tmp_path))


def test_containers_that_contain_each_other_end(tmp_path: Path) -> None:
    document = small()
    document.define("Bay", "one", {"VoltageLevel": Ref("two")})
    document.define("Bay", "two", {"VoltageLevel": Ref("one")})
    document.about("TopologicalNode", "A", {"TopologicalNode.ConnectivityNodeContainer": Ref("one")})
    (tmp_path / "grid.xml").write_text(document.text())
    assert open_grid("grid.xml", tmp_path).network.bus_count == 2


def test_voltages_spread_along_a_feeder_in_linear_time(tmp_path: Path) -> None:
    document = small()
    for n in range(1_500):
        document.define("TopologicalNode", f"n{n}", {})
        document.define("ACLineSegment", f"l{n}", {"r": 0.1, "x": 0.1})
        document.terminal(f"l{n}", 1, {"TopologicalNode": Ref(f"n{n - 1}" if n else "B")})
        document.terminal(f"l{n}", 2, {"TopologicalNode": Ref(f"n{n}")})
    (tmp_path / "grid.xml").write_text(document.text())
    assert set(open_grid("grid.xml", tmp_path).network.bus_v.tolist()) == {20_000.0}


@pytest.mark.parametrize("name", ["grid.json", "grid.m", "grid.xml", "grid.zip", "buses.csv"])
def test_a_pipe_is_no_grid(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    assert findings_of(lambda: open_grid(name, tmp_path))


@pytest.mark.parametrize(
    "source",
    ["/dev/zero", "/dev/stdin", "../" * 40 + "dev/zero", "x" * 5_000 + ".json", "."],
    ids=["device", "stream", "path", "long", "folder"],
)
def test_a_source_that_is_no_grid_is_one_finding(source: str, tmp_path: Path) -> None:
    assert finding_of(lambda: open_grid(source, tmp_path))


def test_a_folder_with_too_many_files_is_not_searched(tmp_path: Path) -> None:
    for n in range(101):
        (tmp_path / f"grid/{n}").mkdir(parents=True)
        for m in range(100):
            (tmp_path / f"grid/{n}/{m}").touch()
    assert "more than 10,000" in finding_of(lambda: open_grid("grid", tmp_path))


# ---- scenarios


def _scenario(folder: Path, file: str, old: str, new: str) -> Path:
    texts = swap_hour()
    assert old in texts[file]
    return folder_of(texts | {file: texts[file].replace(old, new, 1)}, folder)


@pytest.mark.parametrize(
    "instant",
    ["0001-01-01T00:00+14:00", "9999-12-31T23:00-12:00", "9999-12-31T23:00Z", "0001-01-01T00:00Z", "2300-01-01T00:00Z"],
)
@pytest.mark.parametrize("file", ["orders.csv", "forecast.csv", "allocations.csv"])
def test_instants_at_the_ends_of_time_are_findings(file: str, instant: str, tmp_path: Path) -> None:
    folder = _scenario(tmp_path, file, HOURS[12], instant)
    assert any(instant in f.problem and f.where == file for f in findings_of(lambda: read_whole(folder)))


@pytest.mark.parametrize(
    "value",
    ["9" * 6_000, "0x" + "f" * 6_000, "[" * 5_000, "{a=" * 5_000, "nan", "1e999999999", "0001-01-01"],
    ids=["digits", "hexadecimal", "lists", "tables", "nan", "exponent", "day"],
)
@pytest.mark.parametrize("key", ["mtu_minutes", "delivery_day", "name"])
def test_a_harmful_value_of_the_settings_is_a_finding(key: str, value: str, tmp_path: Path) -> None:
    texts = swap_hour()
    lines = [line for line in texts["scenario.toml"].split("\n") if not line.startswith(key)]
    folder_of(texts | {"scenario.toml": "\n".join([f"{key} = {value}", *lines])}, tmp_path)
    assert any(finding.where == "scenario.toml" for finding in findings_of(lambda: read_whole(tmp_path)))


def test_a_number_that_is_none_is_out_of_range(tmp_path: Path) -> None:
    with_nan = '\n[[overhead]]\nelements = ["T1"]\nt_max_c = nan\nt_ref_c = 20\n'
    texts = swap_hour()
    folder_of(texts | {"scenario.toml": texts["scenario.toml"] + with_nan}, tmp_path)
    assert any("out of range" in finding.problem for finding in findings_of(lambda: read_whole(tmp_path)))


def test_a_link_to_nothing_is_not_a_file_that_may_be_missing(tmp_path: Path) -> None:
    folder_of(swap_hour(), tmp_path)
    (tmp_path / "meter.csv").symlink_to(tmp_path / "nowhere")
    assert "meter.csv: the file cannot be read" in finding_of(lambda: read_whole(tmp_path))


def test_a_long_line_of_parents_is_walked_once(tmp_path: Path) -> None:
    texts = swap_hour()
    more = "".join(f"O{n},FSP,O{n + 1}\n" for n in range(30_000))
    texts["organisations.csv"] += more + "O30000,FSP,O29999\n"
    findings = findings_of(lambda: read_whole(folder_of(texts, tmp_path)))
    above = [finding.problem for finding in findings if "above itself" in finding.problem]
    assert above == ["O29999 is above itself", "O30000 is above itself"] or len(findings) > 1_000


# ---- arrays


def _npz(path: Path, header: str, content: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        length = (len(header) + 1).to_bytes(2, "little")
        archive.writestr("parent.npy", b"\x93NUMPY\x01\x00" + length + header.encode() + b"\n" + content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '<U999999999', 'fortran_order': False, 'shape': (1,)}",
        "(" * 3_000,
        "no header",
    ],
    ids=["long", "square", "negative", "flag", "objects", "record", "texts", "depth", "none"],
)
def test_what_a_header_claims_is_checked_first(header: str, tmp_path: Path) -> None:
    assert finding_of(lambda: arrays_of(_npz(tmp_path / "a.npz", header)))
    answer = flexpeer("clear", tmp_path / "a.npz", "--json")
    assert (answer.code, len(answer.object["findings"])) == (2, 1)


def test_an_archive_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.savez_compressed(file, parent=np.zeros(1 << 22), area=np.zeros(1 << 22))
    assert "compressed more than" in finding_of(lambda: arrays_of(tmp_path / "a.npz"))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("readme.txt", "x")
    assert "is no array" in finding_of(lambda: arrays_of(tmp_path / "b.npz"))


# ---- what a DSO's program has


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shares")
    texts = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 1)[:4]))
    split_scenario(folder_of(texts, folder / "scenario"), folder / "day")
    return folder / "day"


def test_promises_that_cannot_have_been_made_are_one_finding(shares: Path, tmp_path: Path) -> None:
    share = read_dso(shares / "local")
    began, started = Began(), Started(nominal_state(share))
    tried = Try(1, (Shift(share.scenario.resources[0].resource, 0, 1, 10**400),), (0,), {}, None, ())
    foreign = Try(1, (Shift("nobody", 0, 1, 1),), (0,), {}, None, ())
    late = Try(1, (), (10**6,), {}, None, ())
    fine = Held(1, Try(1, (), (0,), {}, None, ()))
    acts: list[list[Began | Started | Held | Commit]]
    acts = [[began, Commit(7)], [began, fine], [began, Started(StudyState({}, {}, {}))]]
    acts += [[began, started, Held(1, each)] for each in (tried, foreign, late)]
    for some in acts:
        lines = [msgspec.json.encode(Entry(RUN, each)) for each in some]
        (tmp_path / PROMISES).write_bytes(b"\n".join([*lines, b""]))
        with PromisesFile(tmp_path, DIGEST) as promises:
            assert f"promises:{len(some)}" in finding_of(partial(node_of, share, promises))


@pytest.mark.parametrize(
    "content",
    [b"\xff\n", b"[" * 100_000 + b"\n", b"{}\n", b"null\n", b"[1, 2, 3]\n"],
    ids=["utf", "depth", "object", "null", "list"],
)
def test_damaged_promises_are_one_finding(content: bytes, tmp_path: Path) -> None:
    (tmp_path / PROMISES).write_bytes(content)
    assert "holds no promises" in finding_of(lambda: PromisesFile(tmp_path, DIGEST))


def test_promises_in_a_pipe_are_one_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / PROMISES)
    assert "device or a pipe" in finding_of(lambda: PromisesFile(tmp_path, DIGEST))


def test_nothing_stays_of_a_promise_that_the_disk_did_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with PromisesFile(tmp_path, DIGEST) as promises:
        promises.append(Entry(RUN, Began()))
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                promises.append(Entry(RUN, Commit(5)))
        promises.append(Entry(RUN, Commit(6)))
    with PromisesFile(tmp_path, DIGEST) as again:
        assert [entry.act for entry in again.read()] == [Began(), Commit(6)]

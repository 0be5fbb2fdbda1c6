"""The CIGRE network written as CIM, in both styles, is the CIGRE network; archives, and what is refused."""

import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.cim_documents import Document, bus_branch, node_breaker, small, write

from flexpeer.adapters.gridfiles import GridFile, cim_files, open_grid, write_flexpeer_json
from flexpeer.errors import BadInput
from flexpeer.grid.cigre import cigre_mv
from flexpeer.grid.powerflow import solve

TOLERANCE_PU = 1e-9


def same_as_cigre(grid: GridFile) -> None:
    """Voltages, ratings and areas are those of the built-in network."""
    wanted, network = cigre_mv(), grid.network
    expected = solve(wanted.network, wanted.p_w, wanted.q_var).v[:, 0]
    found = solve(network, grid.p_w, grid.q_var).v[:, 0]
    at = [grid.bus_index(name) for name in wanted.network.bus_names]
    assert None not in at
    assert np.abs(found[np.array(at, dtype=np.int64)] - expected).max() < TOLERANCE_PU
    for branch, name in enumerate(wanted.network.branch_names):
        here = grid.branch_index(name)
        assert here is not None
        assert network.rating_from_a[here] == pytest.approx(wanted.network.rating_from_a[branch])
    assert network.source_v_pu.tolist() == pytest.approx([1.03])


def test_bus_branch_model_of_cgmes_2(tmp_path: Path) -> None:
    write(tmp_path / "grid", bus_branch(cigre_mv()))
    grid = open_grid("grid", tmp_path)
    same_as_cigre(grid)
    assert grid.network.bus_names == cigre_mv().network.bus_names
    assert grid.network.branch_names == cigre_mv().network.branch_names
    assert grid.network.in_service.tolist() == cigre_mv().network.in_service.tolist()
    assert [finding.problem for finding in grid.findings] == [
        "a limit for a time, such as TATL, is passed over (and 14 more)"
    ]
    assert grid.branch_index("Line-1-2") == grid.branch_index("_Line-1-2") == grid.branch_index("Line 1-2")


def test_node_breaker_model_of_cim_17_without_topology(tmp_path: Path) -> None:
    write(tmp_path, {"grid": node_breaker(cigre_mv())})
    grid = open_grid("grid.xml", tmp_path)
    same_as_cigre(grid)
    assert grid.network.bus_count == 15 + 3, "an open line end is a bus of its own"
    assert set(grid.areas) == {"North"}
    assert grid.bus_index("node-switch-Line-1-2-1") == grid.bus_index("Bus 1") == grid.bus_index("bar-Bus-1")


def test_archives_may_hold_archives(tmp_path: Path) -> None:
    inner = io.BytesIO()
    documents = bus_branch(cigre_mv())
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for profile in ("SSH", "TP", "SV"):
            archive.writestr(f"state/{profile}.xml", documents[profile].text())
    with zipfile.ZipFile(tmp_path / "grid.zip", "w") as archive:
        archive.writestr("EQ.xml", documents["EQ"].text())
        archive.writestr("state.zip", inner.getvalue())
        archive.writestr("readme.txt", "not read")
    same_as_cigre(open_grid("grid.zip", tmp_path))


def test_other_xml_beside_a_model_is_passed_over_and_told(tmp_path: Path) -> None:
    write(tmp_path / "grid", bus_branch(cigre_mv()))
    (tmp_path / "grid" / "notes.xml").write_text("<notes/>")
    grid = open_grid("grid", tmp_path)
    same_as_cigre(grid)
    assert str(grid.findings[0]).startswith("grid/notes.xml: XML, but not RDF")


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    documents = bus_branch(cigre_mv())
    write(tmp_path / "grid", {"1": documents["SV"], "2": documents["SSH"], "3": documents["TP"], "4": documents["EQ"]})
    same_as_cigre(open_grid("grid", tmp_path))


def test_written_as_flexpeer_json_it_is_the_same_grid(tmp_path: Path) -> None:
    write(tmp_path, {"grid": node_breaker(cigre_mv())})
    grid = open_grid("grid.xml", tmp_path)
    write_flexpeer_json(grid, tmp_path / "grid.json")
    again = open_grid("grid.json", tmp_path)
    assert np.array_equal(again.network.r_pu, grid.network.r_pu)
    assert again.bus_aliases == grid.bus_aliases


@pytest.mark.parametrize("form", ["urn:uuid:", "#_", "#", "http://owner.example/model#_"])
def test_every_form_of_a_reference(tmp_path: Path, form: str) -> None:
    text = node_breaker(cigre_mv()).text().replace('resource="#_', f'resource="{form}')
    (tmp_path / "grid.rdf").write_text(text, encoding="utf-8")
    same_as_cigre(open_grid("grid.rdf", tmp_path))


# ---- what is refused


def findings(folder: Path, source: str) -> str:
    with pytest.raises(BadInput) as caught:
        open_grid(source, folder)
    assert all(finding.expected and finding.where for finding in caught.value.findings)
    return str(caught.value)


def test_a_document_type_is_refused_before_any_entity(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<x>&b;</x>'
    (tmp_path / "grid.xml").write_text(bomb)
    assert "grid.xml:2: a document type" in findings(tmp_path, "grid.xml")


BROKEN: dict[str, tuple[str, str]] = {
    "cut off": ("<rdf:RDF", "grid.xml:1"),
    "empty": ("", "grid.xml:1"),
    "not RDF": ("<a/>", "not RDF"),
    "no CIM": ('<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>', "no CIM document"),
    "no terminals": (Document().text().replace("</rdf:RDF>", '<cim:Line rdf:ID="_x"/></rdf:RDF>'), "no terminals"),
    "unknown encoding": ('<?xml version="1.0" encoding="klingon"?><a/>', "grid.xml"),
    "difference": (
        Document().text().replace("</rdf:RDF>", '<dm:DifferenceModel xmlns:dm="d" rdf:about="x"/></rdf:RDF>'),
        "a difference model",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_document_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, problem = BROKEN[case]
    (tmp_path / "grid.xml").write_text(text)
    assert problem in findings(tmp_path, "grid.xml")


def test_every_broken_document_of_a_folder_is_told(tmp_path: Path) -> None:
    write(tmp_path / "grid", bus_branch(cigre_mv()))
    for name in ("SSH", "TP"):
        path = tmp_path / "grid" / f"{name}.xml"
        path.write_text(path.read_text()[:-20])
    told = findings(tmp_path, "grid")
    assert "grid/SSH.xml:" in told
    assert "grid/TP.xml:" in told


def test_archives_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("grid.xml", b" " * (cim_files.RATIO_FROM_BYTES + 1))
    assert "to 1" in findings(tmp_path, "bomb.zip")
    monkeypatch.setattr(cim_files, "LARGEST_TOTAL_BYTES", 1000)
    assert "4 GiB" in findings(tmp_path, "bomb.zip")
    monkeypatch.setattr(cim_files, "LARGEST_TOTAL_BYTES", 1 << 30)
    content = (tmp_path / "bomb.zip").read_bytes()
    for level in range(cim_files.DEEPEST):
        with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
            archive.writestr(f"{level}.zip", content)
        content = (tmp_path / "deep.zip").read_bytes()
    assert "too deep" in findings(tmp_path, "deep.zip")
    (tmp_path / "torn.zip").write_bytes(content[:100])
    assert "cannot be unpacked" in findings(tmp_path, "torn.zip")


def unconnected(text: str) -> str:
    return text.replace('resource="#_B"', 'resource="#_C"', 1)


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "no number": (lambda t: t.replace("<cim:ACLineSegment.r>0.5", "<cim:ACLineSegment.r>half"), "'half'"),
    "infinite": (lambda t: t.replace("<cim:ACLineSegment.r>0.5", "<cim:ACLineSegment.r>inf"), "'inf'"),
    "no flag": (lambda t: t.replace("EnergyConsumer.p>", "Equipment.inService>", 2), "true or false"),
    "no impedance": (
        lambda t: t.replace("ACLineSegment.r>", "A.r>").replace("ACLineSegment.x>", "A.x>"),
        "no impedance",
    ),
    "one terminal": (lambda t: t.replace('resource="#_line"', 'resource="#_x"', 1), "1 terminals"),
    "no source": (lambda t: t.replace("EnergySource", "Fault"), "class Fault is not calculated"),
    "islanded load": (unconnected, "no source reaches it"),
    "converter": (lambda t: t.replace("EnergyConsumer", "VsConverter"), "class VsConverter is not calculated"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_model_that_cannot_be_used_is_refused_with_reasons(tmp_path: Path, case: str) -> None:
    change, problem = CHANGES[case]
    (tmp_path / "grid.xml").write_text(change(small().text()), encoding="utf-8")
    assert problem in findings(tmp_path, "grid.xml")


def test_findings_tell_file_and_line(tmp_path: Path) -> None:
    text = small().text().replace("<cim:ACLineSegment.x>0.4", "<cim:ACLineSegment.x>?")
    (tmp_path / "grid.xml").write_text(text, encoding="utf-8")
    line = 1 + text.splitlines().index('<cim:ACLineSegment rdf:ID="_line">')
    assert f"grid.xml:{line} [ACLineSegment line.x]" in findings(tmp_path, "grid.xml")


@settings(deadline=None)
@given(data=st.data())
def test_no_change_of_a_document_breaks_the_reader(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A grid or findings, whatever is removed or put anywhere."""
    text = small().text()
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.sampled_from(["", "0", "-1", "nan", "#_A", "<a/>", "&#0;", "1e999", "_", "\n"]))
    folder = tmp_path_factory.mktemp("cim")
    (folder / "grid.xml").write_text(text[:start] + put + text[start + length :], encoding="utf-8")
    with suppress(BadInput):
        open_grid("grid.xml", folder)

import pytest

from flexpeer.errors import BadInput
from flexpeer.laboratory import bench_clearing
from flexpeer.laboratory.bench_clearing import BY_NAME, CASES, ClearingCase, rows


def test_cases_are_named_as_the_bars() -> None:
    bars = ["1k x 24", "10k x 24", "10k x 96", "100k x 24", "100k x 96", "10k x 24 coupled"]
    assert list(CASES) == bars
    assert not set(BY_NAME) & set(bars)
    with pytest.raises(BadInput, match="no case"):
        rows("2 x 2")


def test_rows_with_silent_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NAME, "1k x 24, 30 % silent", ClearingCase(60, 4, 0.0, 0.0, 1, silent=0.3))
    found = rows("1k x 24, 30 % silent")
    assert [row["engine"] for row in found] == ["flexpeer price-newton", "flexpeer price-posting"]
    for row in found:
        assert row["status"] == "converged"
        assert row["gap_relative_to_gain"] <= 1e-3
        assert row["max_violation_kw"] == 0.0


def test_rows_of_a_small_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "1k x 24", ClearingCase(30, 4, 0.0, 0.0, 1))
    monkeypatch.setattr(bench_clearing, "version_of", lambda package: None if package != "scipy" else "1")
    found = rows("1k x 24")
    assert found[0]["engine"] == "flexpeer"
    assert found[0]["gap_relative_to_gain"] < 1e-4
    for row in found:
        assert {"case", "engine", "version", "median_s", "ratio_to_ours", "peak_memory_bytes"} <= set(row)
        if row["engine"].startswith("HiGHS"):
            assert row["objective"] == pytest.approx(found[0]["objective"], rel=1e-4)
        if row["engine"] in ("PIQP", "Clarabel"):
            assert row["status"].startswith("not installed")

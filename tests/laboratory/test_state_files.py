from pathlib import Path

import numpy as np
import pytest

from flexpeer.adapters.npz_files import save
from flexpeer.errors import BadInput
from flexpeer.laboratory.between.area_node import Finished
from flexpeer.laboratory.between.borders import Close
from flexpeer.laboratory.between.coordination import JointOutcome, RunDecision
from flexpeer.laboratory.engines.part_sweeps import PartOutcome
from flexpeer.laboratory.files.state_files import DECISION, FINISHED, JournalFolder, ShelfFolder

DECIDED = RunDecision(7, JointOutcome(True, "converged", 11, -3.5, -3.6, silent=("a",)), ("b", "c"), ("c",))


def outcome(seed: int) -> PartOutcome:
    rng = np.random.default_rng(seed)
    return PartOutcome(rng.random((3, 2, 4)), *(rng.random((5, 2)) for _ in range(3)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_text("a day")
    return tmp_path / "source"


@pytest.mark.parametrize("close", [None, Close(7, True, "converged")])
def test_a_shelf_keeps_what_was_finished(close: Close | None, tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "new" / "folder"
    ShelfFolder(folder, source).put(Finished(7, {0: outcome(0), 12: outcome(1)}, close))
    kept = ShelfFolder(folder, source).kept()
    assert kept is not None
    assert (kept.deal, kept.close, sorted(kept.outcomes)) == (7, close, [0, 12])
    for number, seed in ((0, 0), (12, 1)):
        for found, put in zip(kept.outcomes[number], outcome(seed), strict=True):
            assert (found == put).all()
    ShelfFolder(folder, source).put(None)
    assert ShelfFolder(folder, source).kept() is None


def test_a_journal_keeps_the_decision_and_numbers_rise(tmp_path: Path, source: Path) -> None:
    first = JournalFolder(tmp_path, source)
    assert first.decided() is None
    first.write(DECIDED)
    again = JournalFolder(tmp_path, source)
    assert again.run > first.run
    found = again.decided()
    assert found is not None
    assert (found.deal, found.stands, found.confirmed) == (7, ("b", "c"), ("c",))
    assert (found.outcome.objective, list(found.outcome.silent)) == (-3.5, ["a"])


def test_state_of_another_day_is_bad_input(tmp_path: Path, source: Path) -> None:
    ShelfFolder(tmp_path, source).put(Finished(7, {0: outcome(0)}))
    JournalFolder(tmp_path, source).write(DECIDED)
    source.write_text("another day")
    with pytest.raises(BadInput, match="other parts"):
        ShelfFolder(tmp_path, source).kept()
    with pytest.raises(BadInput, match="another outline"):
        JournalFolder(tmp_path, source).decided()


def test_state_that_is_none_is_bad_input(tmp_path: Path, source: Path) -> None:
    save(tmp_path / FINISHED, {"0/flow_kw": np.zeros(3)})
    (tmp_path / DECISION).write_text('{"deal": 7}')
    with pytest.raises(BadInput, match="no finished outcome"):
        ShelfFolder(tmp_path, source).kept()
    with pytest.raises(BadInput, match="no decision"):
        JournalFolder(tmp_path, source).decided()
    with pytest.raises(BadInput, match="cannot be written"):
        ShelfFolder(source, source)

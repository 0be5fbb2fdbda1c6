"""`flexpeer backup` and `restore`: what they tell, and one line for what cannot be."""

from pathlib import Path

import pytest
from tests.adapters.stored import filled
from tests.cli.program import flexpeer

from flexpeer.adapters.store import Store

COUNTS = {"days": 2, "records": 6, "heads": 2, "documents": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "data") as store:
        filled(store)
    return tmp_path / "data"


def test_there_and_back(data: Path, tmp_path: Path) -> None:
    answer = flexpeer("backup", data, tmp_path / "backup")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"{tmp_path / 'backup'}: logs 2, records 6, signed heads 2, documents 1\n"
    assert flexpeer("backup", data, tmp_path / "second", "--json").object == COUNTS
    assert flexpeer("restore", tmp_path / "backup", tmp_path / "restored", "--json").object == COUNTS
    with Store.open(data) as one, Store.open(tmp_path / "restored") as other:
        assert list(one.records("2026-02-10")) == list(other.records("2026-02-10"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backup", "nowhere", "new"), "there is no such file"),
        (("backup", "data", "data/market.sqlite"), "is there already"),
        (("backup", "data", "nowhere/new"), "cannot be written: No such file or directory"),
        (("backup", "postgresql://user:secret@127.0.0.1:1/name", "new"), "Connection refused"),
        (("backup", "mysql://user:secret@127.0.0.1/name", "new"), "no address of a database we know"),
        (("restore", "nowhere", "new"), "there is no such file"),
        (("restore", "text", "new"), "file is not a database"),
        (("restore", "backup", "data"), "there is a market in it"),
        (("restore", "backup", "text"), "cannot be opened: File exists"),
    ],
    ids=lambda word: " ".join(word) if isinstance(word, tuple) else "",
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], said: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no database\n" * 99)
    assert flexpeer("backup", data, "backup").code == 0
    answer = flexpeer(*words, "--json")
    assert answer.code == 2
    assert len(answer.object["findings"]) == 1
    assert said in answer.object["findings"][0]["problem"]
    assert "secret" not in answer.out + answer.err
    assert not (tmp_path / "new").exists()

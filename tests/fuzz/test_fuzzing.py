"""Some changed inputs of every target in each run of the tests; that what is looked for is found; named cases."""

from pathlib import Path
from typing import Any

import pytest
from tests.fuzz import worker
from tests.fuzz.fuzzing import cases, fuzz
from tests.fuzz.targets import TARGETS, Target

from flexpeer.errors import bad_input

INPUTS = {"json": 150, "csv": 60, "matpower": 60, "cim": 30, "scenario": 20, "orders": 20, "log": 40, "npz": 20}


@pytest.mark.parametrize("name", list(TARGETS))
def test_changed_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    count = INPUTS.get(name, 20)
    found = fuzz(name, 20260115, 0, lambda inputs: inputs < count, tmp_path)
    assert found.inputs == count
    assert not found.failures, [path.read_text() for path in tmp_path.glob("*/told.txt")]
    assert found.counts["refused"] > count / 10


def test_a_seed_gives_the_same_inputs() -> None:
    one, other, third = (cases("json", seed, 3) for seed in (1, 1, 2))
    first = [next(one) for _ in range(20)]
    assert first == [next(other) for _ in range(20)]
    assert first != [next(third) for _ in range(20)]


def _bomb(_folder: Path) -> None:
    raise MemoryError


def _bug(_folder: Path) -> None:
    raise KeyError("x")


def _refusal(_folder: Path) -> None:
    raise bad_input("x", "is bad", "good")


def _fine(_folder: Path) -> None:
    """Reads nothing."""


@pytest.mark.parametrize(
    ("read", "expected"), [(_bomb, "memory"), (_bug, "traceback"), (_refusal, "refused"), (_fine, "fine")]
)
def test_what_became_of_an_input_is_told(read: Any, expected: str, tmp_path: Path) -> None:
    assert worker.answer(Target(list, {}, read), tmp_path)["is"] == expected

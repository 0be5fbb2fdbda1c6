"""Changed inputs, one after the other, to a program of its own that may neither hang nor grow nor fall over.

Case n of a seed is the same input on every machine; what was found is kept in a folder, with what was said.
"""

import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS, Files, Target
from tests.fuzz.worker import written

HANG_S = 20.0
START_S = 300.0
MOST_CHANGES = 3
ROOT = Path(__file__).parents[2]


@dataclass
class Found:
    """How many inputs there were by what became of them, and each different failure with its case."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """How many."""
        return sum(self.counts.values())


class Reader:
    """The program; started anew after it had to be ended."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        self._start()

    def _start(self) -> None:
        words = [sys.executable, "-m", "tests.fuzz.worker", self._target]
        self._process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        ready = self._line(START_S)
        if ready is None:
            self.close()
            self._errors.seek(0)
            raise RuntimeError(f"the reader of {self._target} does not start: {self._errors.read().decode()[-2000:]}")

    def _line(self, wait_s: float) -> dict[str, Any] | None:
        """The next answer; None if there is none in time, or never."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], wait_s)[0]:
            return None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else None

    def read(self, folder: Path) -> dict[str, Any]:
        """What became of an input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        found = self._line(HANG_S)
        if found is not None:
            return found
        ended = self._process.poll() if self._process.poll() is not None else self._ended_by_itself()
        self.close()
        self._start()
        return {"is": "hang" if ended is None else "crash", "text": f"{HANG_S:g} s" if ended is None else str(ended)}

    def _ended_by_itself(self) -> int | None:
        try:
            return self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()


def changed(target: Target, inputs: list[Files], chance: random.Random) -> Files:
    """A valid input with one to three changes."""
    files = dict(chance.choice(inputs))
    able = [name for name in files if any(name.endswith(end) for end in target.changes)]
    for _ in range(chance.randint(1, MOST_CHANGES)):
        name = chance.choice(able)
        mutations = next(ways for end, ways in target.changes.items() if name.endswith(end))
        mutate = chance.choice(mutations)
        try:
            files[name] = mutate(files[name], chance)
        except (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, NotImplementedError, ArithmeticError):
            files[name] = mutations[0](files[name], chance)
        except Exception as error:
            del error
            files[name] = mutations[0](files[name], chance)
    return files


def cases(name: str, seed: int, first: int) -> Iterator[tuple[int, Files]]:
    """Case by case, for ever."""
    target, number = TARGETS[name], first
    inputs = target.inputs()
    while True:
        yield number, changed(target, inputs, random.Random(f"{name}:{seed}:{number}"))
        number += 1


def fuzz(name: str, seed: int, first: int, more: Callable[[int], bool], keep: Path) -> Found:
    """Read cases from the `first` on while `more(how many there were)`; failures are kept in `keep`."""
    found, reader = Found(), Reader(name)
    try:
        for number, files in cases(name, seed, first):
            if not more(number - first):
                return found
            with tempfile.TemporaryDirectory() as folder:
                told = reader.read(written(files, Path(folder)))
            found.counts[told["is"]] += 1
            if told["is"] not in {"fine", "refused"}:
                _keep(found, told, files, keep / f"{name}-{seed}-{number}")
                found.failures.setdefault(_place(told), number)
    finally:
        reader.close()
    raise AssertionError


def _place(told: dict[str, Any]) -> str:
    """A failure without the words that differ from input to input."""
    lines = [line.strip() for line in told["text"].splitlines() if line.strip()]
    frames = [line for line in lines if line.startswith("File ")]
    return f"{told['is']}: {frames[-1] if frames else told['text'][:100]}: {lines[-1].partition(':')[0]}"


def _keep(found: Found, told: dict[str, Any], files: Files, folder: Path) -> None:
    """The first input of each different failure."""
    if _place(told) not in found.failures:
        written(files, folder / "input")
        (folder / "told.txt").write_text(f"{told['is']}\n{told['text']}", encoding="utf-8")


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """Until so much time has passed since the first input."""
    end: list[float] = []

    def more(_inputs: int) -> bool:
        if not end:
            end.append(time.monotonic() + seconds)
        return time.monotonic() < end[0]

    return more

"""Commands and Python in the documents run as they stand, page by page, and print what the page says."""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, Block, blocks

from flexpeer.cli import app

OPTIONAL = {
    "simbench:": "simbench",
    "import pandapower": "pandapower",
    "village.json": "pandapower",
    "python3 study": "pandas",
}
STATUS = re.compile(r"\s+# exit status (\d+)$")
PROGRAMS = ("flexpeer", "python3", "ls", "cat", "head", "cut", "grep", "cp", "sed", "printf")


def runnable(page: Path) -> list[Block]:
    kinds = ("python", "sh", "console")
    return [block for block in blocks(page) if block.file or block.language in kinds]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: with the examples, and `python3` on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (programs / "python3").chmod(0o755)
    folder = tmp_path / "place"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "examples").symlink_to(ROOT / "docs" / "examples")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("flexpeer.terminal.EVERY_S", 1e6)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(folder)
    return folder


def run(command: str) -> str:
    """What a command prints, findings included; its exit status must be as the page says."""
    said = STATUS.search(command)
    bare = STATUS.sub("", command)
    status, printed = _flexpeer(shlex.split(bare)[1:]) if bare.startswith("flexpeer ") else _shell(bare)
    assert status == (int(said.group(1)) if said else 0), f"{command}\n{printed}"
    return printed


def _flexpeer(arguments: list[str]) -> tuple[int, str]:
    """The program in this process, which saves it from starting again for every line."""
    printed, status = io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            app(arguments, prog_name="flexpeer")
        except SystemExit as end:
            status = int(end.code or 0)
    return status, printed.getvalue()


def _shell(command: str) -> tuple[int, str]:
    done = subprocess.run(command, shell=True, text=True, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def plain(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def matches(said: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether lines are as said: `...` alone stands for any lines, at the end of a line for its rest."""
    if not said:
        return not printed
    if said[0] == "...":
        return any(matches(said[1:], printed[skip:]) for skip in range(len(printed) + 1))
    if not printed:
        return False
    start = said[0].removesuffix("...")
    fits = printed[0].startswith(start) if said[0].endswith("...") else printed[0] == said[0]
    return fits and matches(said[1:], printed[1:])


def run_console(block: Block) -> None:
    starts = [i for i, line in enumerate(block.lines) if line.startswith("$ ")]
    assert starts[:1] == [0], "a console block begins with a command"
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        command = block.lines[start].removeprefix("$ ")
        assert command.split()[0] in PROGRAMS, command
        printed = run(command)
        said = plain("\n".join(block.lines[start + 1 : end]))
        assert matches(said, plain(printed)), f"line {block.line + 1 + start}: {command} prints\n{printed}"


def check_shell(block: Block) -> None:
    """Make's targets are looked up, not run."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in block.lines:
        program, *arguments = line.split()
        if program == "make":
            assert set(arguments) <= targets, line
        else:
            run(line)


def do(block: Block, place: Path) -> None:
    text = "\n".join(block.lines) + "\n"
    if block.file:
        path = place / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    elif block.language == "python":
        done = subprocess.run([sys.executable, "-"], input=text, cwd=place, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"line {block.line}: {done.stderr}"
    elif block.language == "console":
        run_console(block)
    else:
        check_shell(block)


@pytest.mark.parametrize("page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_page_runs(page: Path, place: Path) -> None:
    todo = runnable(page)
    lacking = {word: m for word, m in OPTIONAL.items() if importlib.util.find_spec(m) is None}
    left_out = [block for block in todo if any(word in line for word in lacking for line in block.lines)]
    for block in todo:
        if block not in left_out:
            do(block, place)
    if left_out:
        pytest.skip(f"{len(left_out)} of {len(todo)} blocks need {', '.join(sorted(set(lacking.values())))}")


def test_a_wrong_output_is_noticed() -> None:
    assert matches(["a", "...", "d e..."], ["a", "b", "c", "d e f"])
    assert not matches(["a", "c"], ["a", "b", "c"])
    assert not matches(["a"], ["a", "b"])
    assert not matches(["a", "...", "d"], ["a", "b"])

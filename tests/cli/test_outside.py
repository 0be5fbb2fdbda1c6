"""What the system does not give or take: one line, exit status 2, nothing left behind; interrupts; names as text."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.app.grid_days import SMALL_GRID
from tests.cli.program import PROGRESS, everything_in, flexpeer

LONG = "a" * 300
PROGRAM = (sys.executable, "-m", "flexpeer")


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    return folder_of(swap_hour(), tmp_path / "in")


def one_line(text: str) -> str:
    text = PROGRESS.sub("", text)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("where", ["full", "broken", "closed"])
def test_standard_output_that_takes_nothing(where: str, as_json: list[str], scenario: Path, tmp_path: Path) -> None:
    before = everything_in(tmp_path)
    words = [*PROGRAM, "run", str(scenario), "--out", str(tmp_path / "results" / "out"), *as_json]
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "wb") as full:
        if where == "closed":
            done = subprocess.run(
                ["sh", "-c", '"$@" >&-', "sh", *words], stderr=subprocess.PIPE, text=True, check=False
            )
        else:
            taker = full if where == "full" else writer
            done = subprocess.run(words, stdout=taker, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("standard output: ")
    assert everything_in(tmp_path) == before


def test_a_full_disk_leaves_nothing_behind(scenario: Path, tmp_path: Path) -> None:
    """A limit on the size of files, which is refused at the same calls."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))

    before = everything_in(tmp_path)
    words = [*PROGRAM, "run", str(scenario), "--out", str(tmp_path / "out")]
    environment = os.environ | {
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=limited, env=environment)
    assert done.returncode == 2
    assert "cannot be written: File too large" in one_line(done.stderr)
    assert done.stdout == ""
    assert everything_in(tmp_path) == before


def test_an_output_that_is_a_link_to_nothing_or_cannot_be_called_that(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = everything_in(tmp_path)
    for out, problem in (("link", "a link to nothing"), (LONG, "File name too long"), (f"{LONG}/x", "too long")):
        for command in (["run", str(scenario)], ["demo"]):
            answer = flexpeer(*command, "--out", tmp_path / out)
            assert answer.code == 2
            assert problem in one_line(answer.err)
    assert everything_in(tmp_path) == before


def test_an_input_that_is_a_link_to_nothing_or_cannot_be_called_that(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("link", LONG):
        for command in (["run"], ["replay"], ["audit", "verify"], ["grid", "check"], ["grid", "needs"], ["clear"]):
            more = ["--out", str(tmp_path / "out")] if command == ["run"] else []
            answer = flexpeer(*command, tmp_path / name, *more)
            assert (answer.code, answer.out) == (2, "")
            assert str(tmp_path / name)[-20:] in answer.err
    assert everything_in(tmp_path) == {"link"}


def _heeds_interrupts() -> None:
    """Also where the tests run behind a shell's `&`, which has programs ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_says_that_nothing_was_written(tmp_path: Path) -> None:
    """Interrupted while it loads, which takes longest on a machine that is busy."""
    words = [*PROGRAM, "demo", "--out", str(tmp_path / "out")]
    running = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_interrupts,  # noqa: PLW1509 - no thread of the tests holds anything that it needs
    )
    while not any("numpy" in line for line in Path(f"/proc/{running.pid}/maps").read_text().splitlines()):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert (running.returncode, out) == (130, "")
    assert err == "interrupted: nothing was written\n"
    assert everything_in(tmp_path) == set()


HOSTILE = "[red]x[/red] \x1b[31m \x9b2J :smile:"


def named_hostile(folder: Path) -> Path:
    """The small grid, whose bus with the lowest voltage has a name that is no name."""
    (folder / "plain.json").write_text(SMALL_GRID)
    lowest = flexpeer("grid", "check", folder / "plain.json", "--json").object["min_voltage_bus"]
    (folder / "grid.json").write_text(SMALL_GRID.replace(json.dumps(lowest), json.dumps(HOSTILE)))
    return folder / "grid.json"


def test_a_name_that_looks_like_mark_up_is_text(tmp_path: Path) -> None:
    grid = named_hostile(tmp_path)
    shown = "[red]x[/red] \\u001b[31m \\u009b2J :smile:"
    told = flexpeer("grid", "check", grid).out
    grid.write_text(grid.read_text().replace('"r_ohm"', '"ohm"', 1).replace("Cable 1", "\\u001b[31m"))
    refused = flexpeer("grid", "check", grid).err
    assert shown in told
    assert "[31m" in refused
    assert not {"\x1b", "\x9b"} & {*told, *refused}


def test_names_of_a_scenario_are_text_in_what_is_told(tmp_path: Path) -> None:
    texts = {name: text.replace("Vind", "[red]V[/]:smile:") for name, text in swap_hour().items()}
    answer = flexpeer("run", folder_of(texts, tmp_path / "in"), "--out", tmp_path / "out")
    assert answer.code == 0
    assert "[red]V[/]:smile:" in answer.out


def test_json_stays_the_same_value(tmp_path: Path) -> None:
    answer = flexpeer("grid", "check", named_hostile(tmp_path), "--json")
    assert not {"\x1b", "\x9b"} & {*answer.out}
    assert answer.object["min_voltage_bus"] == HOSTILE

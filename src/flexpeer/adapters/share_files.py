"""A problem split for several organisations: `NAME.npz` of each DSO's parts, `outline.json` for the market operator.

`NAME.npz` holds the arrays of a clearing problem for each piece, named `PIECE/array`, and `PIECE/below_piece` and
`PIECE/below_bus`, which pieces hang on which of its buses, with the forecasts of `Part`. The outline names the DSO of
each piece and the piece above it, and the prices of the exchange.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from flexpeer.adapters.array_files import arrays_of
from flexpeer.adapters.clearing_files import arrays_in, problem_of, save
from flexpeer.adapters.json_files import read_json, write_json
from flexpeer.clearing.part_sweeps import PartOutcome
from flexpeer.clearing.shares import Hook, Outline, Part
from flexpeer.errors import bad_input

OUTLINE = "outline.json"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dso: str
    above: int


class _Outline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pieces: list[_Piece]
    import_price: list[float]
    export_price: list[float]


def write_outline(outline: Outline, path: Path) -> None:
    """For the market operator."""
    pieces = [_Piece(hook.dso, hook.above) for hook in outline.hooks]
    write_json(_Outline(pieces, outline.import_price.tolist(), outline.export_price.tolist()), path)


def read_outline(path: Path) -> Outline:
    """`BadInput` if it is no outline."""
    read = read_json(path, _Outline, "an outline", "is no outline", "pieces and prices")
    above = [piece.above for piece in read.pieces]
    if not above or above[0] != -1 or any(not 0 <= over < n for n, over in enumerate(above) if n):
        raise bad_input(str(path), "has no single root first, or a piece before the one above it", "upper pieces first")
    if not read.import_price or len(read.import_price) != len(read.export_price):
        raise bad_input(str(path), "has not an import and an export price for each period", "prices of all periods")
    for piece in read.pieces:
        if not NAME.fullmatch(piece.dso):
            raise bad_input(str(path), f"names a DSO {piece.dso!r}", "letters, digits, - and _")
    return Outline(
        [Hook(piece.dso, piece.above) for piece in read.pieces],
        np.array(read.import_price),
        np.array(read.export_price),
    )


def write_parts(parts: Sequence[Part], path: Path) -> None:
    """For one DSO."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for part in parts:
        own = dict(arrays_in(part.problem))
        own["below_piece"] = np.array(list(part.entries), dtype=np.int64)
        own["below_bus"] = np.array(list(part.entries.values()), dtype=np.int64)
        own["below_kw"] = np.array([part.below_kw[n] for n in part.entries]).reshape(-1, part.problem.periods)
        own["above_voltage"] = part.above_voltage
        arrays |= {f"{part.number}/{name}": array for name, array in own.items()}
    save(path, arrays)


def read_parts(path: Path) -> list[Part]:
    """`BadInput` if they are not what `write_parts` writes."""
    arrays = arrays_of(path)
    numbers = {name.partition("/")[0] for name in arrays}
    if not numbers or not all(number.isdecimal() for number in numbers):
        raise bad_input(str(path), "has arrays of no piece", "PIECE/array, as flexpeer split writes")
    return [_part(str(path), int(number), arrays) for number in sorted(numbers, key=int)]


def _part(where: str, number: int, arrays: dict[str, npt.NDArray[Any]]) -> Part:
    start = f"{number}/"
    own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
    below, bus = (own.pop(name, np.zeros(0)).astype(np.int64).ravel() for name in ("below_piece", "below_bus"))
    flow, level = (own.pop(name, np.zeros(0)).astype(np.float64) for name in ("below_kw", "above_voltage"))
    problem = problem_of(f"{where}: {number}", own)
    if len(below) != len(bus) or (bus < 0).any() or (bus >= problem.buses).any():
        raise bad_input(where, f"hangs pieces on buses that piece {number} has not", "one of its buses each")
    if flow.shape != (len(below), problem.periods) or level.shape != (problem.periods,):
        raise bad_input(where, f"has not the forecasts of piece {number}", "below_kw of every border, above_voltage")
    if not (np.isfinite(flow).all() and np.isfinite(level).all()):
        raise bad_input(where, f"has forecasts of piece {number} that are not finite", "finite numbers")
    entries = dict(zip(below.tolist(), bus.tolist(), strict=True))
    return Part(number, problem, entries, dict(zip(below.tolist(), flow, strict=True)), level)


def write_part_outcomes(outcomes: Mapping[int, PartOutcome], path: Path) -> None:
    """What stands at a DSO: `PIECE/array`, like those of a clearing outcome; none where nothing is traded."""
    save(path, arrays_of_outcomes(outcomes))


def arrays_of_outcomes(outcomes: Mapping[int, PartOutcome]) -> dict[str, npt.NDArray[Any]]:
    """`PIECE/array` of every piece."""
    return {
        f"{number}/{name}": array
        for number, outcome in sorted(outcomes.items())
        for name, array in outcome._asdict().items()
    }

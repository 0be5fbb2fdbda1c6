"""What organisations of a clearing must not forget: `finished.npz` of a DSO, `decision.json` of the market operator.

Each is replaced as a whole and is on the disk when the call returns, so that whoever is ended at any moment finds the
old one or the new one. A folder is of one organisation and one day: the digest of the file with the DSO's parts, or
with the outline, is kept with it, and another file is `BadInput`.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from flexpeer.adapters.json_files import read_json, write_json
from flexpeer.adapters.npz_files import arrays_of, save
from flexpeer.adapters.reading import bytes_of, reading
from flexpeer.errors import bad_input
from flexpeer.laboratory.between.area_node import Finished
from flexpeer.laboratory.between.borders import Close
from flexpeer.laboratory.between.coordination import JointOutcome, RunDecision
from flexpeer.laboratory.engines.part_sweeps import PartOutcome
from flexpeer.laboratory.files.share_files import arrays_of_outcomes

FINISHED, DECISION = "finished.npz", "decision.json"


class ShelfFolder:
    """A DSO's shelf; `source` is the file of its parts."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._path, self._digest = _in(folder, FINISHED), _digest(source)

    def kept(self) -> Finished | None:
        """`BadInput` if the file is none of its kind."""
        if not self._path.exists():
            return None
        arrays = arrays_of(self._path)
        try:
            _require_same(self._path, self._digest, str(arrays.pop("source")))
            return _finished(arrays)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise bad_input(str(self._path), f"is no finished outcome: {error}", "what a node has written") from error

    def put(self, finished: Finished | None) -> None:
        """`BadInput` if it cannot be written."""
        if finished is None:
            self._path.unlink(missing_ok=True)
            _settle(self._path.parent)
            return
        arrays = arrays_of_outcomes(finished.outcomes)
        arrays |= {"deal": np.array(finished.deal), "source": np.array(self._digest)}
        if finished.close is not None:
            arrays["status"] = np.array(finished.close.status)
        new = self._path.with_name(f"new-{FINISHED}")
        save(new, arrays)
        _replace(new, self._path)


def _finished(arrays: dict[str, npt.NDArray[Any]]) -> Finished:
    deal = int(arrays.pop("deal"))
    status = arrays.pop("status", None)
    by_piece: dict[int, dict[str, npt.NDArray[Any]]] = {}
    for name, array in arrays.items():
        number, _, field = name.partition("/")
        by_piece.setdefault(int(number), {})[field] = array
    outcomes = {number: PartOutcome(**fields) for number, fields in by_piece.items()}
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} holds what no outcome does")
    return Finished(deal, outcomes, None if status is None else Close(deal, True, str(status)))


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    deal: int
    outcome: JointOutcome
    stands: Sequence[str]
    confirmed: Sequence[str]


class JournalFolder:
    """The market operator's journal; `source` is its outline.

    Runs are numbered by the clock, which must not be set back.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self._path, self._digest = _in(folder, DECISION), _digest(source)
        self.run = time_ns()

    def decided(self) -> RunDecision | None:
        """`BadInput` if the file is none of its kind."""
        if not self._path.exists():
            return None
        written = "what a node has written"
        read = read_json(self._path, _Written, written, "is no decision", written)
        _require_same(self._path, self._digest, read.source)
        return RunDecision(read.deal, read.outcome, tuple(read.stands), tuple(read.confirmed))

    def write(self, decision: RunDecision) -> None:
        """Replace it."""
        new = self._path.with_name(f"new-{DECISION}")
        written = _Written(self._digest, decision.deal, decision.outcome, decision.stands, decision.confirmed)
        write_json(written, new)
        _replace(new, self._path)


def _digest(source: Path) -> str:
    with reading(str(source), "the parts, or the outline"):
        return hashlib.sha256(bytes_of(source)).hexdigest()


def _require_same(path: Path, digest: str, found: str) -> None:
    if digest != found:
        raise bad_input(str(path), "is of other parts or another outline", "a folder for each organisation and day")


def _in(folder: Path, name: str) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise bad_input(str(folder), f"cannot be written: {error.strerror}", "a folder that can be written") from error
    return folder / name


def _replace(new: Path, path: Path) -> None:
    _settle(new)
    new.replace(path)
    _settle(path.parent)


def _settle(path: Path) -> None:
    """Until it is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Tangents and responses of an owner, as messages and back. What does not fit is None."""

from collections.abc import Mapping, Sequence

import numpy as np

from flexpeer.app.between.grant_messages import REAL
from flexpeer.app.ports import Responses, Slopes, Tangent
from flexpeer.grid.network import Floats, Integers
from flexpeer.wire import grants

STEEPEST = 1e12
"""Far beyond what a watt or a volt can change."""


def written_tangent(tangent: Tangent) -> grants.TangentMessage:
    """Slopes only where the limit is passed."""
    at = np.flatnonzero(tangent.over > 0.0)
    return grants.TangentMessage(_written(tangent.over), _written_slopes(tangent.slopes.at(at)))


def read_tangents(found: Sequence[grants.TangentMessage], periods: int) -> tuple[Tangent, ...] | None:
    """Slopes are 0 where the limit is not passed."""
    tangents = []
    for each in found:
        over = _read(each.over, periods)
        if over is None:
            return None
        slopes = _read_slopes(each.slopes, np.flatnonzero(over > 0.0), periods)
        if slopes is None:
            return None
        tangents.append(Tangent(over, slopes))
    return tuple(tangents)


def written_responses(found: Responses) -> grants.ResponsesMessage:
    """Whole."""
    given, felt = ({name: _written_slopes(each) for name, each in part.items()} for part in found)
    return grants.ResponsesMessage(given, felt)


def read_responses(found: grants.ResponsesMessage, periods: int) -> Responses | None:
    """For every MTU."""
    every = np.arange(periods)
    given = {name: _read_slopes(each, every, periods) for name, each in found.given.items()}
    felt = {name: _read_slopes(each, every, periods) for name, each in found.felt.items()}
    read = Responses(
        {name: each for name, each in given.items() if each is not None},
        {name: each for name, each in felt.items() if each is not None},
    )
    return read if len(read.given) == len(given) and len(read.felt) == len(felt) else None


def size(tangent: grants.TangentMessage) -> int:
    """Bytes of its numbers."""
    slopes = tangent.slopes
    parts = (slopes.own, slopes.below, slopes.above)
    return len(tangent.over) + sum(len(row) for part in parts for row in part.values())


def _written(row: Floats) -> bytes:
    return np.ascontiguousarray(row, dtype=REAL).tobytes()


def _read(data: bytes, count: int) -> Floats | None:
    if len(data) != count * REAL.itemsize:
        return None
    row = np.frombuffer(data, dtype=REAL).astype(np.float64)
    return row if (np.abs(row) <= STEEPEST).all() else None


def _written_slopes(slopes: Slopes) -> grants.SlopeRows:
    own, below, above = ({name: _written(row) for name, row in part.items()} for part in slopes)
    return grants.SlopeRows(own, below, above)


def _read_slopes(slopes: grants.SlopeRows, at: Integers, periods: int) -> Slopes | None:
    parts = [_read_part(part, at, periods) for part in (slopes.own, slopes.below, slopes.above)]
    read = [part for part in parts if part is not None]
    return Slopes(*read) if len(read) == len(parts) else None


def _read_part(part: Mapping[str, bytes], at: Integers, periods: int) -> dict[str, Floats] | None:
    rows: dict[str, Floats] = {}
    for name, data in part.items():
        row = _read(data, len(at))
        if row is None:
            return None
        rows[name] = np.zeros(periods)
        rows[name][at] = row
    return rows

"""Trials and what they lead to, as messages and back. What does not fit is None."""

from collections.abc import Sequence

import numpy as np

from flexpeer.app.joint_check import Trial, Tried
from flexpeer.app.scenario import OrderRow
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes
from flexpeer.grid.screening import Binding
from flexpeer.market.trades import Move
from flexpeer.periods import Span
from flexpeer.wire import grants

LITTLE_ENDIAN = np.dtype("<c16")
REAL = np.dtype("<f8")


def written_rows(rows: Complexes) -> bytes:
    """Row by row."""
    return np.ascontiguousarray(rows, dtype=LITTLE_ENDIAN).tobytes()


def read_rows(data: bytes, rows: int, columns: int) -> Complexes | None:
    """(rows, columns); None unless there are as many, all finite."""
    if len(data) != rows * columns * LITTLE_ENDIAN.itemsize:
        return None
    found = np.frombuffer(data, dtype=LITTLE_ENDIAN).reshape(rows, columns).astype(np.complex128)
    return found if np.isfinite(found).all() else None


def written_trial(trial: Trial) -> grants.Try:
    """As a question."""
    shifts = tuple(grants.Shift(m.resource, m.span.first, m.span.end, m.change_w) for m in trial.moves)
    drawn = {border: written_rows(row) for border, row in trial.drawn.items()}
    border_v = None if trial.border_v is None else written_rows(trial.border_v)
    return grants.Try(trial.number, shifts, tuple(trial.mtus.tolist()), drawn, border_v, trial.watched)


def read_trial(asked: grants.Try, borders: int, periods: int) -> Trial | None:
    """None if MTUs are not distinct ones of the day, or numbers are not as many as they should be."""
    mtus, count = asked.mtus, len(asked.mtus)
    if not mtus or mtus != tuple(sorted(set(mtus))) or mtus[0] < 0 or mtus[-1] >= periods:
        return None
    drawn = {border: read_rows(data, 1, count) for border, data in asked.drawn.items()}
    border_v = None if asked.border_v is None else read_rows(asked.border_v, borders, count)
    if any(row is None for row in drawn.values()) or (border_v is None) != (asked.border_v is None):
        return None
    moves = tuple(Move(s.resource, Span(s.first, s.end), s.change_w) for s in asked.shifts)
    rows = {border: row[0] for border, row in drawn.items() if row is not None}
    return Trial(asked.number, moves, np.array(mtus, dtype=np.int64), rows, border_v, asked.watched)


def written_tried(tried: Tried) -> grants.Tried:
    """As a reply."""
    b = tried.binding
    bound = None if b is None else grants.Bound(b.element, str(b.kind), b.mtu, float(b.headroom_w))
    return grants.Tried(
        tried.converged, float(tried.excess), bound, written_rows(tried.drawn), written_rows(tried.voltages)
    )


def read_tried(reply: grants.Tried, trial: Trial, borders: int) -> Tried | None:
    """None if it does not fit the trial; what did not converge has no numbers at borders."""
    count = len(trial.mtus)
    if not reply.converged:
        nothing = np.zeros((0, count), dtype=np.complex128)
        return Tried(False, np.inf, None, nothing, nothing)
    drawn, told = read_rows(reply.drawn, borders, count), read_rows(reply.voltages, len(trial.watched), count)
    if drawn is None or told is None or not np.isfinite(reply.excess):
        return None
    bound = reply.bound
    if bound is None:
        return Tried(True, reply.excess, None, drawn, told)
    if bound.kind not in set(Kind) or bound.mtu not in trial.mtus or not np.isfinite(bound.headroom_w):
        return None
    binding = Binding(bound.element, Kind(bound.kind), bound.mtu, bound.headroom_w)
    return Tried(True, reply.excess, binding, drawn, told)


def written_bid(row: OrderRow) -> grants.Bid:
    """As its DSO hands it on."""
    return grants.Bid(**{name: getattr(row, name) for name in row.__struct_fields__})


def read_bids(bids: Sequence[grants.Bid]) -> list[OrderRow]:
    """As rows of a scenario."""
    return [OrderRow(**{name: getattr(bid, name) for name in bid.__struct_fields__}) for bid in bids]

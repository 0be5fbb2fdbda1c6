"""Trials and what they lead to, as messages and back. What does not fit is None."""

from collections.abc import Sequence

import numpy as np

from flexpeer.app.ports import Trial, Tried
from flexpeer.app.scenario import OrderRow
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes
from flexpeer.grid.screening import Binding
from flexpeer.market.trades import Move
from flexpeer.periods import Span
from flexpeer.wire import grants

LITTLE_ENDIAN = np.dtype("<c16")
REAL = np.dtype("<f8")
MOST_W, MOST_V_PU, LEAST_V_PU = 1e11, 5.0, 0.2
MOST_EXCESS = 1e9
MOST_LETTERS = 200
"""Of a name."""
LARGEST = 1 << 53
FACTOR, ODD_W = 10.0, 1e6
"""What losses and voltages may add to what was asked for."""


def written_rows(rows: Complexes) -> bytes:
    """Row by row."""
    return np.ascontiguousarray(rows, dtype=LITTLE_ENDIAN).tobytes()


def read_rows(data: bytes, rows: int, columns: int, most: float = MOST_W) -> Complexes | None:
    """(rows, columns); None unless there are as many, all finite and none larger than `most`."""
    if len(data) != rows * columns * LITTLE_ENDIAN.itemsize:
        return None
    found = np.frombuffer(data, dtype=LITTLE_ENDIAN).reshape(rows, columns).astype(np.complex128)
    return found if (np.abs(found) <= most).all() else None


def read_voltages(data: bytes, rows: int, columns: int) -> Complexes | None:
    """(rows, columns) per unit; None unless there are as many, all such as a grid can have."""
    found = read_rows(data, rows, columns, MOST_V_PU)
    return None if found is None or (np.abs(found) < LEAST_V_PU).any() else found


def plain(name: str) -> bool:
    """Whether a name is one: short, and of letters that can be shown."""
    return 0 < len(name) <= MOST_LETTERS and name.isprintable()


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
    border_v = None if asked.border_v is None else read_voltages(asked.border_v, borders, count)
    if any(row is None for row in drawn.values()) or (border_v is None) != (asked.border_v is None):
        return None
    moves = tuple(Move(s.resource, Span(s.first, s.end), s.change_w) for s in asked.shifts)
    rows = {border: row[0] for border, row in drawn.items() if row is not None}
    return Trial(asked.number, moves, np.array(mtus, dtype=np.int64), rows, border_v, asked.watched)


def written_tried(tried: Tried) -> grants.TriedMessage:
    """As a reply."""
    b = tried.binding
    bound = None if b is None else grants.Bound(b.element, str(b.kind), b.mtu, float(b.headroom_w))
    return grants.TriedMessage(
        tried.converged, float(tried.excess), bound, written_rows(tried.drawn), written_rows(tried.voltages)
    )


def read_tried(reply: grants.TriedMessage, trial: Trial, borders: int) -> Tried | None:
    """None if it does not fit the trial; what did not converge has no numbers at borders."""
    count = len(trial.mtus)
    if not reply.converged:
        nothing = np.zeros((0, count), dtype=np.complex128)
        return Tried(False, np.inf, None, nothing, nothing)
    drawn, told = read_rows(reply.drawn, borders, count), read_voltages(reply.voltages, len(trial.watched), count)
    if drawn is None or told is None or not abs(reply.excess) <= MOST_EXCESS or not _answers(trial, drawn):
        return None
    bound = reply.bound
    if bound is None:
        return Tried(True, reply.excess, None, drawn, told)
    if bound.kind not in set(Kind) or bound.mtu not in trial.mtus or not abs(bound.headroom_w) <= MOST_W:
        return None
    if not plain(bound.element):
        return None
    binding = Binding(bound.element, Kind(bound.kind), bound.mtu, bound.headroom_w)
    return Tried(True, reply.excess, binding, drawn, told)


def _answers(trial: Trial, drawn: Complexes) -> bool:
    """Whether an area draws no more at its borders than what it was asked to move can explain."""
    asked = sum(np.abs(row).max(initial=0.0) for row in trial.drawn.values()) + sum(
        abs(m.change_w) for m in trial.moves
    )
    return bool((np.abs(drawn) <= FACTOR * asked + ODD_W).all())


def _sound(bid: grants.Bid) -> bool:
    names = (bid.order, bid.resource, *(() if bid.congestion_point is None else (bid.congestion_point,)))
    numbers = (bid.arrival, bid.start, bid.end, bid.quantity_w, bid.price_minor, bid.min_quantity_w or 0)
    return all(map(plain, names)) and all(abs(number) < LARGEST for number in numbers)


def written_bid(row: OrderRow) -> grants.Bid:
    """As its DSO hands it on."""
    return grants.Bid(**{name: getattr(row, name) for name in row.__struct_fields__})


def read_bids(bids: Sequence[grants.Bid]) -> list[OrderRow] | None:
    """As rows of a scenario; None if a name or a number is none. Whether they break a rule is the market's to say."""
    if not all(_sound(bid) for bid in bids):
        return None
    return [OrderRow(**{name: getattr(bid, name) for name in bid.__struct_fields__}) for bid in bids]

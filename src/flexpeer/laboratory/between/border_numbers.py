"""Numbers of border messages to and from arrays (rows, periods), with the periods that no longer move left out.

They are written as short as loses nothing: float64, float32, or its upper half (bfloat16).
"""

import numpy as np

from flexpeer.clearing.problem import Flags, Floats
from flexpeer.laboratory.between.borders import Numbers

Lanes = Flags | None


def packed(values: Floats, lanes: Lanes) -> Numbers:
    """Rows as bytes; of `lanes` (periods,) only, None being all."""
    if not len(values):
        return Numbers()
    chosen = values if lanes is None else values[:, lanes]
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(chosen, dtype="<f4")
    if not np.array_equal(single.astype(np.float64), chosen):
        return Numbers(len(values), np.ascontiguousarray(chosen, dtype="<f8").tobytes())
    bits = single.view("<u4")
    short = not (bits & 0xFFFF).any()
    return Numbers(len(values), (bits >> 16).astype("<u2").tobytes() if short else single.tobytes())


def unpacked(numbers: Numbers, columns: int, lanes: Lanes) -> Floats | None:
    """The rows, 0 where a period was left out; None if they do not fit `columns` or are not finite."""
    width = columns if lanes is None else int(lanes.sum())
    count = width * numbers.rows
    kind = {8 * count: "<f8", 4 * count: "<f4", 2 * count: "<u2"}.get(len(numbers.data))
    if kind is None or numbers.rows < 0 or (numbers.rows > 0 and width == 0):
        return None
    read = np.frombuffer(numbers.data, dtype=kind)
    if kind == "<u2":
        read = (read.astype("<u4") << 16).view("<f4")
    values = read.reshape(numbers.rows, width).astype(np.float64)
    if not np.isfinite(values).all():
        return None
    if lanes is None:
        return values
    full = np.zeros((numbers.rows, columns))
    full[:, lanes] = values
    return full


def lane_bits(lanes: Lanes) -> bytes:
    """One bit a period, low bits first; empty is all."""
    return b"" if lanes is None else np.packbits(lanes, bitorder="little").tobytes()


def lanes_of(bits: bytes, periods: int) -> Lanes:
    """The other way round."""
    if not bits:
        return None
    flags = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=periods, bitorder="little")
    return np.asarray(flags, dtype=np.bool_)

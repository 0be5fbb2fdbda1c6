"""Messages of a clearing between organisations: questions of the market operator, answers of DSOs.

Numbers are rows of little-endian float64, or float32 where that is exact, one column per period asked for. What the
rows of a pass mean is told in `clearing.part_sweeps`. Nothing here can hold a bid, a resource or an element of a
network.
"""

from enum import StrEnum

import msgspec


class Pass(StrEnum):
    """The passes of a run, in order; predict and correct repeat."""

    OFFER = "o"
    SURVEY = "s"
    PREDICT = "p"
    CORRECT = "c"
    PRICE = "g"
    FINISH = "f"


class Numbers(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """So many rows of numbers; how long `data` is says of which kind."""

    rows: int = 0
    data: bytes = b""


class Ascend(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="u"):
    """A pass up at a piece: what is common to all, and what the pieces below told.

    `lanes` are the periods asked for, one bit each, low bits first; empty means all.
    """

    what: Pass
    piece: int
    lanes: bytes
    shared: Numbers
    below: dict[int, Numbers]


class Descend(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="d"):
    """A pass down at a piece: what the piece above told."""

    what: Pass
    piece: int
    lanes: bytes
    above: Numbers


class Close(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="x"):
    """The end of a run: what the last finish left stands at these pieces, elsewhere nothing is traded.

    `status` says how it ended.
    """

    pieces: tuple[int, ...]
    status: str


class Answer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="a"):
    """What leaves a piece in a pass."""

    up: Numbers
    down: dict[int, Numbers]
    sums: Numbers
    most: Numbers


class Refusal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="r"):
    """A question that cannot be answered: of a piece that is not one's own, or out of order."""

    problem: str


Question = Ascend | Descend | Close
Reply = Answer | Refusal

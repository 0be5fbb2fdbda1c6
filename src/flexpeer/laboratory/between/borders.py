"""Messages of a clearing between organisations: questions of the market operator, answers of DSOs.

Numbers are rows of little-endian float64, or float32 or bfloat16 where that is exact, one column per period asked for.
What the rows of a pass mean is told in `clearing.part_sweeps`. Nothing here can hold a bid, a resource or an element of
a network.
"""

from enum import StrEnum

import msgspec


class Pass(StrEnum):
    """The passes of a run, in order; predict and correct repeat."""

    SURVEY = "s"
    PREDICT = "p"
    CORRECT = "c"
    PRICE = "g"
    FINISH = "f"


class Numbers(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """So many rows of numbers; how long `data` is says of which kind."""

    rows: int = 0
    data: bytes = b""


class BeginRun(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="b"):
    """A run begins, numbered `deal`, higher than any before: what a DSO finished in another is void."""

    deal: int


class Ascend(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="u"):
    """A pass up at a piece: what is common to all, and what the pieces below told that take part.

    `lanes` are the periods asked for, one bit each, low bits first; empty means all.
    """

    what: Pass
    piece: int
    lanes: bytes
    shared: Numbers
    below: dict[int, Numbers]


class Descend(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="d"):
    """A pass down at a piece: what the piece above told; no rows where none takes part, or at the root."""

    what: Pass
    piece: int
    lanes: bytes
    above: Numbers


class Close(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="x"):
    """The end: what a DSO finished in run `deal` stands, or nothing of it is traded. `status` says how it ended."""

    deal: int
    stands: bool
    status: str


class AreaAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="a"):
    """What leaves a piece in a pass, or a DSO when a run begins."""

    up: Numbers
    down: dict[int, Numbers]
    sums: Numbers
    most: Numbers


class Trouble(StrEnum):
    """Why a question cannot be answered; who has lost the thread can begin again."""

    LOST = "lost the thread"
    MISFIT = "does not fit"
    FOREIGN = "is another's"
    ENDED = "has ended"


class AreaRefusal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="r"):
    """A question that cannot be answered, and about what."""

    why: Trouble
    about: str


Question = BeginRun | Ascend | Descend | Close
Reply = AreaAnswer | AreaRefusal

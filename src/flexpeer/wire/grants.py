"""Messages of a market day between organisations: questions of the market operator, answers of DSOs.

A DSO is asked about its own resources' moves, and about numbers at borders, which have names of their own. Arrays are
rows of little-endian complex float64 over the MTUs asked for. A verdict may name the element that binds; nothing else
here can hold an element of a network.
"""

from typing import Literal

import msgspec


class Begin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="b"):
    """The day begins, if it has not yet: the bids from the `first` on are asked for."""

    first: int


class Voltages(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="v"):
    """The accepted voltages of a whole day are asked for, at borders."""

    borders: tuple[str, ...]


class Shift(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A resource injects `change_w` more in the MTUs from `first` up to `end`."""

    resource: str
    first: int
    end: int
    change_w: int


class Try(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="t"):
    """What would these shifts do? `drawn` is W + j var by border, `border_v` per unit, None as accepted."""

    number: int
    shifts: tuple[Shift, ...]
    mtus: tuple[int, ...]
    drawn: dict[str, bytes]
    border_v: bytes | None
    watched: tuple[str, ...]


class Hold(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="h"):
    """Promise the trial tried last to a match."""

    match: int
    trial: int


class Commit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="c"):
    """The match has become a trade."""

    match: int


class Abort(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="a"):
    """Nothing becomes of the match."""

    match: int


class Slack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="s"):
    """The room of an element that bound once is asked for."""

    element: str
    kind: str
    mtu: int


class Read(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="m"):
    """What a congestion point measures in the accepted state is asked for, for the whole day."""

    element: str
    kind: str


class Cut(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="n"):
    """Tangents of limits that the trial tried last passes are asked for, from the `first` on."""

    trial: int
    first: int


class Respond(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="p"):
    """How an area's borders respond in the accepted state is asked for."""


class GateCall(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="g"):
    """A part of a call of the DSO's share in the clearing at gate closure; the last one of `parts` is answered."""

    name: str
    part: int
    parts: int
    data: bytes


class GateMore(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="f"):
    """Another part of the value that the last call gave is asked for."""

    part: int


class Tell(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="e"):
    """Rows of a result table that concern the DSO's FSPs; the `last` message ends the day."""

    table: str
    rows: tuple[tuple[str, ...], ...]
    last: bool


class Bid(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An order as its FSP gave it, or changed it; instants in minutes UTC, the price in minor units per MWh."""

    order: str
    arrival: int
    resource: str
    side: Literal["BUY", "SELL"]
    start: int
    end: int
    quantity_w: int
    price_minor: int
    congestion_point: str | None
    regulation: Literal["UP", "DOWN"] | None
    min_quantity_w: int | None
    time_in_force: Literal["day", "fak", "fok"]
    action: Literal["place", "amend", "withdraw"]


class Bids(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="B"):
    """Bids in order of arrival, some at a time, of so many in all."""

    bids: tuple[Bid, ...]
    count: int


class Rows(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="R"):
    """Rows of numbers."""

    data: bytes


class Bound(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The element nearest to refusing, and what it had room for."""

    element: str
    kind: str
    mtu: int
    headroom_w: float


class TriedMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="T"):
    """What a trial leads to: the largest excess, what binds, and numbers at borders."""

    converged: bool
    excess: float
    bound: Bound | None
    drawn: bytes
    voltages: bytes


class Room(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="S"):
    """A fraction of the element's limit."""

    slack: float


class Reading(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="M"):
    """A row of little-endian float64, in the unit of the limit's kind."""

    data: bytes


class SlopeRows(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Rows of little-endian float64 by resource, and by border below and above."""

    own: dict[str, bytes]
    below: dict[str, bytes]
    above: dict[str, bytes]


class TangentMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """By how much a limit, which is not named, is passed in each MTU tried; slopes in those where it is."""

    over: bytes
    slopes: SlopeRows


class Tangents(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="N"):
    """Tangents, some at a time, of so many in all."""

    tangents: tuple[TangentMessage, ...]
    count: int


class ResponsesMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="P"):
    """Slopes of the watts an area gives at its own borders, and of the voltage it dictates at those below."""

    given: dict[str, SlopeRows]
    felt: dict[str, SlopeRows]


class GateValue(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="G"):
    """A part of so many of what a call gave."""

    parts: int
    data: bytes


class Done(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="D"):
    """As asked."""


class CannotAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="r"):
    """A question that cannot be answered."""

    problem: str


class Began(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="b"):
    """In a ledger: a day began, and everything before is of another."""


class Held(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="h"):
    """In a ledger: a match was promised what was tried."""

    match: int
    tried: Try


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a DSO must not forget, and in which run of which day it was asked for."""

    run: str
    act: Began | Held | Commit | Abort


Question = Begin | Voltages | Try | Hold | Commit | Abort | Slack | Read | Cut | Respond | GateCall | GateMore | Tell
Reply = Bids | Rows | TriedMessage | Room | Reading | Tangents | ResponsesMessage | GateValue | Done | CannotAnswer

"""Messages before the gate opens: what each DSO's own grid says of points and needs, given numbers at its borders.

Arrays are rows of little-endian float64 or complex float64 over the day's MTUs, output by output where there are some.
Points are told by name and element, as congestion points are; nothing else of a network is.
"""

import msgspec


class StudyState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sx"):
    """What an area draws and dictates with these schedules and numbers at its borders is asked for.

    `drawn` is W + j var by border below, `dictated` per unit by border of its own.
    """

    schedules_w: dict[str, tuple[int, ...]]
    drawn: dict[str, bytes]
    dictated: dict[str, bytes]


class StudyPoints(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="so"):
    """The congestion points of the state asked about last are asked for."""


class StudyNeeds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sw"):
    """The relief that each point needs in the state asked about last is asked for."""


class StudyFlows(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sf"):
    """What each point carries, and may carry, in the state asked about last is asked for."""


class StudySlopes(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="si"):
    """How border numbers and the relief of points change is asked for, from the `first` resource on."""

    first: int


class StudyStart(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sg"):
    """Trials begin from the state asked about last."""


class StudiedState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sX"):
    """Power drawn at an area's own borders, and voltages dictated at those below."""

    drawn: dict[str, bytes]
    dictated: dict[str, bytes]


class StudiedPoint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A congestion point; `limit_w` is None for a voltage."""

    congestion_point: str
    element: str
    direction: str
    limit_w: tuple[int, ...] | None


class StudiedPoints(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sO"):
    """Points, and which MTUs have the same elements in service."""

    points: tuple[StudiedPoint, ...]
    alike: tuple[int, ...]


class StudiedNeeds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sW"):
    """Whole watts by point."""

    rows: dict[str, tuple[int, ...]]


class StudiedFlows(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sF"):
    """Rows by point."""

    flow_w: dict[str, bytes]
    limit_w: dict[str, bytes]


class StudiedSlopes(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sI"):
    """Rows of some resources of so many in all, and of all borders."""

    points: tuple[str, ...]
    own: dict[str, bytes]
    count: int
    below: dict[str, bytes]
    above: dict[str, bytes]


StudyQuestion = StudyState | StudyPoints | StudyNeeds | StudyFlows | StudySlopes | StudyStart
StudyReply = StudiedState | StudiedPoints | StudiedNeeds | StudiedFlows | StudiedSlopes

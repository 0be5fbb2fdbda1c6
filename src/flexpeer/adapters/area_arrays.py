"""What the arrays of a DSO's `area.npz` must be before a network is made of them: type, shape, range, names once.

Lengths have names, and each is that of one array; indexes are checked against the length they count in.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flexpeer.errors import BadInput, Finding

Arrays = Mapping[str, npt.NDArray[Any]]

TEXT, NUMBER, FLAG, COMPLEX = "texts", "finite numbers", "true or false", "finite complex numbers"
POSITIVE, LIMIT = "numbers above zero", "numbers, NaN for no limit"

DTYPES = {FLAG: np.bool_, COMPLEX: np.complex128, "whole numbers": np.int64}

LENGTHS = {
    "buses": "network/bus_names",
    "branches": "network/branch_names",
    "shunts": "network/shunt_bus",
    "sources": "network/source_names",
    "controlled": "network/controlled_bus",
    "points": "limits/point_element",
    "borders": "border_name",
    "entries": "entry_name",
    "resources": "resource_name",
}
TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "network/bus_names": (TEXT, ("buses",)),
    "network/bus_v": (POSITIVE, ("buses",)),
    **dict.fromkeys(("network/v_min_pu", "network/v_max_pu"), (LIMIT, ("buses",))),
    **dict.fromkeys(("network/start_v_pu", "network/start_angle_rad"), ("numbers, NaN for no state", ("buses",))),
    **dict.fromkeys(("network/branch_names", "network/branch_kinds"), (TEXT, ("branches",))),
    **dict.fromkeys(
        (f"network/{name}" for name in ("r_pu", "x_pu", "g_pu", "b_pu", "shift_rad")), (NUMBER, ("branches",))
    ),
    "network/tap": (POSITIVE, ("branches",)),
    **dict.fromkeys(("network/rating_from_a", "network/rating_to_a"), (LIMIT, ("branches",))),
    "network/in_service": (FLAG, ("branches",)),
    **dict.fromkeys(("network/shunt_g_pu", "network/shunt_b_pu"), (NUMBER, ("shunts",))),
    "network/source_names": (TEXT, ("sources",)),
    "network/source_v_pu": (POSITIVE, ("sources",)),
    "network/source_angle_rad": (NUMBER, ("sources",)),
    "network/controlled_v_pu": (POSITIVE, ("controlled",)),
    **dict.fromkeys(("network/controlled_q_min_var", "network/controlled_q_max_var"), (LIMIT, ("controlled",))),
    **dict.fromkeys(("limits/rating_from_a", "limits/rating_to_a"), (LIMIT, ("branches", "periods"))),
    **dict.fromkeys(("limits/v_min_pu", "limits/v_max_pu"), (LIMIT, ("buses", "periods"))),
    **dict.fromkeys(("limits/point_element", "limits/point_kind"), (TEXT, ("points",))),
    "limits/limit_w": (LIMIT, ("points", "periods")),
    "in_service": (FLAG, ("branches", "periods")),
    "upper_from": (FLAG, ("branches",)),
    "injecting": (FLAG, ("buses",)),
    **dict.fromkeys(("p_w", "q_var"), (NUMBER, ("buses", "periods"))),
    "source_v": (COMPLEX, ("sources", "periods")),
    **dict.fromkeys(("border_name", "border_parent"), (TEXT, ("borders",))),
    "entry_name": (TEXT, ("entries",)),
    "resource_name": (TEXT, ("resources",)),
    "owner": (TEXT, ()),
}
INDEXES: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
    **dict.fromkeys(("network/branch_from", "network/branch_to"), ("buses", 0, ("branches",))),
    "network/shunt_bus": ("buses", 0, ("shunts",)),
    "network/shunt_branch": ("branches", -1, ("shunts",)),
    "network/source_bus": ("buses", 0, ("sources",)),
    "network/controlled_bus": ("buses", 0, ("controlled",)),
    "limits/point_branch": ("branches", -1, ("points",)),
    "limits/point_source": ("sources", -1, ("points",)),
    "limits/first": ("periods", 0, ("points", "periods")),
    "limits/end": ("until", 1, ("points", "periods")),
    "border_source": ("sources", 0, ("borders",)),
    "entry_bus": ("buses", 0, ("entries",)),
    "resource_bus": ("buses", 0, ("resources",)),
}
UNIQUE = ("network/bus_names", "network/branch_names", "network/source_names", "border_name", "entry_name")


def require_area(arrays: Arrays, where: str, periods: int) -> None:
    """`BadInput` with every array that is missing, unknown or not what an area has."""
    wanted = {*TYPES, *INDEXES}
    findings = [Finding(where, 0, name, "is missing", "an array") for name in sorted(wanted - arrays.keys())]
    findings += [Finding(where, 0, name, "is unknown", "no other arrays") for name in sorted(arrays.keys() - wanted)]
    if not findings:
        lengths = {name: arrays[of].size for name, of in LENGTHS.items()} | {"periods": periods, "until": periods + 1}
        findings = list(_shapes(arrays, where, lengths)) or list(_contents(arrays, where, lengths))
    if findings:
        raise BadInput(findings)


def _shapes(arrays: Arrays, where: str, lengths: Mapping[str, int]) -> Iterator[Finding]:
    """An empty array of texts may be of any type."""
    for name, array in arrays.items():
        meant, of = ("whole numbers", INDEXES[name][2]) if name in INDEXES else TYPES[name]
        shape = tuple(lengths[length] for length in of)
        text = array.dtype.kind == "U" or not array.size
        if array.shape != shape:
            yield Finding(where, 0, name, f"has shape {array.shape}", f"{shape}")
        elif not (text if meant == TEXT else array.dtype == DTYPES.get(meant, np.float64)):
            yield Finding(where, 0, name, f"holds {array.dtype}", meant)


def _contents(arrays: Arrays, where: str, lengths: Mapping[str, int]) -> Iterator[Finding]:
    for name, (counted, low, _) in INDEXES.items():
        if ((arrays[name] < low) | (arrays[name] >= lengths[counted])).any():
            yield Finding(where, 0, name, "counts beyond what is there", f"{low} to {lengths[counted] - 1}")
    for name, (meant, _) in TYPES.items():
        array = arrays[name]
        wrong = meant in {NUMBER, COMPLEX, POSITIVE} and not np.isfinite(array).all()
        if wrong or (meant == POSITIVE and not (array > 0).all()):
            yield Finding(where, 0, name, "has a number that cannot be", meant)
    for name in UNIQUE:
        if len(set(arrays[name].tolist())) < arrays[name].size:
            yield Finding(where, 0, name, "has a name twice", "each name once")
    if ((arrays["network/r_pu"] == 0) & (arrays["network/x_pu"] == 0)).any():
        yield Finding(where, 0, "network/x_pu", "is zero with r_pu", "an impedance of every branch")
    if ((arrays["limits/point_branch"] < 0) == (arrays["limits/point_source"] < 0)).any():
        yield Finding(where, 0, "limits/point_branch", "is not one of branch and source", "-1 for one of the two")

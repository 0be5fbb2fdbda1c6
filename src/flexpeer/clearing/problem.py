"""The clearing problem as arrays, and everything that can be wrong with them.

Per period t and bus n, with line n from n to parent(n), injection positive, f towards the root:

    min  sum_i c_i(x_i) + sum_n h_n(f_n) + sum_n k_n(w_n) + sum_m l_m(s_m)                    (1)
    s.t. f_n = base_n + sum_{i at n} x_i + sum_{c child of n} f_c                             (2)
         w_n = w_parent(n) + rho_n f_n                                                        (3)
         s_m = base_m + sum_n A_mn x_n                                                        (4)

| symbol | meaning | unit |
|---|---|---|
| x_i = sum_k sign_k v_ik, 0 <= v_ik <= step_kw | what peer i moves | kW |
| c_i = sum_k step_price_ik v_ik | what that costs | per period |
| f_n, h_n | flow of line n; 0 within the limit, `line_price` per kW beyond | kW |
| f_0, h_0 | exchange at the root; export and import price, and `root_limit_price` beyond the subscription | kW |
| w_n, k_n | deviation of the squared voltage; 0 within its band, `voltage_price` per unit beyond | file's own |
| s_m, l_m | flow over row m of a meshed grid; 0 within its limit, `row_price` per kW beyond | kW |

A period counts one hour. Peers are free, move energy between periods (their x sum to zero) or store it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from flexpeer.errors import BadInput, Finding

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

WATTS_PER_KW = 1000.0


class PeerKind(IntEnum):
    """How a peer's periods hang together."""

    FREE = 0
    SHIFT = 1
    STORAGE = 2


def _none(*shape: int) -> Floats:
    return np.zeros(shape)


@dataclass(frozen=True)
class ClearingProblem:
    """One problem; the contract of `.npz` files has the same names.

    Shapes: `parent`, `area`, `voltage_drop` (buses,), parents before children, -1 for the root, which is bus 0;
    `base_kw`, `line_limit_kw` (buses, periods), row 0 of the limits being the subscription; `import_price`,
    `export_price` (periods,); `peer_bus`, `peer_kind`, `energy_kwh`, `energy_start_kwh` (peers,); `step_sign`
    (steps,), +1 up and -1 down; `step_kw`, `step_price` (peers, periods, steps); `step_whole` (peers, steps), True
    where a step is all or nothing; `row_factor` (rows, buses); `row_base_kw`, `row_limit_kw` (rows, periods).
    Limits may be infinite.
    """

    parent: Integers
    area: Integers
    base_kw: Floats
    line_limit_kw: Floats
    line_price: float
    root_limit_price: float
    voltage_price: float
    import_price: Floats
    export_price: Floats
    voltage_drop: Floats
    voltage_low: float
    voltage_high: float
    peer_bus: Integers
    step_sign: Integers
    step_kw: Floats
    step_price: Floats
    peer_kind: Integers
    energy_kwh: Floats
    energy_start_kwh: Floats
    step_whole: Flags = field(default_factory=lambda: np.zeros((0, 0), dtype=np.bool_))
    row_factor: Floats = field(default_factory=lambda: _none(0, 0))
    row_base_kw: Floats = field(default_factory=lambda: _none(0, 0))
    row_limit_kw: Floats = field(default_factory=lambda: _none(0, 0))
    row_price: float = 0.0

    @property
    def buses(self) -> int:
        """How many buses, so how many lines, the root's exchange included."""
        return len(self.parent)

    @property
    def peers(self) -> int:
        """How many peers."""
        return len(self.peer_bus)

    @property
    def periods(self) -> int:
        """How many periods of one hour."""
        return int(self.base_kw.shape[1])

    @property
    def steps(self) -> int:
        """Steps of a peer in a period."""
        return len(self.step_sign)

    @property
    def rows(self) -> int:
        """Rows of a meshed grid."""
        return int(self.row_factor.shape[0])

    @property
    def coupled(self) -> Integers:
        """Peers whose periods hang together."""
        return np.flatnonzero(self.peer_kind != PeerKind.FREE)

    def with_peers(self, peers: Integers) -> "ClearingProblem":
        """With only these peers, by number, in this order."""
        return replace(
            self, peer_bus=self.peer_bus[peers], step_kw=self.step_kw[peers], step_price=self.step_price[peers],
            peer_kind=self.peer_kind[peers], energy_kwh=self.energy_kwh[peers],
            energy_start_kwh=self.energy_start_kwh[peers],
            step_whole=self.step_whole[peers] if self.step_whole.size else self.step_whole,
        )  # fmt: skip

    @property
    def has_voltage(self) -> bool:
        """Whether any voltage can leave its band at a price."""
        banded = np.isfinite(self.voltage_low) or np.isfinite(self.voltage_high)
        return bool(self.voltage_price > 0.0 and banded and (self.voltage_drop != 0.0).any())


def require_sound(problem: ClearingProblem, where: str) -> None:
    """`BadInput` with every finding of a problem; shapes first, and what they hold once shapes are right."""
    findings = list(_shapes(problem, where)) or list(_contents(problem, where))
    if findings:
        raise BadInput(findings)


def _shapes(p: ClearingProblem, where: str) -> Iterator[Finding]:
    buses, peers, periods, steps, rows = p.buses, p.peers, p.import_price.size, p.steps, len(p.row_factor)
    expected = {
        "parent": (buses,),
        "area": (buses,),
        "base_kw": (buses, periods),
        "line_limit_kw": (buses, periods),
        "import_price": (periods,),
        "export_price": (periods,),
        "voltage_drop": (buses,),
        "peer_bus": (peers,),
        "step_sign": (steps,),
        "step_kw": (peers, periods, steps),
        "step_price": (peers, periods, steps),
        "peer_kind": (peers,),
        "energy_kwh": (peers,),
        "energy_start_kwh": (peers,),
        "step_whole": (peers, steps) if p.step_whole.size else p.step_whole.shape,
        "row_factor": (rows, buses) if rows else p.row_factor.shape,
        "row_base_kw": (rows, periods) if rows else p.row_base_kw.shape,
        "row_limit_kw": (rows, periods) if rows else p.row_limit_kw.shape,
    }
    for name, shape in expected.items():
        found = getattr(p, name).shape
        if found != shape:
            yield Finding(where, 0, name, f"has shape {found}", f"{shape}")
    for name, count in (("parent", buses), ("import_price", periods)):
        if count == 0:
            yield Finding(where, 0, name, "is empty", "at least one")


def _contents(p: ClearingProblem, where: str) -> Iterator[Finding]:
    checks: tuple[tuple[str, bool, str, str], ...] = (
        ("parent", bool(p.parent[0] != -1 or (p.parent[1:] < 0).any()), "has no single root first", "-1 at bus 0 only"),
        ("parent", bool((p.parent >= np.arange(p.buses)).any()), "has a child before its parent", "parents first"),
        ("peer_bus", _outside(p.peer_bus, 0, p.buses), "names a bus that is not there", f"0 to {p.buses - 1}"),
        ("step_sign", bool((np.abs(p.step_sign) != 1).any()), "is neither up nor down", "1 or -1"),
        ("step_kw", bool((p.step_kw < 0.0).any()), "is negative", "0 or more"),
        ("line_limit_kw", bool((p.line_limit_kw < 0.0).any()), "is negative", "0 or more"),
        ("row_limit_kw", bool((p.row_limit_kw < 0.0).any()), "is negative", "0 or more"),
        ("voltage_drop", bool((p.voltage_drop < 0.0).any()), "is negative", "0 or more"),
        ("import_price", bool((p.import_price < p.export_price).any()), "is below export_price", "at least that"),
        ("voltage_low", p.voltage_low > p.voltage_high, "is above voltage_high", "at most that"),
        ("peer_kind", _outside(p.peer_kind, 0, len(PeerKind)), "is unknown", "0, 1 or 2"),
        *((name, getattr(p, name) < 0.0, "is negative", "0 or more") for name in PENALTIES),
        *_storages(p),
    )
    for name, wrong, problem, meant in checks:
        if wrong:
            yield Finding(where, 0, name, problem, meant)
    for name in (*FINITE, *PENALTIES):
        if not np.isfinite(getattr(p, name)).all():
            yield Finding(where, 0, name, "is not finite", "finite numbers")
    for name in ("line_limit_kw", "row_limit_kw", "voltage_low", "voltage_high"):
        if np.isnan(getattr(p, name)).any():
            yield Finding(where, 0, name, "is not a number", "numbers")


PENALTIES = ("line_price", "root_limit_price", "voltage_price", "row_price")
FINITE = (
    "base_kw",
    "import_price",
    "export_price",
    "voltage_drop",
    "step_kw",
    "step_price",
    "energy_kwh",
    "energy_start_kwh",
    "row_factor",
    "row_base_kw",
)


def _storages(p: ClearingProblem) -> Iterator[tuple[str, bool, str, str]]:
    storage = p.peer_kind == PeerKind.STORAGE
    start, most = p.energy_start_kwh[storage], p.energy_kwh[storage]
    yield (
        "energy_start_kwh",
        bool(((start < 0.0) | (start > most)).any()),
        "is outside the storage",
        "0 to energy_kwh",
    )
    whole = p.step_whole.any(axis=1) if p.step_whole.size else np.zeros(p.peers, dtype=np.bool_)
    yield (
        "step_whole",
        bool((whole & (p.peer_kind != PeerKind.FREE)).any()),
        "is of a coupled peer",
        "free peers only",
    )


def _outside(values: Integers, low: int, high: int) -> bool:
    return bool(((values < low) | (values >= high)).any())

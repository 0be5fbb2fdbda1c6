"""A problem split between organisations: each holds the buses, limits and peers of its pieces, and nothing else.

A piece's problem is a sound problem of its own whose root is the piece's first bus. Below the root of all, that
bus's line has a limit and `line_price` like any other, but `import_price`, `export_price` are the market's: they are
public, and prices start from them.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.laboratory.engines.evaluation import sum_down
from flexpeer.laboratory.engines.pieces import Piece, pieces_of, sum_pieces


@dataclass(frozen=True)
class Part:
    """One piece as its owner holds it: its number in the tree of pieces, and at which bus each piece below hangs.

    What neighbours do without trade is forecast: `below_kw` (periods,) of each piece below is the flow over its border,
    `above_voltage` (periods,) the w of the bus above, 0 at the root.
    """

    number: int
    problem: ClearingProblem
    entries: Mapping[int, int]
    below_kw: Mapping[int, Floats]
    above_voltage: Floats

    @property
    def root(self) -> bool:
        """Whether the exchange with the overlying grid is here; pieces are numbered from there."""
        return self.number == 0

    @property
    def bare(self) -> ClearingProblem:
        """The problem with the first bus's line as a line: without import and export below the root."""
        if self.root:
            return self.problem
        none = np.zeros(self.problem.periods)
        return self.ending_at(none)

    def ending_at(self, price: Floats) -> ClearingProblem:
        """The problem in which what leaves the first bus costs `price` (periods,) per kWh, beyond its line."""
        line = self.problem.line_price
        return replace(self.problem, import_price=-price, export_price=-price, root_limit_price=line)

    def holding(self, base_kw: Floats, flow_kw: Floats, dear: float) -> ClearingProblem:
        """The problem with other base injections in which what leaves the first bus, less `flow_kw`, costs `dear`."""
        base, limit = base_kw.copy(), self.problem.line_limit_kw.copy()
        base[0] -= flow_kw
        limit[0] = np.inf
        price = np.full(self.problem.periods, dear)
        return replace(
            self.problem, base_kw=base, line_limit_kw=limit, import_price=price, export_price=-price,
            root_limit_price=0.0,
        )  # fmt: skip

    def without(self, pieces: Collection[int]) -> "Part":
        """The part when these pieces below take no part: their borders carry what is forecast."""
        base = self.problem.base_kw.copy()
        for number in sorted(pieces, reverse=True):
            base[self.entries[number]] += self.below_kw[number]
        entries = {number: entry for number, entry in self.entries.items() if number not in pieces}
        return replace(self, problem=replace(self.problem, base_kw=base), entries=entries)


@dataclass(frozen=True)
class Hook:
    """A piece in the tree of pieces: whose it is and which piece it hangs on, -1 for the root's."""

    dso: str
    above: int


@dataclass(frozen=True)
class Outline:
    """All the market operator knows: who borders whom, upper pieces first, and the market's prices (periods,)."""

    hooks: Sequence[Hook]
    import_price: Floats
    export_price: Floats
    below: Mapping[int, Sequence[int]] = field(init=False)

    def __post_init__(self) -> None:
        numbers = range(len(self.hooks))
        under = {k: [n for n in numbers if self.hooks[n].above == k] for k in numbers}
        object.__setattr__(self, "below", under)

    @property
    def periods(self) -> int:
        """How many periods of one hour."""
        return len(self.import_price)

    @property
    def dsos(self) -> list[str]:
        """Every organisation once, in order of its first piece."""
        return list(dict.fromkeys(hook.dso for hook in self.hooks))


def unsplit(problem: ClearingProblem) -> str | None:
    """Why a problem cannot be split; None if it can."""
    for fact, wrong in (
        (problem.rows, "rows of a meshed grid"),
        (len(problem.coupled), "coupled peers"),
        (problem.step_whole.any(), "all-or-nothing steps"),
    ):
        if fact:
            return f"has {wrong}, which organisations do not clear together yet"
    return None


def split(problem: ClearingProblem, names: Mapping[int, str]) -> tuple[Outline, dict[str, list[Part]]]:
    """By the problem's `area`: the outline, and the parts of every organisation; `names` are of areas."""
    pieces = pieces_of(problem.parent, problem.area)
    owners = [names[int(problem.area[piece.bus[0]])] for piece in pieces]
    hooks = [Hook(owner, piece.above) for owner, piece in zip(owners, pieces, strict=True)]
    flow = problem.base_kw.copy()
    sum_pieces(pieces, flow)
    level = problem.voltage_drop[:, None] * flow
    sum_down(problem.parent, level)
    parts: dict[str, list[Part]] = {owner: [] for owner in owners}
    for number, (owner, piece) in enumerate(zip(owners, pieces, strict=True)):
        entries = {below: other.entry for below, other in enumerate(pieces) if other.above == number}
        below_kw = {below: flow[pieces[below].bus[0]] for below in entries}
        above = level[problem.parent[piece.bus[0]]] if number else np.zeros(problem.periods)
        parts[owner].append(Part(number, _part_of(problem, piece), entries, below_kw, above))
    return Outline(hooks, problem.import_price, problem.export_price), parts


def peers_of(problem: ClearingProblem, piece: Piece) -> Integers:
    """The peers at a piece's buses, in the order of the problem."""
    return np.flatnonzero(np.isin(problem.peer_bus, piece.bus))


def _part_of(problem: ClearingProblem, piece: Piece) -> ClearingProblem:
    bus, own = piece.bus, problem.with_peers(peers_of(problem, piece))
    return replace(
        own, parent=piece.parent, area=problem.area[bus], base_kw=problem.base_kw[bus],
        line_limit_kw=problem.line_limit_kw[bus], voltage_drop=problem.voltage_drop[bus],
        peer_bus=np.searchsorted(bus, own.peer_bus), step_whole=np.zeros((0, 0), dtype=np.bool_),
    )  # fmt: skip


def digest_of(import_price: Floats, export_price: Floats) -> bytes:
    """What tells one clearing's letters from another's: the prices (periods,) that all its organisations know."""
    text = np.stack((import_price, export_price)).astype("<f8").tobytes()
    return hashlib.sha256(b"flexpeer clearing:" + text).digest()

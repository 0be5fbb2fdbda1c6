"""How needs are shared between conditional agreements: pro rata, last in first out, equally, by the least watts.

Points in series are one allocation. Every room is taken whole at first; then all are let off as far as every point
stays served:

- `pro_rata`: everybody owes one share of its room, the least that serves every point. Whoever a point needs at that
  share keeps it; for the others the share falls on, until a point needs them too.
- `equal`: likewise with watts instead of a share.
- `lifo`: the agreements of the earliest date are let off first, by `pro_rata` among themselves, then the next date's.
- `least`: those whose watt relieves least are let off first.

What is left is owed by nobody in vain, and nobody could owe less without somebody who owes as large a share (watts, or
whose turn comes before) owing more. Rests of a watt go to the largest remainders, then the larger rooms, then who
relieves the neediest points most, then by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from operator import mul
from typing import NamedTuple

from flexpeer.market.rulebook import Allocation
from flexpeer.quantities import PPM

PASSES = 60
REST_BITS = 128


class Conditional(NamedTuple):
    """A conditional resource over a day: how far its injection can be changed (signed, W per MTU), and what that does.

    `up_ppm` is the relief at each point per watt UP, per MTU: below zero where that loads the point.
    """

    resource: str
    room_w: tuple[int, ...]
    up_ppm: tuple[tuple[int, ...], ...]
    agreement_date: str = ""

    def candidate(self, mtu: int, points: Sequence[int]) -> Candidate:
        """It in one MTU, for some of the points."""
        room = self.room_w[mtu]
        relief = (self.up_ppm[point][mtu] if room > 0 else -self.up_ppm[point][mtu] for point in points)
        return Candidate(self.resource, abs(room), tuple(relief), self.agreement_date)


class Candidate(NamedTuple):
    """A conditional resource in one MTU: what it can be curtailed by, and the relief of a watt of it at each point.

    Below zero where it loads a point.
    """

    resource: str
    room_w: int
    relief_ppm: tuple[int, ...]
    agreement_date: str = ""


class _Asked(NamedTuple):
    """A candidate while levels are sought: it owes `weight` for each unit of its level, and relief is never negative.

    `full` is its highest level, at which its room is taken whole.
    """

    resource: str
    room_w: int
    weight: int
    full: int
    relief_ppm: tuple[int, ...]


def allocate_day(
    policy: Allocation, points: Sequence[tuple[Sequence[int], Sequence[int]]], conditional: Sequence[Conditional]
) -> dict[str, tuple[int, ...]]:
    """Changes of injection (signed, W per MTU) that are owed; `points` are what each needs and what of it is missing.

    A point that needs something and misses nothing keeps what it has.
    """
    moves: dict[str, list[int]] = {}
    for mtu in range(len(points[0][0]) if points else 0):
        if not any(missing[mtu] > 0 for _, missing in points):
            continue
        needy = [k for k, (need, missing) in enumerate(points) if need[mtu] > 0 or missing[mtu] > 0]
        able = [each for each in conditional if each.room_w[mtu]]
        missing = [max(points[k][1][mtu], 0) for k in needy]
        shares = allocate(policy, missing, [each.candidate(mtu, needy) for each in able])
        for each in able:
            if each.resource in shares:
                owed = shares[each.resource] if each.room_w[mtu] > 0 else -shares[each.resource]
                moves.setdefault(each.resource, [0] * len(each.room_w))[mtu] = owed
    return {name: tuple(moves[name]) for name in sorted(moves)}


def allocate(policy: Allocation, need_w: Sequence[int], candidates: Iterable[Candidate]) -> dict[str, int]:
    """Resource-side obligations (W, positive) that together give each point its need, grid side.

    No obligation passes its room. Where the rooms do not suffice for a point, all that relieve it owe all of theirs.
    Who loads the points by as much as it relieves them, all together, owes nothing; what the others load a point by is
    asked for on top, at most `PASSES` times.
    """
    able = sorted(c for c in candidates if c.room_w > 0 and sum(c.relief_ppm) > 0)
    owed, rows = [0] * len(able), [c.relief_ppm for c in able]
    for _ in range(PASSES):
        missing = [need * PPM - given for need, given in zip(need_w, _totals(owed, rows, len(need_w)), strict=True)]
        if max(missing, default=0) <= 0:
            break
        more = _shared(policy, missing, [c._replace(room_w=c.room_w - w) for c, w in zip(able, owed, strict=True)])
        if not any(more):
            break
        owed = [w + m for w, m in zip(owed, more, strict=True)]
    return {c.resource: w for c, w in zip(able, owed, strict=True) if w}


def _shared(policy: Allocation, missing: Sequence[int], candidates: Sequence[Candidate]) -> list[int]:
    """What each owes, as if none loaded a point; `missing` in W x ppm."""
    at = [point for point, value in enumerate(missing) if value > 0]
    relief = [tuple(max(c.relief_ppm[point], 0) for point in at) for c in candidates]
    owed = [c.room_w if any(r) else 0 for c, r in zip(candidates, relief, strict=True)]
    spare = [given - missing[point] for given, point in zip(_totals(owed, relief, len(at)), at, strict=True)]
    for members in _turns(policy, candidates, relief):
        able = [i for i in members if owed[i]]
        rows = [relief[i] for i in able]
        others = [s - w for s, w in zip(spare, _totals([owed[i] for i in able], rows, len(at)), strict=True)]
        levelled = _levelled([-value for value in others], [_asked(policy, candidates[i], relief[i]) for i in able])
        spare = [o + w for o, w in zip(others, _totals(levelled, rows, len(at)), strict=True)]
        for i, watts in zip(able, levelled, strict=True):
            owed[i] = watts
    return owed


def _turns(
    policy: Allocation, candidates: Sequence[Candidate], relief: Sequence[tuple[int, ...]]
) -> Iterable[list[int]]:
    """Indexes of those who are let off together, the first to be let off first."""
    ranks: Sequence[str | int]
    match policy:
        case Allocation.LIFO:
            ranks = [c.agreement_date for c in candidates]
        case Allocation.LEAST:
            ranks = [sum(row) for row in relief]
        case Allocation.PRO_RATA | Allocation.EQUAL:
            ranks = [0] * len(candidates)
    return (list(turn) for _, turn in groupby(sorted(range(len(ranks)), key=ranks.__getitem__), ranks.__getitem__))


def _asked(policy: Allocation, candidate: Candidate, relief_ppm: tuple[int, ...]) -> _Asked:
    weight, full = (1, candidate.room_w) if policy is Allocation.EQUAL else (candidate.room_w, 1)
    return _Asked(candidate.resource, candidate.room_w, weight, full, relief_ppm)


def _totals(watts: Sequence[int], relief_ppm: Sequence[tuple[int, ...]], points: int) -> list[int]:
    """W x ppm that each point is given."""
    return [sum(map(mul, watts, column)) for column in zip(*relief_ppm, strict=True)] or [0] * points


def _levelled(missing: Sequence[int], asked: Sequence[_Asked]) -> list[int]:
    """Whole watts of each at the lowest levels that give every point what is missing there (W x ppm)."""
    owed, rests = [], []
    for i, (each, level) in enumerate(zip(asked, _levels(missing, asked), strict=True)):
        watts, rest = divmod(level.numerator * each.weight, level.denominator)
        owed.append(watts)
        if rest:
            served = sorted((-need, -ppm) for need, ppm in zip(missing, each.relief_ppm, strict=True))
            rests.append((-(rest << REST_BITS) // level.denominator, -each.room_w, served, each.resource, i))
    given = _totals(owed, [each.relief_ppm for each in asked], len(missing))
    lacking = [need - watts for need, watts in zip(missing, given, strict=True)]
    raised = []
    for *_, i in sorted(rests):
        row = asked[i].relief_ppm
        if any(ppm and lack > 0 for ppm, lack in zip(row, lacking, strict=True)):
            raised.append(i)
            owed[i] += 1
            lacking = [lack - ppm for lack, ppm in zip(lacking, row, strict=True)]
    for i in reversed(raised):
        row = asked[i].relief_ppm
        if all(not ppm or lack + ppm <= 0 for ppm, lack in zip(row, lacking, strict=True)):
            owed[i] -= 1
            lacking = [lack + ppm for lack, ppm in zip(lacking, row, strict=True)]
    return owed


def _levels(missing: Sequence[int], asked: Sequence[_Asked]) -> list[Fraction]:
    """The level of each: the hardest point first, which holds all who relieve it; the others fall on."""
    found = [Fraction(0)] * len(asked)
    left = {point: Fraction(need) for point, need in enumerate(missing) if need > 0}
    free = sorted(range(len(asked)), key=lambda i: asked[i].full)
    while left and free:
        levels = {point: _level(need, [asked[i] for i in free], point) for point, need in left.items()}
        hardest = max(levels.values())
        held = {point for point, level in levels.items() if level == hardest}
        holding = [i for i in free if any(asked[i].relief_ppm[point] for point in held)]
        for i in holding:
            found[i] = hardest if hardest.numerator <= asked[i].full * hardest.denominator else Fraction(asked[i].full)
        left = {
            point: need - _given(hardest, [asked[i] for i in holding], point)
            for point, need in left.items()
            if point not in held
        }
        left = {point: need for point, need in left.items() if need > 0}
        free = sorted(set(free).difference(holding), key=lambda i: asked[i].full)
    return found


def _level(need: Fraction, asked: Sequence[_Asked], point: int) -> Fraction:
    """The level at which those asked, in order of `full`, give a point what it needs; all of it if they cannot."""
    rising, whole = sum(each.relief_ppm[point] * each.weight for each in asked), 0
    for each in asked:
        if whole + rising * each.full >= need:
            return (need - whole) / rising
        whole += each.relief_ppm[point] * each.room_w
        rising -= each.relief_ppm[point] * each.weight
    return Fraction(asked[-1].full)


def _given(level: Fraction, asked: Sequence[_Asked], point: int) -> Fraction:
    """W x ppm that a point gets at a level."""
    rising = whole = 0
    for each in asked:
        if each.full * level.denominator > level.numerator:
            rising += each.relief_ppm[point] * each.weight
        else:
            whole += each.relief_ppm[point] * each.room_w
    return level * rising + whole

"""How a need is shared between conditional agreements: pro rata, last in first out, equally, by the least watts."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flexpeer.market.rulebook import Allocation
from flexpeer.quantities import PPM, ceil_div


class Candidate(NamedTuple):
    """A conditional resource in one MTU: what it can be curtailed by, and the relief that gives."""

    resource: str
    room_w: int
    ppm: int
    agreement_date: str


def allocate(policy: Allocation, need_w: int, candidates: Sequence[Candidate]) -> dict[str, int]:
    """Resource-side obligations (W, positive) that together give `need_w` of relief, grid side.

    Whole watts, no obligation past its room, and no single watt more than the need asks for; where the
    rooms do not suffice, all of every room. Candidates without impact owe nothing.
    """
    able = sorted(c for c in candidates if c.ppm > 0 and c.room_w > 0)
    if _relief(able, (c.room_w for c in able)) <= need_w * PPM:
        return {c.resource: c.room_w for c in able}
    if policy is Allocation.LIFO:
        by_name = sorted(able, key=lambda c: c.resource)
        return _one_by_one(need_w * PPM, sorted(by_name, key=lambda c: c.agreement_date, reverse=True))
    if policy is Allocation.LEAST:
        return _one_by_one(need_w * PPM, sorted(able, key=lambda c: (-c.ppm, c.resource)))
    shares = _pro_rata(need_w * PPM, able) if policy is Allocation.PRO_RATA else _equal(need_w * PPM, able)
    return {resource: share for resource, share in shares.items() if share}


def _relief(candidates: Sequence[Candidate], obligations_w: Iterable[int]) -> int:
    return sum(c.ppm * w for c, w in zip(candidates, obligations_w, strict=True))


def _one_by_one(need: int, ranked: Sequence[Candidate]) -> dict[str, int]:
    """All that the first can give, then the second, until the need is met."""
    shares: dict[str, int] = {}
    for candidate in ranked:
        if need <= 0:
            break
        shares[candidate.resource] = min(candidate.room_w, ceil_div(need, candidate.ppm))
        need -= shares[candidate.resource] * candidate.ppm
    return shares


def _pro_rata(need: int, able: Sequence[Candidate]) -> dict[str, int]:
    """The same fraction of each room; watts lost to rounding go to the largest remainders."""
    whole = _relief(able, (c.room_w for c in able))
    shares = {c.resource: need * c.room_w // whole for c in able}
    ranked = sorted(able, key=lambda c: (-(need * c.room_w % whole), c.resource))
    return _topped_up(need, ranked, shares)


def _equal(need: int, able: Sequence[Candidate]) -> dict[str, int]:
    """The same watts from each, as far as its room goes."""
    low, high = 0, max(c.room_w for c in able)
    while low < high:
        level = (low + high + 1) // 2
        low, high = (level, high) if _relief(able, (min(c.room_w, level) for c in able)) <= need else (low, level - 1)
    return _topped_up(need, able, {c.resource: min(c.room_w, low) for c in able})


def _topped_up(need: int, ranked: Sequence[Candidate], shares: dict[str, int]) -> dict[str, int]:
    missing = need - sum(c.ppm * shares[c.resource] for c in ranked)
    for candidate in ranked:
        if missing > 0 and shares[candidate.resource] < candidate.room_w:
            shares[candidate.resource] += 1
            missing -= candidate.ppm
    return shares

"""Energy limits: a storage or a resource with rebound trades only what its day's energy allows.

Contents are watt-minutes at the end of each MTU. A storage starts at `energy_start_wm` and loses what it
injects; a resource without a start has a buffer, empty of traded energy at the start of the day, that may run
`energy_wm` ahead or behind. A plan that is past its limits already may be traded, but not further out.
"""

from collections.abc import Iterable, Sequence

from flexpeer.market.participants import Resource


def contents_wm(start_wm: int, injection_w: Sequence[int], mtu_minutes: int) -> list[int]:
    """Energy content at the end of each MTU, given what is injected."""
    content, contents = start_wm, []
    for injected in injection_w:
        content -= injected * mtu_minutes
        contents.append(content)
    return contents


def allows(
    resource: Resource, schedule_w: Sequence[int], moves_w: Sequence[int], change_w: Sequence[int], mtu_minutes: int
) -> bool:
    """Whether a further change fits, given the starting point (`schedule_w`) and the trades so far (`moves_w`)."""
    if resource.energy_wm is None:
        return True
    storage = resource.energy_start_wm is not None
    begin, low = (resource.energy_start_wm or 0), (0 if storage else -resource.energy_wm)
    now = [s * storage + m for s, m in zip(schedule_w, moves_w, strict=True)]
    then = [n + c for n, c in zip(now, change_w, strict=True)]
    before, after = contents_wm(begin, now, mtu_minutes), contents_wm(begin, then, mtu_minutes)
    return _no_further_out(zip(before, after, strict=True), low, resource.energy_wm)


def _no_further_out(contents: Iterable[tuple[int, int]], low: int, high: int) -> bool:
    return all(min(low, before) <= after <= max(high, before) for before, after in contents)

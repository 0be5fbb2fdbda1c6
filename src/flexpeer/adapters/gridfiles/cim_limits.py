"""Operational limits of CIM: permanent currents and apparent powers as ratings, voltages as bands.

A limit counts when it is permanent: PATL, or without end, or with a duration of more than a year. Of
several the tightest counts. A limit set belongs to a terminal or, at all its terminals, to an equipment.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flexpeer.adapters.gridfiles.cim_nodes import Nodes
from flexpeer.adapters.gridfiles.cim_objects import Item, Model
from flexpeer.errors import bad_input
from flexpeer.grid.assembly import BusRow

MOST_OWNERS = 1_000
YEAR_S = 366 * 86400.0
DEFAULT_BAND = BusRow("", 1.0)
LIMIT_SET, LIMIT_TYPE = "OperationalLimit.OperationalLimitSet", "OperationalLimit.OperationalLimitType"
LOADING = ("CurrentLimit", "ApparentPowerLimit")


@dataclass(frozen=True)
class Ratings:
    """The tightest permanent limits by key of terminal or equipment: amperes, and volt-amperes."""

    current_a: Mapping[str, float]
    power_va: Mapping[str, float]

    def at(self, terminal: Item, equipment: Item, v_kv: float) -> float:
        """The rating in A where a branch meets a terminal of this nominal voltage; NaN for no limit."""
        keys = (terminal.key, equipment.key)
        limits = [self.current_a[key] for key in keys if key in self.current_a]
        limits += [self.power_va[key] / (math.sqrt(3.0) * v_kv * 1e3) for key in keys if key in self.power_va]
        return min(limits, default=math.nan)


def ratings(model: Model) -> Ratings:
    """The ratings of all terminals and equipment."""
    found: dict[str, dict[str, float]] = {kind: {} for kind in LOADING}
    for kind, unit in zip(LOADING, (1.0, model.units.watt), strict=True):
        for limit in model.of(kind):
            if not _permanent(model, limit):
                continue
            value = limit.number(f"{kind}.value", f"{kind}.normalValue") * unit
            if value < 0:
                limit.fault(f"{kind}.value", f"{value:g}, a negative limit", "a positive limit")
            if value == 0:
                limit.note(f"{kind}.value", "a limit of 0 is passed over", "a positive limit, or none")
            if not value > 0:
                continue
            for owner in _owners(model, limit):
                found[kind][owner] = min(value, found[kind].get(owner, math.inf))
    for limit in model.of("ActivePowerLimit"):
        limit.note("ActivePowerLimit.value", "a limit on active power is not a rating; it is passed over", "amperes")
    return Ratings(found["CurrentLimit"], found["ApparentPowerLimit"])


def bands(model: Model, nodes: Nodes) -> dict[str, tuple[float, float]]:
    """Lowest and highest voltage in per unit by bus; (0.9, 1.1) where the files say nothing."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for bus, value, is_high in _voltage_limits(model, nodes):
        value_pu = value * model.units.kv / nodes.v_kv[bus]
        if is_high:
            high[bus] = min(value_pu, high.get(bus, math.inf))
        elif value_pu > 0:
            low[bus] = max(value_pu, low.get(bus, 0.0))
    return {bus: _band(low.get(bus), high.get(bus)) for bus in nodes.members}


def _band(low: float | None, high: float | None) -> tuple[float, float]:
    """An end that is not stated keeps its default, or none where it would contradict the one that is."""
    if low is None:
        low = DEFAULT_BAND.v_min_pu if high is None or high > DEFAULT_BAND.v_min_pu else 0.0
    if high is None:
        high = DEFAULT_BAND.v_max_pu if low < DEFAULT_BAND.v_max_pu else 2.0
    return low, high


def _voltage_limits(model: Model, nodes: Nodes) -> Iterator[tuple[str, float, bool]]:
    """Bus, value in the files' unit, and whether it is the upper end."""
    for limit in model.of("VoltageLimit"):
        side = _side(model, limit)
        if not side or not _permanent(model, limit):
            continue
        value = limit.number("VoltageLimit.value", "VoltageLimit.normalValue")
        for bus in _buses(model, nodes, limit):
            yield bus, value, side == "high"
    for bus, members in nodes.members.items():
        for level in filter(None, (_level(model, node) for node in members)):
            yield from ((bus, value, is_high) for value, is_high in _level_limits(level))


def _level_limits(level: Item) -> Iterator[tuple[float, bool]]:
    for attribute, is_high in (("VoltageLevel.highVoltageLimit", True), ("VoltageLevel.lowVoltageLimit", False)):
        if level.has(attribute):
            yield level.number(attribute), is_high


def _level(model: Model, node: str) -> Item | None:
    item = model.objects.get(node)
    for attribute in ("TopologicalNode.ConnectivityNodeContainer", "ConnectivityNode.ConnectivityNodeContainer"):
        container = model.follow(item, attribute)
        container = model.follow(container, "Bay.VoltageLevel") or container
        if container is not None and container.kind == "VoltageLevel":
            return container
    return None


def _buses(model: Model, nodes: Nodes, limit: Item) -> Iterator[str]:
    """The buses of a voltage limit's terminal, of its equipment's, or of the node that names its set."""
    for owner in _owners(model, limit):
        item = model.objects.get(owner)
        if item is None:
            continue
        for terminal in [item] if item.kind == "Terminal" else model.terminals(item):
            if terminal.key in nodes.bus_at:
                yield nodes.bus_at[terminal.key]
    for limit_set in _sets(model, limit):
        for node in model.referring("ConnectivityNode.OperationalLimitSet", limit_set):
            if node.key in nodes.bus_of:
                yield nodes.bus_of[node.key]


def _owners(model: Model, limit: Item) -> Iterator[str]:
    for limit_set in _sets(model, limit):
        named = model.referring("ACDCTerminal.OperationalLimitSet", limit_set)
        terminals = dict.fromkeys(limit_set.references("OperationalLimitSet.Terminal"))
        terminals |= dict.fromkeys(terminal.key for terminal in named)
        owners = list(terminals) or limit_set.references("OperationalLimitSet.Equipment")
        if len(owners) > MOST_OWNERS:
            raise bad_input(
                limit_set.where, f"limits of {len(owners)} terminals or equipment", f"at most {MOST_OWNERS} of one set",
                line=limit_set.line, field=limit_set.place(""),
            )  # fmt: skip
        yield from owners


def _sets(model: Model, limit: Item) -> Iterator[Item]:
    limit_set = model.follow(limit, LIMIT_SET)
    if limit_set is not None:
        yield limit_set


def _permanent(model: Model, limit: Item) -> bool:
    """Whether a limit holds without end; notes those that do not."""
    kind = model.follow(limit, LIMIT_TYPE)
    word = _word(kind)
    if word in {"patl", "highvoltage", "lowvoltage"} or kind is None:
        return True
    endless = kind.flag("OperationalLimitType.isInfiniteDuration", default=False)
    duration = kind.number("OperationalLimitType.acceptableDuration", default=0.0 if word else math.inf)
    if not word and (endless or duration > YEAR_S):
        return True
    limit.note("", "a limit for a time, such as TATL, is passed over", "permanent limits")
    return False


def _word(kind: Item | None) -> str:
    """The kind of a limit type, in its attribute or, as in some files, in its name; empty for neither."""
    if kind is None:
        return ""
    stated = kind.word("OperationalLimitType.limitType", "OperationalLimitType.kind")
    name = kind.name.lower()
    return stated or (name if name in {"patl", "tatl"} else "")


def _side(model: Model, limit: Item) -> str:
    """`high` or `low`, empty where the type says neither."""
    kind = model.follow(limit, LIMIT_TYPE)
    words = (_word(kind), kind.word("OperationalLimitType.direction") if kind else "", limit.name.lower())
    return next((side for word in words for side in ("high", "low") if word.startswith(side)), "")

"""Organisations that clear together as programs of their own: what `flexpeer split` and `flexpeer node` do."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, time_ns
from typing import Any

import numpy as np

from flexpeer.adapters.clearing_files import read_problem
from flexpeer.adapters.ed25519 import read_keys, write_keys
from flexpeer.adapters.nats_areas import NatsAreas, serve
from flexpeer.adapters.share_files import (
    NAME,
    OUTLINE,
    read_outline,
    read_parts,
    write_outline,
    write_part_outcomes,
    write_parts,
)
from flexpeer.adapters.state_files import JournalFolder, ShelfFolder
from flexpeer.app.area_node import AreaNode, AreasHere
from flexpeer.app.coordination import Unwritten, clear_together
from flexpeer.app.letters import MARKET_OPERATOR, AreaDesk, Desk
from flexpeer.bootstrap import new_folder, require_fresh
from flexpeer.clearing.evaluation import moves
from flexpeer.clearing.shares import split, unsplit
from flexpeer.errors import bad_input
from flexpeer.simulation.clearing_problems import clearing_problem

PATIENCE = 10.0


@dataclass(frozen=True)
class Place:
    """Where an organisation meets the others: the address of a NATS server, a folder of keys, and its patience.

    `state` is a folder for what it must not forget; without, that lasts as long as its program.
    """

    server: str
    keys: Path
    timeout_s: float
    state: Path | None = None


def split_file(path: Path, out: Path) -> dict[str, Any]:
    """`flexpeer split`: a file per area, the outline and keys, in a new folder."""
    problem = read_problem(path)
    reason = unsplit(problem)
    if reason is not None:
        raise bad_input(str(path), reason, "free peers on a tree")
    require_fresh(out)
    names = {int(area): f"dso-{area}" for area in np.unique(problem.area)}
    outline, parts = split(problem, names)
    with new_folder(out) as work:
        for dso, own in parts.items():
            write_parts(own, work / f"{dso}.npz")
        write_outline(outline, work / OUTLINE)
        write_keys([MARKET_OPERATOR, *parts], work)
    peers = {dso: sum(part.problem.peers for part in own) for dso, own in parts.items()}
    return {"dsos": peers, "pieces": len(outline.hooks), "periods": outline.periods}


def run_market_operator(outline_file: Path, place: Place, tell: Callable[[str], None]) -> dict[str, Any]:
    """`flexpeer node --market-operator`: one run, from the first question to how it ended."""
    outline = read_outline(outline_file)
    desk = Desk(MARKET_OPERATOR, read_keys(MARKET_OPERATOR, place.keys))
    journal = Unwritten(time_ns()) if place.state is None else JournalFolder(place.state, outline_file)
    with NatsAreas(desk, place.server, place.timeout_s) as areas:
        began = perf_counter()
        found = clear_together(outline, areas, tell, journal)
        seconds = perf_counter() - began
    gain = found.no_trade_objective - found.objective
    traffic = {
        dso: {"received": areas.sent_bytes.get(dso, 0), "sent": areas.received_bytes.get(dso, 0)}
        for dso in outline.dsos
    }
    return asdict(found) | {
        "gap": found.gap,
        "gap_relative_to_gain": found.gap / gain if gain > 0.0 else None,
        "dropped": {str(why): count for why, count in desk.dropped.items()},
        "bytes": traffic,
        "seconds": round(seconds, 3),
    }


def run_dso(name: str, problem: Path, place: Place, out: Path | None) -> dict[str, Any]:
    """`flexpeer node --dso`: answer one run's questions; what stands at the end goes to `out`."""
    if not NAME.fullmatch(name) or name == MARKET_OPERATOR:
        raise bad_input("node", f"cannot call a DSO {name!r}", "letters, digits, - and _", field="dso")
    parts = read_parts(problem)
    node = AreaNode(parts, None if place.state is None else ShelfFolder(place.state, problem))
    desk = AreaDesk(Desk(name, read_keys(name, place.keys)), node)
    warm_up()
    serve(desk, place.server, PATIENCE * place.timeout_s)
    if out is not None and node.accepted:
        write_part_outcomes(node.accepted, out)
    moved = sum(
        float(np.abs(moves(node.parts[number].problem, outcome.steps_kw)).sum())
        for number, outcome in node.accepted.items()
    )
    return {
        "dso": name,
        "peers": sum(part.problem.peers for part in node.parts.values()),
        "pieces": sorted(node.parts),
        "accepted": sorted(node.accepted),
        "status": _ending(node),
        "moved_kwh": moved,
        "dropped": {str(why): count for why, count in desk.desk.dropped.items()},
    }


def _ending(node: AreaNode) -> str:
    if node.closed is not None:
        return node.closed.status
    return "in doubt: finished, but not told whether it stands" if node.finished else "the market operator is silent"


def warm_up() -> None:
    """Clear a small split problem, so that kernels are compiled before the first question comes."""
    small = clearing_problem(16, 4)
    area = np.arange(small.buses, dtype=np.int64)
    outline, parts = split(small, {int(number): f"dso-{number}" for number in area})
    clear_together(outline, AreasHere({dso: AreaNode(own) for dso, own in parts.items()}), lambda _text: None)

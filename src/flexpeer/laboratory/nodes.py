"""Organisations that clear together as programs of their own: what `flexpeer split` and `flexpeer node` do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, time_ns
from typing import Any

import numpy as np

from flexpeer.adapters.ed25519 import read_keys, write_keys
from flexpeer.adapters.folders import private_folder, require_fresh
from flexpeer.adapters.meeting_place import PATIENCE, MeetingPlace, Tell, nonce
from flexpeer.adapters.nats_areas import AGENTS, NatsAreas, serve, without_password
from flexpeer.adapters.server_files import write_authority, write_passwords
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk
from flexpeer.clearing.problem import ClearingProblem
from flexpeer.errors import bad_input
from flexpeer.laboratory.between.agents import FIRST_AGENT, HostNode, Staff, apart
from flexpeer.laboratory.between.area_letters import AreaDesk, reply_in
from flexpeer.laboratory.between.area_node import AreaNode, AreasHere, Memory, Shelf
from flexpeer.laboratory.between.coordination import Unwritten, clear_together
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.evaluation import moves
from flexpeer.laboratory.engines.pieces import pieces_of
from flexpeer.laboratory.engines.shares import Part, digest_of, peers_of, split, unsplit
from flexpeer.laboratory.files.agent_files import (
    read_agent,
    read_agents,
    read_agents_passwords,
    read_left,
    write_agents,
)
from flexpeer.laboratory.files.clearing_files import read_problem
from flexpeer.laboratory.files.share_files import (
    NAME,
    OUTLINE,
    read_outline,
    read_parts,
    write_outline,
    write_part_outcomes,
    write_parts,
)
from flexpeer.laboratory.files.state_files import JournalFolder, ShelfFolder


def _shelf(place: MeetingPlace, problem: Path) -> Shelf:
    """Where what it finishes of this problem is kept."""
    return Memory() if place.state is None else ShelfFolder(place.state, problem)


def split_file(path: Path, out: Path, peers: Sequence[int] = ()) -> dict[str, Any]:
    """`flexpeer split`: a file per area, the outline and keys, in a new folder; `peers` have agents of their own."""
    problem = read_problem(path)
    reason = unsplit(problem)
    if reason is not None:
        raise bad_input(str(path), reason, "free peers on a tree")
    for peer in peers:
        if not 0 <= peer < problem.peers:
            raise bad_input("split", f"finds no peer {peer}", f"0 to {problem.peers - 1}", field="agent")
    require_fresh(out)
    names = {int(area): f"dso-{area}" for area in np.unique(problem.area)}
    outline, parts = split(problem, names)
    agents = _agents_apart(problem, parts, peers)
    with private_folder(out) as work:
        for dso, own in parts.items():
            write_parts(own, work / f"{dso}.npz")
            if agents[dso]:
                write_agents(dso, agents[dso], work)
        write_outline(outline, work / OUTLINE)
        write_keys([MARKET_OPERATOR, *parts], work)
        write_passwords(parts, work)
        write_authority(work)
    counts = {dso: sum(part.problem.peers for part in own) for dso, own in parts.items()}
    named = {name: dso for dso, own in agents.items() for name in own}
    return {"dsos": counts, "agents": named, "pieces": len(outline.hooks), "periods": outline.periods}


def _agents_apart(
    problem: ClearingProblem, parts: dict[str, list[Part]], peers: Sequence[int]
) -> dict[str, dict[str, Part]]:
    """Take these peers out of their DSOs' parts; their own parts, by DSO and name."""
    pieces = pieces_of(problem.parent, problem.area)
    agents: dict[str, dict[str, Part]] = {dso: {} for dso in parts}
    for dso, own in parts.items():
        for k, part in enumerate(own):
            here = enumerate(peers_of(problem, pieces[part.number]).tolist())
            own[k], theirs = apart(part, {at: FIRST_AGENT + peer for at, peer in here if peer in peers})
            agents[dso] |= {f"peer-{found.number - FIRST_AGENT}": found for found in theirs}
    return agents


def run_market_operator(outline_file: Path, place: MeetingPlace, tell: Tell) -> dict[str, Any]:
    """`flexpeer node --market-operator`: one run, from the first question to how it ended."""
    outline = read_outline(outline_file)
    signatures = read_keys(MARKET_OPERATOR, place.keys)
    desk = Desk(MARKET_OPERATOR, signatures, digest_of(outline.import_price, outline.export_price), nonce)
    journal = Unwritten(time_ns()) if place.state is None else JournalFolder(place.state, outline_file)
    with (
        place.for_operator(signatures, outline.dsos) as server,
        NatsAreas(desk, server, place.timeout_s, reply_in) as areas,
    ):
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


def run_dso(
    name: str, problem: Path, place: MeetingPlace, out: Path | None, tell: Tell, agents: Path | None = None
) -> dict[str, Any]:
    """`flexpeer node --dso`: answer one run's questions; what stands at the end goes to `out`."""
    require_name(name, "dso")
    parts, signatures, shelf = read_parts(problem), read_keys(name, place.keys), _shelf(place, problem)
    passwords = {} if agents is None else read_agents_passwords(agents)
    with place.for_dso(name, signatures, passwords) as server:
        warm_up()
        tell(f"{name}: at {without_password(server)}")
        with _hosted(name, parts, server, place, agents, shelf) as node:
            desk = AreaDesk(Desk(name, signatures, _digest(parts), nonce), node)
            serve(desk, server, PATIENCE * place.timeout_s)
    return {"dso": name} | _ended(node, desk, out) | {"agents": _agents_told(node)}


def run_agent(name: str, dso: str, problem: Path, place: MeetingPlace, out: Path | None) -> dict[str, Any]:
    """`flexpeer node --peer`: answer one run's questions for a peer, asked by its DSO at the DSO's own server."""
    require_name(name, "peer")
    part = read_agent(problem)
    node = AreaNode([part], _shelf(place, problem))
    desk = AreaDesk(Desk(name, read_keys(name, place.keys), _digest([part]), nonce), node, dso)
    warm_up()
    serve(desk, place.for_agent(name), PATIENCE * place.timeout_s, AGENTS)
    return {"peer": name, "dso": dso} | _ended(node, desk, out)


def _digest(parts: Sequence[Part]) -> bytes:
    """Of the clearing whose parts these are."""
    return digest_of(parts[0].problem.import_price, parts[0].problem.export_price)


def require_name(name: str, option: str) -> None:
    """`BadInput` if it cannot be in a subject, or is the market operator's."""
    if not NAME.fullmatch(name) or name == MARKET_OPERATOR:
        raise bad_input("node", f"cannot call anybody {name!r}", "letters, digits, - and _", field=option)


@contextmanager
def _hosted(
    name: str, parts: list[Part], server: str, place: MeetingPlace, agents: Path | None, shelf: Shelf
) -> Iterator[AreaNode]:
    """The DSO's node, with its agents behind `server` if it has any; each has a quarter of the DSO's own time."""
    expected = sorted(number for part in parts for number in part.entries if number >= FIRST_AGENT)
    names = read_agents(agents) if agents is not None else {}
    if expected != sorted(names):
        raise bad_input(
            "node", f"has agents' pieces {expected} in its problem, and {sorted(names)} in --agents",
            "the same", field="agents",
        )  # fmt: skip
    if agents is None:
        yield AreaNode(parts, shelf)
        return
    desk = Desk(name, read_keys(name, agents), _digest(parts), nonce)
    with NatsAreas(desk, server, place.timeout_s / 4, reply_in, AGENTS) as reached:
        yield HostNode(parts, Staff(names, reached, read_left(agents, names)), shelf)


def _agents_told(node: AreaNode) -> dict[str, str]:
    """How it went with each agent."""
    if not isinstance(node, HostNode):
        return {}
    words = dict.fromkeys(node.silent, "silent") | dict.fromkeys(node.proxies, "played by the proxy")
    words |= dict.fromkeys(node.unconfirmed, "unconfirmed")
    return {name: words.get(n, "answered") for n, name in node.names.items()}


def _ended(node: AreaNode, desk: AreaDesk, out: Path | None) -> dict[str, Any]:
    """What stands, written to `out` and told."""
    if out is not None and node.accepted:
        write_part_outcomes(node.accepted, out)
    moved = sum(
        float(np.abs(moves(node.parts[number].problem, outcome.steps_kw)).sum())
        for number, outcome in node.accepted.items()
    )
    return {
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

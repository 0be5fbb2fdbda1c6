"""What a DSO and its peers' agents need of each other.

The DSO's folder has `agents.json`, its agents' pieces by name, their public keys and passwords, a key of its own for
them, and
`NAME.npz` of every agent that left its bids. An agent's folder has its part, its key and the public ones.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from flexpeer.adapters.ed25519 import PUBLIC_KEYS, write_keys
from flexpeer.adapters.json_files import read_json, write_json
from flexpeer.adapters.server_files import read_password, write_passwords
from flexpeer.errors import bad_input
from flexpeer.laboratory.between.agents import FIRST_AGENT
from flexpeer.laboratory.engines.shares import Part
from flexpeer.laboratory.files.share_files import NAME, read_parts, write_parts

AGENTS = "agents.json"


def agents_folder(dso: str) -> str:
    """How `flexpeer split` calls a DSO's."""
    return f"{dso}-agents"


def write_agents(dso: str, agents: Mapping[str, Part], out: Path) -> None:
    """A DSO's folder, and one for each of its agents, in `out`."""
    shared = out / agents_folder(dso)
    shared.mkdir()
    write_keys([dso, *agents], shared)
    write_passwords(agents, shared)
    write_json({name: part.number for name, part in agents.items()}, shared / AGENTS)
    for name, part in agents.items():
        own = out / name
        own.mkdir()
        write_parts([part], own / f"{name}.npz")
        (shared / f"{name}.key").rename(own / f"{name}.key")
        for shown in (PUBLIC_KEYS, f"{name}.password"):
            shutil.copy(shared / shown, own / shown)


def read_agents(folder: Path) -> dict[int, str]:
    """Names by piece; `BadInput` if there are none."""
    path = folder / AGENTS
    expected = "agents' pieces by name"
    pieces = read_json(path, dict[str, int], expected, "names no agents", expected)
    for name, number in pieces.items():
        if not NAME.fullmatch(name) or number < FIRST_AGENT:
            raise bad_input(
                str(path), f"has an agent {name!r} with piece {number}",
                f"letters, digits, - and _; a piece from {FIRST_AGENT}",
            )  # fmt: skip
    return {number: name for name, number in pieces.items()}


def read_agents_passwords(folder: Path) -> dict[str, str]:
    """Passwords at the DSO's own server by name, of the agents that have one."""
    found = {name: read_password(name, folder) for name in read_agents(folder).values()}
    return {name: password for name, password in found.items() if password is not None}


def read_left(folder: Path, names: Mapping[int, str]) -> dict[int, Part]:
    """The parts of agents that left their bids, by piece."""
    left = {}
    for number, name in names.items():
        path = folder / f"{name}.npz"
        if path.exists():
            left[number] = read_agent(path, number)
    return left


def read_agent(path: Path, number: int | None = None) -> Part:
    """An agent's one part, which must be of that number if one is given."""
    parts = read_parts(path)
    if len(parts) != 1 or parts[0].number < FIRST_AGENT or number not in (None, parts[0].number):
        expected = f"one piece, from {FIRST_AGENT}" if number is None else f"piece {number} alone"
        raise bad_input(str(path), "is not an agent's", expected)
    return parts[0]

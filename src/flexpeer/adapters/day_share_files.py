"""A market day's shares as folders: `market-operator/`, and one of each DSO.

The operator's is a scenario without `[grid]` and orders, with `told.json`: points as their DSOs tell them, and the
owners with their borders. A DSO's is a scenario without `[grid]` of its own resources and their orders, with
`area.npz`: its own network, limits and injections at the starting point. `promises.log` beside it is what the DSO's
program must not forget, one entry a line.
"""

import errno
import hashlib
import os
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from flexpeer.adapters.area_arrays import require_area
from flexpeer.adapters.json_files import read_json, write_json
from flexpeer.adapters.npz_files import arrays_of, save
from flexpeer.adapters.reading import bytes_of, reading
from flexpeer.adapters.scenario_files import read_orders, read_scenario, write_scenario
from flexpeer.app.between.remote_owner import Address
from flexpeer.app.day_split import DsoShare, OperatorShare, for_dso
from flexpeer.app.owner.grid_owner import OwnGrid
from flexpeer.app.ports import BorderEnd
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.told_side import ToldPoint
from flexpeer.errors import bad_input
from flexpeer.grid.limits import Kind, Limits
from flexpeer.grid.network import Network
from flexpeer.wire.grants import Entry

TOLD, AREA, PROMISES = "told.json", "area.npz", "promises.log"
KNOWN_TO_ALL = ("scenario.toml", "organisations.csv")
OWN_ARRAYS = ("in_service", "upper_from", "injecting", "p_w", "q_var", "source_v", "border_source")
Arrays = dict[str, npt.NDArray[Any]]


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    points: tuple[ToldPoint, ...]
    owners: tuple[Address, ...]


def write_operator(share: OperatorShare, folder: Path) -> None:
    """For the market operator."""
    write_scenario(share.scenario, folder)
    write_json(_Told(share.points, share.owners), folder / TOLD)


def read_operator(folder: Path) -> OperatorShare:
    """`BadInput` if it is not what `write_operator` writes."""
    scenario = read_scenario(folder)
    path = folder / TOLD
    told = read_json(path, _Told, "what DSOs have told", "is not what DSOs tell", "points and owners")
    owners = {address.owner for address in told.owners}
    foreign = sorted({r.bus for r in scenario.resources} - owners)
    foreign += sorted({b.parent for a in told.owners for b in a.borders} - owners)
    if foreign:
        raise bad_input(str(path), f"has no owner {foreign[0]!r}", "every resource's DSO, and every border's parent")
    return OperatorShare(scenario, told.points, told.owners)


def write_dso(whole: Scenario, operator: OperatorShare, share: DsoShare, folder: Path) -> None:
    """For one DSO."""
    write_scenario(for_dso(whole, operator, share.own.owner, share.orders), folder)
    save(folder / AREA, _arrays(share.own))


def read_dso(folder: Path) -> DsoShare:
    """`BadInput` if it is not what `write_dso` writes."""
    day, orders = read_orders(folder)
    path = folder / AREA
    arrays = arrays_of(path)
    require_area(arrays, str(path), day.mtu_count)
    with reading(str(path), "as flexpeer split writes"):
        return DsoShare(_own(arrays), orders)


def day_digest(folder: Path) -> bytes:
    """What tells one day's letters from another's: the day, its rules and organisations, as every share has them."""
    found = hashlib.sha256(b"flexpeer day:")
    for name in KNOWN_TO_ALL:
        try:
            text = (folder / name).read_bytes()
        except OSError as error:
            raise bad_input(
                str(folder / name), f"cannot be read: {error.strerror}", "as flexpeer split writes"
            ) from error
        found.update(len(text).to_bytes(8) + text)
    return found.digest()


def _arrays(own: OwnGrid) -> Arrays:
    arrays: Arrays = {"owner": np.array(own.owner)}
    for part, value in (("network", own.network), ("limits", own.limits)):
        arrays |= {f"{part}/{field.name}": np.array(getattr(value, field.name)) for field in fields(value)}
    arrays |= {name: getattr(own, name) for name in OWN_ARRAYS}
    arrays["border_name"] = _texts(border.name for border in own.borders)
    arrays["border_parent"] = _texts(border.parent for border in own.borders)
    for name, table in (("entry", own.entries), ("resource", own.bus_of)):
        arrays[f"{name}_name"] = _texts(table)
        arrays[f"{name}_bus"] = np.array(list(table.values()), dtype=np.int64)
    return arrays


def _texts(texts: Any) -> npt.NDArray[Any]:
    return np.array(list(texts), dtype=np.str_)


def _own(arrays: Arrays) -> OwnGrid:
    def part(of: type[Any], name: str) -> dict[str, Any]:
        """The fields of a dataclass; names are tuples."""
        found = {field.name: arrays[f"{name}/{field.name}"] for field in fields(of)}
        tuples = {key for key in found if key.endswith(("_names", "_kinds", "point_element", "point_kind"))}
        return {key: tuple(array.tolist()) if key in tuples else array for key, array in found.items()}

    def table(name: str) -> dict[str, int]:
        return dict(zip(arrays[f"{name}_name"].tolist(), arrays[f"{name}_bus"].tolist(), strict=True))

    limits = part(Limits, "limits")
    limits["point_kind"] = tuple(map(Kind, limits["point_kind"]))
    ends = zip(arrays["border_name"].tolist(), arrays["border_parent"].tolist(), strict=True)
    return OwnGrid(
        owner=str(arrays["owner"]),
        network=Network(**part(Network, "network")),
        limits=Limits(**limits),
        borders=tuple(BorderEnd(name, parent) for name, parent in ends),
        entries=table("entry"),
        bus_of=table("resource"),
        **{name: arrays[name] for name in OWN_ARRAYS},
    )


class PromisesFile:
    """A ledger in a folder: an entry is on the disk when `append` returns. A last line cut off was never answered.

    Entries of another day than that of `digest` are not read.
    """

    def __init__(self, folder: Path, digest: bytes) -> None:
        path = folder / PROMISES
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = bytes_of(path) if os.path.lexists(path) else b""
            whole = written.rfind(b"\n") + 1
            entries = [msgspec.json.decode(line, type=Entry) for line in written[:whole].splitlines()]
            self._entries = [entry for entry in entries if entry.run.startswith(digest.hex())]
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
            self._file.truncate(whole)
            self._file.seek(whole)
        except OSError as error:
            raise bad_input(str(path), f"cannot be written: {error.strerror}", "a file of promises") from error
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise bad_input(str(path), f"holds no promises: {error}", "what a DSO's node has written") from error

    def read(self) -> list[Entry]:
        """All entries, oldest first."""
        return self._entries

    def append(self, entry: Entry) -> None:
        """`OSError` if it cannot be kept; then nothing of it is."""
        line, end = msgspec.json.encode(entry) + b"\n", self._file.tell()
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(end)
            self._file.seek(end)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

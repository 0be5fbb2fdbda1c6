"""A market day's shares as folders: `market-operator/`, and one of each DSO.

The operator's is a scenario without orders whose `[grid]` is `dsos.json`: the DSOs and who hangs on whom. A DSO's is a
scenario of its own, with its own grid and `borders.json`: where that grid borders on others. `promises.log` beside it
is what the DSO's program must not forget, one entry a line.
"""

import errno
import os
from pathlib import Path
from typing import Self

import msgspec

from flexpeer.adapters.gridfiles import GridFile, write_flexpeer_json
from flexpeer.adapters.json_files import read_json, write_json
from flexpeer.adapters.reading import bytes_of
from flexpeer.adapters.scenario_files import read_scenario, write_scenario
from flexpeer.app.between.remote_owner import Address
from flexpeer.app.day_split import DSOS, OWN_GRID, DsoShare, OperatorShare
from flexpeer.app.study.area_study import OwnBorders
from flexpeer.errors import bad_input
from flexpeer.wire.grants import Entry

BORDERS, PROMISES = "borders.json", "promises.log"


def write_operator(share: OperatorShare, folder: Path) -> None:
    """For the market operator."""
    write_scenario(share.scenario, folder)
    write_json(share.owners, folder / DSOS)


def read_operator(folder: Path) -> OperatorShare:
    """`BadInput` if it is not what `write_operator` writes."""
    scenario, path = read_scenario(folder), folder / DSOS
    addresses = read_json(path, tuple[Address, ...], "the DSOs of a day", "is no list of DSOs", "owners with borders")
    owners = {address.owner for address in addresses}
    foreign = sorted({r.bus for r in scenario.resources} - owners)
    foreign += sorted({b.parent for a in addresses for b in a.borders} - owners)
    if foreign:
        raise bad_input(str(path), f"has no owner {foreign[0]!r}", "every resource's DSO, and every border's parent")
    return OperatorShare(scenario, addresses)


def write_dso(share: DsoShare, grid: GridFile, folder: Path) -> None:
    """For one DSO; `grid` is its own."""
    write_scenario(share.scenario, folder)
    write_flexpeer_json(grid, folder / OWN_GRID)
    write_json(share.own, folder / BORDERS)


def read_borders(folder: Path) -> OwnBorders:
    """`BadInput` if it is not what `write_dso` writes."""
    wanted, expected = "whose grid it is, and its borders", "dso, above and below"
    return read_json(folder / BORDERS, OwnBorders, wanted, "tells no borders", expected)


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

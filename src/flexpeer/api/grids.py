"""What a DSO says of its own grid before the need is published; nobody else sees it, not even the market operator."""

from collections.abc import Callable

import msgspec

from flexpeer.api.declining import bad_file, denied
from flexpeer.api.edge import BYTES, Answer, Asked, Route, malformed
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.app.contribution import Contribution, SentBorder, SentGrid
from flexpeer.app.study.grid_day import GridDay
from flexpeer.errors import BadInput
from flexpeer.grid.areas import Area, branch_owners, split
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_grid import BorderRequest, GridBorder, GridDocument, GridQuery, MarketQuery
from flexpeer.wire.api_problems import Denial

Change = Callable[[ServedDay, Contribution], Contribution]


class OwnElements:
    """Which elements are one DSO's."""

    def __init__(self, grid: GridDay, dso: str) -> None:
        network = grid.network
        owners = branch_owners(network, grid.owners)
        self.buses = frozenset(n for n, who in zip(network.bus_names, grid.owners, strict=True) if who == dso)
        self.branches = frozenset(n for n, who in zip(network.branch_names, owners, strict=True) if who == dso)
        at = ((name, grid.owners[bus]) for name, bus in zip(network.source_names, network.source_bus, strict=True))
        self.sources = frozenset(name for name, who in at if who == dso)

    def has_element(self, name: str, *, at_bus: bool) -> bool:
        """A bus, or a branch or source."""
        return name in self.buses if at_bus else name in self.branches or name in self.sources


def own_grid(asked: Asked, served: ServedDay) -> OwnElements:
    """The caller's; declined where the market has no grid."""
    if served.day.physical is None:
        raise denied(Denial.NOT_FOUND, "this market has no grid, only congestion points and impact factors")
    return OwnElements(served.day.physical.grid, asked.caller.organisation)


async def revise(asked: Asked, served: ServedDay, change: Change) -> None:
    """Have the writer change what the caller has said; declined with all findings if the day cannot be so."""
    dso = asked.caller.organisation

    def act() -> None:
        if served.is_fixed:
            raise denied(Denial.NEED_IS_FOUND)
        try:
            served.revise(dso, change(served, served.said.get(dso, Contribution())))
        except BadInput as error:
            raise bad_file(error) from error

    await asked.service.done(act)


async def read(asked: Asked) -> Answer:
    """The caller's own area."""
    served = asked.chosen_day()
    return Answer(200, _document(served, _own_area(asked, served)))


def _own_area(asked: Asked, served: ServedDay) -> Area:
    physical = served.day.physical
    areas = () if physical is None else split(physical.grid.network, physical.grid.owners)
    own = next((area for area in areas if area.owner == asked.caller.organisation), None)
    if own is None:
        raise denied(Denial.NOT_FOUND)
    return own


def _document(served: ServedDay, area: Area, findings: tuple[ValidationError, ...] = ()) -> GridDocument:
    names = area.network.bus_names
    return GridDocument(
        market_id=served.market_id,
        dso=area.owner,
        buses=tuple(name for name, own in zip(names, area.owned, strict=True) if own),
        branches=area.network.branch_names,
        borders=tuple(GridBorder(border.bus_name, border.parent) for border in area.borders),
        findings=findings,
    )


async def replace(asked: Asked) -> Answer:
    """The caller's own grid in place of what it was."""
    served = asked.chosen_day()
    own_grid(asked, served)
    if set(asked.query.file) & {"/", "\\", "\0"} or asked.query.file.startswith("."):
        raise malformed("file is the name of a file, without a folder - at `$.file`")
    borders = _borders(asked, served)
    sent = SentGrid(asked.query.file, asked.body, borders)
    await revise(asked, served, lambda _, said: msgspec.structs.replace(said, grid=sent))
    notes = tuple(ValidationError(sent.file, note) for note in served.day.grid_notes if note.startswith(sent.file))
    return Answer(200, _document(served, _own_area(asked, served), notes))


def _borders(asked: Asked, served: ServedDay) -> tuple[SentBorder, ...]:
    if asked.query.borders is None:
        before = _own_area(asked, served).borders
        return tuple(SentBorder(border.bus_name, border.parent, border.bus_name) for border in before)
    try:
        stated = msgspec.json.decode(asked.query.borders, type=tuple[BorderRequest, ...])
    except msgspec.DecodeError as error:
        raise malformed(f"borders: {error}") from error
    return tuple(SentBorder(each.bus, each.dso, each.their_bus) for each in stated)


ROUTES = (
    Route(
        "GET", "/api/Grid", Action.READ_GRID, read, "One's own part of the grid", {200: GridDocument}, query=MarketQuery
    ),
    Route(
        "PUT", "/api/Grid", Action.WRITE_GRID, replace, "Send one's own grid file, until the need is published",
        {200: GridDocument}, query=GridQuery, bodies={BYTES: None},
    ),
)  # fmt: skip

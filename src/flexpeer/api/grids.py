"""A DSO's own part of the grid, seen by nobody else, not even by the market operator."""

from flexpeer.api.declining import denied
from flexpeer.api.edge import Answer, Asked, Route
from flexpeer.api.permissions import Action
from flexpeer.grid.areas import Area, split
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery
from flexpeer.wire.api_registry import GridBorder, GridDocument


async def read(asked: Asked) -> Answer:
    """The caller's own area in the market of the query, else in the latest."""
    served = asked.day(asked.query.market_id or max(asked.service.days))
    physical = served.day.physical
    areas = () if physical is None else split(physical.grid.network, physical.grid.owners)
    own = next((area for area in areas if area.owner == asked.caller.organisation), None)
    if own is None:
        raise denied(Denial.NOT_FOUND)
    return Answer(200, _document(served.market_id, own))


def _document(market_id: str, area: Area) -> GridDocument:
    names = area.network.bus_names
    return GridDocument(
        market_id=market_id,
        dso=area.owner,
        buses=tuple(name for name, own in zip(names, area.owned, strict=True) if own),
        branches=area.network.branch_names,
        borders=tuple(GridBorder(border.bus_name, border.parent) for border in area.borders),
    )


ROUTES = (
    Route(
        "GET", "/api/Grid", Action.READ_GRID, read, "One's own part of the grid", {200: GridDocument}, query=ListQuery
    ),
)

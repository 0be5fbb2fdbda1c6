"""A study's numbers as messages and back. What does not fit is None."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from flexpeer.app.between.grant_messages import MOST_W, REAL, plain, read_rows, read_voltages, written_rows
from flexpeer.app.between.slope_messages import STEEPEST
from flexpeer.app.ports import AreaSlopes, BorderNumbers, Flows
from flexpeer.grid.network import Complexes, Floats
from flexpeer.market.needs import CongestionPoint, Direction, Watts
from flexpeer.quantities import QUANTITY_LIMIT_W
from flexpeer.wire import study

BYTES_AT_A_TIME = 400_000


def written_state(
    schedules_w: Mapping[str, Watts], at: BorderNumbers, borders: Sequence[str], own: Collection[str]
) -> study.StudyState:
    """As a question: `borders` are those of the voltages, `own` the resources that the area has."""
    schedules = {name: row for name, row in schedules_w.items() if name in own}
    dictated = dict(zip(borders, map(written_rows, at.voltages), strict=True))
    return study.StudyState(schedules, {name: written_rows(row) for name, row in at.drawn.items()}, dictated)


def read_drawn(rows: Mapping[str, bytes], periods: int) -> dict[str, Complexes] | None:
    """Power by border."""
    found = {name: read_rows(data, 1, periods) for name, data in rows.items()}
    read = {name: row[0] for name, row in found.items() if row is not None}
    return read if len(read) == len(found) else None


def read_dictated(rows: Mapping[str, bytes], borders: Sequence[str], periods: int) -> Complexes | None:
    """Voltages, (borders, periods)."""
    if rows.keys() != set(borders):
        return None
    return read_voltages(b"".join(rows[name] for name in borders), len(borders), periods)


def written_points(points: Sequence[CongestionPoint], alike: Sequence[int]) -> study.StudiedPoints:
    """As a reply."""
    found = (study.StudiedPoint(p.congestion_point, p.element, str(p.direction), p.limit_w) for p in points)
    return study.StudiedPoints(tuple(found), tuple(alike))


def read_points(reply: study.StudiedPoints, owner: str, periods: int) -> tuple[CongestionPoint, ...] | None:
    """Points of that owner; None for names, directions, limits or MTUs that are none."""
    points = []
    for each in reply.points:
        limit, names = each.limit_w, (each.congestion_point, each.element)
        sound = limit is None or (len(limit) == periods and all(0 <= w <= QUANTITY_LIMIT_W for w in limit))
        if not sound or not all(map(plain, names)) or each.direction not in set(Direction):
            return None
        points.append(CongestionPoint(*names, Direction(each.direction), owner, limit))
    whole = len({point.congestion_point for point in points}) == len(points) and len(reply.alike) == periods
    return tuple(points) if whole else None


def read_needs(reply: study.StudiedNeeds, points: Collection[str], periods: int) -> dict[str, Watts] | None:
    """Whole watts of each point."""
    fit = all(len(row) == periods and all(0 <= w <= QUANTITY_LIMIT_W for w in row) for row in reply.rows.values())
    return dict(reply.rows) if fit and reply.rows.keys() == set(points) else None


def written_flows(flows: Flows) -> study.StudiedFlows:
    """As a reply."""
    parts = ({name: _written(np.array(row[part])) for name, row in flows.items()} for part in (0, 1))
    return study.StudiedFlows(*parts)


def read_flows(reply: study.StudiedFlows, points: Collection[str], periods: int) -> Flows | None:
    """Of each point; NaN where there is no supply."""
    if not reply.flow_w.keys() == reply.limit_w.keys() == set(points):
        return None
    flows: Flows = {}
    for name in points:
        both = [_read(part[name], (periods,), MOST_W) for part in (reply.flow_w, reply.limit_w)]
        if both[0] is None or both[1] is None:
            return None
        flows[name] = tuple(both[0].tolist()), tuple(both[1].tolist())
    return flows


def written_slopes(slopes: AreaSlopes, first: int) -> study.StudiedSlopes:
    """As a reply, as many resources as a letter takes, one at least."""
    own: dict[str, bytes] = {}
    left = BYTES_AT_A_TIME
    for name in list(slopes.own)[first:]:
        data = _written(slopes.own[name])
        left -= len(data)
        if own and left < 0:
            break
        own[name] = data
    below, above = ({name: _written(each) for name, each in part.items()} for part in (slopes.below, slopes.above))
    return study.StudiedSlopes(slopes.points, own, len(slopes.own), below, above)


def read_slopes(
    pages: Sequence[study.StudiedSlopes], points: Collection[str], borders: tuple[Collection[str], Collection[str]],
    periods: int,
) -> AreaSlopes | None:  # fmt: skip
    """From all pages; `borders` are those below and the area's own."""
    first, outputs = pages[0], 2 * sum(map(len, borders)) + len(points)
    if set(first.points) != set(points) or not all(page.points == first.points for page in pages):
        return None
    own = {name: _read(data, (outputs, periods)) for page in pages for name, data in page.own.items()}
    shape = (2, outputs, periods)
    below, above = ({n: _read(data, shape) for n, data in part.items()} for part in (first.below, first.above))
    read = [{name: rows for name, rows in part.items() if rows is not None} for part in (own, below, above)]
    whole = all(len(rows) == len(part) for rows, part in zip(read, (own, below, above), strict=True))
    fits = whole and below.keys() == set(borders[0]) and above.keys() == set(borders[1])
    return AreaSlopes(first.points, *read) if fits else None


def _written(rows: Floats) -> bytes:
    return np.ascontiguousarray(rows, dtype=REAL).tobytes()


def _read(data: bytes, shape: tuple[int, ...], most: float = STEEPEST) -> Floats | None:
    if len(data) != int(np.prod(shape)) * REAL.itemsize:
        return None
    rows = np.frombuffer(data, dtype=REAL).reshape(shape).astype(np.float64)
    return rows if not (np.abs(rows) > most).any() else None

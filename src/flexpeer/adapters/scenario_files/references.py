"""What can be wrong between the files: ids that nobody has, or that two things share; files that must be there.

A file some of whose ids could not be read vouches for nothing: references into it are not judged.
"""

from collections.abc import Iterator

from flexpeer.adapters.scenario_files.checks import Tables
from flexpeer.adapters.scenario_files.layouts import (
    ALLOCATIONS,
    AREAS,
    CONGESTION_POINTS,
    DSO_ROLES,
    FORECAST,
    IMPACT_FACTORS,
    METER,
    ORDERS,
    ORGANISATIONS,
    PORTFOLIOS,
    RESOURCES,
    Layout,
)
from flexpeer.adapters.scenario_files.settings import Settings
from flexpeer.adapters.scenario_files.tables import BAD, Table
from flexpeer.adapters.scenario_files.times import FoundRow

Ids = frozenset[str] | None


def check_references(tables: Tables, settings: Settings) -> None:
    """Note every unknown or shared id, and every file the settings ask for that is absent."""
    organisations = tables[ORGANISATIONS.file].ids("organisation")
    resources = tables[RESOURCES.file].ids("resource")
    portfolios = tables[PORTFOLIOS.file].ids("portfolio")
    points = tables[CONGESTION_POINTS.file].ids("congestion_point") if tables[CONGESTION_POINTS.file].present else None

    def known(layout: Layout, column: str, ids: Ids, what: str) -> None:
        tables[layout.file].findings.extend(_unknown(tables[layout.file], column, ids, what))

    for layout in (RESOURCES, PORTFOLIOS):
        known(layout, "fsp", organisations, "organisation")
    for layout in (PORTFOLIOS, FORECAST, IMPACT_FACTORS, ALLOCATIONS, METER):
        known(layout, "resource", resources, "resource")
    for layout in (IMPACT_FACTORS, ORDERS):
        known(layout, "congestion_point", points, "congestion point")
    known(ORDERS, "resource", _union(resources, portfolios, organisations), "resource, portfolio or organisation")
    _check_dsos(tables)
    _check_collisions(tables)
    _check_files(tables, settings)


def _union(*parts: Ids) -> Ids:
    known = [part for part in parts if part is not None]
    return frozenset().union(*known) if len(known) == len(parts) else None


def _unknown(table: Table, column: str, ids: Ids, what: str) -> Iterator[FoundRow]:
    if ids is None or set(table.column(column)) <= ids | {None, BAD}:
        return
    for line, name in table.rows(column):
        if name is not None and name not in ids:
            yield line, column, f"there is no {what} {name}", f"the id of {_article(what)} {what}"


def _check_dsos(tables: Tables) -> None:
    organisations = tables[ORGANISATIONS.file]
    roles = {name: role for _, name, role in organisations.rows("organisation", "role")}
    complete = not organisations.partial and BAD not in (
        *organisations.column("organisation"),
        *organisations.column("role"),
    )
    if not complete:
        return
    if not set(DSO_ROLES) & set(roles.values()):
        organisations.findings.add(0, "role", "there is no DSO", "an organisation with role " + " or ".join(DSO_ROLES))
    for layout, column in ((ORGANISATIONS, "parent"), (AREAS, "dso"), (CONGESTION_POINTS, "dso")):
        tables[layout.file].findings.extend(_not_dsos(tables[layout.file], column, roles))
    organisations.findings.extend(_cycles(organisations))


def _not_dsos(table: Table, column: str, roles: dict[str, str]) -> Iterator[FoundRow]:
    for line, name in table.rows(column):
        if name is not None and name not in roles:
            yield line, column, f"there is no organisation {name}", "the id of a DSO in organisations.csv"
        elif name is not None and roles[name] not in DSO_ROLES:
            yield line, column, f"{name} is no DSO but {roles[name]}", "the id of a DSO in organisations.csv"


def _cycles(organisations: Table) -> Iterator[FoundRow]:
    parents = {name: parent for _, name, parent in organisations.rows("organisation", "parent")}
    in_cycle: set[str] = set()
    done: set[str] = set()
    for name in parents:
        path: dict[str, None] = {}
        above: str | None = name
        while above is not None and above not in done:
            done.add(above)
            path[above] = None
            above = parents.get(above)
        if above in path:
            ring = list(path)
            in_cycle.update(ring[ring.index(above) :])
    for line, name in organisations.rows("organisation"):
        if name in in_cycle:
            yield line, "parent", f"{name} is above itself", "a DSO that is not below this organisation"


def _check_collisions(tables: Tables) -> None:
    organisations, resources = tables[ORGANISATIONS.file], tables[RESOURCES.file]
    portfolios = tables[PORTFOLIOS.file]
    names = {name: "an organisation" for _, name in organisations.rows("organisation")}
    resources.findings.extend(_shared(resources, "resource", names))
    names |= {name: "a resource" for _, name in resources.rows("resource")}
    portfolios.findings.extend(_shared(portfolios, "portfolio", names))


def _shared(table: Table, column: str, names: dict[str, str]) -> Iterator[FoundRow]:
    for line, name in table.rows(column):
        if name in names:
            yield line, column, f"{name} is also {names[name]}", f"an id of this {column} alone"


def _check_files(tables: Tables, settings: Settings) -> None:
    if not settings.needs_points:
        return
    for layout in (CONGESTION_POINTS, IMPACT_FACTORS):
        if not tables[layout.file].present:
            expected = 'the file, a [grid] in scenario.toml, or exchange = "balanced"'
            tables[layout.file].findings.add(0, "", "the file is missing and there is no grid", expected)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"

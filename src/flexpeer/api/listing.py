"""Pages of lists, and the filters of a query."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import asdict, fields

from flexpeer.api.edge import Answer, Asked
from flexpeer.api.units import instant, utc
from flexpeer.wire.api import Link
from flexpeer.wire.api_queries import ListQuery

D = TypeVar("D", bound=Struct)
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "_gt": lambda value, bound: value > bound,
    "_gte": lambda value, bound: value >= bound,
    "_lt": lambda value, bound: value < bound,
    "_lte": lambda value, bound: value <= bound,
}


def listed(
    asked: Asked, documents: Sequence[D], shape: Callable[[int, tuple[D, ...], tuple[Link, ...]], Struct]
) -> Answer:
    """A list of this shape: how many there are, those of the page asked for, and where it goes on."""
    query: ListQuery = asked.query
    shown = tuple(documents[query.skip : query.skip + query.take])
    return Answer(200, shape(len(documents), shown, links(asked, len(documents))))


def links(asked: Asked, hits: int) -> tuple[Link, ...]:
    """The following page, if there is one."""
    query: ListQuery = asked.query
    if query.skip + query.take >= hits:
        return ()
    rest = {name: value for name, value in asked.request.query_params.items() if name not in ("skip", "take")}
    target = urlencode({**rest, "skip": query.skip + query.take, "take": query.take})
    return (Link("next", f"{asked.request.url.path}?{target}"),)


def matching(query: ListQuery, documents: Iterable[D]) -> list[D]:
    """The documents that a query's filters let through."""
    tests = list(_tests(query))
    return [document for document in documents if all(test(document) for test in tests)]


def _tests(query: ListQuery) -> Iterable[Callable[[Any], bool]]:
    names = {field.name: field.encode_name for field in fields(query)}
    for name, wanted in asdict(query).items():
        if wanted is None or name in ("take", "skip", "market_id"):
            continue
        yield _test(name, names[name], wanted)


def _test(name: str, written: str, wanted: Any) -> Callable[[Any], bool]:
    if not name.startswith("period_"):
        return lambda document: getattr(document, name) == wanted
    bound = utc(instant(wanted, written))
    for suffix, compare in COMPARISONS.items():
        if name.endswith(suffix):
            field = name.removesuffix(suffix)
            return lambda document: compare(getattr(document, field), bound)
    return lambda document: getattr(document, name) == bound

"""Pages of lists, and the filters of a query."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import asdict, fields

from flexpeer.api.edge import Answer, Asked
from flexpeer.api.units import instant, utc
from flexpeer.wire.api import Link
from flexpeer.wire.api_queries import ListQuery

D = TypeVar("D", bound=Struct)
K = TypeVar("K")
NO_FILTERS = ("take", "skip", "market_id", "changed_after", "newest")
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "_gt": lambda value, bound: value > bound,
    "_gte": lambda value, bound: value >= bound,
    "_lt": lambda value, bound: value < bound,
    "_lte": lambda value, bound: value <= bound,
}


def listed(
    asked: Asked,
    documents: "Sequence[D] | Deferred[K, D]",
    shape: Callable[[int, tuple[D, ...], tuple[Link, ...]], Struct],
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


class Deferred(Generic[K, D]):
    """Documents that are made when somebody looks at them: a page of a long list costs as much as the page."""

    def __init__(self, keys: Sequence[K], make: Callable[[K], D]) -> None:
        self._keys, self._make = keys, make

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[D]:
        return map(self._make, self._keys)

    def __getitem__(self, part: slice) -> list[D]:
        return [self._make(key) for key in self._keys[part]]


def matching(query: ListQuery, documents: Iterable[D]) -> list[D]:
    """The documents that a query's filters let through."""
    tests = list(_tests(query))
    return [document for document in documents if all(test(document) for test in tests)]


def let_through(query: ListQuery, documents: Deferred[K, D]) -> list[D] | Deferred[K, D]:
    """The same; documents of a query without filters are not made yet."""
    return matching(query, documents) if any(True for _ in _tests(query)) else documents


def _tests(query: ListQuery) -> Iterable[Callable[[Any], bool]]:
    names = {field.name: field.encode_name for field in fields(query)}
    for name, wanted in asdict(query).items():
        if wanted is None or name in NO_FILTERS:
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

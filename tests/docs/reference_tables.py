"""Reference tables that are made from the code: commands, events, the records inside them, reasons, the library.

`python -m tests.docs.reference_tables` writes them between the marks of the pages in docs/reference; the tests
compare, so a page cannot fall behind the code.
"""

import inspect
import types
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from tests.api.small_service import running
from tests.docs import bad_spreadsheets
from tests.docs.pages import DOCS

from flexpeer import library
from flexpeer.api.application import routes_of
from flexpeer.api.edge import JSON, Route
from flexpeer.api.permissions import RULES
from flexpeer.api.settings import ServiceSettings
from flexpeer.library.tables import Figures
from flexpeer.market.machine import Command, Event
from flexpeer.market.participants import Role
from flexpeer.market.reasons import EXPECTED, Reason
from flexpeer.wire.api_problems import ACCEPTED, STATUS, Denial

REFERENCE = DOCS / "reference"
BEGIN, END = "<!-- from the code: {} -->", "<!-- end -->"
_WORDS: dict[object, str] = {
    str: "text",
    int: "integer",
    bool: "boolean",
    Decimal: "decimal",
    date: "date",
    type(None): "null",
}


def members(union: Any) -> list[type]:
    """The classes of a union, nested unions flattened, in order."""
    return [union] if inspect.isclass(union) else [cls for part in get_args(union) for cls in members(part)]


def meaning(cls: type) -> str:
    """The docstring as one paragraph, without the word that says it is a command."""
    text = " ".join((inspect.getdoc(cls) or "").split()).removeprefix("Command: ")
    return text[:1].upper() + text[1:].replace("|", "\\|")


def type_text(hint: Any) -> str:
    """A type as the log's JSON has it; records and word lists by name."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return " or ".join(type_text(part) for part in arguments)
    if origin is tuple:
        return f"list of {type_text(arguments[0])}"
    if origin is dict:
        return f"object of {type_text(arguments[1])} by {type_text(arguments[0])}"
    return _WORDS.get(hint) or f"[{hint.__name__}](#{hint.__name__.lower()})"


def _inside(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and issubclass(hint, msgspec.Struct | Enum):
        yield hint
    for part in get_args(hint):
        yield from _inside(part)


def records(roots: Iterable[type]) -> list[type]:
    """Every record and word list in the fields of these classes, and in theirs, by name."""
    found: dict[str, type] = {}
    left = list(roots)
    while left:
        cls = left.pop()
        if not issubclass(cls, msgspec.Struct):
            continue
        for hint in get_type_hints(cls).values():
            fresh = [inner for inner in _inside(hint) if inner.__name__ not in found]
            found |= {inner.__name__: inner for inner in fresh}
            left += fresh
    return [found[name] for name in sorted(found)]


def struct_section(cls: type[msgspec.Struct], page: str = "") -> str:
    """Heading, meaning and a table of fields."""
    lines = [f"### {cls.__name__}", "", meaning(cls), ""]
    hints = get_type_hints(cls)
    fields = msgspec.structs.fields(cls)
    if fields:
        lines += ["| field | type | default |", "|---|---|---|"]
        for field in fields:
            default = "" if field.required else _default(field.default)
            lines.append(f"| `{field.name}` | {type_text(hints[field.name]).replace('(#', f'({page}#')} | {default} |")
        lines.append("")
    return "\n".join(lines)


def _default(value: object) -> str:
    if value is None:
        return "null"
    if value in ((), ""):
        return "empty"
    return f"`{value}`".lower() if isinstance(value, bool) else f"`{value}`"


def enum_section(cls: type[Enum]) -> str:
    """Heading, meaning and the words."""
    words = ", ".join(f"`{member.value}`" for member in cls)
    return f"### {cls.__name__}\n\n{meaning(cls)} One of {words}.\n"


def _section(cls: type, page: str) -> str:
    if issubclass(cls, msgspec.Struct):
        return struct_section(cls, page)
    assert issubclass(cls, Enum), "the market's records hold records and lists of words only"
    return enum_section(cls)


def _sections(classes: Iterable[type], page: str = "") -> str:
    return "\n".join(_section(cls, page) for cls in classes)


def _reasons() -> str:
    lines = ["| reason | what would have been accepted |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{reason}` | {EXPECTED[reason]} |" for reason in Reason), ""])


def _routes() -> str:
    """Every route with its roles, shapes and query, as the edge enforces them."""
    lines = ["| route | what | roles | query | body | answer |", "|---|---|---|---|---|---|"]
    with running() as here:
        routes = sorted(routes_of(here.parts), key=_place)
    for route in routes:
        rule = RULES[route.action]
        who = "all" if rule.roles == frozenset(Role) else ", ".join(role for role in Role if role in rule.roles)
        who += "; owners" if rule.owners else "; persons" if rule.persons else ""
        query = [] if route.query is None else [field.encode_name for field in msgspec.structs.fields(route.query)]
        bodies = ", ".join(_shape(shape, media) for media, shape in route.bodies.items())
        answers = ", ".join(f"{status} {_shape(shape, route.media)}" for status, shape in route.answers.items())
        names = ", ".join(f"`{name}`" for name in query)
        lines.append(f"| `{route.method} {route.path}` | {route.summary} | {who} | {names} | {bodies} | {answers} |")
    return "\n".join([*lines, ""])


def _place(route: Route) -> tuple[str, str]:
    return route.path, route.method


def _shape(shape: Any, media: str) -> str:
    name = getattr(shape, "__name__", "") if inspect.isclass(shape) and issubclass(shape, msgspec.Struct) else ""
    return f"`{name}`" if name else "" if shape is None and media == JSON else media


def _denials() -> str:
    lines = ["| reason | status | what would have been accepted |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{each}` | {STATUS[each]} | {ACCEPTED[each]} |" for each in Denial), ""])


def _settings() -> str:
    lines = ["| variable | meaning | default |", "|---|---|---|"]
    for name, field in ServiceSettings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default}`"
        lines.append(f"| `FLEXPEER_{name.upper()}` | {field.description} | {default} |")
    return "\n".join([*lines, ""])


def _library() -> str:
    """Every name of `import flexpeer` with its signature, what it says of itself, its members and its tables."""
    return "\n".join(part for name in library.__all__ for part in _library_part(name, getattr(library, name)))


def _library_part(name: str, thing: Any) -> Iterator[str]:
    shown = name if inspect.isclass(thing) else f"{name}{_signature(thing)}"
    yield f"### `flexpeer.{shown}`\n\n{inspect.getdoc(thing)}\n"
    if not inspect.isclass(thing):
        return
    own = {m: part for m, part in vars(thing).items() if not m.startswith("_") and isinstance(part, _MEMBERS)}
    inherited = {"records": Figures.records} if issubclass(thing, Figures) else {}
    for member, part in {**own, **inherited}.items():
        call = "" if isinstance(part, property) else _signature(part)
        yield f"**`.{member}{call}`**: {inspect.getdoc(part)}\n"
    if issubclass(thing, Figures):
        yield "| table | columns |\n|---|---|"
        for table, types in thing.TABLES.items():
            yield f"| `{table}` | {', '.join(f'`{column}` {cell_type}' for column, cell_type in types.items())} |"
        yield ""


_MEMBERS = (types.FunctionType, property)


def _signature(function: Any) -> str:
    """Parameters with their defaults; a function that does nothing is none."""
    parameters = (p for p in inspect.signature(function).parameters.values() if p.name != "self")
    return f"({', '.join(_parameter(p) for p in parameters)})"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    if parameter.default is parameter.empty:
        return f"{stars}{parameter.name}"
    return f"{parameter.name}={'...' if callable(parameter.default) else repr(parameter.default)}"


def tables() -> dict[tuple[Path, str], str]:
    """Every generated part, by page and name."""
    commands, events = members(Command), members(Event)
    return {
        (REFERENCE / "commands.md", "commands"): _sections(commands, "events.md"),
        (REFERENCE / "events.md", "events"): _sections(events),
        (REFERENCE / "events.md", "records"): _sections(c for c in records([*commands, *events]) if c not in events),
        (REFERENCE / "reasons.md", "reasons"): _reasons(),
        (REFERENCE / "api.md", "routes"): _routes(),
        (REFERENCE / "api.md", "denials"): _denials(),
        (REFERENCE / "api.md", "settings"): _settings(),
        (REFERENCE / "library.md", "library"): _library(),
        (DOCS / "how-to" / "use-spreadsheets.md", "spreadsheets"): bad_spreadsheets.table(),
    }


def replaced(text: str, name: str, table: str) -> str:
    """A page with the part between its marks replaced."""
    begin = BEGIN.format(name)
    head, rest = text.split(begin)
    _, tail = rest.split(END, 1)
    return f"{head}{begin}\n\n{table.rstrip()}\n\n{END}{tail}"


def main() -> None:
    """Write every table into its page."""
    for (page, name), table in tables().items():
        page.write_text(replaced(page.read_text(encoding="utf-8"), name, table), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The tables of a pandapower JSON file, element by element, without pandas.

`pandapower.to_json` writes a net as an object of tables; each table is a JSON text of its own with
`columns`, `index` and `data`. A missing value is null. Numbers may be objects that name numpy (`plain`).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flexpeer.adapters.gridfiles.json_text import parse_json
from flexpeer.adapters.gridfiles.pandapower_versions import Version, framed, is_bare, present, version_of
from flexpeer.errors import Finding, bad_input

PASSED_OVER, STATE = ("res_", "_"), "res_bus"
NAMED_TABLES = ("bus", "line", "trafo", "trafo3w", "impedance", "switch", "ext_grid")
INDEX_FORM = re.compile(r"(bus|line|trafo|trafo3w|impedance|switch|ext_grid|gen|xward) \d+")
KNOWN_TABLES = frozenset(
    (*NAMED_TABLES, *("load", "sgen", "storage", "gen", "shunt", "ward", "xward", "motor", "dcline"))
) | {"asymmetric_load", "asymmetric_sgen"}


SMALLEST, LARGEST = 1e-30, 1e30
"""Between these, squares and quotients of a file's numbers are floats too."""

Index = int | str
"""What a row is called by: a whole number, or whatever else the file has, as text."""


def plain(value: Any) -> Any:
    """A value without the signature that numpy's scalars have in a file."""
    if isinstance(value, dict) and value.get("_module") == "numpy" and "_object" in value:
        return value["_object"]
    return value


def index_of(value: object) -> Index:
    """A row's index, or what refers to it: 3.0 is 3."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def is_usable(value: float) -> bool:
    """Whether it is a number that can be calculated with."""
    return value == 0 or SMALLEST <= abs(value) <= LARGEST


@dataclass(frozen=True)
class Element:
    """One row of a table. Getters append what is wrong to `errors` and go on with NaN, 0 or -1."""

    table: str
    index: Index
    values: Mapping[str, Any]
    where: str
    errors: list[Finding]

    @property
    def index_form(self) -> str:
        """Its name where the file gives none of its own."""
        return f"{self.table} {self.index}"

    @property
    def given_name(self) -> str:
        """The text in its `name` column, empty for none."""
        name = self.values.get("name")
        if isinstance(name, float) and name.is_integer():
            name = int(name)
        return str(name).strip() if isinstance(name, str | int) else ""

    @property
    def in_service(self) -> bool:
        """Whether the element is in service; elements without that column are."""
        return self.flag("in_service", default=True)

    def has(self, column: str) -> bool:
        """Whether the column holds a value."""
        value = self.values.get(column)
        return value is not None and value != ""

    def number(self, column: str, default: float | None = None) -> float:
        """A finite number; without a default it must be there."""
        value = self.values.get(column)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not is_usable(value):
            self.fault(column, "no value" if value is None else f"{value!r}", "a finite number")
            return math.nan
        return float(value)

    def number_or(self, column: str, default: float) -> float:
        """A number, infinite ones too, or the default where the column holds none."""
        value = self.values.get(column)
        if isinstance(value, float) and not math.isfinite(value):
            return default if math.isnan(value) else value
        return default if value is None else self.number(column)

    def stated(self, column: str) -> float:
        """A number that nothing depends on; NaN for none, and for whatever is no finite one."""
        value = self.values.get(column)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and is_usable(value)
        return float(value) if usable and isinstance(value, int | float) else math.nan

    def positive(self, column: str, default: float | None = None) -> float:
        """A positive number."""
        value = self.number(column, default)
        if value <= 0:
            self.fault(column, f"{value:g}", "a positive number")
            return math.nan
        return value

    def count(self, column: str, default: int | None = None) -> int:
        """A whole number that is not negative, such as the index of a bus."""
        value = self.values.get(column, default)
        if value is None and default is not None:
            return default
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not 0 <= value <= LARGEST:
            self.fault(column, "no value" if value is None else f"{value!r}", "a whole number")
            return -1
        return int(value)

    def reference(self, column: str) -> Index:
        """The index of another element: of a bus, or of a branch. -1 and an error where there is none."""
        value = self.values.get(column)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, float) and math.isfinite(value) and not value.is_integer():
            return index_of(value)
        return self.count(column)

    def flag(self, column: str, *, default: bool) -> bool:
        """A truth value."""
        value = self.values.get(column)
        return default if value is None else bool(value)

    def text(self, column: str) -> str:
        """A text, empty where there is none."""
        value = self.values.get(column)
        return value if isinstance(value, str) else ""

    def fault(self, column: str, problem: str, expected: str) -> None:
        """Refuse the file because of this value."""
        self.errors.append(Finding(self.where, 0, self.place(column), problem, expected))

    def place(self, column: str) -> str:
        """Where a finding points to: the element, and the column if it is about one."""
        return f"{self.index_form}.{column}" if column else self.index_form


@dataclass(frozen=True)
class Tables:
    """A pandapower net: its elements by table, its frequency and the options stored in it.

    `errors` and `findings` are those of reading; tables that cannot be read and that nobody needs are findings.
    """

    where: str
    elements: Mapping[str, tuple[Element, ...]]
    frequency_hz: float
    options: Mapping[str, Any]
    errors: list[Finding]
    findings: list[Finding]

    def of(self, table: str) -> tuple[Element, ...]:
        """The elements of a table, none if the file does not have it."""
        return self.elements.get(table, ())


def is_pandapower(document: object) -> bool:
    """Whether the parsed JSON is a pandapower net."""
    return is_bare(document) or (
        isinstance(document, dict) and "pandapower" in str(document.get("_module", "")).lower()
    )


def pandapower_tables(document: object, where: str) -> Tables:
    """The tables of a parsed file; `BadInput` when it does not hold tables at all."""
    net = document.get("_object") if isinstance(document, dict) else None
    if isinstance(document, dict) and is_bare(document):
        net = framed(document)
    net = parse_json(net, where) if isinstance(net, str) else net
    if not isinstance(net, dict):
        raise bad_input(where, "no object '_object' with the tables", "what pandapower's to_json writes")
    errors: list[Finding] = []
    findings: list[Finding] = []
    frequency_hz = plain(net.get("f_hz", 50.0))
    if not isinstance(frequency_hz, int | float) or not SMALLEST <= frequency_hz <= LARGEST:
        errors.append(Finding(where, 0, "f_hz", f"{frequency_hz!r}", "a positive frequency"))
        frequency_hz = math.nan
    version = version_of(plain(net.get("format_version")), plain(net.get("version")))
    elements = {
        str(name): tuple(_elements(str(name), table, version, (where, errors, findings)))
        for name, table in net.items()
        if isinstance(table, dict) and table.get("_class") == "DataFrame" and _is_needed(str(name))
    }
    if not elements.get("bus"):
        raise bad_input(where, "no buses", "a table 'bus'", field="bus")
    for name in NAMED_TABLES:
        errors += _repeated(elements.get(name, ()))
    return Tables(where, elements, float(frequency_hz), _options(net), errors, findings)


def _is_needed(name: str) -> bool:
    """Whether a table is not a result, or the one to start from."""
    return name == STATE or not name.startswith(PASSED_OVER)


def _options(net: Mapping[str, Any]) -> Mapping[str, Any]:
    stored = plain(net.get("user_pf_options"))
    return {str(name): plain(value) for name, value in stored.items()} if isinstance(stored, dict) else {}


def _elements(
    name: str, table: Mapping[str, Any], version: Version, report: tuple[str, list[Finding], list[Finding]]
) -> Iterator[Element]:
    where, errors, findings = report
    frame: Any = table.get("_object")
    frame = parse_json(frame, f"{where} table {name}") if isinstance(frame, str) else frame
    problem = _misshapen(frame)
    if problem:
        known = name in KNOWN_TABLES
        expected = "an object with columns, index and data, as pandapower writes"
        told = problem if known else f"{problem}; passed over"
        (errors if known else findings).append(Finding(where, 0, name, told, expected))
        return
    for index, row in zip(frame["index"], frame["data"], strict=True):
        values = {column: plain(value) for column, value in zip(frame["columns"], row, strict=True)}
        yield Element(name, index_of(plain(index)), present(name, values, version), where, errors)


def _misshapen(frame: Any) -> str:
    """What is wrong with a table, empty where nothing is."""
    if not isinstance(frame, dict) or not {"columns", "index", "data"} <= frame.keys():
        return "not a table"
    columns, rows = frame["columns"], frame["data"]
    listed = (columns, frame["index"], rows, *(rows if isinstance(rows, list) else ()))
    if not all(isinstance(part, list) for part in listed):
        return "not a table of lists"
    if not all(isinstance(name, str) for name in columns):
        return "columns that are not called by texts"
    unequal = len(frame["index"]) != len(rows) or any(len(row) != len(columns) for row in rows)
    return "rows of unequal length" if unequal else ""


def _repeated(elements: tuple[Element, ...]) -> Iterator[Finding]:
    """Rows of one table that a reference could not tell apart."""
    for index, count in Counter(element.index for element in elements).items():
        if count > 1:
            one = next(element for element in elements if element.index == index)
            yield Finding(one.where, 0, one.index_form, f"{count} rows have this index", "an index of its own")


def element_names(tables: Tables) -> dict[tuple[str, Index], str]:
    """The name of every bus, branch and source, by table and index.

    An element keeps its own name when it is text, no other has it and it does not look like another's
    index form; otherwise it is called by its index form, such as `bus 12`.
    """
    named = [element for table in NAMED_TABLES for element in tables.of(table)]
    uses = Counter(element.given_name for element in named)
    return {
        (element.table, element.index): element.given_name if _keeps_name(element, uses) else element.index_form
        for element in named
    }


def aliases(elements: Iterable[Element], names: Mapping[Index, str]) -> dict[str, str]:
    """Index forms, and own names that were not used but belong to one element only, to the names in use."""
    group = list(elements)
    uses = Counter(element.given_name for element in group)
    taken = set(names.values())
    own = {e.given_name: names[e.index] for e in group if e.given_name and uses[e.given_name] == 1}
    by_index = {e.index_form: names[e.index] for e in group}
    return {alias: name for alias, name in (own | by_index).items() if alias not in taken}


def _keeps_name(element: Element, uses: Counter[str]) -> bool:
    name = element.given_name
    is_text = isinstance(element.values.get("name"), str) and bool(name)
    foreign = INDEX_FORM.fullmatch(name) is not None and name != element.index_form
    return is_text and uses[name] == 1 and not foreign

"""A scenario in spreadsheets, however they are laid out and saved, is the scenario it is in plain CSV files."""

import re
import sys
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.scenario_folder import HOURS, Texts, folder_of, swap_hour
from tests.adapters.spreadsheets import Rows, rows_of, text_of, workbook

from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.adapters.scenario_files.cells import Doubt
from flexpeer.adapters.scenario_files.numerals import Numerals
from flexpeer.adapters.scenario_files.workbooks import OF_FILES, Bounds, read_workbook
from flexpeer.app.scenario import Scenario
from flexpeer.errors import BadInput

TABLES = [name for name in swap_hour() if name.endswith(".csv")]
OFFSET = "+01:00"


def read(texts: Texts, folder: Path, more: dict[str, bytes] | None = None) -> Scenario:
    folder_of(texts, folder)
    for name, content in (more or {}).items():
        (folder / name).write_bytes(content)
    return read_scenario(folder)


def said(texts: Texts, folder: Path, more: dict[str, bytes] | None = None) -> list[str]:
    with pytest.raises(BadInput) as bad:
        read(texts, folder, more)
    return [str(found) for found in bad.value.findings]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return read(swap_hour(), tmp_path_factory.mktemp("plain"))


def commas(text: str) -> str:
    """As a spreadsheet of a country with decimal commas saves it."""
    rows = [[re.sub(r"^(-?\d+)\.(\d+)$", r"\1,\2", cell) for cell in row] for row in rows_of(text)]
    return text_of(rows, ";")


def local(text: str) -> str:
    return text.replace(OFFSET, "")


def excel_local(text: str) -> str:
    return re.sub(r"2026-01-(\d\d)T(\d\d:\d\d)\+01:00", r"\1.01.2026 \2", text)


def with_slashes(text: str) -> str:
    return re.sub(r"2026-01-(\d\d)T(\d\d:\d\d)\+01:00", r"1/\1/2026 \2:00", text)


def in_kw(text: str) -> str:
    return _scaled(text, "kw", 3)


def in_mw(text: str) -> str:
    return _scaled(text, "mw", 6)


def _scaled(text: str, unit: str, digits: int) -> str:
    header, *rows = rows_of(text)
    powers = [place for place, name in enumerate(header) if name.endswith("_w")]
    for row in rows:
        for place in powers:
            row[place] = f"{Decimal(row[place]).scaleb(-digits):f}"
    return text_of([[re.sub("_w$", f"_{unit}", name) for name in header], *rows])


def unnamed_columns(text: str) -> str:
    return text.replace("\n", ",,\n") + ",,\n" * 50 if "order," not in text else text


CHANGES: list[tuple[Callable[[str], str], str]] = [
    (commas, "utf-8"),
    (lambda text: text_of(rows_of(text), "\t"), "utf-16"),
    (lambda text: text_of(rows_of(text), "\t"), "utf-16-le"),
    (commas, "utf-16-be"),
    (lambda text: "sep=;\r\n" + commas(text), "utf-8-sig"),
    (local, "utf-8-sig"),
    (excel_local, "utf-8"),
    (with_slashes, "utf-8"),
    (lambda text: local(text).replace("T", " ") if "BUY" in text else text, "utf-8"),
    (in_kw, "utf-8"),
    (in_mw, "utf-8"),
    (lambda text: commas(in_mw(text)), "utf-16"),
    (unnamed_columns, "utf-8"),
    (lambda text: text.replace("quantity_w", "Quantity_W").replace("p_min_w", "p_min [W]"), "utf-8"),
    (lambda text: re.sub(r"(\d)000000\b", r"\1 000 000", commas(text)), "utf-8"),
    (lambda text: re.sub(r"(\d)000000\b", "\\1\u00a0000\u00a0000", commas(text)), "utf-16"),
    (lambda text: re.sub(r"(\d)000000\b", r"\1.000.000,00", commas(text)) if "ppm" not in text else text, "utf-8"),
]


@pytest.mark.parametrize(("change", "encoding"), CHANGES)
def test_texts_in_any_dress(plain: Scenario, tmp_path: Path, change: Callable[[str], str], encoding: str) -> None:
    texts = swap_hour()
    changed = {name: change(texts.pop(name)).encode(encoding) for name in TABLES}
    assert any(content != swap_hour()[name].encode() for name, content in changed.items())
    assert read(texts, tmp_path, changed) == plain


def cells(text: str) -> Rows:
    """The rows of a table as a spreadsheet program holds them: numbers, times, truths."""
    return [[_cell(each) for each in row] for row in rows_of(text)]


def _cell(text: str) -> object:
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    if OFFSET in text:
        return datetime.fromisoformat(text.removesuffix(OFFSET)) + timedelta(microseconds=3)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text)
    return {"true": True, "false": False, "": None}.get(text.lower(), text)


def test_a_workbook_with_a_sheet_for_each_table(plain: Scenario, tmp_path: Path) -> None:
    texts = swap_hour()
    sheets = {name.removesuffix(".csv").capitalize(): cells(in_mw(texts.pop(name))) for name in TABLES}
    assert read(texts, tmp_path, {"scenario.xlsx": workbook({**sheets, "Empty": []})}) == plain


def test_a_workbook_for_each_table(plain: Scenario, tmp_path: Path) -> None:
    texts = swap_hour()
    books = {name.replace(".csv", ".xlsx"): workbook({"Sheet1": cells(in_kw(texts.pop(name)))}) for name in TABLES}
    books["~$orders.xlsx"] = b"kept open"
    assert read(texts, tmp_path, books) == plain


def by_resource(text: str, unit: str = "") -> Rows:
    header, *rows = rows_of(text)
    at = {name: place for place, name in enumerate(header)}
    names = list(dict.fromkeys(row[at["resource"]] for row in rows))
    times = list(dict.fromkeys(row[at["from"]] for row in rows))
    value = next(name for name in header if name.startswith(("p_", "obligation_")))
    found = {(row[at["from"]], row[at["resource"]]): row[at[value]] for row in rows}
    body = [[time, *(found.get((time, name), "") for name in names)] for time in times]
    return [["from", *(name + unit for name in names)], *body]


def by_mtu(text: str, more: list[list[str]]) -> Rows:
    turned = [list(column) for column in zip(*by_resource(text), strict=True)]
    turned[0][0] = "resource"
    return [[row[0], *extra, *row[1:]] for row, extra in zip(turned, more, strict=True)]


@pytest.mark.parametrize("name", ["forecast.csv", "allocations.csv"])
def test_wide_tables(plain: Scenario, tmp_path: Path, name: str) -> None:
    texts = swap_hour()
    text = texts.pop(name)
    rows = len(by_resource(text)[0])
    in_hours = local(text_of(by_mtu(text, [[]] * rows))).replace("2026-01-15T", "")
    with_units = text_of(by_mtu(in_mw(text), [["unit"], *[["MW"]] * (rows - 1)]))
    dressed = {
        "names": text_of(by_resource(text)),
        "names in kW": text_of(by_resource(in_kw(text), "_kw"), ";"),
        "names in MW": commas(text_of(by_resource(in_mw(text), " [MW]"))),
        "times": text_of(by_mtu(text, [[]] * rows)),
        "hours": in_hours,
        "units": commas(with_units),
        "times in kW": re.sub(r"(:00)\b(?=[,\n])", r"\1 (kW)", text_of(by_mtu(in_kw(text), [[]] * rows)), count=24),
    }
    for kind, other in dressed.items():
        assert read(texts, tmp_path / kind, {name: other.encode()}) == plain, kind


def test_a_column_in_vars_goes_with_its_watts(tmp_path: Path) -> None:
    texts = swap_hour()
    rows = [["from", "W1_mw", "W1_kvar", "Bus 7"], *([hour, "40", "-2.5", "-17"] for hour in HOURS)]
    texts["forecast.csv"] = text_of(rows)
    texts["areas.csv"] = "bus,dso\nBus 7,Region\n"
    scenario = read(texts, tmp_path)
    assert scenario.resource_forecast["W1"].p_w == (40_000_000,) * 24
    assert scenario.resource_forecast["W1"].q_var == (-2_500,) * 24
    assert scenario.bus_forecast["Bus 7"].p_w == (-17,) * 24
    texts["forecast.csv"] = text_of([[row[0], row[2]] for row in rows])
    assert said(texts, tmp_path) == [
        "forecast.csv:2 [W1_kvar]: there are vars and no watts; expected a column of the same name in watts, as p_w"
    ]


def test_findings_of_wide_tables_name_their_columns(tmp_path: Path) -> None:
    texts = swap_hour()
    rows = [["from", "W1_mw", "W9_mw"], *([hour, "40", "1"] for hour in HOURS)]
    rows[3][1], rows[5][1] = "41", "forty"
    texts["forecast.csv"] = text_of(rows)
    found = said(texts, tmp_path)
    assert [one.partition("; expected")[0] for one in found] == [
        "forecast.csv:2 [W9_mw]: there is no resource W9",
        "forecast.csv:4 [W1_mw]: 41000000 is outside the range of W1",
        "forecast.csv:6 [W1_mw]: 'forty' is not a whole number",
    ]


def test_formulas_have_the_values_they_were_saved_with(plain: Scenario, tmp_path: Path) -> None:
    texts = swap_hour()
    rows = [list(row) for row in cells(texts.pop("orders.csv"))]
    rows[1][6] = "=2*5000000"
    book = workbook({"orders": rows})
    saved = BytesIO()
    with zipfile.ZipFile(BytesIO(book)) as parts, zipfile.ZipFile(saved, "w") as changed:
        for part in parts.namelist():
            changed.writestr(part, re.sub(rb"<v ?/>|<v></v>", b"<v>10000000</v>", parts.read(part)))
    assert read(texts, tmp_path, {"orders.xlsx": saved.getvalue()}) == plain
    (one,) = said(texts, tmp_path, {"orders.xlsx": book})
    assert one.startswith("orders.xlsx sheet orders:2 [quantity_w]: '=2*5000000' is a formula whose value")


def test_without_openpyxl_one_finding_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = swap_hour()
    sheets = {name.removesuffix(".csv"): cells(texts.pop(name)) for name in TABLES}
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert said(texts, tmp_path, {"scenario.xlsx": workbook_of(sheets, monkeypatch)}) == [
        "scenario.xlsx: the package openpyxl is not installed, which reads workbooks; "
        "expected pip install 'flexpeer[sheets]', or the sheet saved as CSV"
    ]


@pytest.mark.parametrize("cut", [1, 100, -30])
def test_a_torn_workbook_is_one_finding(tmp_path: Path, cut: int) -> None:
    texts = swap_hour()
    book = workbook({"orders": cells(texts.pop("orders.csv"))})
    (one,) = said(texts, tmp_path, {"orders.xlsx": book[:cut]})
    assert one.startswith("orders.xlsx: cannot be read: ")


def test_a_workbook_that_unpacks_to_too_much_is_one_finding(tmp_path: Path) -> None:
    texts = swap_hour()
    book = BytesIO(workbook({"orders": cells(texts.pop("orders.csv"))}))
    with zipfile.ZipFile(book, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet2.xml", bytes(OF_FILES.unpacked_bytes), compresslevel=1)
    (one,) = said(texts, tmp_path, {"orders.xlsx": book.getvalue()})
    assert one.startswith("orders.xlsx: it holds more than 256 MiB")


ROWS = {
    "far down": '<row r="999999999999"><c r="A999999999999"><v>1</v></c></row>',
    "far right": "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, 9)),
    "many": "<row/>" * 100_001,
}


@pytest.mark.parametrize(
    ("rows", "bounds", "told"),
    [(rows, Bounds(1 << 28, 100_000), "its sheets have more than 100,000 cells") for rows in ROWS]
    + [("far down", OF_FILES, "its sheets have more than 1,048,576 rows")],
)
def test_a_sheet_that_is_larger_than_it_looks_is_one_finding(
    tmp_path: Path, rows: str, bounds: Bounds, told: str
) -> None:
    book = BytesIO(workbook({"a": [["x"]]}))
    saved = tmp_path / "a.xlsx"
    with zipfile.ZipFile(book) as parts, zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as changed:
        for part in parts.namelist():
            content = parts.read(part)
            if part == "xl/worksheets/sheet1.xml":
                content = re.sub(rb"<row.*</row>", ROWS[rows].encode(), content)
            changed.writestr(part, content)
    with pytest.raises(BadInput, match=told):
        read_workbook(saved, bounds)


def workbook_of(sheets: dict[str, Rows], monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as there:
        there.delitem(sys.modules, "openpyxl")
        return workbook(sheets)


def test_numbers_of_sheets_are_what_was_typed(tmp_path: Path) -> None:
    typed = [0.1 + 0.2, 1.005, 1.234, 8e6, 123456789.123, -0.0005, 1e15, 2.5e-7]
    (tmp_path / "a.xlsx").write_bytes(workbook({"a": [typed]}))
    ((_, texts),) = read_workbook(tmp_path / "a.xlsx").sheets["a"]
    assert texts == [
        "0.3",
        "1.005" + "0",
        "1.2340",
        "8000000",
        "123456789.123",
        "-0.0005",
        "1000000000000000",
        "0.00000025",
    ]


def _written(value: Decimal, decimal: str, between: str) -> str:
    return f"{value:,f}".replace(",", "T").replace(".", decimal).replace("T", between)


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1, max_size=6),
    st.sampled_from([(".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'"), (",", "\u202f")]),
)
def test_numbers_are_read_as_written_or_not_at_all(values: list[Decimal], marks: tuple[str, str]) -> None:
    texts = [_written(value.normalize() if value else Decimal(0), *marks) for value in values]
    numerals = Numerals(texts)
    for text, value in zip(texts, values, strict=True):
        try:
            assert Decimal(numerals.plain(text)) == value
        except Doubt:
            assert re.fullmatch(r"-?\d{1,3}[.,]\d{3}", text)


@pytest.mark.parametrize(
    ("texts", "readings"),
    [
        (["1.234"], [None]),
        (["1,234"], [None]),
        (["1.234", "0.5"], ["1.234", "0.5"]),
        (["1,234", "0,5"], ["1.234", "0.5"]),
        (["1.234", "0,5"], [None, "0.5"]),
        (["1.234", "1.234,5"], ["1234", "1234.5"]),
        (["1.234", "1.000.000"], ["1234", "1000000"]),
        (["0.123", "7"], ["0.123", "7"]),
        (["1234.567"], ["1234.567"]),
        (["1.5", "2,5", "3"], [None, None, "3"]),
        (["1.2345.678", "1,23,4", "x"], ["1.2345.678", "1,23,4", "x"]),
    ],
)
def test_what_shows_how_numbers_are_written(texts: list[str], readings: list[str | None]) -> None:
    numerals = Numerals(texts)
    for text, reading in zip(texts, readings, strict=True):
        if reading is None:
            with pytest.raises(Doubt):
                numerals.plain(text)
        else:
            assert numerals.plain(text) == reading

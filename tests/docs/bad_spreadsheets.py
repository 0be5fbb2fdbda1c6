"""Spreadsheets as people make them and should not: each as files over the swap hour's, and what is said of it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.adapters.scenario_folder import HOURS, NOON, ONE, folder_of, swap_hour
from tests.adapters.spreadsheets import Rows, rows_of, text_of, workbook

from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.errors import BadInput

PROTECTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
Files = Mapping[str, bytes | None]


class Bad(NamedTuple):
    """What was done, in a person's words, and the files that come of it; a file that is None goes."""

    done: str
    files: Files


def _orders(old: str, new: str, separator: str = ",", encoding: str = "utf-8") -> Files:
    text = swap_hour()["orders.csv"]
    assert old in text
    changed = text_of(rows_of(text.replace(old, new, 1)), separator)
    return {"orders.csv": changed.encode(encoding)}


def _text(text: str) -> Files:
    return {"allocations.csv": text.encode()}


def _allocations(
    *rows: tuple[str, ...], header: tuple[str, ...] = ("resource", "from", "obligation_kw"), separator: str = ";"
) -> Files:
    return _text(text_of([header, *rows], separator))


def _resources(old: str, new: str) -> Files:
    return {"resources.csv": swap_hour()["resources.csv"].replace(old, new).encode()}


def _forecast(*columns: tuple[str, str]) -> Files:
    rows = [[hour, *(value for _, value in columns)] for hour in HOURS]
    return {"forecast.csv": text_of([["from", *(name for name, _ in columns)], *rows]).encode()}


def _book(**sheets: Rows) -> Files:
    return {"allocations.csv": None, "allocations.xlsx": workbook(sheets)}


def _cells(value: object, moment: object = NOON) -> Rows:
    return [["resource", "from", "obligation_w"], ["W1", moment, value]]


def cases() -> list[Bad]:
    """More than twenty."""
    return [*_texts(), *_numbers(), *_times(), *_names(), *_workbooks()]


def _texts() -> list[Bad]:
    header, plain = "resource,from,obligation_kw\n", f"W1,{NOON},8\nW2,{NOON},6\n"
    return [
        Bad("Columns separated by bars", _allocations(("W1", NOON, "8"), separator="|")),
        Bad("A header with semicolons over rows with commas", _text(header.replace(",", ";") + plain)),
        Bad("Decimal commas in columns separated by commas", _text(header + plain.replace("\n", ",5\n"))),
        Bad("A title above the header", _text("Obligations\n\n" + header + plain)),
        Bad("A comment beside the table", _text(header + plain.replace("8", "8,agreed by phone"))),
        Bad("A file of an old code page, with letters beyond ASCII", _orders("A,1", "Ö,1", encoding="cp1252")),
    ]  # fmt: skip


def _numbers() -> list[Bad]:
    in_watts = ("resource", "from", "obligation_w")
    one, other = ("W1", NOON), ("W2", NOON)
    return [
        Bad("Decimals, or thousands? Kilowatts written `8.000`", _allocations((*one, "8.000"), (*other, "6.000"))),
        Bad("The same with commas", _allocations((*one, "8,000"), (*other, "6,000"))),
        Bad("Points before decimals in one cell, commas in another", _allocations((*one, "7.5"), (*other, "2,25"))),
        Bad("Less than a watt", _allocations((*one, "0,0005"))),
        Bad("The unit in the cell", _allocations((*one, "8 MW"))),
        Bad("A large number as a narrow column shows it", _allocations((*one, "8E+06"), header=in_watts)),
        Bad("The same column in two units", _allocations((*one, "8000000", "8"), header=(*in_watts, "obligation_mw"))),
        Bad("A unit that nobody knows", _allocations(("W1", "hp", "8000"), header=("resource", "unit", "12:00"))),
        Bad("Yes and no in place of true and false", _resources(",true,2019", ",yes,2019")),
    ]  # fmt: skip


def _times() -> list[Bad]:
    noon = f"{NOON},{ONE},10"
    return [
        Bad("Day first, or month first?", _orders(noon, "03/02/2026 12:00,03/02/2026 13:00,10", ";")),
        Bad("A local time that there is twice", _orders(noon, "2026-10-25 02:15,2026-10-25 04:00,10")),
        Bad("A local time that there is not", _orders(noon, "2026-03-29 02:15,2026-03-29 04:00,10")),
        Bad("A time without its day", _allocations(("W1", "12:00", "8000"))),
    ]


def _names() -> list[Bad]:
    return [
        Bad("A resource's name mistyped in a column's head", _forecast(("W1", "40000000"), ("Bioler", "-5"))),
        Bad("Two columns of one resource", _forecast(("W1_mw", "40"), ("W1", "40000000"))),
    ]


def _workbooks() -> list[Bad]:
    return [
        Bad("A sheet's time shown as a number", _book(Sheet1=_cells(8_000_000, 46037.5))),
        Bad("A formula that found nothing", _book(Sheet1=_cells("#N/A"))),
        Bad("A formula of a program that does not calculate", _book(Sheet1=_cells("=2*4000000"))),
        Bad("Two sheets in a workbook of one table", _book(Monday=_cells(1), Tuesday=_cells(2))),
        Bad("A sheet under another name in `scenario.xlsx`", {"scenario.xlsx": workbook({"Obligations": _cells(1)})}),
        Bad("A CSV file beside the workbook it came from", {"allocations.xlsx": workbook({"Sheet1": _cells(1)})}),
        Bad("A workbook with a password", {"allocations.csv": None, "allocations.xlsx": PROTECTED}),
        Bad("A workbook of the last century", {"allocations.csv": None, "allocations.xls": PROTECTED}),
        Bad("A web page called a workbook", {"allocations.csv": None, "allocations.xlsx": b"<html><table>"}),
    ]


def said_of(bad: Bad) -> list[str]:
    """Every finding, as the program prints it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = folder_of(swap_hour(), Path(scratch) / "scenario")
        for name, content in bad.files.items():
            if content is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(content)
        try:
            read_scenario(folder)
        except BadInput as error:
            return [str(finding) for finding in error.findings]
    return []


def table() -> str:
    """The cases and what is said of each."""
    lines = ["| what was done | what is said |", "|---|---|"]
    for bad in cases():
        found = "<br>".join(f"`{one}`" for one in said_of(bad)).replace("|", r"\|")
        lines.append(f"| {bad.done} | {found} |")
    return "\n".join([*lines, ""])

"""Tables as people keep them: texts in other encodings and with other separators, and workbooks."""

import csv
import importlib
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import Any

Rows = Sequence[Sequence[Any]]


def workbook(sheets: Mapping[str, Rows]) -> bytes:
    """A workbook with these cells."""
    book: Any = importlib.import_module("openpyxl").Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def rows_of(text: str) -> list[list[str]]:
    """The cells of a CSV text."""
    return list(csv.reader(StringIO(text)))


def text_of(rows: Rows, separator: str = ",") -> str:
    """Cells as a CSV text."""
    stream = StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(rows)
    return stream.getvalue()

"""The documentation as data: pages, their fenced blocks, tables, headings and links.

A block is a file to write when the line before it is its name alone, in bold code: **`folder/name.csv`**.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

_FENCE = re.compile(r"^```(\S*)\s*$")
_FILE_NAME = re.compile(r"^\*\*`([^`]+)`\*\*:?$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """A fenced block: where it begins, its language, the file it is (or empty), and its lines."""

    line: int
    language: str
    file: str
    lines: tuple[str, ...]


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    named, opened, body = "", None, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is not None:
            if fence:
                yield Block(*opened, tuple(body))
                opened, named = None, ""
            else:
                body.append(line)
        elif fence:
            opened, body = (number, fence.group(1), named), []
        elif line.strip():
            name = _FILE_NAME.match(line.strip())
            named = name.group(1) if name else ""
    assert opened is None, f"{page}: a block is not closed"


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    kept, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    """Targets of a page's links."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = (line.lstrip("#").strip() for line in prose(page).splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def section(page: Path, title: str) -> str:
    """What stands under a heading, up to the next heading of its level or above."""
    lines = prose(page).splitlines()
    heads = [(i, len(line) - len(line.lstrip("#"))) for i, line in enumerate(lines) if line.startswith("#")]
    at, level = next((i, depth) for i, depth in heads if lines[i].lstrip("#").strip().strip("`") == title)
    end = next((i for i, depth in heads if i > at and depth <= level), len(lines))
    return "\n".join(lines[at + 1 : end])


def rows(text: str) -> list[list[str]]:
    """The body rows of every table in a text, as cells."""
    table = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    rules = {i for i, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", cell) for cell in row)}
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]


def names(text: str) -> list[str]:
    """The code words in the first cells of the tables in a text."""
    return [word for row in rows(text) for word in _CODE.findall(row[0])]

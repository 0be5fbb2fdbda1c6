"""What holds for every page: links resolve, no place of one machine, short decisions, blocks of known kinds."""

import ast
import re
from hashlib import sha256
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, blocks, links

RECORDS = sorted((DOCS / "decisions").glob("0*.md"))
LANGUAGES = {"python", "sh", "console", "json", "toml", "csv", "text"}
MACHINE_PATH = re.compile(r"(?<![\w./])/(?:home|root|tmp|work|usr|opt|var|Users|mnt)\b|[A-Z]:\\|~/")
HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
REGISTRIES = frozenset(
    {
        "0fd460f0568e29c1",
        "271dacc9f4d0caf8",
        "3530c4415dd857fb",
        "3ca29e55be4befa4",
        "51c6b9f69c48a75b",
        "71741fe2460a6150",
        "789e46d79514e280",
        "8743857e3ea00fd1",
        "8b5bb5eb9d758455",
        "a4aa2ac280bb8d1a",
        "be1bed06b74e0496",
        "c3db8466ffcd8589",
        "e680c440a2e92079",
    }
)
"""Package indexes, by the beginning of their host's SHA-256: a list of names that are not to be named has none."""
PARTS = (".ci", "benchmarks", "docs", "src", "tests")
ROLES = ("Context", "Choice", "Cost", "What would change our mind")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link}: no such file"
        assert path.is_relative_to(ROOT), f"{link}: leaves the project"
        assert not anchor or anchor in anchors(path), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_machine(page: Path) -> None:
    assert not MACHINE_PATH.search(page.read_text(encoding="utf-8"))


def hosts_in(text: str, digests: frozenset[str]) -> set[str]:
    """Hosts with these digests that a text names, or names something below."""
    names = set(HOST.findall(text.lower()))
    tails = {".".join(name.split(".")[-count:]) for name in names for count in (2, 3)}
    return {tail for tail in tails if sha256(tail.encode()).hexdigest()[:16] in digests}


def test_no_file_names_a_registry() -> None:
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for part in PARTS for path in (ROOT / part).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    texts = {name(path): path.read_text(encoding="utf-8", errors="replace") for path in files}
    assert not {file: found for file, text in texts.items() if (found := hosts_in(text, REGISTRIES))}
    known = frozenset({sha256(b"example.org").hexdigest()[:16]})
    assert hosts_in("see https://files.Example.org/x, not example.com", known) == {"example.org"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_have_a_known_language(page: Path) -> None:
    unknown = {block.language for block in blocks(page)} - LANGUAGES
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_page_is_reached(page: Path) -> None:
    linking = [other for other in PAGES if other != page for link in links(other) if _leads(other, link, page)]
    assert linking or page == ROOT / "README.md"


def _leads(page: Path, link: str, target: Path) -> bool:
    return "://" not in link and (page.parent / link.partition("#")[0]).resolve() == target


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_a_decision_is_short_and_whole(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    assert text.startswith(f"# {record.name[:4]} ")
    at = [text.index(f"**{role}.**") for role in ROLES]
    assert at == sorted(at)


def test_decisions_are_numbered_without_gap() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_readme_is_one_screen_and_architecture_two_pages() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 110


def test_architecture_shows_the_tree_as_it_is() -> None:
    tree = next(b for b in blocks(ROOT / "ARCHITECTURE.md") if b.language == "text")
    text = "\n".join(tree.lines)
    source = ROOT / "src" / "flexpeer"
    shown = set(re.findall(r"\b\w+(?:\.py|(?=/))", text.partition("src/flexpeer/")[2]))
    top = [*source.iterdir(), *(source / "market").iterdir(), *(source / "grid").iterdir()]
    there = {path.name for path in top if not path.name.startswith("_") and path.name != "py.typed"}
    assert sorted(there - shown) == []
    assert sorted(name for name in shown if not list(source.rglob(name))) == []


def test_pages_that_the_code_cites_exist() -> None:
    cited = {
        (path.name, page)
        for folder in ("src", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for page in re.findall(r"docs/[\w./-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert not [each for each in cited if not (ROOT / each[1]).is_file()]


def test_no_class_is_named_twice() -> None:
    """One name for one thing, wherever a public class stands."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "src" / "flexpeer").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in found.items() if len(where) > 1} == {}

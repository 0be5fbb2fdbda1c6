"""What pages are made of, below an address with its version: a browser asks for each file once, until one changes."""

import json
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from flexpeer.web.site.language import LANGUAGES, catalogue

TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
MODULE_END: Final = b"\nexport { drawMap };\n"
LASTING: Final = "public, max-age=31536000, immutable"
FRESH: Final = "no-cache"
HASH_DIGITS: Final = 16


def static_file(version: str, name: str) -> tuple[bytes, str, str] | None:
    """Content, media type and for how long it may be kept; None where there is no such file.

    A page that was opened before the service changed gets what there is now.
    """
    kind, content = TYPES.get(name.rpartition(".")[2]), _contents().get(name)
    if kind is None or content is None:
        return None
    return content, kind, LASTING if version == statics_version() else FRESH


@cache
def statics_version() -> str:
    """Another one whenever any file has another content."""
    digest = sha256()
    for name, content in sorted(_contents().items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:HASH_DIGITS]


@cache
def _contents() -> dict[str, bytes]:
    """Everything below `static` by its path there, what draws the report's map, and the words of each language."""
    found: dict[str, bytes] = {}

    def gather(folder: Traversable, path: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                gather(entry, f"{path}{entry.name}/")
            else:
                found[path + entry.name] = entry.read_bytes()

    gather(files("flexpeer.web.site") / "static", "")
    report = files("flexpeer.web")
    words = {f"words/{each}.js": _module(catalogue(each)) for each in LANGUAGES}
    drawing = {"map.css": (report / "map.css").read_bytes(), "map.js": (report / "map.js").read_bytes() + MODULE_END}
    return found | words | drawing


def _module(words: dict[str, str]) -> bytes:
    return f"export default {json.dumps(words, ensure_ascii=False)};\n".encode()

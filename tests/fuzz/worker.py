"""The program that reads what is fuzzed: one folder a line on standard input, one JSON object a line as answer.

Its memory is what it has after reading the valid inputs, and `MEMORY_BYTES` more.
"""

import json
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS, Files, Target

from flexpeer.adapters.reading import NO_MEMORY
from flexpeer.errors import BadInput

MEMORY_BYTES = 1 << 30


def written(files: Files, folder: Path) -> Path:
    """The files in a new folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def answer(target: Target, folder: Path) -> Mapping[str, Any]:
    """What became of an input: `fine`, `refused`, `memory`, or `traceback` with it."""
    try:
        with redirect_stdout(sys.stderr):
            target.read(folder)
    except BadInput as error:
        starved = any(NO_MEMORY in finding.problem for finding in error.findings)
        return {"is": "memory", "text": str(error)} if starved else {"is": "refused"}
    except MemoryError:
        return {"is": "memory", "text": traceback.format_exc()}
    except Exception:
        return {"is": "traceback", "text": traceback.format_exc()}
    return {"is": "fine"}


def main() -> None:
    """Valid inputs first, then a limit on memory, then whatever is asked."""
    target = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        for number, files in enumerate(target.inputs()):
            target.read(written(files, Path(folder) / str(number)))
    held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, held + MEMORY_BYTES))
    sys.stdout.write(json.dumps({"is": "ready"}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        found = answer(target, Path(line.rstrip("\n")))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

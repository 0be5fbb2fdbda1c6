"""`.npz` files of plain arrays; never a pickle."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flexpeer.errors import bad_input


def arrays_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array of an `.npz` file."""
    expected = "an .npz file of arrays"
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise bad_input(str(path), "is a single array", expected)
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise bad_input(str(path), f"cannot be read: {error.strerror or error}", expected) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise bad_input(str(path), f"cannot be read: {error}", expected) from error


def save(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an `.npz` file."""
    try:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise bad_input(str(path), f"cannot be written: {error.strerror}", "a file that can be written") from error

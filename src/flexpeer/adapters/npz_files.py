"""Arrays of an `.npz` file, each judged by what its header claims before it is made; never a pickle."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from flexpeer.adapters.folders import whole_file
from flexpeer.adapters.reading import open_file, reading
from flexpeer.errors import bad_input

LARGEST_TOTAL_BYTES = 2 << 30
LARGEST_RATIO, RATIO_FROM_BYTES = 200, 16 << 20
MOST_ARRAYS = 100_000
EXPECTED = "an .npz file of arrays"
KINDS = "biufcSU"


def arrays_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array by name; `BadInput` for any other file, and for one that claims more than it holds."""
    where = str(path)
    with reading(where, EXPECTED), open_file(path) as stream, zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        unpacked, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
        if len(entries) > MOST_ARRAYS or unpacked > LARGEST_TOTAL_BYTES:
            raise bad_input(where, "claims to be larger than is read", f"{LARGEST_TOTAL_BYTES >> 20:,} MiB at most")
        if unpacked > RATIO_FROM_BYTES and unpacked > LARGEST_RATIO * packed:
            raise bad_input(where, f"is compressed more than {LARGEST_RATIO} to 1", EXPECTED)
        try:
            return {_name(where, entry): _array(where, archive, entry) for entry in entries}
        except RuntimeError as error:
            raise bad_input(where, f"cannot be read: {error}", EXPECTED) from error


def _name(where: str, entry: zipfile.ZipInfo) -> str:
    if not entry.filename.endswith(".npy"):
        raise bad_input(where, f"holds {entry.filename!r}, which is no array", EXPECTED)
    return entry.filename.removesuffix(".npy")


def _array(where: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(entry) as stream:
        dtype, claimed = _claimed(stream)
        if dtype.hasobject or dtype.kind not in KINDS:
            raise bad_input(where, f"holds {dtype}", "numbers or texts", field=_name(where, entry))
        if claimed != entry.file_size - stream.tell():
            held = max(entry.file_size - stream.tell(), 0)
            raise bad_input(where, f"claims {claimed} bytes and holds {held}", EXPECTED, field=_name(where, entry))
    with archive.open(entry) as stream:
        array: npt.NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array


def _claimed(stream: IO[bytes]) -> tuple[np.dtype[Any], int]:
    """Type and bytes of the array that a header announces; `ValueError` for none."""
    version = npy.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"format {version} of arrays")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, _, dtype = read(stream)
    except (TypeError, SyntaxError, TokenError) as error:
        raise ValueError(f"no header of an array: {error}") from error
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError("a length that is no whole number")
    return dtype, dtype.itemsize * math.prod(shape)


def save(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an `.npz` file."""
    with whole_file(path) as new, new.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)

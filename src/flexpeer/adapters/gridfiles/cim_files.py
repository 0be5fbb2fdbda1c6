"""The documents of a CIM source: one file, a folder of files, or an archive, archives inside it included."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from flexpeer.adapters.gridfiles.cim_objects import Model, Report
from flexpeer.adapters.gridfiles.cim_xml import NotRdf, read_document
from flexpeer.adapters.reading import MALFORMED, files_below, open_file, reading
from flexpeer.errors import BadInput, Finding, bad_input

DOCUMENTS, ARCHIVES = (".xml", ".rdf"), (".zip",)
ACCEPTED_CIM = "RDF/XML of CIM 16 or 17 (CGMES or CDPSM): an .xml or .rdf file, or a folder or .zip of them"
LARGEST_TOTAL_BYTES = 4 << 30
LARGEST_INNER_ARCHIVE_BYTES = 512 << 20
LARGEST_RATIO, RATIO_FROM_BYTES = 200, 16 << 20
DEEPEST = 4


def is_cim(path: Path) -> bool:
    """Whether a source is one that `read_model` takes, by its name."""
    return path.is_dir() or path.suffix.lower() in DOCUMENTS + ARCHIVES


def read_model(path: Path, where: str) -> Model:
    """All documents of a source merged; `BadInput` with what is wrong in each of them."""
    collection = _Collection(Model(Report(where)))
    with reading(where, "readable files"):
        _read_path(collection, path, where)
    if collection.errors:
        raise BadInput(collection.errors)
    if not collection.documents:
        missing = Finding(where, 0, "source", "no CIM document", ACCEPTED_CIM)
        raise BadInput(collection.passed_over or [missing])
    collection.model.report.remarks.extend(collection.passed_over)
    collection.model.index()
    return collection.model


class _Collection:
    """What is read into, how many bytes of archives were unpacked, and what is wrong so far."""

    def __init__(self, model: Model) -> None:
        self.model, self.errors, self.passed_over = model, list[Finding](), list[Finding]()
        self.documents, self.unpacked = 0, 0

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Go on with the next document after a bad one."""
        try:
            yield
        except BadInput as bad:
            self.errors.extend(bad.findings)


def _read_path(collection: _Collection, path: Path, where: str) -> None:
    if path.is_dir():
        for inner in files_below(path):
            if inner.suffix.lower() in DOCUMENTS + ARCHIVES:
                _read_path(collection, inner, f"{where}/{inner.relative_to(path).as_posix()}".lstrip("/"))
        return
    with open_file(path) as stream:
        if path.suffix.lower() in ARCHIVES:
            _read_archive(collection, stream, where, 1)
        else:
            _read_stream(collection, stream, where)


def _read_stream(collection: _Collection, stream: BinaryIO, where: str) -> None:
    with collection.collecting():
        try:
            collection.documents += read_document(stream, where, collection.model)
        except NotRdf:
            collection.passed_over.append(Finding(where, 0, "", "XML, but not RDF", ACCEPTED_CIM))


def _read_archive(collection: _Collection, stream: BinaryIO, where: str, depth: int) -> None:
    with collection.collecting(), _unpacking(where), zipfile.ZipFile(stream) as archive:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
            _read_entry(collection, archive, entry, where, depth)


@contextmanager
def _unpacking(where: str) -> Iterator[None]:
    """A password is a `RuntimeError` of the archive."""
    try:
        yield
    except (RuntimeError, *MALFORMED) as mistake:
        raise bad_input(where, f"cannot be unpacked: {mistake}", "a whole .zip without password") from mistake


def _read_entry(
    collection: _Collection, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str, depth: int
) -> None:
    suffix, inner = Path(entry.filename).suffix.lower(), f"{where}/{entry.filename}"
    if entry.is_dir() or suffix not in DOCUMENTS + ARCHIVES or "__MACOSX" in entry.filename:
        return
    _require_bounded(collection, entry, inner)
    with archive.open(entry) as stream:
        if suffix in DOCUMENTS:
            _read_stream(collection, cast(BinaryIO, stream), inner)
        elif depth == DEEPEST or entry.file_size > LARGEST_INNER_ARCHIVE_BYTES:
            raise bad_input(inner, "an archive that is too deep or too large", f"{DEEPEST} levels, 512 MiB inside")
        else:
            _read_archive(collection, io.BytesIO(_content(stream)), inner, depth + 1)


def _content(stream: IO[bytes]) -> bytes:
    return stream.read(LARGEST_INNER_ARCHIVE_BYTES)


def _require_bounded(collection: _Collection, entry: zipfile.ZipInfo, where: str) -> None:
    """A zip reads at most what an entry declares, so that declared sizes are enough to bound it."""
    collection.unpacked += entry.file_size
    ratio = entry.file_size / max(entry.compress_size, 1)
    if collection.unpacked > LARGEST_TOTAL_BYTES:
        raise bad_input(where, "the archive unpacks to more than 4 GiB", "at most 4 GiB")
    if entry.file_size > RATIO_FROM_BYTES and ratio > LARGEST_RATIO:
        raise bad_input(where, f"compressed {ratio:.0f} to 1", f"at most {LARGEST_RATIO} to 1")

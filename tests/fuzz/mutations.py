"""Valid inputs changed a little: their bytes, their words, their rows, their JSON values, their arrays."""

import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy

from flexpeer.wire.chain import GENESIS, record_line

Mutation = Callable[[bytes, random.Random], bytes]

WORD = re.compile(rb"[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\"[^\"\n]*\"|[^\s\w]")
VALUES: tuple[bytes, ...] = (
    b"0", b"-1", b"1e308", b"-1e-320", b"1e400", b"nan", b"inf", b"-Infinity", b"NaN", b"null", b"true", b"[]", b"{}",
    b'""', b"", b"9" * 18, b"-" + b"9" * 18, b"9" * 6_000, b"0x" + b"f" * 6_000, b"[" * 5_000, b'{"a":' * 5_000,
    b"\x1b[31m", b"[red]", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"'", b'"', b",", b";", b"\n",
    b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:00-12:00", b"2026-03-29T02:30:00", b"1e1000000000",
    b"../../../etc", b"/dev/zero", b".", b"a" * 300,
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 5e-324, float("nan"), float("inf"), 10**30, "", "x", "\x1b[2J", "\ud800", [], {}, [[]],
    {"a": {}}, 2**63, -(2**63), 0.5, "1", "[red]", [None], 1e15,
)  # fmt: skip


def of_bytes(data: bytes, chance: random.Random) -> bytes:
    """A span is cut, doubled, moved, flipped or overwritten."""
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.choice((1, 1, 2, 8, 64, 1024)))
    span = data[start:end]
    other = chance.randrange(len(data) + 1)
    changes = (
        data[:start] + data[end:],
        data[:end] + span * chance.choice((1, 2, 50)) + data[end:],
        data[:start],
        data[:start] + bytes(byte ^ (1 << chance.randrange(8)) for byte in span) + data[end:],
        data[:start] + chance.choice(VALUES) + data[end:],
        data[:other] + span + data[other:],
    )
    return chance.choice(changes)


def of_words(more: Sequence[bytes] = ()) -> Mutation:
    """A word is replaced by another of the file or by a special one, cut, or doubled."""

    def mutate(data: bytes, chance: random.Random) -> bytes:
        words = list(WORD.finditer(data))
        if not words:
            return of_bytes(data, chance)
        at, other = chance.choice(words), chance.choice(words)
        special = chance.choice((*VALUES, *more, *more))
        new = chance.choice((special, special, other[0], b"", at[0] + b" " + at[0]))
        return data[: at.start()] + new + data[at.end() :]

    return mutate


def of_lines(data: bytes, chance: random.Random) -> bytes:
    """A line is cut, doubled, moved, many times doubled, or loses or gains a cell."""
    lines = data.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    line = lines[at]
    match chance.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, line)
        case 2:
            lines[at:at] = [line] * 300
        case 3:
            lines[at] = line.rpartition(b",")[0]
        case 4:
            lines[at] = line + b"," + chance.choice(VALUES)
        case _:
            lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


def of_cells(data: bytes, chance: random.Random) -> bytes:
    """One cell of a CSV file becomes another one of its column, or a special value."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    cells = lines[at].split(b",")
    column = chance.randrange(len(cells))
    same = [row[column] for line in lines if len(row := line.split(b",")) == len(cells)]
    cells[column] = chance.choice((chance.choice(VALUES), chance.choice(same)))
    lines[at] = b",".join(cells)
    return b"\n".join(lines)


def of_json(data: bytes, chance: random.Random) -> bytes:
    """A value anywhere, also in JSON that is a text of JSON, is replaced, cut, doubled or put deep."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return of_bytes(data, chance)
    return json.dumps(_changed(document, chance)).encode("utf-8", "surrogatepass")


def _changed(value: Any, chance: random.Random) -> Any:
    if isinstance(value, str) and value.startswith("{") and chance.random() < 0.9:
        return of_json(value.encode(), chance).decode("utf-8", "replace")
    if chance.random() < 0.1 or not isinstance(value, dict | list) or not value:
        return chance.choice((chance.choice(JSON_VALUES), [value] * 3, {"a": value}))
    changed: Any = value.copy()
    key: Any = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    if chance.random() < 0.1:
        del changed[key]
    elif chance.random() < 0.1 and isinstance(changed, list):
        changed[key:key] = [value[key]] * chance.choice((1, 100))
    elif chance.random() < 0.1 and isinstance(changed, dict):
        changed[chance.choice(("", "x", key + "x"))] = changed.pop(key)
    else:
        changed[key] = _changed(value[key], chance)
    return changed


def of_npz(data: bytes, chance: random.Random) -> bytes:
    """An array gets other values, another type or shape, is cut, doubled, or claims more than it has."""
    arrays: dict[str, Any] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            arrays[name] = npy.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    name = chance.choice(list(arrays))
    if chance.random() < 0.15:
        return _packed(arrays, {name: _claiming(arrays[name], chance)})
    if chance.random() < 0.1:
        arrays[chance.choice(("x.npy", "0/parent.npy", "source.npy", "readme.txt"))] = arrays[name]
    elif chance.random() < 0.1:
        del arrays[name]
    else:
        arrays[name] = _array_changed(arrays[name], arrays, chance)
    return _packed(arrays, {})


def _array_changed(array: Any, arrays: dict[str, Any], chance: random.Random) -> Any:
    choice = chance.randrange(8)
    if choice == 0:
        return array.astype(chance.choice(("f4", "i1", "U3", "c16", "?", "S2", "u8")), casting="unsafe")
    if choice == 1:
        return array.reshape(chance.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
    if choice == 2:
        return array[: array.shape[0] // 2] if array.ndim else np.zeros(0)
    if choice == 3:
        return np.concatenate([array, array]) if array.ndim else array.reshape(1, 1)
    if choice == 4:
        return chance.choice(list(arrays.values()))
    if array.size and array.dtype.kind in "iufc":
        changed = array.copy()
        value = chance.choice((0, -1, 1, 2, 7, 10**6, 2**31, 2**62, np.nan, np.inf, -np.inf, 1e-300, 1e300))
        if array.dtype.kind == "i" and not np.isfinite(value):
            value = -5
        with np.errstate(all="ignore"):
            changed[tuple(chance.randrange(n) for n in array.shape)] = np.array(value).astype(array.dtype)
        return changed
    return np.array([chance.choice(("", "x", "\x1b[31m", "1"))] * array.size).reshape(array.shape)


def _claiming(array: Any, chance: random.Random) -> bytes:
    """The bytes of an array under a header that says something else."""
    text = io.BytesIO()
    shape = chance.choice(((10**12,), (10**6, 10**6), (-1,), (2**63,), (3, 3), (0, 10**18), (True,), ("a",)))
    described = chance.choice((array.dtype.str, "|O", "<f8", "<U99999999", "|V0", [("a", "|O")], "<M8[s]", "x"))
    header = repr({"descr": described, "fortran_order": chance.random() < 0.5, "shape": shape})
    if chance.random() < 0.1:
        header = "(" * 3_000 + header
    length = len(header) + 1
    text.write(b"\x93NUMPY\x01\x00" + (length % 65536).to_bytes(2, "little") + header.encode() + b"\n")
    content: bytes = array.tobytes()
    return text.getvalue() + content


def _packed(arrays: dict[str, Any], raw: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            npy.write_array(content, np.asanyarray(array), allow_pickle=False)
            archive.writestr(name, raw.get(name, content.getvalue()))
    return packed.getvalue()


def of_chain(data: bytes, chance: random.Random) -> bytes:
    """Events of a log are changed, cut, doubled or swapped, and the chain is made whole again."""
    events, seal = [], b""
    for line in data.splitlines():
        record = json.loads(line)
        if "event" in record:
            events.append(json.dumps(record["event"], separators=(",", ":"), ensure_ascii=False).encode())
        else:
            seal = json.dumps(record["seal"], separators=(",", ":")).encode()
    at, other = chance.randrange(len(events)), chance.randrange(len(events))
    match chance.randrange(6):
        case 0:
            del events[at]
        case 1:
            events.insert(other, events[at])
        case 2:
            events[at], events[other] = events[other], events[at]
        case 3:
            events[at] = of_words()(events[at], chance).replace(b"\n", b" ")
        case _:
            events[at] = of_json(events[at], chance)
    lines, head = [], GENESIS
    for number, content in enumerate([*events, seal], 1):
        line, head = record_line(number, head, content, kind="event" if number <= len(events) else "seal")
        lines.append(line)
    return b"".join(lines)


def of_zip(inner: Mutation) -> Mutation:
    """A member of an archive is changed, or its name; the archive is a good one."""

    def mutate(data: bytes, chance: random.Random) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
            names = old.namelist()
            chosen = chance.choice(names)
            for name in names:
                content = old.read(name)
                other = chance.choice((name, name, "../x.xml", "x.zip", name + "/", "a" * 300 + ".xml"))
                changed = name == chosen
                target = other if changed and other not in names else name
                new.writestr(target, inner(content, chance) if changed else content)
        return packed.getvalue()

    return mutate

"""Calls of a share at the gate as bytes and back, by the types that `Share` and `Party` declare.

Arrays are little-endian and say their shape; what does not fit its type raises `ValueError`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from fractions import Fraction
from functools import cache
from math import prod
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from flexpeer.app.ports import Share
from flexpeer.clearing.problem import Flags, Floats, Integers
from flexpeer.clearing.row_party import Party

BEGIN, PARTY = "begin", "party"
DTYPES: dict[Any, np.dtype[Any]] = {Floats: np.dtype("<f8"), Integers: np.dtype("<i8"), Flags: np.dtype("?")}
_encode = msgspec.msgpack.Encoder().encode


class Call(NamedTuple):
    """What can be asked: the types of its arguments, in order, and of its value."""

    name: str
    signature: inspect.Signature
    arguments: tuple[Any, ...]
    value: Any

    @classmethod
    def of(cls, asked: Callable[..., Any]) -> "Call":
        """Of a method of a protocol."""
        hints, signature = get_type_hints(asked), inspect.signature(asked)
        value = hints.pop("return")
        return cls(asked.__name__, signature, tuple(hints.values()), NoneType if value is Party else value)

    def written(self, *args: Any, **kwargs: Any) -> bytes:
        """A call of it."""
        bound = self.signature.bind(None, *args, **kwargs)
        return _encode([_plain(each) for each in list(bound.arguments.values())[1:]])

    def read(self, data: bytes) -> dict[str, Any]:
        """The arguments by name."""
        given = _decoded(data)
        if not isinstance(given, list) or len(given) != len(self.arguments):
            raise ValueError(f"{self.name} takes {len(self.arguments)} arguments")
        names = list(self.signature.parameters)[1:]
        return {name: _typed(hint, each) for name, hint, each in zip(names, self.arguments, given, strict=True)}


def _calls(protocol: type) -> dict[str, Call]:
    asked = (each for name, each in vars(protocol).items() if inspect.isfunction(each) and not name.startswith("_"))
    return {each.__name__: Call.of(each) for each in asked}


SHARE_CALLS, PARTY_CALLS = _calls(Share), _calls(Party)
CALLS = SHARE_CALLS | PARTY_CALLS


def written_value(value: Any) -> bytes:
    """What a call gave."""
    return _encode(_plain(value))


def read_value(call: Call, data: bytes) -> Any:
    """It again."""
    return _typed(call.value, _decoded(data))


def arrays_in(value: Any) -> list[Floats]:
    """All arrays of a value, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple | list):
        return [array for each in value for array in arrays_in(each)]
    return [array for each in value.values() for array in arrays_in(each)] if isinstance(value, dict) else []


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise ValueError(str(wrong)) from wrong


def _plain(value: Any) -> Any:
    """As msgpack has it."""
    if isinstance(value, np.ndarray):
        dtype = {"f": DTYPES[Floats], "i": DTYPES[Integers], "b": DTYPES[Flags]}[value.dtype.kind]
        return [list(value.shape), np.ascontiguousarray(value, dtype=dtype).tobytes()]
    if isinstance(value, Fraction):
        return [str(value.numerator), str(value.denominator)]
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(each)] for key, each in value.items()]
    if isinstance(value, Set):
        return [_plain(each) for each in sorted(value)]
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    return value.item() if isinstance(value, np.generic) else value


def _typed(hint: Any, data: Any) -> Any:
    """As its type has it."""
    if hint in DTYPES:
        return _array(DTYPES[hint], data)
    if hint is Fraction:
        top, bottom = _list(data, 2)
        return Fraction(int(top), int(bottom))
    if inspect.isclass(hint) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        fields = _fields(hint)
        return hint(*(_typed(each, some) for each, some in zip(fields, _list(data, len(fields)), strict=True)))
    if inspect.isclass(hint) and issubclass(hint, msgspec.Struct):
        return msgspec.convert(data, hint)
    return _composed(hint, data)


@cache
def _fields(hint: type) -> tuple[Any, ...]:
    """The types of a named tuple's fields."""
    return tuple(get_type_hints(hint).values())


def _composed(hint: Any, data: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (kind,) = (each for each in args if each is not NoneType)
        return None if data is None else _typed(kind, data)
    if origin is tuple and args[-1] is not Ellipsis:
        return tuple(_typed(each, some) for each, some in zip(args, _list(data, len(args)), strict=True))
    if origin in (tuple, Sequence):
        return tuple(_typed(args[0], each) for each in _list(data))
    if origin is Set:
        return {_typed(args[0], each) for each in _list(data)}
    if origin is Mapping:
        pairs = (_list(each, 2) for each in _list(data))
        return {_typed(args[0], key): _typed(args[1], each) for key, each in pairs}
    if not isinstance(data, hint) or (isinstance(data, bool) and hint is not bool):
        raise ValueError(f"{data!r} is no {hint.__name__}")
    return data


def _list(data: Any, count: int | None = None) -> list[Any]:
    if not isinstance(data, list) or count not in (None, len(data)):
        raise ValueError(f"no list of {count or 'some'}")
    return data


def _array(dtype: np.dtype[Any], data: Any) -> Any:
    shape, content = _list(data, 2)
    sizes = [_typed(int, each) for each in _list(shape)]
    if any(size < 0 for size in sizes) or not isinstance(content, bytes):
        raise ValueError("no array")
    if prod(sizes) * dtype.itemsize != len(content):
        raise ValueError("an array of another size")
    found = np.frombuffer(content, dtype=dtype).reshape(sizes).copy()
    if np.isnan(found).any():
        raise ValueError("an array with numbers that are none")
    return found

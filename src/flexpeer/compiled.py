"""The one door to the compiler: numba, with its cache on and the kernel's Python types kept."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import types
from numba.core.compiler import Compiler
from numba.experimental import structref

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a numeric kernel at its first call; later processes read it from the cache."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy")(function))


def inlined(function: Kernel) -> Kernel:
    """Compile a few lines of kernels into each of their callers, where a call would cost more than they do."""
    return cast(Kernel, numba.njit(inline="always", error_model="numpy")(function))


class HandleType(types.StructRef):  # type: ignore[misc, name-defined]
    """The type of a handle, a class of its own for each."""

    def preprocess_fields(self, fields: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        """Constants are stored as what they are of."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)  # type: ignore[attr-defined]


class Handle(structref.StructRefProxy):  # type: ignore[misc]
    """Arrays that kernels use again and again: a call with a handle on them looks through none of them."""

    def __new__(cls, *fields: object) -> "Handle":
        """In kernels only: elsewhere a handle would be compiled anew in every process."""
        raise TypeError(f"{cls.__name__}{fields!r:.40}: made by a kernel")


def handle_of(kind: type[HandleType], handle: type[Handle], *fields: str) -> None:
    """Let kernels make handles of these fields, and take them."""
    structref.register(kind)
    structref.define_constructor(handle, kind, list(fields))
    structref.define_boxing(kind, handle)


class _Apart(Compiler):  # type: ignore[misc]
    def __init__(self, *args: Any) -> None:
        flags = args[5]
        flags.noalias = True
        super().__init__(*args)


def compiled_apart(function: Kernel) -> Kernel:
    """`compiled` for a kernel whose arrays never overlap: its loops over lanes become vector instructions."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy", pipeline_class=_Apart)(function))

"""The one door to the compiler: numba, with its cache on and the kernel's Python types kept."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.compiler import Compiler

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a numeric kernel at its first call; later processes read it from the cache."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy")(function))


def inlined(function: Kernel) -> Kernel:
    """Compile a few lines of kernels into each of their callers, where a call would cost more than they do."""
    return cast(Kernel, numba.njit(inline="always", error_model="numpy")(function))


class _Apart(Compiler):  # type: ignore[misc]
    def __init__(self, *args: Any) -> None:
        flags = args[5]
        flags.noalias = True
        super().__init__(*args)


def compiled_apart(function: Kernel) -> Kernel:
    """`compiled` for a kernel whose arrays never overlap: its loops over lanes become vector instructions."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy", pipeline_class=_Apart)(function))

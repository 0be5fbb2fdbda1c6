"""The one door to the compiler: numba, with its cache on and the kernel's Python types kept."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a numeric kernel at its first call; later processes read it from the cache."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy")(function))


def inlined(function: Kernel) -> Kernel:
    """Compile a few lines of kernels into each of their callers, where a call would cost more than they do."""
    return cast(Kernel, numba.njit(inline="always", error_model="numpy")(function))

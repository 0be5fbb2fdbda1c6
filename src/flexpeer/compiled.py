"""The one door to the compiler: numba, with its cache on and the kernel's Python types kept."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a numeric kernel at its first call; later processes read it from the cache."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy")(function))

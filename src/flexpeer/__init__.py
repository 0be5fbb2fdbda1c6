"""flexpeer: customers of a congested grid trade their way out of the congestion.

From Python: `flexpeer.read("folder").run()`. The names of `flexpeer.library` are here too, and load when first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "BadInput",
    "ClearingResult",
    "DayNeeds",
    "DayResult",
    "Finding",
    "GridState",
    "PlannedDay",
    "check_grid",
    "clear",
    "read",
    "scenario",
]


def __getattr__(name: str) -> Any:
    """A name of the library, which no module below it imports by this."""
    if name in __all__:
        return getattr(import_module("flexpeer.library"), name)
    raise AttributeError(f"module 'flexpeer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""flexpeer from Python: what `import flexpeer` offers, all of it.

Bad input raises `BadInput`, whose `findings` say everything that is wrong at once.
"""

from flexpeer.errors import BadInput, Finding
from flexpeer.library.clearings import ClearingResult, clear
from flexpeer.library.days import DayNeeds, DayResult, PlannedDay, read
from flexpeer.library.grids import GridState, check_grid
from flexpeer.library.made import scenario

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

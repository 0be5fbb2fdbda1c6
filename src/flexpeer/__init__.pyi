from flexpeer.library import *  # noqa: F403 - all of it
from flexpeer.library import __all__ as __all__

__version__: str

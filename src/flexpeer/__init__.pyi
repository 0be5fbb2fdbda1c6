from flexpeer.library import *  # noqa: F403 - all of it

__version__: str

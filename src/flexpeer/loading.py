"""Modules that load when they are first used, without an interrupt in between."""

import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType

from flexpeer.interrupts import undisturbed


class _Undisturbed(Loader):
    """Loads a module without interrupts."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As usual."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Without interrupts; afterwards the module knows its own loader."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        with undisturbed():
            self._loader.exec_module(module)


def when_used(name: str) -> ModuleType:
    """A module that loads when it is first used: a hundred DSOs on one machine do not need a market's day each."""
    if name in sys.modules:
        return sys.modules[name]
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = LazyLoader(_Undisturbed(spec.loader))
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

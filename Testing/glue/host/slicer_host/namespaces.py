"""The modules qt and ctk."""

import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any

from slicer_host.api import names_of
from slicer_host.wrapped import offered_class


class Namespace(types.ModuleType):
    """A module that has only what Slicer's has; its classes are made when they are asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"What PythonQt offers as {name}.")
        self.__spec__ = ModuleSpec(name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return offered_class(self.__name__, name)

    def __dir__(self) -> list[str]:
        return sorted(names_of(self.__name__))


def install() -> None:
    for name in ("qt", "ctk"):
        sys.modules[name] = Namespace(name)

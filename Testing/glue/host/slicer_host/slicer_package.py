"""The package slicer: the real one's classes and functions, cut to what Slicer shows, with the application's parts."""

import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any

import slicer

from slicer_host.api import names_of
from slicer_host.wrapped import offered_class

# functions of the package itself
_KEPT = {"util", "slicer_core"}


def cut_to_the_list() -> None:
    """Take away what the package offers and Slicer does not: slicer.arrayFromVolume, for one."""
    allowed = names_of("slicer") | _KEPT
    for name in [each for each in vars(slicer) if not each.startswith("__") and each not in allowed]:
        delattr(slicer, name)
    slicer.__getattr__ = _missing


def _missing(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return offered_class("slicer", name)


def add_module(name: str, members: dict[str, Any]) -> types.ModuleType:
    """Make slicer.name importable."""
    module = types.ModuleType(f"slicer.{name}")
    module.__spec__ = ModuleSpec(f"slicer.{name}", None)
    vars(module).update(members)
    sys.modules[f"slicer.{name}"] = module
    setattr(slicer, name, module)
    return module


def remove_module(name: str) -> None:
    sys.modules.pop(f"slicer.{name}", None)
    if name in vars(slicer):
        delattr(slicer, name)


def tr(text: str) -> str:
    return text


def translate(context: str, text: str) -> str:
    return text


def install() -> None:
    """Once a process, after the application was made."""
    from slicer_host import parameter_nodes, scripted_module

    cut_to_the_list()
    add_module("i18n", {"tr": tr, "translate": translate})
    add_module("ScriptedLoadableModule", {name: getattr(scripted_module, name) for name in scripted_module.__all__})
    add_module("parameterNodeWrapper", {name: getattr(parameter_nodes, name) for name in parameter_nodes.__all__})

"""Modules: what slicer.modules holds, and loading a scripted one as Slicer does."""

import importlib
import sys
from pathlib import Path
from typing import Any

import slicer


class CoreModule:
    """One of Slicer's own modules: its logic is what others use."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self._logic = name, logic

    def logic(self) -> Any:
        return self._logic


class ScriptedModule:
    """What Slicer makes of a module's file, and what the module describes itself to."""

    __slots__ = (
        "acknowledgementText",
        "associatedNodeTypes",
        "categories",
        "contributors",
        "dependencies",
        "helpText",
        "hidden",
        "icon",
        "name",
        "path",
        "python_widget",
        "title",
        "widgetRepresentationCreationEnabled",
    )

    def __init__(self, path: Path) -> None:
        self.name, self.path, self.python_widget = path.stem, path.as_posix(), None
        self.title, self.helpText, self.acknowledgementText = "", "", ""
        self.categories, self.dependencies, self.contributors = [], [], []

    def widgetRepresentation(self) -> Any:
        return None if self.python_widget is None else self.python_widget.parent


class ModulesNamespace:
    """slicer.modules: names of modules in lower case, and the Python objects of scripted ones."""


def load(path: Path) -> Any:
    """Import a module's file and make its widget.

    Returns:
        The widget class's instance, set up but not entered.
    """
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = path.stem
    module, described = importlib.import_module(name), ScriptedModule(path)
    slicer.app.moduleManager()._native.modules[name] = described
    instance = getattr(module, name)(described)
    setattr(slicer.modules, name.lower(), described)
    setattr(slicer.modules, f"{name}Instance", instance)
    parent = slicer.qSlicerScriptedLoadableModuleWidget()
    parent.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, f"{name}Widget")(parent)
    described.python_widget = widget
    setattr(slicer.modules, f"{name}Widget", widget)
    widget.setup()
    return widget

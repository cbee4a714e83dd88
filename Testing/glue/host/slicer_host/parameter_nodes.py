"""slicer.parameterNodeWrapper: typed attributes kept in a vtkMRMLScriptedModuleNode, written there as Slicer does."""

import enum
import pathlib
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from slicer_host.gui_connectors import Connector, make_connector
from slicer_host.parameter_rules import Choice, Decimals, Default, Maximum, Minimum, Rule, SingleStep, WithinRange

SlicerParameterNamePropertyName = "SlicerParameterName"
__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Maximum",
    "Minimum",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "WithinRange",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]


@dataclass(frozen=True)
class Kind:
    """How values of a type are written down."""

    accepted: tuple[type, ...]
    default: Any
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _kind_of(declared: type) -> Kind:
    if declared is bool:
        return Kind((bool,), False, str, lambda text: text == "True")
    if declared is int or declared is float:
        return Kind((int, float) if declared is float else (int,), 0, str, declared)
    if declared is str:
        return Kind((str,), "", str, str)
    if isinstance(declared, type) and issubclass(declared, enum.Enum):
        return Kind((declared,), next(iter(declared)), lambda value: value.name, lambda text: declared[text])
    if isinstance(declared, type) and issubclass(declared, pathlib.PurePath):
        return Kind((declared,), declared(), str, declared)
    raise TypeError(f"This host cannot keep a {declared} in a parameter node.")


class Parameter:
    """One attribute of a wrapper class."""

    def __init__(self, name: str, declared: Any, default: Any) -> None:
        self.name, self.declared = name, declared
        self.type, *annotations = typing.get_args(typing.Annotated[declared, None])[:-1]
        self.rules = [each for each in annotations if isinstance(each, Rule)]
        self.is_list = typing.get_origin(self.type) is list
        self._element = typing.get_args(self.type)[0] if self.is_list else self.type
        self._holds_nodes = isinstance(self._element, type) and issubclass(self._element, slicer.vtkMRMLNode)
        self._kind = None if self._holds_nodes else _kind_of(self._element)
        annotated = next((each.value for each in annotations if isinstance(each, Default)), self._empty())
        self.default = annotated if default is _NOTHING else default

    def _empty(self) -> Any:
        return [] if self.is_list else None if self._kind is None else self._kind.default

    def is_in(self, node: Any) -> bool:
        return bool(node.HasParameter(f"{self.name}.len" if self.is_list else self.name))

    def read(self, node: Any) -> Any:
        if not self.is_in(node):
            self.write(node, self.default)
        if not self.is_list:
            return self._read_one(node, self.name)
        count = int(node.GetParameter(f"{self.name}.len"))
        return [self._read_one(node, f"{self.name}.{index}") for index in range(count)]

    def write(self, node: Any, value: Any) -> None:
        """Check a value, then keep it; observers hear of it once."""
        for element in value if self.is_list else [value]:
            self._check(element)
        with slicer.util.NodeModify(node):
            if not self.is_list:
                self._write_one(node, self.name, value)
                return
            for index, element in enumerate(value):
                self._write_one(node, f"{self.name}.{index}", element)
            node.SetParameter(f"{self.name}.len", str(len(value)))

    def _check(self, value: Any) -> None:
        accepted = (self._element,) if self._kind is None else self._kind.accepted
        if value is None and self._kind is not None:
            raise ValueError("Value must not be None")
        if value is not None and not isinstance(value, accepted):
            raise TypeError(f"{self.name} must be of type {accepted}, and {value!r} is not.")
        for rule in self.rules:
            rule.validate(value)

    def _read_one(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name) if self._kind is None else self._kind.read(node.GetParameter(name))

    def _write_one(self, node: Any, name: str, value: Any) -> None:
        if self._kind is not None:
            node.SetParameter(name, self._kind.write(value))
            return
        # an empty parameter beside the reference says that the value was ever set
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, None if value is None else value.GetID())


_NOTHING = object()


class Wrapper:
    """What every wrapper class can do."""

    allParameters: typing.ClassVar[dict[str, Parameter]] = {}

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        if prefix:
            raise NotImplementedError("This host knows no prefixes.")
        self.parameterNode = parameterNode
        self._connectors: dict[int, dict[str, Connector]] = {}
        self._observers: dict[int, int] = {}
        self._is_updating, self._next_tag = False, 0
        for parameter in self.allParameters.values():
            if not parameter.is_in(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def connectGui(self, gui: Any) -> int:
        """Bind the widgets with the property SlicerParameterName; they get the node's values first."""
        is_widget = hasattr(gui, "isWidgetType")
        widgets = gui.findChildren("QWidget") if is_widget else vars(gui).values()
        named = {each.property(SlicerParameterNamePropertyName): each for each in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._require(name)
        connectors = {
            name: make_connector(widget, self.allParameters[name].declared) for name, widget in mapping.items()
        }
        tag = self._next_tag
        self._next_tag += 1
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.on_changed(lambda name=name, connector=connector: self._take_from_gui(name, connector))
        self._observers[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *event: self._show_in_gui())
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        for connector in self._connectors.pop(tag, {}).values():
            connector.on_changed(None)
        if tag in self._observers:
            self.RemoveObserver(self._observers.pop(tag))

    def _take_from_gui(self, name: str, connector: Connector) -> None:
        if not self._is_updating:
            with slicer.util.NodeModify(self):
                self.setValue(name, connector.read())

    def _show_in_gui(self) -> None:
        if self._is_updating:
            return
        self._is_updating = True
        try:
            for connectors in tuple(self._connectors.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._is_updating = False

    def _require(self, name: str) -> None:
        if name not in self.allParameters:
            raise ValueError(f"There is no parameter {name}; there are {', '.join(self.allParameters)}.")

    def getValue(self, name: str) -> Any:
        self._require(name)
        return self.allParameters[name].read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._require(name)
        self.allParameters[name].write(self.parameterNode, value)

    def default(self, name: str) -> Default:
        self._require(name)
        return Default(self.allParameters[name].default)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> int:
        return self.parameterNode.EndModify(before)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _property(parameter: Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode), lambda self, value: parameter.write(self.parameterNode, value)
    )


def parameterNodeWrapper(described: type | None = None) -> Any:
    """Class decorator: the annotations become properties of a wrapper around a parameter node."""
    if described is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(described, include_extras=True)
    if reserved := [name for name in hints if hasattr(Wrapper, name)]:
        raise ValueError(f"Cannot use reserved name {reserved[0]!r} in a parameterNodeWrapper")
    parameters = {name: Parameter(name, kind, getattr(described, name, _NOTHING)) for name, kind in hints.items()}
    members = dict(vars(described)) | {name: _property(parameter) for name, parameter in parameters.items()}
    for name in ("__dict__", "__weakref__"):
        members.pop(name, None)
    return type(described.__name__, (Wrapper,), members | {"allParameters": parameters})


def isParameterNodeWrapper(what: Any) -> bool:
    return isinstance(what, Wrapper) or (isinstance(what, type) and issubclass(what, Wrapper))

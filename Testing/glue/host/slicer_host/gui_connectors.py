"""Which widget can show which type of parameter, and how: the pairs that Slicer knows, and no other."""

import enum
import pathlib
import typing
from collections.abc import Callable
from typing import Any

import slicer

from slicer_host.parameter_rules import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange

_LARGEST_INT = 2**31 - 1
_FLOAT_WIDGETS = ("QDoubleSpinBox", "ctkSliderWidget", "qMRMLSliderWidget", "ctkDoubleSlider", "ctkDoubleSpinBox")


class Connector:
    """A widget as something that has a value.

    Args:
        widget: The widget.
        signal: Name of the signal that tells of changes; empty for a widget that only shows.
        read: The widget's value.
        write: Show a value.
    """

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
        self.read, self.write = read, write
        self._widget, self._signal = widget, signal
        self._callback: Callable[[], object] | None = None

    def on_changed(self, callback: Callable[[], object] | None) -> None:
        """Call it when the widget's value changes; None to end that."""
        self._callback = callback
        if self._signal:
            signal = getattr(self._widget, self._signal)
            signal.disconnect(self._changed) if callback is None else signal.connect(self._changed)

    def _changed(self) -> None:
        if self._callback is not None:
            self._callback()


def make_connector(widget: Any, declared: Any) -> Connector:
    """Connect a widget to a type with its annotations.

    Raises:
        RuntimeError: Slicer has no connector for the two.
    """
    kind, *annotations = typing.get_args(typing.Annotated[declared, None])[:-1]
    name = type(widget).__name__
    is_class = isinstance(kind, type)
    if kind is bool and name in ("QCheckBox", "ctkCheckBox"):
        return _of_property(widget, "checked", "stateChanged")
    if kind is bool and name == "QPushButton":
        widget.checkable = True
        return _of_property(widget, "checked", "toggled")
    if kind is int and name in ("QSlider", "QSpinBox"):
        return _number(widget, annotations, -_LARGEST_INT - 1, _LARGEST_INT)
    if kind is float and name in (*_FLOAT_WIDGETS, "qMRMLSpinBox"):
        return _number(widget, annotations, float("-inf"), float("inf"))
    if name in ("QComboBox", "ctkComboBox") and (kind in (int, float, str, bool) or _is(kind, enum.Enum)):
        return _combo_box(widget, kind, annotations)
    if kind is str and name in ("QLineEdit", "QLabel"):
        return _of_property(widget, "text", "textChanged" if name == "QLineEdit" else "")
    if kind is str and name == "QTextEdit":
        return Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    if is_class and issubclass(kind, pathlib.PurePath) and name in ("ctkPathLineEdit", "ctkDirectoryButton"):
        return _path(widget, kind, "currentPath" if name == "ctkPathLineEdit" else "directory")
    if _is(kind, slicer.vtkMRMLNode) and name == "qMRMLNodeComboBox":
        widget.nodeTypes = (kind().GetClassName(),)
        return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{declared}' to widget type '{name}'.")


def _is(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _of_property(widget: Any, name: str, signal: str) -> Connector:
    return Connector(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _path(widget: Any, kind: type, name: str) -> Connector:
    return Connector(
        widget, f"{name}Changed", lambda: kind(getattr(widget, name)), lambda value: setattr(widget, name, str(value))
    )


def _number(widget: Any, annotations: list[Any], lowest: float, highest: float) -> Connector:
    found = {type(each): each for each in annotations}
    if Decimals in found:
        widget.decimals = found[Decimals].value
    if SingleStep in found:
        widget.singleStep = found[SingleStep].value
    both = found.get(WithinRange)
    low = both or found.get(Minimum)
    high = both or found.get(Maximum)
    if type(widget).__name__ in ("QSlider", "ctkSliderWidget", "qMRMLSliderWidget") and not (low and high):
        raise RuntimeError("Cannot have a connection to a slider where the type is unbounded.")
    widget.minimum = low.minimum if low else lowest
    widget.maximum = high.maximum if high else highest
    return _of_property(widget, "value", "valueChanged")


def _combo_box(widget: Any, kind: type, annotations: list[Any]) -> Connector:
    if issubclass(kind, enum.Enum):
        values = list(kind)
        labels = [kind.label(each) if hasattr(kind, "label") else each.name for each in values]
    else:
        choice = next((each for each in annotations if isinstance(each, Choice)), None)
        if choice is None:
            raise RuntimeError("A combo box requires the Choice annotation to be used.")
        values = list(choice.choices)
        labels = [str(each) for each in values]
    widget.clear()
    for label in labels:
        widget.addItem(label)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex], write)

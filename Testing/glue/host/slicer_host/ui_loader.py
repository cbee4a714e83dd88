"""Loading .ui files: Qt's own loader, and what it cannot do for widgets that it does not know."""

from typing import Any
from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from slicer_host import ctk_widgets, mrml_widgets, node_combo_boxes, signals
from slicer_host.special_members import method
from slicer_host.values import HostError
from slicer_host.wrapped import Wrapped, wrapped

OWN_CLASSES = {each.__name__: each for place in (ctk_widgets, mrml_widgets, node_combo_boxes) for each in place.OFFERED}


@method("QUiLoader", "load")
def load(wrapper: Wrapped, file: Wrapped, parent: Any = None) -> Any:
    tree = ElementTree.fromstring(bytes(file._native.readAll().data()))
    _require_known_classes(tree)
    connections = _taken_out_connections(tree)
    _make_numbers_of_enumerations(tree)
    loader = QtUiTools.QUiLoader()
    for each in OWN_CLASSES.values():
        loader.registerCustomWidget(each)
    content = QtCore.QBuffer()
    content.setData(ElementTree.tostring(tree))
    content.open(QtCore.QIODevice.ReadOnly)
    widget = loader.load(content, getattr(parent, "_native", None))
    if widget is None:
        raise HostError(f"{file._native.fileName()} cannot be loaded: {loader.errorString()}")
    for connection in connections:
        _connect(widget, *connection)
    return wrapped(widget)


def _require_known_classes(tree: ElementTree.Element) -> None:
    for each in tree.iter("customwidget"):
        name = each.findtext("class", "")
        if name not in OWN_CLASSES:
            raise HostError(f"The .ui file wants a {name}, which this host does not have.")


def _taken_out_connections(tree: ElementTree.Element) -> list[tuple[str, str, str, str]]:
    """Sender, signal, receiver, slot of every connection; Qt's loader would not find signals with MRML objects."""
    section = tree.find("connections")
    if section is None:
        return []
    tree.remove(section)
    parts = ("sender", "signal", "receiver", "slot")
    return [tuple(each.findtext(part, "") for part in parts) for each in section.iter("connection")]


def _make_numbers_of_enumerations(tree: ElementTree.Element) -> None:
    """``ctkPathLineEdit::Files|ctkPathLineEdit::Readable`` to a number: PySide's properties know no enumerations."""
    for value in (*tree.iter("set"), *tree.iter("enum")):
        words = [word.strip() for word in (value.text or "").split("|")]
        owners = {word.split("::")[0] for word in words}
        if not owners <= OWN_CLASSES.keys():
            continue
        value.tag = "number"
        value.text = str(sum(_value_of(word.split("::")[-1]) for word in words))


def _value_of(name: str) -> int:
    places = (QtCore.QDir.Filter, QtWidgets.QFileDialog.Option, QtWidgets.QComboBox.SizeAdjustPolicy)
    found = next((place[name] for place in places if name in place.__members__), None)
    if found is None:
        raise HostError(f"The .ui file has the value {name}, which this host does not know.")
    return int(found.value)


def _connect(root: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    ends = []
    for name in (sender, receiver):
        end = root if root.objectName() == name else root.findChild(QtCore.QObject, name)
        if end is None:
            raise HostError(f"The .ui file connects {name}, which it does not contain.")
        ends.append(wrapped(end))
    source, target = ends
    slot_name = slot.split("(")[0]
    if slot_name not in target._api.callables:
        raise HostError(f"The .ui file connects to {receiver}.{slot}, but {target._api.name} has no such slot.")
    signals.connect(source._native, source._api, signal, getattr(target._native, slot_name), wrapped)

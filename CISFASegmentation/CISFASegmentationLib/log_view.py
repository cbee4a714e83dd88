"""The log that can be copied into a report. It names no node, since a node's name may be a patient's."""

import platform
from typing import Any

import qt
import slicer

import cisfa

# a shorter name would be found inside of ordinary words
_SHORTEST_NAME = 3
_NAMED_CLASSES = ("vtkMRMLVolumeNode", "vtkMRMLMarkupsNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode")


def without_node_names(text: str) -> str:
    """A text with "…" in place of what the scene's volumes, regions and the like are called."""
    names = {node.GetName() for kind in _NAMED_CLASSES for node in slicer.util.getNodesByClass(kind)}
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= _SHORTEST_NAME:
            text = text.replace(name, "…")
    return text


class LogView:
    """Lines of text, newest last."""

    def __init__(self, text_edit: Any) -> None:
        """Start with what everybody who helps asks for first."""
        self._edit = text_edit
        self.add(
            f"CISFA {cisfa.__version__}, Slicer {slicer.app.applicationVersion}, Python {platform.python_version()},"
            f" {platform.system()} {platform.machine()}"
        )

    def add(self, line: str) -> None:
        """Add a line, without the names of nodes."""
        self._edit.appendPlainText(without_node_names(line))

    def copy(self) -> None:
        """Copy everything to the clipboard."""
        qt.QApplication.clipboard().setText(self._edit.plainText)

"""The log that can be copied into a report. It names no node, since a node's name may be a patient's."""

import platform
import re
from collections.abc import Callable
from typing import Any

import qt
import slicer

import cisfa

_NAMED_CLASSES = ("vtkMRMLVolumeNode", "vtkMRMLMarkupsNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode")


def node_names() -> set[str]:
    """What the scene's volumes, regions and the like are called."""
    return {node.GetName() for kind in _NAMED_CLASSES for node in slicer.util.getNodesByClass(kind)} - {""}


def without_names(text: str, names: set[str]) -> str:
    """A text with "…" in place of names that stand by themselves."""
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return text


class LogView:
    """Lines of text, newest last."""

    def __init__(self, text_edit: Any, hidden: Callable[[], set[str]] = node_names) -> None:
        """Start with what everybody who helps asks for first.

        Args:
            text_edit: A QPlainTextEdit.
            hidden: What must not be told at present; what was hidden once stays so.
        """
        self._edit, self._hidden = text_edit, hidden
        self._names: set[str] = set()
        self.add(
            f"CISFA {cisfa.__version__}, Slicer {slicer.app.applicationVersion}, Python {platform.python_version()},"
            f" {platform.system()} {platform.machine()}"
        )

    def add(self, line: str) -> None:
        """Add a line, without the names of nodes, those that were deleted meanwhile included."""
        self._names |= self._hidden()
        self._edit.appendPlainText(without_names(line, self._names))

    def copy(self) -> None:
        """Copy everything to the clipboard."""
        qt.QApplication.clipboard().setText(self._edit.plainText)

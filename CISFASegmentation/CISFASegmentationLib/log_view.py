"""The log that can be copied into a report. It names no node, since a node's name may be a patient's."""

import platform
from typing import Any

import qt
import slicer

import cisfa


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
        """Add a line."""
        self._edit.appendPlainText(line)

    def copy(self) -> None:
        """Copy everything to the clipboard."""
        qt.QApplication.clipboard().setText(self._edit.plainText)

"""Files and folders that are dropped onto a widget."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt


class FileDrop(qt.QWidget):
    """An event filter for a widget that takes files; a QWidget, since PythonQt lets Python override those."""

    def __init__(self, widget: Any, on_dropped: Callable[[list[Path]], object]) -> None:
        """Watch a widget; a table's viewport is where its drops arrive.

        Args:
            widget: That files are dropped onto.
            on_dropped: Called with the paths of what was dropped.
        """
        qt.QWidget.__init__(self)
        self._on_dropped = on_dropped
        # a reference to itself would keep the widget, which Qt may delete first
        for each in (widget, widget.viewport()):
            each.setAcceptDrops(True)
            each.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Take drags and drops of local files, and leave everything else alone."""
        kind = event.type()
        if kind not in (qt.QEvent.DragEnter, qt.QEvent.DragMove, qt.QEvent.Drop):
            return False
        paths = local_paths(event.mimeData())
        if not paths:
            return False
        event.acceptProposedAction()
        if kind == qt.QEvent.Drop:
            # after the drop has ended: the program it came from waits for that
            qt.QTimer.singleShot(0, lambda: self._on_dropped(paths))
        return True


def local_paths(data: Any) -> list[Path]:
    """The files and folders of this computer that a drag holds."""
    texts = [url.toLocalFile() for url in data.urls()] if data.hasUrls() else []
    return [Path(text) for text in texts if text]

"""Observers of MRML objects that end with the widget that has them."""

from collections.abc import Callable
from typing import Any

import shiboken6
import vtk
from PySide6 import QtCore
from slicer import vtkMRMLScene

MODIFIED = vtk.vtkCommand.ModifiedEvent
NODE_EVENTS = (vtkMRMLScene.NodeAddedEvent, vtkMRMLScene.NodeRemovedEvent)


class Observers:
    """What a widget observes; VTK holds its callbacks tightly, so they hold the widget loosely."""

    def __init__(self, owner: QtCore.QObject) -> None:
        self._owner = owner
        self._tags: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: int, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` with the event's node, or with the subject where an event has none."""
        owner = self._owner

        def relay(caller: Any, name: str, data: Any = None) -> None:
            if shiboken6.isValid(owner):
                callback(caller if data is None else data)

        if event in NODE_EVENTS:
            relay.CallDataType = vtk.VTK_OBJECT
        self._tags.append((subject, subject.AddObserver(event, relay)))

    def remove(self, subject: Any) -> None:
        for there, tag in self._tags:
            if there is subject:
                there.RemoveObserver(tag)
        self._tags = [(there, tag) for there, tag in self._tags if there is not subject]

    def remove_all(self) -> None:
        for there, tag in self._tags:
            there.RemoveObserver(tag)
        self._tags.clear()

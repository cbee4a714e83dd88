"""MRML's widgets that panels use; each follows the scene only once somebody gave it the scene."""

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from slicer_host.ctk_widgets import CollapsibleButton, kept
from slicer_host.scene_observers import MODIFIED, Observers
from slicer_host.wrapped import offer


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    """A container that hands the scene on to those that are connected to its signal."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._scene = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerWidget(qMRMLWidget):  # noqa: N801
    pass


class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):  # noqa: N801
    """The widget that a module's own widgets are put into."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        QtWidgets.QVBoxLayout(self)
        self._is_entered = False

    def set_entered(self, is_entered: bool) -> None:
        self._is_entered = is_entered

    isEntered = QtCore.Property(bool, lambda self: self._is_entered)


class qMRMLCollapsibleButton(CollapsibleButton):  # noqa: N801
    mrmlSceneChanged = QtCore.Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)


class qMRMLSegmentsTableView(qMRMLWidget):  # noqa: N801
    """The segments' colours and names."""

    segmentAboutToBeModified = QtCore.Signal(str)
    selectionChanged = QtCore.Signal("QItemSelection", "QItemSelection")
    readOnly = kept(bool, "readOnly", False)
    headerVisible = kept(bool, "headerVisible", True)
    filterBarVisible = kept(bool, "filterBarVisible", False)
    colorColumnVisible = kept(bool, "colorColumnVisible", True)
    layerColumnVisible = kept(bool, "layerColumnVisible", False)
    opacityColumnVisible = kept(bool, "opacityColumnVisible", True)
    statusColumnVisible = kept(bool, "statusColumnVisible", False)
    visibilityColumnVisible = kept(bool, "visibilityColumnVisible", True)
    selectionMode = kept(int, "selectionMode", 3)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._node, self._observers = None, Observers(self)
        self._table = QtWidgets.QTableWidget(0, 1, self)
        self._table.setHorizontalHeaderLabels(["Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        self._observers.remove_all()
        self._node = node
        if node is not None:
            self._observers.add(node, MODIFIED, lambda caller: self._refill())
            for event in (node.GetSegmentation().SegmentAdded, node.GetSegmentation().SegmentRemoved):
                self._observers.add(node.GetSegmentation(), event, lambda caller: self._refill())
        self._refill()

    def _segments(self) -> list[Any]:
        segmentation = None if self._node is None else self._node.GetSegmentation()
        count = 0 if segmentation is None else segmentation.GetNumberOfSegments()
        return [segmentation.GetNthSegment(index) for index in range(count)]

    def _refill(self) -> None:
        self._table.setRowCount(len(self._segments()))
        for row, segment in enumerate(self._segments()):
            item = QtWidgets.QTableWidgetItem(segment.GetName())
            pixmap = QtGui.QPixmap(12, 12)
            pixmap.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
            item.setIcon(QtGui.QIcon(pixmap))
            self._table.setItem(row, 0, item)

    segmentCount = QtCore.Property(int, lambda self: len(self._segments()))


OFFERED = (
    qMRMLWidget,
    qSlicerWidget,
    qSlicerScriptedLoadableModuleWidget,
    qMRMLCollapsibleButton,
    qMRMLSegmentsTableView,
)
for each in OFFERED:
    offer("slicer", each)

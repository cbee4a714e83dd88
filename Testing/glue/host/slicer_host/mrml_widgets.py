"""MRML's widgets that panels use; each follows the scene only once somebody gave it the scene."""

from typing import Any

import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from slicer import vtkMRMLScene

from slicer_host.ctk_widgets import CollapsibleButton, kept
from slicer_host.scene_observers import Observers
from slicer_host.wrapped import offer

MODIFIED = vtk.vtkCommand.ModifiedEvent


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    """A container that hands the scene on to those that are connected to its signal."""

    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._scene = None

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
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

    isEntered = QtCore.Property(bool, lambda self: self._is_entered)  # noqa: N815


class qMRMLCollapsibleButton(CollapsibleButton):  # noqa: N801
    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self.mrmlSceneChanged.emit(scene)


class NodeComboBox(QtWidgets.QWidget):
    """A list of the scene's nodes of some types; its own combo box decides what is current when nodes come and go."""

    currentNodeChanged = QtCore.Signal((object,), (bool,))  # noqa: N815
    currentNodeIDChanged = QtCore.Signal(str)  # noqa: N815
    currentNodeRenamed = QtCore.Signal(str)  # noqa: N815
    nodeAdded = QtCore.Signal(object)  # noqa: N815
    nodeAddedByUser = QtCore.Signal(object)  # noqa: N815
    nodeAboutToBeRemoved = QtCore.Signal(object)  # noqa: N815
    nodeAboutToBeEdited = QtCore.Signal(object)  # noqa: N815
    nodeActivated = QtCore.Signal(object)  # noqa: N815
    addEnabled = kept(bool, "addEnabled", True)  # noqa: N815
    removeEnabled = kept(bool, "removeEnabled", True)  # noqa: N815
    editEnabled = kept(bool, "editEnabled", False)  # noqa: N815
    renameEnabled = kept(bool, "renameEnabled", False)  # noqa: N815
    baseName = kept(str, "baseName", "")  # noqa: N815
    selectNodeUponCreation = kept(bool, "selectNodeUponCreation", True)  # noqa: N815
    interactionNodeSingletonTag = kept(str, "interactionNodeSingletonTag", "Singleton")  # noqa: N815
    sizeAdjustPolicy = kept(int, "sizeAdjustPolicy", 0)  # noqa: N815

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._scene, self._requested_id, self._attributes = None, "", []
        self._options = {"nodeTypes": [], "hideChildNodeTypes": [], "noneDisplay": "None"}
        self._options |= {"noneEnabled": False, "showHidden": False, "showChildNodeTypes": True}
        self._observers = Observers(self)
        self._box = self.make_box()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self._box.currentIndexChanged.connect(self._on_index_changed)
        self._box.activated.connect(lambda index: self.nodeActivated.emit(self.currentNode()))
        self.setEnabled(False)

    def make_box(self) -> QtWidgets.QComboBox:
        return QtWidgets.QComboBox(self)

    def _set_option(self, name: str, value: Any) -> None:
        self._options[name] = [each for each in value if each] if isinstance(value, list | tuple) else value
        self._refill()

    def _option(kind: type | str, name: str) -> Any:
        return QtCore.Property(
            kind, lambda self: self._options[name], lambda self, value: self._set_option(name, value)
        )

    nodeTypes = _option("QStringList", "nodeTypes")  # noqa: N815
    hideChildNodeTypes = _option("QStringList", "hideChildNodeTypes")  # noqa: N815
    noneEnabled = _option(bool, "noneEnabled")  # noqa: N815
    noneDisplay = _option(str, "noneDisplay")  # noqa: N815
    showHidden = _option(bool, "showHidden")  # noqa: N815
    showChildNodeTypes = _option(bool, "showChildNodeTypes")  # noqa: N815

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        if scene is self._scene:
            return
        before = self._requested_id or self.currentNodeID
        self._observers.remove_all()
        self._scene = scene
        if scene is not None:
            self._observers.add(scene, vtkMRMLScene.NodeAddedEvent, self._on_node_added)
            self._observers.add(scene, vtkMRMLScene.NodeRemovedEvent, self._on_node_removed)
            for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndBatchProcessEvent):
                self._observers.add(scene, event, lambda caller: self._refill())
        self._refill()
        self.setCurrentNodeID(before)
        self._requested_id = ""
        self.setEnabled(scene is not None)

    def currentNode(self) -> Any:  # noqa: N802
        node_id = self._box.currentData()
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        self.setCurrentNodeID("" if node is None else node.GetID() or "")

    def setCurrentNodeID(self, node_id: str) -> None:  # noqa: N802
        if self._scene is None:
            self._requested_id = node_id or ""
        there = self._box.findData(node_id) if node_id else -1
        self._box.setCurrentIndex(there if there >= 0 else 0 if self.noneEnabled and self._box.count() else -1)

    def setCurrentNodeIndex(self, index: int) -> None:  # noqa: N802
        self._box.setCurrentIndex((index if index < self.nodeCount() else -1) + bool(self.noneEnabled))

    currentNodeID = QtCore.Property(str, lambda self: self._box.currentData() or "", setCurrentNodeID)  # noqa: N815
    currentNodeId = QtCore.Property(str, lambda self: self._box.currentData() or "", setCurrentNodeID)  # noqa: N815

    def nodeCount(self) -> int:  # noqa: N802
        return self._box.count() - bool(self.noneEnabled and self._box.count())

    def nodeFromIndex(self, index: int) -> Any:  # noqa: N802
        node_id = self._box.itemData(index + bool(self.noneEnabled))
        return self._scene.GetNodeByID(node_id) if node_id else None

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:  # noqa: N802
        self._attributes.append((node_type, name, value))
        self._refill()

    def removeAttribute(self, node_type: str, name: str) -> None:  # noqa: N802
        self._attributes = [each for each in self._attributes if each[:2] != (node_type, name)]
        self._refill()

    def addNode(self, node_type: str = "") -> Any:  # noqa: N802
        """What a user does who chooses "Create new"."""
        kind = node_type or self.nodeTypes[0]
        base_name = self.baseName or self._scene.CreateNodeByClass(kind).GetNodeTagName()
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(base_name))
        for attribute_type, name, value in self._attributes:
            if attribute_type == kind:
                node.SetAttribute(name, value or "")
        self._refill()
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:  # noqa: N802
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def shows(self, node: Any) -> bool:
        """Whether a node of the scene is in the list."""
        kinds = self.nodeTypes
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(kind) for kind in self.hideChildNodeTypes if kind not in kinds):
            return False
        if not any(node.IsA(kind) if self.showChildNodeTypes else node.GetClassName() == kind for kind in kinds):
            return False
        wanted = [(name, value) for kind, name, value in self._attributes if node.IsA(kind)]
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)) for name, value in wanted
        )

    def _refill(self) -> None:
        """Bring the list in line with the scene, item by item, so that what stays stays current."""
        self._put_none_first()
        scene = self._scene
        nodes = [] if scene is None else [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        shown = {node.GetID(): node for node in nodes if self.shows(node)}
        for index in reversed(range(self._box.count())):
            if self._box.itemData(index) and self._box.itemData(index) not in shown:
                self._box.removeItem(index)
        for node_id, node in shown.items():
            if self._box.findData(node_id) < 0:
                self._append(node)

    def _put_none_first(self) -> None:
        has_none = self._box.count() > 0 and not self._box.itemData(0)
        wants_none = self.noneEnabled and self._scene is not None
        if has_none and not wants_none:
            self._box.removeItem(0)
        elif wants_none and not has_none:
            self._box.insertItem(0, self.noneDisplay, "")
            if self._box.currentIndex() < 0:
                self._box.setCurrentIndex(0)
        elif wants_none:
            self._box.setItemText(0, self.noneDisplay)
        kind = next(iter(self.nodeTypes), "").removeprefix("vtkMRML").removesuffix("Node")
        self._box.setPlaceholderText(f"Select a {kind}")

    def _append(self, node: Any) -> None:
        self._box.addItem(node.GetName() or "", node.GetID())
        if self._box.currentIndex() < 0 and self._box.count() == 1:
            self._box.setCurrentIndex(0)
        self._observers.add(node, MODIFIED, self._on_node_modified)

    def _on_node_added(self, node: Any) -> None:
        self._observers.remove(node)
        self._observers.add(node, MODIFIED, self._on_node_modified)
        if self.shows(node):
            self._refill()
            self.nodeAdded.emit(node)

    def _on_node_removed(self, node: Any) -> None:
        self._observers.remove(node)
        there = self._box.findData(node.GetID())
        if there >= 0:
            self.nodeAboutToBeRemoved.emit(node)
            self._box.removeItem(there)

    def _on_node_modified(self, node: Any) -> None:
        there = self._box.findData(node.GetID()) if node.GetID() else -1
        if (there >= 0) != self.shows(node):
            self._refill()
        elif there >= 0 and self._box.itemText(there) != node.GetName():
            self._box.setItemText(there, node.GetName())
            if there == self._box.currentIndex():
                self.currentNodeRenamed.emit(node.GetName())

    def _on_index_changed(self, index: int) -> None:
        node = self.currentNode()
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)
        self.currentNodeIDChanged.emit("" if node is None else node.GetID())


class qMRMLNodeComboBox(NodeComboBox):  # noqa: N801
    pass


class CheckableBox(QtWidgets.QComboBox):
    """A combo box whose items can be checked; says in place of a current item which ones are."""

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        checked = [self.itemText(index) for index in range(self.count()) if self.itemData(index, CHECK) == CHECKED]
        option.currentText = "All" if checked and len(checked) == self.count() else ", ".join(checked) or "None"
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)


CHECK, CHECKED, UNCHECKED = QtCore.Qt.CheckStateRole, 2, 0


class qMRMLCheckableNodeComboBox(NodeComboBox):  # noqa: N801
    checkedNodesChanged = QtCore.Signal()  # noqa: N815
    addEnabled = kept(bool, "addEnabled", False)  # noqa: N815
    removeEnabled = kept(bool, "removeEnabled", False)  # noqa: N815

    def make_box(self) -> QtWidgets.QComboBox:
        return CheckableBox(self)

    def _append(self, node: Any) -> None:
        super()._append(node)
        self._box.setItemData(self._box.count() - 1, UNCHECKED, CHECK)

    def checkedNodes(self) -> list[Any]:  # noqa: N802
        return [self.nodeFromIndex(index) for index in range(self.nodeCount()) if self._is_checked(index)]

    def uncheckedNodes(self) -> list[Any]:  # noqa: N802
        return [self.nodeFromIndex(index) for index in range(self.nodeCount()) if not self._is_checked(index)]

    def allChecked(self) -> bool:  # noqa: N802
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:  # noqa: N802
        return not self.checkedNodes()

    def _is_checked(self, index: int) -> bool:
        return self._box.itemData(index + bool(self.noneEnabled), CHECK) == CHECKED

    def checkState(self, node: Any) -> int:  # noqa: N802
        return CHECKED if any(each is node for each in self.checkedNodes()) else UNCHECKED

    def setCheckState(self, node: Any, state: int) -> None:  # noqa: N802
        there = self._box.findData(node.GetID()) if node is not None else -1
        if there >= 0 and self._box.itemData(there, CHECK) != int(state):
            self._box.setItemData(there, int(state), CHECK)
            self.checkedNodesChanged.emit()
            self._box.update()

    def check(self, node: Any) -> None:
        self.setCheckState(node, CHECKED)

    def uncheck(self, node: Any) -> None:
        self.setCheckState(node, UNCHECKED)


class qMRMLSegmentsTableView(qMRMLWidget):  # noqa: N801
    """The segments' colours and names."""

    segmentAboutToBeModified = QtCore.Signal(str)  # noqa: N815
    selectionChanged = QtCore.Signal("QItemSelection", "QItemSelection")  # noqa: N815
    readOnly = kept(bool, "readOnly", False)  # noqa: N815
    headerVisible = kept(bool, "headerVisible", True)  # noqa: N815
    filterBarVisible = kept(bool, "filterBarVisible", False)  # noqa: N815
    colorColumnVisible = kept(bool, "colorColumnVisible", True)  # noqa: N815
    layerColumnVisible = kept(bool, "layerColumnVisible", False)  # noqa: N815
    opacityColumnVisible = kept(bool, "opacityColumnVisible", True)  # noqa: N815
    statusColumnVisible = kept(bool, "statusColumnVisible", False)  # noqa: N815
    visibilityColumnVisible = kept(bool, "visibilityColumnVisible", True)  # noqa: N815
    selectionMode = kept(int, "selectionMode", 3)  # noqa: N815

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._node, self._observers = None, Observers(self)
        self._table = QtWidgets.QTableWidget(0, 1, self)
        self._table.setHorizontalHeaderLabels(["Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def segmentationNode(self) -> Any:  # noqa: N802
        return self._node

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
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

    segmentCount = QtCore.Property(int, lambda self: len(self._segments()))  # noqa: N815


OFFERED = (
    qMRMLWidget,
    qSlicerWidget,
    qSlicerScriptedLoadableModuleWidget,
    qMRMLCollapsibleButton,
    qMRMLNodeComboBox,
    qMRMLCheckableNodeComboBox,
    qMRMLSegmentsTableView,
)
for each in OFFERED:
    offer("slicer", each)

"""Combo boxes of the scene's nodes."""

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from slicer import vtkMRMLScene

from slicer_host.ctk_widgets import kept
from slicer_host.scene_observers import MODIFIED, Observers
from slicer_host.wrapped import offer

CHECK, CHECKED, UNCHECKED = QtCore.Qt.CheckStateRole, 2, 0


def option(kind: type | str, name: str) -> Any:
    """A property that decides which nodes are shown."""
    return QtCore.Property(kind, lambda self: self._options[name], lambda self, value: self._set_option(name, value))


class NodeComboBox(QtWidgets.QWidget):
    """A list of the scene's nodes of some types; its own combo box decides what is current when nodes come and go."""

    currentNodeChanged = QtCore.Signal((object,), (bool,))
    currentNodeIDChanged = QtCore.Signal(str)
    currentNodeRenamed = QtCore.Signal(str)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    nodeActivated = QtCore.Signal(object)
    addEnabled = kept(bool, "addEnabled", True)
    removeEnabled = kept(bool, "removeEnabled", True)
    editEnabled = kept(bool, "editEnabled", False)
    renameEnabled = kept(bool, "renameEnabled", False)
    baseName = kept(str, "baseName", "")
    selectNodeUponCreation = kept(bool, "selectNodeUponCreation", True)
    interactionNodeSingletonTag = kept(str, "interactionNodeSingletonTag", "Singleton")
    sizeAdjustPolicy = kept(int, "sizeAdjustPolicy", 0)

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

    nodeTypes = option("QStringList", "nodeTypes")
    hideChildNodeTypes = option("QStringList", "hideChildNodeTypes")
    noneEnabled = option(bool, "noneEnabled")
    noneDisplay = option(str, "noneDisplay")
    showHidden = option(bool, "showHidden")
    showChildNodeTypes = option(bool, "showChildNodeTypes")

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
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

    def currentNode(self) -> Any:
        node_id = self._box.currentData()
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID("" if node is None else node.GetID() or "")

    def setCurrentNodeID(self, node_id: str) -> None:
        if self._scene is None:
            self._requested_id = node_id or ""
        there = self._box.findData(node_id) if node_id else -1
        self._box.setCurrentIndex(there if there >= 0 else 0 if self.noneEnabled and self._box.count() else -1)

    def setCurrentNodeIndex(self, index: int) -> None:
        self._box.setCurrentIndex((index if index < self.nodeCount() else -1) + bool(self.noneEnabled))

    currentNodeID = QtCore.Property(str, lambda self: self._box.currentData() or "", setCurrentNodeID)
    currentNodeId = QtCore.Property(str, lambda self: self._box.currentData() or "", setCurrentNodeID)

    def nodeCount(self) -> int:
        return self._box.count() - bool(self.noneEnabled and self._box.count())

    def nodeFromIndex(self, index: int) -> Any:
        node_id = self._box.itemData(index + bool(self.noneEnabled))
        return self._scene.GetNodeByID(node_id) if node_id else None

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        self._attributes.append((node_type, name, value))
        self._refill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes = [each for each in self._attributes if each[:2] != (node_type, name)]
        self._refill()

    def addNode(self, node_type: str = "") -> Any:
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

    def removeCurrentNode(self) -> None:
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

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        checked = [self.itemText(index) for index in range(self.count()) if self.itemData(index, CHECK) == CHECKED]
        option.currentText = "All" if checked and len(checked) == self.count() else ", ".join(checked) or "None"
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)


class qMRMLCheckableNodeComboBox(NodeComboBox):  # noqa: N801
    checkedNodesChanged = QtCore.Signal()
    addEnabled = kept(bool, "addEnabled", False)
    removeEnabled = kept(bool, "removeEnabled", False)

    def make_box(self) -> QtWidgets.QComboBox:
        return CheckableBox(self)

    def _append(self, node: Any) -> None:
        super()._append(node)
        self._box.setItemData(self._box.count() - 1, UNCHECKED, CHECK)

    def checkedNodes(self) -> list[Any]:
        return [self.nodeFromIndex(index) for index in range(self.nodeCount()) if self._is_checked(index)]

    def uncheckedNodes(self) -> list[Any]:
        return [self.nodeFromIndex(index) for index in range(self.nodeCount()) if not self._is_checked(index)]

    def allChecked(self) -> bool:
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        return not self.checkedNodes()

    def _is_checked(self, index: int) -> bool:
        return self._box.itemData(index + bool(self.noneEnabled), CHECK) == CHECKED

    def checkState(self, node: Any) -> int:
        return CHECKED if any(each is node for each in self.checkedNodes()) else UNCHECKED

    def setCheckState(self, node: Any, state: int) -> None:
        there = self._box.findData(node.GetID()) if node is not None else -1
        if there >= 0 and self._box.itemData(there, CHECK) != int(state):
            self._box.setItemData(there, int(state), CHECK)
            self.checkedNodesChanged.emit()
            self._box.update()

    def check(self, node: Any) -> None:
        self.setCheckState(node, CHECKED)

    def uncheck(self, node: Any) -> None:
        self.setCheckState(node, UNCHECKED)


OFFERED = (qMRMLNodeComboBox, qMRMLCheckableNodeComboBox)
for each in OFFERED:
    offer("slicer", each)

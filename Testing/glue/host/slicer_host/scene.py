"""A scene as Slicer's modules leave it: their node classes, logics, default colours, and a subject hierarchy."""

from contextlib import contextmanager
from typing import Any

import slicer
import vtk

# module -> its logic's class
LOGICS = {
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}
# before the host takes out of the package what Slicer 5.8 does not show
_CLASSES = {name: getattr(slicer, cls) for name, cls in LOGICS.items()}
_IN_HIERARCHY = ("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode")


@contextmanager
def silent_vtk() -> Any:
    """Without what VTK's logics say about files that the package has not."""
    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(before)


class SceneWithLogics:
    """A new scene.

    Attributes:
        scene: The scene.
        application_logic: Knows the colour logic and the selection.
        logics: Of the modules, by name.
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.logics: dict[str, Any] = {}
        with silent_vtk():
            self.application_logic.SetMRMLScene(self.scene)
            for name, cls in _CLASSES.items():
                logic = cls()
                logic.SetMRMLApplicationLogic(self.application_logic)
                logic.SetMRMLScene(self.scene)
                self.logics[name] = logic
            self.application_logic.SetColorLogic(self.logics["Colors"])
        self._observe(self.scene.NodeAddedEvent, self._put_into_hierarchy)
        self._observe(self.scene.NodeAboutToBeRemovedEvent, self._take_out_of_hierarchy)

    def _observe(self, event: int, callback: Any) -> None:
        def relay(caller: Any, name: str, node: Any) -> None:
            callback(node)

        relay.CallDataType = vtk.VTK_OBJECT
        self.scene.AddObserver(event, relay)

    def _put_into_hierarchy(self, node: Any) -> None:
        """What the subject hierarchy's plugins do in the application."""
        hierarchy = self.scene.GetSubjectHierarchyNode()
        if hierarchy is None or node.GetHideFromEditors() or not any(node.IsA(kind) for kind in _IN_HIERARCHY):
            return
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    def _take_out_of_hierarchy(self, node: Any) -> None:
        hierarchy = self.scene.GetSubjectHierarchyNode()
        item = 0 if hierarchy is None or hierarchy is node else hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def end(self) -> None:
        """Let go of everything."""
        self.scene.RemoveAllObservers()
        self.scene.Clear(1)
        self.logics.clear()

"""Notices when a result is changed by hand, in whatever module, so that its tags say who drew what.

Slicer's own DICOM export reads these tags. At each change all of the result's segments lose the claim to be the model's
own work, which costs next to nothing and can never say too much; when the hand has rested, their voxels are compared
with the model's, a few milliseconds at a time, and those that are unchanged get it back. A scene may be saved in
between: it is compared again when it is loaded, and before a DICOM segmentation is written.
"""

import time
from collections.abc import Generator
from typing import Any

import qt
import slicer

from CISFASegmentationLib.voxel_digest import compare_voxels, doubt_voxels, our_segments

_REST_MS = 500
_SLOT_S = 0.005
_PLACE = "cisfa_edit_watch"


def install_edit_watch() -> "EditWatch":
    """Watch the scene from now on; once for a Slicer, whoever asks, and anew when the module is reloaded."""
    there = vars(slicer.mrmlScene).get(_PLACE)
    if type(there) is EditWatch:
        return there
    if there is not None:
        there.stop()
    # on the scene's own object, which lives as long as Slicer
    watch = vars(slicer.mrmlScene)[_PLACE] = EditWatch(slicer.mrmlScene)
    return watch


class EditWatch:
    """Observes all segmentations of a scene. It knows them by their ids alone, so it keeps none alive."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        """Watch the segmentations that there are, and those to come."""
        self._tags: dict[str, int] = {}
        self._waiting: dict[str, None] = {}
        self._work: Generator[None, None, None] | None = None
        self._working_on = ""
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._go_on)
        self._scene_tags = [
            scene.AddObserver(scene.NodeAddedEvent, self._on_nodes_changed),
            scene.AddObserver(scene.NodeRemovedEvent, self._on_nodes_changed),
            scene.AddObserver(scene.EndImportEvent, self._on_loaded),
        ]
        self._on_loaded(scene, None)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.stop()
        for tag in self._scene_tags:
            slicer.mrmlScene.RemoveObserver(tag)
        for identity, tag in self._tags.items():
            if node := slicer.mrmlScene.GetNodeByID(identity):
                node.RemoveObserver(tag)
        self._scene_tags, self._tags, self._waiting, self._work = [], {}, {}, None

    @property
    def is_settled(self) -> bool:
        """True when the tags say what is."""
        return not self._waiting and self._work is None

    def _on_nodes_changed(self, caller: object, event: object) -> None:
        nodes = {node.GetID(): node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
        for identity in self._tags.keys() - nodes.keys():
            del self._tags[identity]
            self._waiting.pop(identity, None)
            self._work = None if identity == self._working_on else self._work
        for identity in nodes.keys() - self._tags.keys():
            # what comes with the event is a segment's id, a label map or a segmentation, and nothing says which
            changed = slicer.vtkSegmentation.SourceRepresentationModified
            self._tags[identity] = nodes[identity].AddObserver(changed, self._on_edited)

    def _on_loaded(self, caller: object, event: object) -> None:
        """What was edited before, perhaps without this watch."""
        self._on_nodes_changed(caller, event)
        for identity in self._tags:
            self._wait_for_rest(identity)

    def _on_edited(self, node: Any, event: object) -> None:
        segmentation = node.GetSegmentation()
        if segmentation is not None and our_segments(segmentation):
            doubt_voxels(segmentation)
            self._wait_for_rest(node.GetID())

    def _wait_for_rest(self, identity: str) -> None:
        self._waiting[identity] = None
        if identity == self._working_on:
            self._work = None
        self._timer.start(_REST_MS)

    def _go_on(self) -> None:
        """Compare for some milliseconds, and go on later if that was not enough."""
        end = time.monotonic() + _SLOT_S
        while time.monotonic() < end:
            if self._work is None and not self._begin_next():
                return
            if self._work is not None and next(self._work, self) is self:
                self._work = None
        self._timer.start(0)

    def _begin_next(self) -> bool:
        while self._waiting:
            self._working_on = next(iter(self._waiting))
            del self._waiting[self._working_on]
            node = slicer.mrmlScene.GetNodeByID(self._working_on)
            if node is not None and node.GetSegmentation() is not None:
                self._work = compare_voxels(node.GetSegmentation())
                return True
        return False

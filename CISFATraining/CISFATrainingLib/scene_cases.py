"""From a volume with its segmentation in the scene to the files of a case. Nothing in the scene is changed.

A training runs for hours, perhaps when the scene is long gone, so it needs files: they go into the case folder.
"""

import hashlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from vtk.util.numpy_support import numpy_to_vtk

from cisfa.cases.case_list import ListedCase
from cisfa.errors import CisfaError
from cisfa.imaging.segmentation_header import codes_of_terminology
from cisfa.imaging.segments import Segment
from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.settings import CASE_FOLDER
from cisfa_slicer.volume_export import ijk_to_world, require_usable, write_volume

_VOLUME, _LABELS = "volume.nrrd", "labels.nrrd"
_PATIENT_TAGS = ("DICOM.PatientID", "DICOM.StudyInstanceUID", "DICOM.FrameOfReferenceUID")


class SceneCaseError(CisfaError):
    """A volume and a segmentation of the scene make no case."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A volume of the scene with the segmentation that belongs to it.

    Attributes:
        volume: The volume.
        segmentation: The segmentation; None where there is none.
    """

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode | None


def case_folder() -> Path:
    """Where the files of cases from scenes are kept."""
    return data_folder("cases", CASE_FOLDER)


def pairs_in_scene() -> tuple[Pair, ...]:
    """Every scalar volume of the scene, with the segmentation that was drawn on it."""
    volumes = [
        volume
        for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if volume.GetClassName() == "vtkMRMLScalarVolumeNode"  # label maps and colour volumes are scalar volumes too
    ]
    segmentations: dict[str, vtkMRMLSegmentationNode] = {}
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
        if volume is not None and node.GetSegmentation().GetNumberOfSegments():
            segmentations.setdefault(volume.GetID(), node)
    return tuple(Pair(volume, segmentations.get(volume.GetID())) for volume in volumes)


def write_case(pair: Pair, *, is_source: bool) -> ListedCase:
    """Write a pair's files.

    Args:
        pair: The volume, and what was drawn on it: all of a source case's organs, or some slices of a target case.
        is_source: True for an annotated case.

    Raises:
        CisfaError: The volume cannot be used, a source case has no segments, or the files cannot be written.
    """
    require_usable(pair.volume)
    name = pair.volume.GetName()
    if is_source and pair.segmentation is None:
        raise SceneCaseError(f"{name} has no segmentation. Choose the one that was drawn on it, or add it as target.")
    folder = case_folder() / uuid.uuid4().hex[:12]
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise SceneCaseError(
            f"The case folder {case_folder()} cannot be written to: {error.strerror or error}. Choose another one."
        ) from error
    segments: tuple[Segment, ...] = ()
    labels = None
    try:
        if pair.segmentation is not None:
            voxels, segments = _label_voxels(pair.volume, pair.segmentation)
            labels = folder / _LABELS
            _write_labels(pair.volume, voxels, labels)
        write_volume(pair.volume, folder / _VOLUME)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return ListedCase(
        name, folder / _VOLUME,
        labels=labels if is_source else None, few_labels=None if is_source else labels,
        segments=segments, patient_keys=patient_keys(pair.volume),
    )  # fmt: skip


def patient_keys(volume: vtkMRMLScalarVolumeNode) -> tuple[str, ...]:
    """Digests of what identifies a volume's patient in DICOM; empty for a volume that did not come from there."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, nowhere = hierarchy.GetItemByDataNode(volume), hierarchy.GetInvalidItemID()
    keys = []
    while item not in (nowhere, hierarchy.GetSceneItemID()):
        found = ((tag, hierarchy.GetItemAttribute(item, tag)) for tag in _PATIENT_TAGS)
        keys += [hashlib.sha256(f"{tag}:{value}".encode()).hexdigest() for tag, value in found if value]
        item = hierarchy.GetItemParent(item)
    return tuple(keys)


def segments_of(segmentation: vtkMRMLSegmentationNode) -> tuple[Segment, ...]:
    """A segmentation's segments, with the values 1, 2, 3 … in their order."""
    inner = segmentation.GetSegmentation()
    return tuple(_segment(inner.GetNthSegment(index), index + 1) for index in range(inner.GetNumberOfSegments()))


def _segment(segment: slicer.vtkSegment, value: int) -> Segment:
    entry = vtk.reference("")
    known = segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry)
    return Segment(value, segment.GetName(), *codes_of_terminology(str(entry) if known else ""))


def _label_voxels(
    volume: vtkMRMLScalarVolumeNode, segmentation: vtkMRMLSegmentationNode
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Label values on the volume's grid, (slice, row, column).

    Raises:
        SceneCaseError: Two segments overlap, or none lies on the volume.
    """
    inner = segmentation.GetSegmentation()
    segments = segments_of(segmentation)
    merged: np.ndarray | None = None
    for index, segment in enumerate(segments):
        mask = _mask(volume, segmentation, inner.GetNthSegmentID(index))
        if merged is None:
            merged = np.zeros(mask.shape, np.uint16)
        if merged[mask].any():
            other = segments[int(merged[mask].max()) - 1].name
            raise SceneCaseError(
                f"{segment.name} and {other} of {segmentation.GetName()} overlap, and a voxel can be of one organ only."
                " Let one give way (Segment Editor, Logical operators), then add the case again."
            )
        merged[mask] = segment.value
    if merged is None or not merged.any():
        raise SceneCaseError(
            f"Nothing of {segmentation.GetName()} lies on {volume.GetName()}. Choose the segmentation that belongs to"
            " it."
        )
    return merged, segments


def _mask(volume: vtkMRMLScalarVolumeNode, segmentation: vtkMRMLSegmentationNode, identity: str) -> np.ndarray:
    """One segment on the volume's grid, both with their transforms."""
    scene = slicer.mrmlScene
    before = _node_ids()
    try:
        labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "CISFA export")
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportSegmentsToLabelmapNode(segmentation, [identity], labels, volume):
            raise SceneCaseError(
                f"{segmentation.GetName()} cannot be brought onto the voxels of {volume.GetName()}. Slicer's log says"
                " why."
            )
        return np.array(slicer.util.arrayFromVolume(labels)) > 0
    finally:  # with the colour table and what else the export makes
        for added in _node_ids() - before:
            if node := scene.GetNodeByID(added):
                scene.RemoveNode(node)


def _node_ids() -> set[str]:
    nodes = slicer.mrmlScene.GetNodes()
    return {nodes.GetItemAsObject(index).GetID() for index in range(nodes.GetNumberOfItems())}


def _write_labels(volume: vtkMRMLScalarVolumeNode, voxels: np.ndarray, path: Path) -> None:
    """Write label values on a volume's grid, where the user sees it."""
    image = vtk.vtkImageData()
    image.SetDimensions(*voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    detached = slicer.vtkMRMLLabelMapVolumeNode()
    detached.SetAndObserveImageData(image)
    detached.SetIJKToRASMatrix(ijk_to_world(volume))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(True)
    if not storage.WriteData(detached):
        raise SceneCaseError(f"{path} cannot be written. Check the free space there.")

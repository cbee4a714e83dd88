"""From a volume with its segmentation in the scene to the files of a case. Nothing in the scene is changed.

A training runs for hours, perhaps when the scene is long gone, so it needs files: they go into the case folder.
"""

import hashlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

from cisfa.cases.case_list import ListedCase
from cisfa.imaging.segments import Segment
from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.segmentation_export import label_voxels, write_labels
from cisfa_slicer.settings import CASE_FOLDER
from cisfa_slicer.volume_export import SceneError, ijk_to_world, require_usable, write_volume

_VOLUME, _LABELS = "volume.nrrd", "labels.nrrd"
_PATIENT_TAGS = ("DICOM.PatientID", "DICOM.StudyInstanceUID", "DICOM.FrameOfReferenceUID")


class SceneCaseError(SceneError):
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
            labels = folder / _LABELS
            segments = _write_segments(pair.volume, pair.segmentation, labels)
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


def _write_segments(
    volume: vtkMRMLScalarVolumeNode, segmentation: vtkMRMLSegmentationNode, path: Path
) -> tuple[Segment, ...]:
    """Write label values on a volume's grid, where the user sees it."""
    try:
        voxels, segments = label_voxels(volume, segmentation)
    except SceneError as error:
        raise SceneCaseError(str(error)) from error
    write_labels(voxels, ijk_to_world(volume), path)
    return segments

"""From a job's label map to a segmentation in the scene, with names, colours, codes and origin."""

from dataclasses import astuple
from pathlib import Path

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

import cisfa
from cisfa.bundle.manifest import Manifest
from cisfa.imaging.organs import Code, Organ
from cisfa_slicer.volume_export import Grid, SceneError, grid_of, lie_together, vtk_matrix
from CISFASegmentationLib.voxel_digest import (
    ALGORITHM,
    ALGORITHM_NAME_TAG,
    ALGORITHM_TYPE_TAG,
    AUTOMATIC,
    is_ours,
    record_voxels,
)

BUNDLE_NAME, BUNDLE_VERSION, BUNDLE_CHECKSUM = "CISFA.BundleName", "CISFA.BundleVersion", "CISFA.BundleChecksum"
# both in one, as older scenes have it
BUNDLE = "CISFA.Bundle"
# of the volume, as the bundle understands it: what the unit of an intensity is
MODALITY = "CISFA.Modality"
_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_NOTHING = Code("", "", "")


def read_label_map(path: Path, grid: Grid) -> slicer.vtkOrientedImageData:
    """Read a job's label map onto the grid of its volume.

    Args:
        path: Written by the job, on the grid that the job was given: the volume's in the world.
        grid: That the volume had then.

    Returns:
        Label values on the volume's own grid, without its parent transform.

    Raises:
        SceneError: It cannot be read, or lies elsewhere.
    """
    stored = slicer.vtkMRMLLabelMapVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    if not storage.ReadData(stored) or stored.GetImageData() is None:
        raise SceneError("The job's label map cannot be read. Please report it with the log.")
    found = grid_of(stored)
    if found.dimensions != grid.dimensions or not lie_together(found.ijk_to_world, grid.ijk_to_world, grid.dimensions):
        raise SceneError("The job's label map does not lie on its volume. Please report it with the log.")
    labels = slicer.vtkOrientedImageData()
    labels.ShallowCopy(stored.GetImageData())
    labels.SetGeometryFromImageToWorldMatrix(vtk_matrix(grid.ijk_to_ras))
    return labels


def make_segmentation(labels: slicer.vtkOrientedImageData, manifest: Manifest) -> slicer.vtkSegmentation:
    """One segment for each of the bundle's organs, those that were not found too, all on one shared label map."""
    segmentation = slicer.vtkSegmentation()
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.SetSourceRepresentationName(representation)
    for organ in manifest.organs:
        segment = slicer.vtkSegment()
        segment.SetName(organ.name)
        segment.SetColor(*(part / 255 for part in organ.colour))
        segment.SetLabelValue(organ.label)
        segment.AddRepresentation(representation, labels)
        segment.SetTag(ALGORITHM_TYPE_TAG, AUTOMATIC)
        segment.SetTag(ALGORITHM_NAME_TAG, f"{ALGORITHM} {cisfa.__version__}, {manifest.name} {manifest.version}")
        if organ.type is not None and organ.category is not None:
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(organ))
        segmentation.AddSegment(segment, organ.name)
    record_voxels(segmentation)
    return segmentation


def terminology_entry(organ: Organ) -> str:
    """An organ's codes in the words of Slicer's terminologies: contexts, category, type, side, and no region.

    Written without the module Terminologies, which headless programs do not have: terms are parted by ``~``, a term's
    scheme, value and meaning by ``^``.
    """
    codes = (organ.category or _NOTHING, organ.type or _NOTHING, organ.laterality or _NOTHING)
    terms = ["^".join(astuple(code)) for code in codes]
    return "~".join((_TERMINOLOGY, *terms, _REGIONS, "^^", "^^"))


def place_in_scene(
    segmentation: slicer.vtkSegmentation,
    volume: vtkMRMLScalarVolumeNode,
    manifest: Manifest,
    checksum: str,
    replaced: vtkMRMLSegmentationNode | None,
) -> vtkMRMLSegmentationNode:
    """Put a segmentation into the scene: on the volume's geometry, under its transform and its study.

    Args:
        segmentation: Complete.
        volume: That was segmented.
        manifest: Of the bundle that made it.
        checksum: Of that bundle, so that a result says which model made it.
        replaced: The node to fill; None makes a new one.
    """
    if replaced is None:
        name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} segmentation")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    else:
        node = replaced
    node.SetAndObserveSegmentation(segmentation)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    # one that was hidden would show an empty picture, which looks like a patient without organs
    node.GetDisplayNode().SetVisibility(True)
    node.GetDisplayNode().SetAllSegmentsVisibility(True)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetAttribute(BUNDLE, f"{manifest.name} {manifest.version}")
    node.SetAttribute(BUNDLE_NAME, manifest.name)
    node.SetAttribute(BUNDLE_VERSION, manifest.version)
    node.SetAttribute(BUNDLE_CHECKSUM, checksum)
    node.SetAttribute(MODALITY, manifest.target.modality)
    _place_in_study(node, volume)
    return node


def loss_by_replacing(node: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode) -> str:
    """What would be lost if a segmentation were replaced by a result for a volume, in a sentence; empty for nothing."""
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    if not segments:
        return ""
    if node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is not volume:
        return f"{node.GetName()} belongs to another volume than {volume.GetName()}."
    others = [segment.GetName() for segment in segments if not is_ours(segment)]
    return f"{node.GetName()} holds segments that CISFA did not make: {', '.join(others)}." if others else ""


def show_in_3d(node: vtkMRMLSegmentationNode, shown: bool) -> None:
    """Make the surfaces of a segmentation, or put them away."""
    if shown:
        node.CreateClosedSurfaceRepresentation()
    else:
        node.RemoveClosedSurfaceRepresentation()
    node.GetDisplayNode().SetVisibility3D(shown)


def _place_in_study(node: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode) -> None:
    """Put a node beside a volume in the subject hierarchy: under its study, where DICOM export looks for it."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = [hierarchy.GetItemByDataNode(each) for each in (volume, node)]
    if hierarchy.GetInvalidItemID() not in items:
        hierarchy.SetItemParent(items[1], hierarchy.GetItemParent(items[0]))

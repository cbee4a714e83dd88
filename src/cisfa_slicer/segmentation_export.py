"""From a segmentation of the scene to label values on a volume's voxels. Nothing in the scene is changed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from cisfa.imaging.segmentation_header import codes_of_terminology
from cisfa.imaging.segments import Segment
from cisfa_slicer.volume_export import Grid, SceneError, grid_of, lie_together, matrix_array


def segments_of(segmentation: vtkMRMLSegmentationNode) -> tuple[Segment, ...]:
    """A segmentation's segments, with the values 1, 2, 3 … in their order."""
    inner = segmentation.GetSegmentation()
    segments = [inner.GetNthSegment(index) for index in range(inner.GetNumberOfSegments())]
    return tuple(
        Segment(value, segment.GetName(), *codes_of_terminology(terminology_of(segment)))
        for value, segment in enumerate(segments, 1)
    )


def terminology_of(segment: slicer.vtkSegment) -> str:
    """A segment's terminology entry; empty when it has none."""
    return tag_of(segment, slicer.vtkSegment.GetTerminologyEntryTagName())


def tag_of(segment: slicer.vtkSegment, name: str) -> str:
    """A segment's tag; empty when it has none of this name."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def label_voxels(
    volume: vtkMRMLScalarVolumeNode, segmentation: vtkMRMLSegmentationNode
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Label values on the volume's grid, (slice, row, column).

    Raises:
        SceneError: Two segments overlap, or none lies on the volume.
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
            raise SceneError(
                f"{segment.name} and {other} of {segmentation.GetName()} overlap, and a voxel can be of one organ only."
                " Let one give way (Segment Editor, Logical operators), then try again."
            )
        merged[mask] = segment.value
    if merged is None or not merged.any():
        raise SceneError(
            f"Nothing of {segmentation.GetName()} lies on {volume.GetName()}. Choose the segmentation that belongs to"
            " it."
        )
    return merged, segments


def exact_label_voxels(volume: vtkMRMLScalarVolumeNode, segments: Mapping[int, slicer.vtkSegment]) -> np.ndarray:
    """Label values on the volume's grid, (slice, row, column), without resampling; transforms count for nothing.

    Args:
        volume: On whose grid, or a part of it, the segments are kept.
        segments: By their labels.

    Raises:
        SceneError: A segment is kept on another grid, reaches beyond the volume, or overlaps another one.
    """
    grid = grid_of(volume)
    merged = np.zeros(grid.dimensions[::-1], np.uint16)
    for label, segment in segments.items():
        start = place_on(volume, grid, segment)
        voxels = kept_voxels(segment)
        low = [max(0, -first) for first in start]
        high = [min(own, count - first) for own, count, first in zip(voxels.shape, merged.shape, start, strict=True)]
        inside = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
        there = tuple(slice(a + first, max(a, b) + first) for a, b, first in zip(low, high, start, strict=True))
        drawn = voxels == segment.GetLabelValue()
        mask, region = drawn[inside], merged[there]
        beyond = int(np.count_nonzero(drawn)) - int(np.count_nonzero(mask))
        if beyond:
            raise SceneError(
                f"{beyond} voxels of {segment.GetName()} lie beyond {volume.GetName()}. Cut them off (Segment Editor,"
                " Scissors), then try again."
            )
        taken = region[mask]
        if taken.any():
            other = segments[int(taken.max())].GetName()
            raise SceneError(
                f"{other} and {segment.GetName()} overlap, and a voxel can be of one organ only. Let one give way"
                " (Segment Editor, Logical operators), then try again."
            )
        region[mask] = label
    return merged


def place_on(volume: vtkMRMLScalarVolumeNode, grid: Grid, segment: slicer.vtkSegment) -> tuple[int, int, int]:
    """Where the first of a segment's voxels lies on a volume's grid: slice, row, column, perhaps outside of it.

    Raises:
        SceneError: The segment is kept on another grid.
    """
    image, matrix = segment.GetRepresentation(_representation()), vtk.vtkMatrix4x4()
    if image is None or image.GetPointData().GetScalars() is None:
        return 0, 0, 0
    image.GetImageToWorldMatrix(matrix)
    shift, extent = np.linalg.inv(grid.ijk_to_ras) @ matrix_array(matrix), image.GetExtent()
    whole = np.eye(4)
    whole[:3, 3] = np.round(shift[:3, 3])
    reach = tuple(max(map(abs, pair)) + 1 for pair in zip(extent[::2], extent[1::2], strict=True))
    if not lie_together(grid.ijk_to_ras @ whole, matrix_array(matrix), reach):
        raise SceneError(
            f"The voxels of {segment.GetName()} are not those of {volume.GetName()}, and resampling would change the"
            " segment. Draw on the volume's own geometry (Segment Editor, beside the source volume), or take the"
            " segmentation that was made on it."
        )
    plane, row, column = first_voxel(segment)
    return plane + int(whole[2, 3]), row + int(whole[1, 3]), column + int(whole[0, 3])


def first_voxel(segment: slicer.vtkSegment) -> tuple[int, int, int]:
    """Indices of the first of :func:`kept_voxels` in the grid that a segment is kept on: slice, row, column."""
    image = segment.GetRepresentation(_representation())
    column, _, row, _, plane, _ = (0,) * 6 if image is None else image.GetExtent()
    return plane, row, column


def kept_voxels(segment: slicer.vtkSegment) -> np.ndarray:
    """The label map that a segment is kept in, perhaps with others, (slice, row, column); empty where there is none."""
    image = segment.GetRepresentation(_representation())
    scalars = None if image is None else image.GetPointData().GetScalars()
    if scalars is None:
        return np.zeros((0, 0, 0), np.uint8)
    return vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])


def write_labels(voxels: np.ndarray, ijk_to_ras: vtk.vtkMatrix4x4, path: Path, *, is_temporary: bool = False) -> None:
    """Write label values as a volume file.

    Args:
        voxels: (slice, row, column).
        ijk_to_ras: Where they lie.
        path: Of the file.
        is_temporary: True for a file that is read once, on this computer: not worth the time for compressing it.

    Raises:
        SceneError: It cannot be written.
    """
    image = vtk.vtkImageData()
    image.SetDimensions(*voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    detached = slicer.vtkMRMLLabelMapVolumeNode()
    detached.SetAndObserveImageData(image)
    detached.SetIJKToRASMatrix(ijk_to_ras)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(not is_temporary)
    if not storage.WriteData(detached):
        raise SceneError(f"{path} cannot be written. Check the free space there.")


def _mask(volume: vtkMRMLScalarVolumeNode, segmentation: vtkMRMLSegmentationNode, identity: str) -> np.ndarray:
    """One segment on the volume's grid, both with their transforms."""
    scene = slicer.mrmlScene
    before = _node_ids()
    try:
        labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "CISFA export")
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportSegmentsToLabelmapNode(segmentation, [identity], labels, volume):
            raise SceneError(
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


def _representation() -> str:
    return str(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())

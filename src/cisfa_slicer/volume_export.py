"""From nodes of the scene to files that a job reads. Nothing in the scene is changed."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk

from cisfa.errors import CisfaError
from cisfa.imaging.intensity import guess_modality

# of unit axes' dot products; more is a sheared grid, which no volume file of the patient can have
_ORTHOGONAL = 1e-3
# which volume files do not know
_UNWRITABLE_TYPES = (vtk.VTK_BIT, vtk.VTK_SIGNED_CHAR, vtk.VTK_LONG_LONG, vtk.VTK_UNSIGNED_LONG_LONG, vtk.VTK_ID_TYPE)


# how far the corners of one grid may lie apart, written and read again
_SAME_PLACE_MM = 0.01


class SceneError(CisfaError):
    """A node of the scene cannot be used as it is."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where a volume's voxels are.

    Attributes:
        dimensions: Number of voxels along i, j and k.
        ijk_to_ras: From voxel indices to RAS mm, without the parent transform, (4, 4).
        ijk_to_world: The same with the parent transform.
        image: The voxels.
        modified: When these were last modified, in VTK's count.
    """

    dimensions: tuple[int, int, int]
    ijk_to_ras: np.ndarray
    ijk_to_world: np.ndarray
    image: vtk.vtkImageData
    modified: int


def grid_of(volume: slicer.vtkMRMLScalarVolumeNode) -> Grid:
    """The grid that a volume has now."""
    local = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(local)
    image = volume.GetImageData()
    world = matrix_array(ijk_to_world(volume))
    return Grid(image.GetDimensions(), matrix_array(local), world, image, image.GetMTime())


def require_same_grid(volume: slicer.vtkMRMLScalarVolumeNode, grid: Grid) -> None:
    """Make sure that a volume's voxels are what and where they were; its parent transform may have moved them together.

    A sequence that goes on to its next frame, or another module that writes into the volume, changes the voxels alone.

    Raises:
        SceneError: They are not.
    """
    is_same = volume.GetImageData() is not None
    if is_same:
        now = grid_of(volume)
        is_same = now.image is grid.image and now.modified == grid.modified and now.dimensions == grid.dimensions
        is_same = is_same and lie_together(now.ijk_to_ras, grid.ijk_to_ras, grid.dimensions)
    if not is_same:
        raise SceneError(
            f"{volume.GetName()} was changed while it was being segmented, so the result no longer fits it. Segment it"
            " again."
        )


def lie_together(one: np.ndarray, other: np.ndarray, dimensions: tuple[int, int, int]) -> bool:
    """True when two grids of the same dimensions have their corners in the same places."""
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float).T
    corners[:3] *= (np.array(dimensions) - 1)[:, None]
    return bool(np.abs((one - other) @ corners).max() < _SAME_PLACE_MM)


def require_usable(volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Say in a sentence why a volume cannot be segmented.

    Raises:
        SceneError: There is none, it is a label map, 4-D or colour, empty, sheared, or under a non-linear transform.
    """
    if volume is None:
        raise SceneError("There is no volume. Load one, then choose it as the input volume.")
    name, image = volume.GetName(), volume.GetImageData()
    if volume.IsA("vtkMRMLLabelMapVolumeNode"):
        raise SceneError(f"{name} is a label map. Choose the volume that it belongs to.")
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise SceneError(f"{name} is empty: it has no voxels. Load it again.")
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        raise SceneError(
            f"{name} has {components} values per voxel (a colour, vector or 4-D volume). Choose a scalar volume, or"
            " split it first (modules Vector to Scalar Volume, Sequences)."
        )
    if image.GetScalarType() in _UNWRITABLE_TYPES or any(image.GetExtent()[::2]):
        raise SceneError(
            f"{name} has voxels of the type {image.GetScalarTypeAsString()} and the extent {image.GetExtent()}, which"
            " no volume file can have. Make a plain copy of it (modules Cast Scalar Volume, Crop Volume)."
        )
    transform = volume.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        raise SceneError(
            f"{name} is under the non-linear transform {transform.GetName()}. Harden the transform first (module"
            " Transforms), then segment the result."
        )
    axes = matrix_array(ijk_to_world(volume))[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if (lengths == 0).any() or np.abs((axes / lengths).T @ (axes / lengths) - np.eye(3)).max() > _ORTHOGONAL:
        raise SceneError(
            f"{name} has a sheared grid: its axes are not at right angles. Harden the transform, or resample the volume"
            " (module Resample Scalar/Vector/DWI Volume), then segment the result."
        )


def ijk_to_world(volume: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkMatrix4x4:
    """From voxel indices to RAS mm in the world, the volume's linear parent transform included."""
    local, to_world, matrix = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(local)
    transform = volume.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformToWorld(to_world)
    vtk.vtkMatrix4x4.Multiply4x4(to_world, local, matrix)
    return matrix


def write_volume(volume: slicer.vtkMRMLScalarVolumeNode, path: Path) -> None:
    """Write a volume where the user sees it: with its linear parent transform in the file's geometry.

    Raises:
        SceneError: It cannot be used (:func:`require_usable`), or the file cannot be written.
    """
    require_usable(volume)
    # beside the scene, sharing the voxels: the user's node is not touched
    detached = slicer.vtkMRMLScalarVolumeNode()
    detached.SetAndObserveImageData(volume.GetImageData())
    detached.SetIJKToRASMatrix(ijk_to_world(volume))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)  # it is read once, on this computer
    if not storage.WriteData(detached):
        raise SceneError(
            f"{volume.GetName()} cannot be written to the temporary folder {path.parent}. Check the free space there,"
            " or choose another one in Slicer's settings."
        )


def write_roi(roi: slicer.vtkMRMLMarkupsROINode, path: Path) -> None:
    """Write a region of interest as a markups file in world coordinates.

    Raises:
        SceneError: It was not placed yet, has no size, or is under a non-linear transform.
    """
    transform = roi.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        raise SceneError(f"{roi.GetName()} is under a non-linear transform. Harden it first, or choose no region.")
    size, centre = np.zeros(3), np.zeros(3)
    roi.GetSizeWorld(size)
    roi.GetCenterWorld(centre)
    if roi.GetNumberOfControlPoints() == 0 or not (size > 0).all():
        raise SceneError(f"{roi.GetName()} has not been placed yet. Draw it over the organs, or choose no region.")
    axes = matrix_array(roi.GetObjectToWorldMatrix())[:3, :3]
    axes /= np.linalg.norm(axes, axis=0)
    markup = {
        "type": "ROI", "coordinateSystem": "RAS", "center": centre.tolist(), "size": size.tolist(),
        "orientation": axes.ravel().tolist(),
    }  # fmt: skip
    path.write_text(json.dumps({"markups": [markup]}), encoding="utf-8")


def stated_modality(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    """DICOM's Modality (0008,0060) of a volume's series; empty when the volume did not come from DICOM."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume)
    known = item != hierarchy.GetInvalidItemID()
    return str(hierarchy.GetItemAttribute(item, "DICOM.Modality") or "") if known else ""


def modality_of(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    """What a volume is: as DICOM says ("MR", "PT" …), or else CT or MR as its intensities look."""
    if stated := stated_modality(volume):
        return stated
    return guess_modality(slicer.util.arrayFromVolume(volume))


def body_part_of(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    """DICOM's Body Part Examined (0018,0015) of a volume that was loaded from Slicer's DICOM database; else empty."""
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is None or not instances:
        return ""
    return str(database.instanceValue(instances[0], "0018,0015") or "")


def matrix_array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A VTK matrix as an array, (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """An array, (4, 4), as VTK has it."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(array.ravel().tolist())
    return matrix

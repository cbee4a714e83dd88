"""Nodes for tests: volumes that lie askew, and what a segmentation holds."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

# 17 degrees about no anatomical axis, as RAS directions of columns, rows, slices
_AXIS = np.array([2.0, -1.0, 1.5]) / np.linalg.norm([2.0, -1.0, 1.5])
_CROSS = np.cross(np.eye(3), _AXIS)
_TILT = np.cos(0.3) * np.eye(3) + np.sin(0.3) * _CROSS + (1 - np.cos(0.3)) * np.outer(_AXIS, _AXIS)
SPACING_MM = (0.7, 0.9, 3.1)


def add_volume(name="Müller, Anna", shape=(6, 40, 37), *, modality="MR", transform=None, voxels=None):
    """An oblique, anisotropic volume with a bright block in its middle; looks like MR or CT."""
    if voxels is None:
        voxels = np.random.default_rng(0).rayleigh(60, shape)
        voxels[tuple(slice(count // 4, count - count // 4) for count in shape)] += 500
        voxels = (voxels - (1000 if modality == "CT" else 0)).astype(np.int16)
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    node.SetAndObserveImageData(image_of(voxels))
    node.SetIJKToRASMatrix(matrix_of(_TILT @ np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2]]), (10, 20, -30)))
    node = slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    if transform is not None:
        node.SetAndObserveTransformNodeID(transform.GetID())
    return node


def label_like_volume(name="volume"):
    """A volume whose voxels are labels of the demo model's organs, and these voxels."""
    voxels = np.zeros((6, 20, 30), np.uint8)
    voxels[1:3, 2:5, 3:9] = 1
    voxels[4, 10:12, 20:25] = 4
    return add_volume(name, voxels=voxels), voxels


def image_of(voxels):
    """Voxels, (slice, row, column) and perhaps a component, as VTK has them."""
    image = vtk.vtkImageData()
    image.SetDimensions(*voxels.shape[2::-1])
    flat = voxels.reshape(-1) if voxels.ndim == 3 else voxels.reshape(-1, voxels.shape[3])
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image


def matrix_of(axes, origin):
    """A VTK matrix of a 3x3 array and an origin."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(3):
        for column in range(3):
            matrix.SetElement(row, column, axes[row][column])
        matrix.SetElement(row, 3, origin[row])
    return matrix


def add_transform(*, is_linear=True):
    """A rotation with a shift, or a bend."""
    if not is_linear:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bend")
        grid = vtk.vtkImageData()
        grid.SetDimensions(5, 5, 5)
        grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
        spline = slicer.vtkOrientedBSplineTransform()
        spline.SetCoefficientData(grid)
        node.SetAndObserveTransformFromParent(spline)
        return node
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turn")
    turn = vtk.vtkTransform()
    turn.RotateX(20)
    turn.RotateZ(40)
    turn.Translate(5, 6, 7)
    node.SetMatrixTransformToParent(turn.GetMatrix())
    return node


def segment_arrays(node):
    """Each segment's mask on the segmentation's grid by its name, (slice, row, column)."""
    from vtk.util.numpy_support import vtk_to_numpy

    masks = {}
    for index in range(node.GetSegmentation().GetNumberOfSegments()):
        identity = node.GetSegmentation().GetNthSegmentID(index)
        labels = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(identity, labels)
        shape = labels.GetDimensions()[::-1]
        masks[node.GetSegmentation().GetSegment(identity).GetName()] = (
            vtk_to_numpy(labels.GetPointData().GetScalars()).reshape(shape) > 0
        )
    return masks


def snapshot():
    """What there is in the scene, to see that nothing was touched."""
    nodes = slicer.mrmlScene.GetNodes()
    every = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
    return sorted((node.GetID(), node.GetName()) for node in every)

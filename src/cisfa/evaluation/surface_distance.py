"""How far apart the surfaces of two masks are, in mm on the grid they were drawn on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from cisfa.imaging.geometry import Geometry

_PERCENTILE = 95


@dataclass(frozen=True)
class SurfaceDistance:
    """Distances between two surfaces.

    Attributes:
        assd_mm: Average symmetric surface distance: the mean, over the surface voxels of both masks together, of the
            distance to the nearest surface voxel of the other mask.
        hd95_mm: 95 % Hausdorff distance: the larger of the two directions' 95th percentiles of those distances.
    """

    assd_mm: float
    hd95_mm: float


def surface_distance(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], geometry: Geometry
) -> SurfaceDistance | None:
    """Measure the distance between two masks' surfaces.

    Distances run between voxel centres in patient coordinates, so anisotropic, oblique and sheared (non-orthogonal)
    grids are all measured exactly, without resampling.

    Args:
        prediction: Boolean mask, (slices, rows, columns).
        truth: Boolean mask of the same shape.
        geometry: The grid of both.

    Returns:
        None when a mask is empty: it has no surface, and no finite number would be fair to it. The caller reports
        such a case as what it is.
    """
    ours, theirs = surface_points_mm(prediction, geometry), surface_points_mm(truth, geometry)
    if not len(ours) or not len(theirs):
        return None
    to_truth, to_prediction = _to_nearest_mm(ours, theirs), _to_nearest_mm(theirs, ours)
    return SurfaceDistance(
        assd_mm=float((to_truth.sum() + to_prediction.sum()) / (len(ours) + len(theirs))),
        hd95_mm=float(max(np.percentile(to_truth, _PERCENTILE), np.percentile(to_prediction, _PERCENTILE))),
    )


def surface_points_mm(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.float64]:
    """Centres of a mask's surface voxels in LPS mm, (voxels, 3).

    A voxel is on the surface when one of its six face neighbours is outside the mask. Beyond the volume is outside
    too, except along an axis of a single voxel: there the mask is flat, and its outline is its surface.
    """
    box = _bounding_box(mask)
    if box is None:
        return np.empty((0, 3))
    cropped = mask[box]
    neighbours = ndimage.generate_binary_structure(3, 1)
    for axis in range(3):
        if mask.shape[axis] == 1:
            np.moveaxis(neighbours, axis, 0)[[0, 2]] = False
    # border_value 0: whatever lies outside the box is outside the mask, so that cropping changes nothing
    surface = cropped & ~ndimage.binary_erosion(cropped, neighbours, border_value=0)
    return geometry.to_lps(np.argwhere(surface) + [part.start for part in box])


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds the mask; None when it is empty."""
    found = ndimage.find_objects(mask.view(np.uint8), max_label=1)
    box: tuple[slice, slice, slice] | None = found[0]
    return box


def _to_nearest_mm(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = KDTree(others).query(points)[0]
    return distances

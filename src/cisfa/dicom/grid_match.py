"""A label map brought into the order of a series' slices, rows and columns, where it lies on the same grid."""

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import ExportError
from cisfa.imaging.geometry import Geometry, shape_in_words
from cisfa.imaging.volume import LabelMap

# DICOM writes positions as decimal strings, and scanners round them: of the smallest spacing
_TOLERANCE = 0.05
_SAME_PLACE_MM = 1e-3


def voxels_on_grid(label_map: LabelMap, grid: Geometry, *, series: str) -> NDArray[Any]:
    """The label map's voxels, (slices, rows, columns) of the grid; a view where possible.

    Programs store the same voxels with their axes in another order or direction, which is undone here; nothing is
    resampled.

    Args:
        label_map: Any order and direction of its axes.
        grid: Of the series.
        series: What to call the series in messages.

    Raises:
        ExportError: The label map does not cover the grid voxel for voxel.
    """
    order = _order_of_axes(label_map.geometry, grid)
    voxels, geometry = label_map.voxels.transpose(order), label_map.geometry.transposed(order)
    for axis in range(3):
        if geometry.axes_lps[axis] @ grid.axes_lps[axis] < 0:
            voxels, geometry = np.flip(voxels, axis), geometry.flipped(axis)
    if geometry.shape != grid.shape:
        raise ExportError(
            f"{label_map.name} does not belong to {series}: it has {shape_in_words(geometry.shape)}, the series"
            f" {shape_in_words(grid.shape)}. Choose the series that was segmented, or resample the label map onto its"
            " grid."
        )
    apart_mm = geometry.farthest_corner_mm(grid)
    if apart_mm > max(_SAME_PLACE_MM, _TOLERANCE * min(grid.spacing_mm)):
        raise ExportError(
            f"{label_map.name} does not belong to {series}: both have {shape_in_words(grid.shape)}, but their corners"
            f" lie up to {apart_mm:.2f} mm apart. Choose the series that was segmented, or resample the label map"
            " onto its grid."
        )
    return voxels


def _order_of_axes(geometry: Geometry, grid: Geometry) -> tuple[int, int, int]:
    """Which axes of the geometry run along the grid's slices, rows and columns, either way."""
    alignment = np.abs(grid.axes_lps @ geometry.axes_lps.T)
    orders = [(first, second, third) for first, second, third in permutations(range(3))]
    return max(orders, key=lambda order: sum(alignment[axis, order[axis]] for axis in range(3)))

"""Cutting a case along the body to where its organs are.

A whole-body CT has a thousand slices, most of which show nothing that is to be learned, nor anything like the target's.
"""

import numpy as np

from cisfa.imaging.geometry import Geometry, closest_axis
from cisfa.imaging.volume import LabelMap, Volume


def cut_to_organs(volume: Volume, label_map: LabelMap, margin_mm: float) -> tuple[Volume, LabelMap]:
    """Keep the axial slices of the organs, and those within a margin of them; voxels stay where they lie.

    Args:
        volume: Oblique ones are cut along the axis that runs most nearly along the body.
        label_map: On its grid, with at least one organ.
        margin_mm: Kept before the first and after the last slice with an organ.
    """
    axis = closest_axis(volume.geometry, "axial")
    others = tuple({0, 1, 2} - {axis})
    with_organs = np.flatnonzero(label_map.voxels.any(axis=others))
    margin = int(np.ceil(margin_mm / volume.geometry.spacing_mm[axis]))
    first = max(0, int(with_organs[0]) - margin)
    last = min(volume.geometry.shape[axis] - 1, int(with_organs[-1]) + margin)
    kept = tuple(slice(first, last + 1) if each == axis else slice(None) for each in range(3))
    geometry = _part(volume.geometry, axis, first, last + 1 - first)
    return (
        Volume(volume.voxels[kept], geometry, volume.name, volume.series),
        LabelMap(label_map.voxels[kept], geometry, label_map.name, label_map.frame_of_reference_uid),
    )


def _part(geometry: Geometry, axis: int, first: int, count: int) -> Geometry:
    start = np.zeros(3)
    start[axis] = first
    matrix = geometry.index_to_lps.copy()
    matrix[:3, 3] = geometry.to_lps([start])[0]
    shape = list(geometry.shape)
    shape[axis] = count
    return Geometry((shape[0], shape[1], shape[2]), matrix)

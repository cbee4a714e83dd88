"""How large the organs of a label map are, where they lie in it as a whole."""

import numpy as np

from cisfa.imaging.volume import LabelMap


def whole_volumes_ml(label_map: LabelMap) -> dict[int, float]:
    """Label value to volume in mL, of the organs that are there and reach no edge of the volume.

    More of an organ that reaches the first or last slice, row or column may lie outside, so its volume says nothing. A
    direction with a single slice has no edge.
    """
    voxels = label_map.voxels
    counts = np.bincount(voxels.ravel())
    cut_off = {0}
    for axis, length in enumerate(voxels.shape):
        if length > 1:
            cut_off.update(np.unique(voxels.take((0, -1), axis=axis)).tolist())
    voxel_ml = label_map.geometry.voxel_volume_ml
    return {int(label): float(counts[label] * voxel_ml) for label in np.flatnonzero(counts) if label not in cut_off}

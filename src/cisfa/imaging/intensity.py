"""Intensities: which modality a volume looks like, where the body is, and how values are normalised."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.config import Modality, PreprocessingConfig
from cisfa.errors import VolumeFileError

# air and fat in HU; MR intensities are magnitudes, so only resampling's overshoot makes them negative
_CERTAINLY_CT = -50.0
# of a row or column over all slices; less is noise or a fold-over at the edge of the field of view
_EDGE_FRACTION = 0.02
# what lies less than this above the window's lower end is air
_ABOVE_AIR_HU = 10.0
# ITK stops Li's iteration at half a unit, so intensities must first be brought to one range
_LI_RANGE = 1000.0


def guess_modality(voxels: NDArray[Any]) -> Modality:
    """CT when more than half a percent of the voxels lie below -50 (air, fat in HU), MR otherwise."""
    return "CT" if float(np.percentile(_thinned(voxels), 0.5)) < _CERTAINLY_CT else "MR"


def clip_range(voxels: NDArray[Any], modality: Modality, config: PreprocessingConfig) -> tuple[float, float]:
    """The intensities kept: CT's window in HU, MR up to a percentile of the volume."""
    if modality == "CT":
        return config.ct_window_hu
    return float(voxels.min()), float(np.percentile(_thinned(voxels), config.mr_clip_percentile))


@dataclass(frozen=True)
class IntensityScale:
    """Clip to a range, then bring to zero mean and unit variance.

    Attributes:
        low: Lowest intensity kept.
        high: Highest intensity kept.
        mean: Of the clipped intensities.
        deviation: Standard deviation of the clipped intensities.
    """

    low: float
    high: float
    mean: float
    deviation: float

    def __call__(self, voxels: NDArray[Any]) -> NDArray[np.float32]:
        """The voxels as z-scores."""
        scores: NDArray[np.float32] = (np.clip(voxels, self.low, self.high) - self.mean) / self.deviation
        return scores.astype(np.float32, copy=False)


def measure_scale(
    voxels: NDArray[Any], modality: Modality, config: PreprocessingConfig, *, name: str
) -> IntensityScale:
    """The scale that brings a volume to zero mean and unit variance, computed slice by slice in little memory.

    Args:
        voxels: (slices, rows, columns).
        modality: How intensities are read.
        config: CT's window, MR's percentile.
        name: Of the volume, for the message.

    Raises:
        VolumeFileError: All voxels are the same after clipping.
    """
    low, high = clip_range(voxels, modality, config)
    total, squares, origin = 0.0, 0.0, float(np.clip(voxels[0, 0, 0], low, high))
    for one_slice in voxels:  # relative to some voxel, or a large offset would swamp the squares
        clipped = np.clip(one_slice, low, high).astype(np.float64) - origin
        total += float(clipped.sum())
        squares += float(np.square(clipped).sum())
    mean = total / voxels.size
    deviation = math.sqrt(max(0.0, squares / voxels.size - mean * mean))
    if deviation <= 1e-6 * max(abs(low), abs(high)):  # relative, since quantitative maps may be of any size
        raise VolumeFileError(
            f"{name} is constant: all its voxels are {mean + origin:g} within the range used ({low:g} to {high:g},"
            f" {modality}). Check that it is the right volume, and its modality."
        )
    return IntensityScale(low, high, mean + origin, deviation)


def body_bounds(voxels: NDArray[Any], modality: Modality, config: PreprocessingConfig) -> tuple[slice, slice]:
    """Rows and columns that the patient's body takes up, from intensities alone.

    Everything brighter than air, less specks and thin things (a table), its largest connected part, over all slices.
    Falls back to the whole slice when that leaves less than a tenth of either edge.

    Args:
        voxels: (slices, rows, columns).
        modality: How intensities are read.
        config: CT's window.
    """
    stride = max(1, min(voxels.shape[1:]) // 128)
    thinned = voxels[:, ::stride, ::stride].astype(np.float32, order="C")
    low, high = clip_range(thinned, modality, config)
    if not low < high:
        return slice(0, voxels.shape[1]), slice(0, voxels.shape[2])
    np.clip(thinned, low, high, out=thinned)
    thinned -= low
    thinned *= _LI_RANGE / (high - low)
    inside = _in_body(thinned, modality, config)
    bounds = []
    for axis, length in ((1, voxels.shape[1]), (2, voxels.shape[2])):
        others = tuple(other for other in range(3) if other != axis)
        touched = np.flatnonzero(inside.mean(axis=others) > _EDGE_FRACTION)
        if touched.size * stride < 0.1 * length:
            return slice(0, voxels.shape[1]), slice(0, voxels.shape[2])
        bounds.append(slice(int(touched[0]) * stride, min(length, (int(touched[-1]) + 1) * stride)))
    return bounds[0], bounds[1]


def _in_body(brightness: NDArray[np.float32], modality: Modality, config: PreprocessingConfig) -> NDArray[np.bool_]:
    """The largest connected part of what is brighter than air; brightness runs from 0 to _LI_RANGE."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(brightness)
    if modality == "CT":
        window = config.ct_window_hu[1] - config.ct_window_hu[0]
        body = image > _ABOVE_AIR_HU * _LI_RANGE / window
    else:
        # Li's threshold follows the dark background; Otsu's would cut off dark fat. Of square roots, since a stomach
        # full of bright fluid would otherwise pull the threshold above suppressed fat and muscle, into the body
        body = SimpleITK.LiThreshold(SimpleITK.Sqrt(image * _LI_RANGE), 0, 1)
    opened = SimpleITK.BinaryMorphologicalOpening(body, (2, 2, 0), SimpleITK.sitkBall)
    parts = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(opened), sortByObjectSize=True)
    in_body: NDArray[np.bool_] = SimpleITK.GetArrayViewFromImage(parts) == 1
    return in_body


def _thinned(voxels: NDArray[Any]) -> NDArray[Any]:
    """Every n-th voxel, a million or two at most: percentiles of a large volume in milliseconds."""
    step = max(1, voxels.size // 1_000_000)
    while step > 1 and any(math.gcd(step, count) > 1 for count in voxels.shape):
        step += 1  # a divisor of the row length would visit some columns only
    thinned: NDArray[Any] = voxels.flat[::step]  # a copy of these alone, also from a transposed or flipped volume
    return thinned

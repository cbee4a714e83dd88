"""How much of an organ two masks share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.imaging.geometry import Geometry, closest_axis
from cisfa.imaging.preprocessing import choose_plane


def dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    """Dice's coefficient 2 |P ∩ T| / (|P| + |T|), from 0 (nothing shared) to 1 (the same mask).

    Args:
        prediction: Boolean mask, any shape.
        truth: Boolean mask of the same shape.

    Returns:
        None when both masks are empty, since 0 / 0 says nothing about the prediction; 0 when one of them is.
    """
    voxels = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    if voxels == 0:
        return None
    return 2 * int(np.count_nonzero(prediction & truth)) / voxels


def organ_slices(truth_labels: NDArray[Any], slice_axis: int) -> NDArray[np.bool_]:
    """The slices in which the truth of any organ at all is present.

    They are the same slices for every organ of a case, chosen by the truth alone: a prediction's false positives
    beyond the first and the last annotated slice do not count there. Papers that cut their volumes to the annotated
    slices report Dice on these, which is why it stands beside the Dice on all slices.

    Args:
        truth_labels: (slices, rows, columns), 0 is background, every other value an organ.
        slice_axis: The axis along which the volume was cut into slices, see :func:`acquisition_axis`.

    Returns:
        One boolean per slice, True where the truth holds an organ.
    """
    others = tuple(axis for axis in range(truth_labels.ndim) if axis != slice_axis)
    held: NDArray[np.bool_] = np.any(truth_labels != 0, axis=others)
    return held


def acquisition_axis(geometry: Geometry) -> int:
    """The array axis along which the scanner cut its slices, wherever a file stores it.

    The axis whose spacing is clearly the largest, as preprocessing's plane "auto"; where there is none (thin slices,
    voxels that are cubes), the one nearest to Superior.
    """
    return closest_axis(geometry, choose_plane(geometry, "auto"))

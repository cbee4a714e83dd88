"""How much of its convex hull an organ fills: less when it is ragged, torn, or grows into its neighbours."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from cisfa.imaging.volume import LabelMap


def solidities(label_map: LabelMap, axis: int) -> dict[int, float]:
    """Label value to solidity: the volume over that of the convex hull, above 0 to 1.

    Between two slices an organ is taken for the frustum between their areas, so that thick slices of a convex body have
    the solidity of thin ones, where boxes of a slice's thickness would not. An organ in a single slice has none.

    Args:
        label_map: On any grid; a ratio of volumes is the same on all.
        axis: The array axis along which the scanner cut its slices.
    """
    areas: dict[int, list[tuple[int, int]]] = defaultdict(list)
    outlines: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for place, one in enumerate(np.moveaxis(label_map.voxels, axis, 0)):
        for label in _labels_in(one):
            mask = one == label
            areas[label].append((place, int(np.count_nonzero(mask))))
            outlines[label].append(_outline(mask, place))
    return {
        # at most 1 but for the last bits
        label: min(1.0, _volume(areas[label]) / float(ConvexHull(np.concatenate(outlines[label])).volume))
        for label in sorted(areas)
        if len(areas[label]) > 1
    }


def _labels_in(one: NDArray[np.unsignedinteger]) -> Iterator[int]:
    counts = np.bincount(one.ravel())
    counts[:1] = 0
    return map(int, np.flatnonzero(counts))


def _outline(mask: NDArray[np.bool_], place: int) -> NDArray[np.float64]:
    """Corners of pixels that span the convex hull of a slice's mask: (points, 3), in slices, rows and columns."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = [
        np.stack([np.full(len(rows), place), rows + below, columns], axis=1)
        for below in (0, 1)
        for columns in (first, last)
    ]
    return np.concatenate(corners).astype(np.float64)


def _volume(areas: list[tuple[int, int]]) -> float:
    """In voxels, of the frustums between neighbouring slices of which at least one holds the organ."""
    first, last = areas[0][0], areas[-1][0]
    along = np.zeros(last - first + 1)
    for place, area in areas:
        along[place - first] = area
    one, other = along[:-1], along[1:]
    return float((one + np.sqrt(one * other) + other).sum() / 3)

"""Whether predictions on whole cases look like organs at all: in one piece, and left ones on the left."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cisfa.config import PlaneChoice
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organ_parts import parts_of_organs
from cisfa.imaging.organ_sides import counterparts
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume import LabelMap

# the axis that runs to the patient's left in slices of a plane (cisfa.imaging.preprocessing); "auto" may be any
_LEFTWARD_AXES: dict[PlaneChoice, int | None] = {"axial": 2, "coronal": 2, "sagittal": 0, "auto": None}


def plausibility(cases: Sequence[NDArray[np.uint8]], organs: Sequence[Organ], plane: PlaneChoice) -> float:
    """How far predictions look like organs, from 0 to 1: the mean over cases and organs of piece times side.

    "Piece" is the part of an organ's pixels that lie in its largest three-dimensional piece (26-neighbourhood), 0 for
    an organ that is not found: organs are connected, and what a network makes up lies scattered (as postprocessing by
    the largest component assumes, too). "Side", for two organs that are each other's counterpart, such as the
    kidneys, is the probability that a pixel of the right one lies to the right of a pixel of the left one, equal places
    counting half (Mann and Whitney's U as a probability): 1 for kidneys in their places, 0 for swapped ones.

    Args:
        cases: Class indices of each case, (slices, rows, columns), slices consecutive or evenly spread.
        organs: Class i + 1 is organs[i].
        plane: How the cases were cut; with "auto" it is not known where left is, and sides count as right.
    """
    values = [_of_case(classes, organs, _LEFTWARD_AXES[plane]) for classes in cases]
    return float(np.mean(values)) if values else 0.0


def _of_case(classes: NDArray[np.uint8], organs: Sequence[Organ], leftward: int | None) -> NDArray[np.float64]:
    """Piece times side of each organ."""
    values = np.zeros(len(organs))
    # of the grid only the shape counts
    grid = Geometry.from_axes(classes.shape, spacing_mm=(1.0, 1.0, 1.0))
    for parts in parts_of_organs(LabelMap(classes, grid)):
        values[parts.label - 1] = parts.sizes[0] / sum(parts.sizes)
    if leftward is not None:
        for right, left in _pairs(organs):
            values[[right, left]] *= _side(classes == right + 1, classes == left + 1, leftward)
    return values


def _pairs(organs: Sequence[Organ]) -> list[tuple[int, int]]:
    """The places of organs that are each other's counterpart, the right one first."""
    return [(organs.index(right), organs.index(left)) for right, left in counterparts(organs)]


def _side(right: NDArray[np.bool_], left: NDArray[np.bool_], leftward: int) -> float:
    """The probability that a pixel of the right organ lies to the right of one of the left; 1 where one is missing."""
    others = tuple(axis for axis in range(right.ndim) if axis != leftward)
    of_right, of_left = (mask.sum(axis=others, dtype=np.float64) for mask in (right, left))
    pairs = of_right.sum() * of_left.sum()
    # pixels of the left organ that lie beyond each place
    beyond = of_left.sum() - of_left.cumsum()
    return float((of_right * (beyond + of_left / 2)).sum() / pairs) if pairs else 1.0

"""Whether what was found of an organ looks like an organ in space: whole from slice to slice, and on its own side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cisfa.evaluation.overlap import acquisition_axis
from cisfa.imaging.organ_sides import counterparts
from cisfa.imaging.organ_solidity import solidities
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume import LabelMap


@dataclass(frozen=True, kw_only=True)
class OrganShape:
    """One organ that was found, along the axis in which the scanner cut its slices.

    Attributes:
        continuity: The Dice of the organ's areas in neighbouring slices, summed over all neighbours from its first to
            its last slice before dividing, 0 to 1; None for an organ in a single slice, which has no neighbours.
        swapped_with: The name of its counterpart on the other side that lies on the wrong side of it; None where it
            lies on the right side, or where there is none.
        solidity: How much of its convex hull it fills, above 0 to 1; None for an organ in a single slice.
    """

    continuity: float | None
    swapped_with: str | None = None
    solidity: float | None = None


def shapes_of_organs(label_map: LabelMap, organs: Sequence[Organ]) -> dict[str, OrganShape]:
    """The shapes of the organs that were found, by name.

    Args:
        label_map: What was found, on any grid; sides are told in the patient, wherever the axes run.
        organs: Those to look at.
    """
    axis = acquisition_axis(label_map.geometry)
    labels = [organ.label for organ in organs]
    across = np.moveaxis(label_map.voxels, axis, 0)
    # a slice at a time, since a mask of a whole study for each organ would be large
    areas = _pixels_by_slice(across, labels)
    shared = _pixels_by_slice((np.where(one == other, one, 0) for one, other in pairwise(across)), labels)
    swapped, solidity = _swapped(label_map, organs), solidities(label_map, axis)
    return {
        organ.name: OrganShape(
            continuity=_continuity(areas[:, place], shared[:, place]),
            swapped_with=swapped.get(organ.name),
            solidity=solidity.get(organ.label),
        )
        for place, organ in enumerate(organs)
        if areas[:, place].any()
    }


def _pixels_by_slice(slices: Iterable[NDArray[np.unsignedinteger]], labels: Sequence[int]) -> NDArray[np.intp]:
    """How many pixels of each label there are, (slices, labels)."""
    return np.array([[np.count_nonzero(one == label) for label in labels] for one in slices]).reshape(-1, len(labels))


def _continuity(areas: NDArray[np.intp], shared: NDArray[np.intp]) -> float | None:
    there = np.flatnonzero(areas)
    first, last = there[0], there[-1]
    if first == last:
        return None
    both = areas[first:last].sum() + areas[first + 1 : last + 1].sum()
    return float(2 * shared[first:last].sum() / both)


def _swapped(label_map: LabelMap, organs: Sequence[Organ]) -> Mapping[str, str]:
    """Organs whose counterpart lies on the wrong side, by the places of their centres."""
    swapped: dict[str, str] = {}
    for right, left in counterparts(organs):
        here, there = (np.argwhere(label_map.voxels == organ.label) for organ in (right, left))
        if not len(here) or not len(there):
            continue
        # x grows to the patient's left
        centres = label_map.geometry.to_lps(np.array([here.mean(axis=0), there.mean(axis=0)]))
        if centres[0, 0] >= centres[1, 0]:
            swapped |= {right.name: left.name, left.name: right.name}
    return swapped

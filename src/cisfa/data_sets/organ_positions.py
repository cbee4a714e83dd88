"""Does a label map lie in the patient as it says? Judged by where organs lie to one another.

A volume whose header is wrong looks as good as any other; a model that learned from it would swap left and right. What
is certain for every patient but one with organs mirrored from birth, who is no case to learn from either, is refused
where it does not hold. What a volume that was cut can change is only noted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.data_sets.found_set import LeftOutError, Observation
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap

_RIGHT, _FRONT, _ABOVE = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)
_RIGHT_AND_FRONT = (-(0.5**0.5), -(0.5**0.5), 0.0)
# centroids nearer than this say nothing; real ones lie 20 mm apart and more
_TELLING_MM = 5.0
# less of an organ is a tip that was cut off, which lies anywhere
_TIP_ML = 1.0


@dataclass(frozen=True)
class _Rule:
    """The first organ lies in this direction (LPS, unit length) from the second."""

    first: str
    second: str
    direction: tuple[float, float, float]
    words: str
    is_certain: bool = True

    @property
    def tells_sides(self) -> bool:
        return self.direction[0] != 0


_RULES = (
    _Rule("right kidney", "left kidney", _RIGHT, "to the right of"),
    _Rule("liver", "spleen", _RIGHT, "to the right of"),
    _Rule("liver", "left kidney", _RIGHT, "to the right of"),
    _Rule("right kidney", "spleen", _RIGHT, "to the right of"),
    _Rule("right lung", "left lung", _RIGHT, "to the right of"),
    _Rule("right atrium", "left atrium", _RIGHT, "to the right of"),
    _Rule("right ventricle", "left ventricle", _RIGHT_AND_FRONT, "to the right of and in front of"),
    _Rule("liver", "right kidney", _FRONT, "in front of"),
    _Rule("liver", "left kidney", _FRONT, "in front of"),
    # where a volume ends, or a kidney hangs low, may turn these round
    _Rule("liver", "right kidney", _ABOVE, "above", is_certain=False),
    _Rule("spleen", "left kidney", _ABOVE, "above", is_certain=False),
    _Rule("left ventricle", "left atrium", _FRONT, "in front of", is_certain=False),
)


def require_plausible_positions(label_map: LabelMap, names: Mapping[int, str]) -> tuple[Observation, ...]:
    """Compare where the organs lie with anatomy.

    Args:
        label_map: Of a whole case, with organs that are not wanted too: they help to tell.
        names: Its values' organs, by the catalogue's names.

    Returns:
        What does not look right or could not be judged.

    Raises:
        LeftOutError: Organs lie on the wrong side of one another.
    """
    judged = {name for rule in _RULES for name in (rule.first, rule.second)}
    places = dict(_centroids(label_map, {value: name for value, name in names.items() if name in judged}))
    rules = [(rule, _offset_mm(rule, places)) for rule in _RULES if {rule.first, rule.second} <= places.keys()]
    wrong = [(rule, mm) for rule, mm in rules if mm < -_TELLING_MM]
    certain = [(rule, mm) for rule, mm in wrong if rule.is_certain]
    if certain:
        raise LeftOutError(
            "the organs lie mirrored or turned",
            f"{'; '.join(_in_words(rule, mm) for rule, mm in certain)}. What its header says of its place is wrong, or"
            " its label map is: look at it in 3D Slicer before you correct anything.",
        )
    remarks = [Observation("organs lie unusually", f"{_in_words(rule, mm)}.") for rule, mm in wrong]
    if not any(rule.tells_sides and mm > _TELLING_MM for rule, mm in rules):
        remarks.append(
            Observation("left and right could not be checked", "It lacks organs that would tell left from right.")
        )
    return tuple(remarks)


def _centroids(label_map: LabelMap, names: Mapping[int, str]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    geometry = label_map.geometry
    for value, name in names.items():
        centroid = _centroid(label_map.voxels == value, geometry)
        if centroid is not None:
            yield name, centroid


def _centroid(mask: NDArray[Any], geometry: Geometry) -> NDArray[np.float64] | None:
    """LPS mm, (3,); None for next to nothing."""
    counts = [np.count_nonzero(mask, axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    voxels = int(counts[0].sum())
    if voxels * geometry.voxel_volume_ml < _TIP_ML:
        return None
    index = [float(np.arange(len(count)) @ count) / voxels for count in counts]
    centroid: NDArray[np.float64] = geometry.to_lps([index])[0]
    return centroid


def _offset_mm(rule: _Rule, places: Mapping[str, NDArray[np.float64]]) -> float:
    return float((places[rule.first] - places[rule.second]) @ np.asarray(rule.direction))


def _in_words(rule: _Rule, mm: float) -> str:
    return f"the {rule.first} should lie {rule.words} the {rule.second}, and lies {-mm:.0f} mm the other way"

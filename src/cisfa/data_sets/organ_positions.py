"""Does a label map lie in the patient as it says? Judged by where organs lie to one another.

A volume whose header is wrong looks as good as any other; a model that learned from it would swap left and right. What
is certain for every patient but one with organs mirrored from birth, who is no case to learn from either, is refused
where it does not hold. What a volume that was cut can change is only noted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.data_sets.found_set import LeftOutError, Observation
from cisfa.imaging.geometry import Geometry, closest_axis
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
    # of an organ that the volume's first or last axial slice cuts off, only a tip may be there, which lies anywhere
    is_certain_when_cut: bool = True

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
    _Rule("liver", "right kidney", _FRONT, "in front of", is_certain_when_cut=False),
    _Rule("liver", "left kidney", _FRONT, "in front of", is_certain_when_cut=False),
    # where a volume ends, or a kidney hangs low, may turn these round
    _Rule("liver", "right kidney", _ABOVE, "above", is_certain=False),
    _Rule("spleen", "left kidney", _ABOVE, "above", is_certain=False),
    _Rule("left ventricle", "left atrium", _FRONT, "in front of", is_certain=False),
)


JUDGED = frozenset(name for rule in _RULES for name in (rule.first, rule.second))


@dataclass(frozen=True, eq=False)
class _Place:
    """Where an organ lies.

    Attributes:
        centroid_lps_mm: (3,).
        is_cut: It touches the first or the last axial slice, so the volume may end in it.
    """

    centroid_lps_mm: NDArray[np.float64]
    is_cut: bool


@dataclass(frozen=True)
class _Contradiction:
    """A rule that does not hold, by how much, and which of its organs the end of the volume may cut off."""

    rule: _Rule
    mm: float
    cut: tuple[str, ...]

    @property
    def is_certain(self) -> bool:
        return self.rule.is_certain and (self.rule.is_certain_when_cut or not self.cut)

    def in_words(self) -> str:
        rule = self.rule
        return f"the {rule.first} should lie {rule.words} the {rule.second}, and lies {self.mm:.0f} mm the other way"


def require_plausible_positions(label_map: LabelMap, names: Mapping[int, str]) -> tuple[Observation, ...]:
    """Compare where the organs lie with anatomy.

    Args:
        label_map: Of a whole case, with organs that are not wanted too: they help to tell.
        names: Its values' organs, by the catalogue's names; those in :data:`JUDGED` count.

    Returns:
        What does not look right or could not be judged.

    Raises:
        LeftOutError: Organs lie on the wrong side of one another.
    """
    places = dict(_places(label_map, {value: name for value, name in names.items() if name in JUDGED}))
    rules = [(rule, _offset_mm(rule, places)) for rule in _RULES if {rule.first, rule.second} <= places.keys()]
    wrong = [_contradiction(rule, mm, places) for rule, mm in rules if mm < -_TELLING_MM]
    certain = [one for one in wrong if one.is_certain]
    if certain:
        cut = _cut_of(certain)
        causes = "What its header says of its place is wrong, or its label map is"
        if cut:
            causes = (
                f"What its header says of its place may be wrong, or its label map, or only a part of the {cut} is"
                " there, which the end of the volume cuts off"
            )
        raise LeftOutError(
            "the organs lie mirrored or turned",
            f"{'; '.join(one.in_words() for one in certain)}. {causes}: look at it in 3D Slicer before you correct"
            " anything.",
        )
    remarks = [Observation("organs lie unusually", _as_remark(one)) for one in wrong]
    if not any(rule.tells_sides and mm > _TELLING_MM for rule, mm in rules):
        remarks.append(
            Observation("left and right could not be checked", "It lacks organs that would tell left from right.")
        )
    return tuple(remarks)


def _places(label_map: LabelMap, names: Mapping[int, str]) -> Iterator[tuple[str, _Place]]:
    for value, name in names.items():
        place = _place(label_map.voxels == value, label_map.geometry)
        if place is not None:
            yield name, place


def _place(mask: NDArray[Any], geometry: Geometry) -> _Place | None:
    """None for next to nothing."""
    counts = [np.count_nonzero(mask, axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    voxels = int(counts[0].sum())
    if voxels * geometry.voxel_volume_ml < _TIP_ML:
        return None
    index = [float(np.arange(len(count)) @ count) / voxels for count in counts]
    along_body = counts[closest_axis(geometry, "axial")]
    return _Place(geometry.to_lps([index])[0], bool(along_body[0] or along_body[-1]))


def _offset_mm(rule: _Rule, places: Mapping[str, _Place]) -> float:
    offset_mm = places[rule.first].centroid_lps_mm - places[rule.second].centroid_lps_mm
    return float(offset_mm @ np.asarray(rule.direction))


def _contradiction(rule: _Rule, mm: float, places: Mapping[str, _Place]) -> _Contradiction:
    return _Contradiction(rule, -mm, tuple(name for name in (rule.first, rule.second) if places[name].is_cut))


def _cut_of(contradictions: Iterable[_Contradiction]) -> str:
    return " and the ".join(dict.fromkeys(name for one in contradictions for name in one.cut))


def _as_remark(one: _Contradiction) -> str:
    cut = _cut_of([one])
    return f"{one.in_words()}{f'; the volume ends in the {cut}, which can cause that' if cut else ''}."

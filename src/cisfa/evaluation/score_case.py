"""Score one case: every organ of a prediction against the truth, on the grid on which the truth was drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import CaseError
from cisfa.evaluation.overlap import acquisition_axis, dice, organ_slices
from cisfa.evaluation.surface_distance import surface_distance
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume import LabelMap

Remark = Literal["", "prediction empty", "truth empty", "both empty"]
"""Why a score of an organ is None or 0: which of the two masks holds no voxel."""


@dataclass(frozen=True, kw_only=True)
class OrganScore:
    """How well one organ of one case was found.

    Attributes:
        organ: The organ.
        dice: Dice on all slices, 0 to 1; None when both masks are empty.
        dice_organ_slices: Dice on the slices that hold any organ in the truth; None when both masks are empty there.
        assd_mm: Average symmetric surface distance; None when a mask is empty.
        hd95_mm: 95 % Hausdorff distance; None when a mask is empty.
        predicted_ml: Volume of the prediction.
        true_ml: Volume of the truth.
        remark: Which mask is empty; the empty string when none is.
    """

    organ: Organ
    dice: float | None
    dice_organ_slices: float | None
    assd_mm: float | None
    hd95_mm: float | None
    predicted_ml: float
    true_ml: float
    remark: Remark


@dataclass(frozen=True)
class CaseScores:
    """The scores of one case.

    Attributes:
        case: The case's name.
        organs: One score for each organ, in the order of the organs that were asked for.
    """

    case: str
    organs: tuple[OrganScore, ...]


def score_case(prediction: LabelMap, truth: LabelMap, organs: Sequence[Organ], *, case: str) -> CaseScores:
    """Score every organ of one case.

    Args:
        prediction: What the model found.
        truth: What an expert drew, on the same grid.
        organs: All organs that the label maps may hold.
        case: The case's name.

    Raises:
        GeometryError: The prediction lies on another grid.
        CaseError: A label map holds a value that is no organ's.
    """
    prediction.geometry.require_same_grid(
        truth.geometry, ours=f"The prediction {prediction.name}", theirs=f"the label map {truth.name}"
    )
    _require_known_labels(prediction, organs, what="prediction")
    _require_known_labels(truth, organs, what="label map")
    axis = acquisition_axis(truth.geometry)
    in_organ_slices = organ_slices(truth.voxels, axis).reshape([-1 if one == axis else 1 for one in range(3)])
    scores = []
    for organ in organs:
        predicted, true = prediction.voxels == organ.label, truth.voxels == organ.label
        scores.append(_score_organ(organ, predicted, true, in_organ_slices, truth.geometry))
    return CaseScores(case, tuple(scores))


def _score_organ(
    organ: Organ,
    predicted: NDArray[np.bool_],
    true: NDArray[np.bool_],
    in_organ_slices: NDArray[np.bool_],
    geometry: Geometry,
) -> OrganScore:
    """Score one organ; ``in_organ_slices`` broadcasts against the masks."""
    distance = surface_distance(predicted, true, geometry)
    return OrganScore(
        organ=organ,
        dice=dice(predicted, true),
        dice_organ_slices=dice(predicted & in_organ_slices, true),  # the truth lies in these slices already
        assd_mm=distance.assd_mm if distance else None,
        hd95_mm=distance.hd95_mm if distance else None,
        predicted_ml=float(np.count_nonzero(predicted) * geometry.voxel_volume_ml),
        true_ml=float(np.count_nonzero(true) * geometry.voxel_volume_ml),
        remark=_remark(predicted.any(), true.any()),
    )


def _remark(is_predicted: np.bool_, is_true: np.bool_) -> Remark:
    if is_predicted:
        return "" if is_true else "truth empty"
    return "prediction empty" if is_true else "both empty"


def _require_known_labels(label_map: LabelMap, organs: Sequence[Organ], *, what: str) -> None:
    known = {organ.label for organ in organs}
    unknown = [int(value) for value in np.unique(label_map.voxels) if value and int(value) not in known]
    if unknown:
        values = f"the value {unknown[0]}" if len(unknown) == 1 else f"the values {', '.join(map(str, unknown))}"
        organs_in_words = ", ".join(f"{organ.label} {organ.name}" for organ in organs)
        raise CaseError(
            f"The {what} {label_map.name} holds {values}, and the organs are {organs_in_words}. Name every value that"
            " the label maps hold, or remove what shall not be scored."
        )

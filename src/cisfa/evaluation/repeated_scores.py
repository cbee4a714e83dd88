"""Scores of one case from several trainings of the same row, as one score."""

from collections.abc import Sequence

from cisfa.errors import CaseError
from cisfa.evaluation.score_case import CaseScores, OrganScore, Remark
from cisfa.evaluation.statistics import describe

_MEANS = ("dice", "dice_organ_slices", "assd_mm", "hd95_mm")
_GRAVEST_FIRST: tuple[Remark, ...] = ("prediction empty", "truth empty", "both empty", "")


def mean_over_trainings(trainings: Sequence[Sequence[CaseScores]]) -> list[CaseScores]:
    """Average every case over trainings (seeds), so that it counts once in the statistics.

    A measure is averaged over the trainings in which it has a value. A mask counts as empty when that of any training
    is, so that an organ which one seed does not find at all shows in the table.

    Args:
        trainings: For each training the scores of the same cases; one training is handed back as it is.

    Raises:
        CaseError: The trainings were scored on different cases or organs.
    """
    first, *others = ({case.case: case for case in training} for training in trainings)
    if not others:
        return list(trainings[0])
    for other in others:
        if {name: _organs(case) for name, case in other.items()} != {
            name: _organs(case) for name, case in first.items()
        }:
            raise CaseError("Two seeds were scored on different cases or organs. Score both on the same labels.")
    return [
        CaseScores(
            name, tuple(_mean(scores) for scores in zip(*(one[name].organs for one in (first, *others)), strict=True))
        )
        for name in first
    ]


def _organs(case: CaseScores) -> list[str]:
    return [score.organ.name for score in case.organs]


def _mean(scores: Sequence[OrganScore]) -> OrganScore:
    remarks = {score.remark for score in scores}
    means = {name: describe(getattr(score, name) for score in scores).mean for name in _MEANS}
    return OrganScore(
        organ=scores[0].organ,
        dice=means["dice"],
        dice_organ_slices=means["dice_organ_slices"],
        assd_mm=means["assd_mm"],
        hd95_mm=means["hd95_mm"],
        predicted_ml=sum(score.predicted_ml for score in scores) / len(scores),
        true_ml=scores[0].true_ml,
        remark=next(remark for remark in _GRAVEST_FIRST if remark in remarks),
    )

"""From the scores of cases to what ``scores.json`` holds of them."""

import statistics
from collections.abc import Iterable, Sequence

from cisfa import __version__
from cisfa.evaluation.score_case import CaseScores
from cisfa.evaluation.score_file import LeftOut, OrganOfCase, OrganOverCases, ScoredModel, ScoreFile, Spread
from cisfa.evaluation.statistics import MEASURES, OVER_ORGANS, Measure, Summary, case_mean, describe, summarise


def score_file(
    scores: Sequence[CaseScores], model: ScoredModel, *, left_out: Sequence[LeftOut], remarks: Sequence[str]
) -> ScoreFile:
    """Everything that ``scores.json`` holds.

    Args:
        scores: Of one model, each case once, at least one.
        model: What was scored.
        left_out: Cases that could not be scored.
        remarks: Sentences about what the numbers mean.
    """
    *organs, over_organs = [_over_cases(summary, scores) for summary in summarise(scores)]
    return ScoreFile(
        cisfa_version=__version__,
        model=model,
        cases=tuple(entry for case in scores for entry in _of_case(case)),
        organs=tuple(organs),
        over_organs=over_organs,
        left_out=tuple(left_out),
        remarks=tuple(remarks),
    )


def _of_case(case: CaseScores) -> Iterable[OrganOfCase]:
    for score in case.organs:
        yield OrganOfCase(
            case=case.case,
            organ=score.organ.name,
            label=score.organ.label,
            dice=score.dice,
            dice_organ_slices=score.dice_organ_slices,
            assd_mm=score.assd_mm,
            hd95_mm=score.hd95_mm,
            remark=score.remark,
        )


def _over_cases(summary: Summary, scores: Sequence[CaseScores]) -> OrganOverCases:
    spreads = {measure.field: _spread(_values(summary.organ, scores, measure)) for measure in MEASURES}
    return OrganOverCases(
        organ=summary.organ,
        predictions_empty=summary.predictions_empty,
        truths_empty=summary.truths_empty,
        both_empty=summary.both_empty,
        **spreads,
    )


def _values(organ: str, scores: Sequence[CaseScores], measure: Measure) -> list[float | None]:
    if organ == OVER_ORGANS:
        return [case_mean(case, measure) for case in scores]
    return [measure.of(score) for case in scores for score in case.organs if score.organ.name == organ]


def _spread(values: Sequence[float | None]) -> Spread:
    distribution = describe(values)
    present = [value for value in values if value is not None]
    median = statistics.median(present) if present else None
    return Spread(n=distribution.n, mean=distribution.mean, sd=distribution.sd, median=median)

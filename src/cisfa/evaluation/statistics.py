"""Statistics over cases: means and spreads of one method, paired tests between two."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cisfa.errors import CaseError
from cisfa.evaluation.score_case import CaseScores, OrganScore
from cisfa.imaging.organs import Organ

OVER_ORGANS = "mean over organs"
_SAME_VALUE = 1e-12


@dataclass(frozen=True)
class Measure:
    """One number of an :class:`~cisfa.evaluation.score_case.OrganScore`.

    Attributes:
        field: The score's field that holds it.
        title: Its name in tables, with the unit it is shown in.
        shown_times: What the number is multiplied by where people read it.
        digits: Decimals that are shown.
    """

    field: str
    title: str
    shown_times: float
    digits: int

    def of(self, score: OrganScore) -> float | None:
        """The score's value, not yet multiplied."""
        value: float | None = getattr(score, self.field)
        return value


DICE = Measure("dice", "Dice %, all slices", 100.0, 1)
DICE_ORGAN_SLICES = Measure("dice_organ_slices", "Dice %, organ slices", 100.0, 1)
ASSD = Measure("assd_mm", "ASSD mm", 1.0, 2)
HD95 = Measure("hd95_mm", "HD95 mm", 1.0, 2)
MEASURES = (DICE, DICE_ORGAN_SLICES, ASSD, HD95)


@dataclass(frozen=True)
class Distribution:
    """How a measure is distributed over cases.

    Attributes:
        n: Cases that have a value.
        mean: None when no case has one.
        sd: Standard deviation of the sample (divided by n - 1); None with fewer than two values.
    """

    n: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True)
class Summary:
    """One organ over all cases, or the mean over organs.

    Attributes:
        organ: The organ's name, or ``OVER_ORGANS``.
        measures: Field of each measure to its distribution.
        predictions_empty: Cases in which the truth holds the organ and the prediction does not.
        truths_empty: Cases in which the prediction holds the organ and the truth does not.
        both_empty: Cases in which neither does; they have no Dice and no distance.
    """

    organ: str
    measures: Mapping[str, Distribution]
    predictions_empty: int
    truths_empty: int
    both_empty: int


@dataclass(frozen=True)
class PairedTest:
    """One method against another on the same cases.

    Attributes:
        n: Cases in which both have a value.
        mean_difference: Method minus reference; None when n is 0.
        t_test_p: Two-sided p-value of the paired t-test; None when it cannot be computed.
        wilcoxon_p: Two-sided p-value of Wilcoxon's signed-rank test; None when it cannot be computed.
        remark: Why a p-value is None; the empty string when none is.
    """

    n: int
    mean_difference: float | None
    t_test_p: float | None
    wilcoxon_p: float | None
    remark: str


def describe(values: Iterable[float | None]) -> Distribution:
    """Mean and standard deviation (ddof 1) of the values that are not None."""
    present = [value for value in values if value is not None]
    return Distribution(
        n=len(present),
        mean=float(np.mean(present)) if present else None,
        sd=float(np.std(present, ddof=1)) if len(present) > 1 else None,
    )


def summarise(scores: Sequence[CaseScores]) -> tuple[Summary, ...]:
    """One method's cases: a summary for each organ, and last the mean over organs.

    The last one averages each case over its organs first and then the cases, so its spread is that between cases.
    An organ without a value in a case is left out of that case's mean; its counts of empty masks are the organs' sums.
    """
    columns = [
        _summary(organ.name, {measure: _by_case(scores, measure, organ) for measure in MEASURES}, _of(scores, organ))
        for organ in organs_of(scores)
    ]
    means = {measure: _means_by_case(scores, measure) for measure in MEASURES}
    every_score = [score for case in scores for score in case.organs]
    return (*columns, _summary(OVER_ORGANS, means, every_score))


def compare(
    scores: Sequence[CaseScores], reference: Sequence[CaseScores], measure: Measure
) -> Mapping[str, PairedTest]:
    """Paired tests of one method against a reference, for each organ and for ``OVER_ORGANS``.

    A case counts for an organ when both methods have a value. In the mean over organs both methods are averaged over
    the same organs of a case: those for which both have a value.

    Raises:
        CaseError: The two were not scored on the same cases and organs.
    """
    require_same_cases(scores, reference)
    tests = {}
    for organ in organs_of(scores):
        ours, theirs = _by_case(scores, measure, organ), _by_case(reference, measure, organ)
        tests[organ.name] = _test_of_cases(ours, theirs)
    shared = _shared_organs(scores, reference, measure)
    tests[OVER_ORGANS] = _test_of_cases(
        _means_by_case(scores, measure, shared), _means_by_case(reference, measure, shared)
    )
    return tests


def paired_test(values: Sequence[float], reference: Sequence[float]) -> PairedTest:
    """Paired t-test and Wilcoxon's signed-rank test (zero differences dropped) of two lists of equal length.

    Both tests are two-sided. Wilcoxon's p-value is exact for up to 50 cases without ties.
    """
    differences = np.asarray(values, float) - np.asarray(reference, float)
    n = len(differences)
    mean = float(differences.mean()) if n else None
    if n < 2:
        return PairedTest(n, mean, None, None, f"{n} case{'' if n == 1 else 's'}; a test needs two")
    if not differences.any():
        return PairedTest(n, mean, None, None, "all differences are zero")
    wilcoxon_p = float(stats.wilcoxon(differences[differences != 0]).pvalue)
    if np.ptp(differences) <= _SAME_VALUE * np.abs(differences).max():
        return PairedTest(n, mean, None, wilcoxon_p, "all differences are equal; a t-test needs some spread")
    return PairedTest(n, mean, float(stats.ttest_1samp(differences, 0.0).pvalue), wilcoxon_p, "")


def organs_of(scores: Sequence[CaseScores]) -> tuple[Organ, ...]:
    """All organs that were scored, in their order, each once."""
    return tuple(dict.fromkeys(score.organ for case in scores for score in case.organs))


def case_mean(case: CaseScores, measure: Measure) -> float | None:
    """Mean over the organs that have a value; None when none has."""
    return describe(measure.of(score) for score in case.organs).mean


def require_same_cases(scores: Sequence[CaseScores], reference: Sequence[CaseScores]) -> None:
    """Raise unless both lists hold the same cases with the same organs, each case once.

    Raises:
        CaseError: They do not; the message names the cases.
    """
    require_each_case_once(scores)
    require_each_case_once(reference)
    ours, theirs = ({(case.case, organs_of([case])) for case in one} for one in (scores, reference))
    different = sorted({case for case, _ in ours ^ theirs})
    if different:
        raise CaseError(
            "Two methods can be compared on the same cases and organs alone, and they differ in"
            f" {', '.join(different)}. Score both on the same labels."
        )


def require_each_case_once(scores: Sequence[CaseScores]) -> None:
    """Raise when a case was scored more than once, for it would weigh more than the others.

    Raises:
        CaseError: The message names the cases.
    """
    twice = [name for name, count in Counter(case.case for case in scores).items() if count > 1]
    if twice:
        raise CaseError(f"A case counts once, and these were scored more often: {', '.join(sorted(twice))}.")


def _summary(name: str, values: Mapping[Measure, Mapping[str, float | None]], scores: Sequence[OrganScore]) -> Summary:
    remarks = [score.remark for score in scores]
    return Summary(
        organ=name,
        measures={measure.field: describe(by_case.values()) for measure, by_case in values.items()},
        predictions_empty=remarks.count("prediction empty"),
        truths_empty=remarks.count("truth empty"),
        both_empty=remarks.count("both empty"),
    )


def _of(scores: Sequence[CaseScores], organ: Organ) -> list[OrganScore]:
    return [score for case in scores for score in case.organs if score.organ == organ]


def _by_case(scores: Sequence[CaseScores], measure: Measure, organ: Organ) -> dict[str, float | None]:
    return {case.case: measure.of(score) for case in scores for score in case.organs if score.organ == organ}


def _means_by_case(
    scores: Sequence[CaseScores], measure: Measure, shared: Mapping[str, set[Organ]] | None = None
) -> dict[str, float | None]:
    """Case to its mean over organs, over the shared ones alone where they are given."""
    means = {}
    for case in scores:
        organs = tuple(score for score in case.organs if shared is None or score.organ in shared[case.case])
        means[case.case] = case_mean(CaseScores(case.case, organs), measure)
    return means


def _shared_organs(
    scores: Sequence[CaseScores], reference: Sequence[CaseScores], measure: Measure
) -> dict[str, set[Organ]]:
    """Case to the organs for which both methods have a value."""
    ours, theirs = (
        {case.case: {score.organ for score in case.organs if measure.of(score) is not None} for case in one}
        for one in (scores, reference)
    )
    return {case: organs & theirs[case] for case, organs in ours.items()}


def _test_of_cases(ours: Mapping[str, float | None], theirs: Mapping[str, float | None]) -> PairedTest:
    pairs = [
        (value, other) for case, value in ours.items() if value is not None and (other := theirs[case]) is not None
    ]
    return paired_test([value for value, _ in pairs], [other for _, other in pairs])

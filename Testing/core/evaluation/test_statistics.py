import numpy as np
import pytest
from scipy import stats

from cisfa.errors import CaseError
from cisfa.evaluation.score_case import CaseScores, OrganScore, Remark
from cisfa.evaluation.statistics import ASSD, DICE, OVER_ORGANS, compare, describe, paired_test, summarise
from cisfa.imaging.organs import parse_organs

LIVER, SPLEEN = parse_organs("1=liver,4=spleen")


def case_of(
    name: str, liver: float | None, spleen: float | None, *, assd: tuple[float | None, float | None] = (1.0, 2.0)
) -> CaseScores:
    scores = []
    for organ, dice, distance in ((LIVER, liver, assd[0]), (SPLEEN, spleen, assd[1])):
        remark: Remark = "" if distance is not None else "both empty" if dice is None else "prediction empty"
        scores.append(
            OrganScore(
                organ=organ, dice=dice, dice_organ_slices=dice, assd_mm=distance, hd95_mm=distance,
                predicted_ml=1.0, true_ml=1.0, remark=remark,
            )
        )  # fmt: skip
    return CaseScores(name, tuple(scores))


def test_mean_and_spread_are_those_of_a_sample() -> None:
    distribution = describe([0.5, None, 0.7, 0.9])
    assert (distribution.n, distribution.mean) == (3, pytest.approx(0.7))
    assert distribution.sd == pytest.approx(0.2)  # sqrt((0.04 + 0 + 0.04) / 2)


def test_too_few_values_have_no_mean_or_spread() -> None:
    assert (describe([None]).n, describe([None]).mean, describe([None]).sd) == (0, None, None)
    assert (describe([0.4]).n, describe([0.4]).mean, describe([0.4]).sd) == (1, 0.4, None)


def test_the_mean_over_organs_averages_each_case_first() -> None:
    summaries = summarise([case_of("a", 0.8, 0.6), case_of("b", 0.9, None, assd=(3.0, None))])
    liver, spleen, overall = summaries
    assert [summary.organ for summary in summaries] == ["liver", "spleen", OVER_ORGANS]
    assert liver.measures["dice"].mean == pytest.approx(0.85)
    assert (spleen.measures["dice"].n, spleen.measures["dice"].mean) == (1, 0.6)
    assert overall.measures["dice"].mean == pytest.approx((0.7 + 0.9) / 2)
    assert overall.measures["dice"].sd == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert overall.measures["assd_mm"].mean == pytest.approx((1.5 + 3.0) / 2)


def test_empty_masks_are_counted() -> None:
    cases = [
        case_of("a", 0.0, 0.5, assd=(None, 1.0)),
        case_of("b", 0.0, None, assd=(None, None)),
        case_of("c", 1.0, 1.0),
    ]
    liver, spleen, overall = summarise(cases)
    assert (liver.predictions_empty, liver.truths_empty, liver.both_empty) == (2, 0, 0)
    assert (spleen.predictions_empty, spleen.both_empty) == (0, 1)
    assert (overall.predictions_empty, overall.both_empty) == (2, 1)
    assert (liver.measures["dice"].n, liver.measures["assd_mm"].n) == (3, 1)


def test_a_paired_test_has_the_values_known_by_hand() -> None:
    test = paired_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (test.n, test.mean_difference, test.remark) == (3, 2.0, "")
    assert test.wilcoxon_p == pytest.approx(2 / 2**3)  # all three signs alike: 2 of 8 equally likely outcomes
    t = 2 / (1 / 3**0.5)
    assert test.t_test_p == pytest.approx(1 - t / (2 + t**2) ** 0.5)  # Student's distribution with 2 degrees of freedom


def test_paired_tests_agree_with_scipy() -> None:
    random = np.random.default_rng(4)
    ours, theirs = random.normal(0.8, 0.1, 12), random.normal(0.7, 0.1, 12)
    test = paired_test(ours.tolist(), theirs.tolist())
    assert test.t_test_p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert test.wilcoxon_p == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)
    assert test.mean_difference == pytest.approx(ours.mean() - theirs.mean())


def test_zero_differences_are_dropped_from_wilcoxons_test() -> None:
    test = paired_test([1.0, 3.0, 6.0, 5.0], [1.0, 2.0, 3.0, 5.0])
    assert test.n == 4
    assert test.wilcoxon_p == pytest.approx(2 / 2**2)


@pytest.mark.parametrize(
    ("ours", "theirs", "n", "reason"),
    [
        ([], [], 0, "0 cases; a test needs two"),
        ([0.5], [0.4], 1, "1 case; a test needs two"),
        ([0.5, 0.7], [0.5, 0.7], 2, "all differences are zero"),
    ],
)
def test_a_test_that_cannot_be_computed_says_why(ours: list[float], theirs: list[float], n: int, reason: str) -> None:
    test = paired_test(ours, theirs)
    assert (test.n, test.t_test_p, test.wilcoxon_p, test.remark) == (n, None, None, reason)


def test_equal_differences_have_no_t_test() -> None:
    test = paired_test([0.3, 0.5, 0.7], [0.2, 0.4, 0.6])
    assert test.t_test_p is None
    assert test.wilcoxon_p is not None
    assert "all differences are equal" in test.remark


def test_methods_are_compared_case_by_case_whatever_their_order() -> None:
    ours = [case_of("a", 0.9, 0.5), case_of("b", 0.8, 0.6), case_of("c", 0.7, 0.7)]
    theirs = [case_of("c", 0.5, 0.7), case_of("a", 0.6, 0.5), case_of("b", 0.7, 0.6)]
    tests = compare(ours, theirs, DICE)
    assert list(tests) == ["liver", "spleen", OVER_ORGANS]
    assert tests["liver"].mean_difference == pytest.approx((0.3 + 0.1 + 0.2) / 3)
    assert tests["liver"].t_test_p == pytest.approx(stats.ttest_rel([0.9, 0.8, 0.7], [0.6, 0.7, 0.5]).pvalue)
    assert tests["spleen"].remark == "all differences are zero"


def test_the_paired_mean_uses_the_organs_that_both_methods_have() -> None:
    ours = [case_of("a", 0.9, 0.0, assd=(1.0, None)), case_of("b", 0.9, 0.9, assd=(2.0, 4.0))]
    theirs = [case_of("a", 0.8, 0.8, assd=(3.0, 9.0)), case_of("b", 0.8, 0.8, assd=(5.0, 6.0))]
    tests = compare(ours, theirs, ASSD)
    assert tests["spleen"].n == 1
    assert tests[OVER_ORGANS].n == 2
    assert tests[OVER_ORGANS].mean_difference == pytest.approx(((1.0 - 3.0) + (3.0 - 5.5)) / 2)


def test_methods_scored_on_other_cases_are_not_compared() -> None:
    with pytest.raises(CaseError, match="differ in b, c"):
        compare([case_of("a", 0.9, 0.9), case_of("b", 0.9, 0.9)], [case_of("a", 0.9, 0.9), case_of("c", 1, 1)], DICE)


def test_a_case_that_was_scored_twice_is_named() -> None:
    twice = [case_of("a", 0.9, 0.9), case_of("a", 0.9, 0.9)]
    with pytest.raises(CaseError, match="more often: a"):
        compare(twice, twice, DICE)

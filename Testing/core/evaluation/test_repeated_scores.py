"""One score of a case from the trainings with several seeds."""

import pytest

from cisfa.errors import CaseError
from cisfa.evaluation.repeated_scores import mean_over_trainings
from cisfa.evaluation.score_case import CaseScores, OrganScore, Remark
from cisfa.imaging.organs import parse_organs

LIVER, SPLEEN = parse_organs("1=liver,4=spleen")


def score(dice: float | None, assd_mm: float | None, remark: Remark = "") -> OrganScore:
    return OrganScore(
        organ=LIVER, dice=dice, dice_organ_slices=dice, assd_mm=assd_mm, hd95_mm=assd_mm,
        predicted_ml=10.0 * (dice or 0), true_ml=20.0, remark=remark,
    )  # fmt: skip


def case(*scores: OrganScore, name: str = "a") -> CaseScores:
    return CaseScores(name, scores)


def test_a_case_is_averaged_over_the_seeds() -> None:
    (mean,) = mean_over_trainings([[case(score(0.5, 4.0))], [case(score(0.8, 1.0))]])
    (organ,) = mean.organs
    assert (mean.case, organ.organ, organ.remark) == ("a", LIVER, "")
    assert organ.dice == pytest.approx(0.65)
    assert (organ.assd_mm, organ.true_ml) == (2.5, 20.0)
    assert organ.predicted_ml == pytest.approx(6.5)


def test_one_training_stays_as_it_is() -> None:
    scores = [case(score(0.5, 4.0)), case(score(0.7, 2.0), name="b")]
    assert mean_over_trainings([scores]) == scores


def test_an_organ_that_one_seed_does_not_find_stays_in_sight() -> None:
    (mean,) = mean_over_trainings([[case(score(0.8, 2.0))], [case(score(0.0, None, "prediction empty"))]])
    assert mean.organs[0].dice == pytest.approx(0.4)  # 0 counts
    assert mean.organs[0].assd_mm == 2.0  # what has no surface cannot
    assert mean.organs[0].remark == "prediction empty"


def test_cases_are_matched_by_name_whatever_their_order() -> None:
    first = [case(score(0.2, 1.0)), case(score(0.4, 1.0), name="b")]
    second = [case(score(0.6, 1.0), name="b"), case(score(0.8, 1.0))]
    assert [(one.case, one.organs[0].dice) for one in mean_over_trainings([first, second])] == [("a", 0.5), ("b", 0.5)]


def test_seeds_that_were_scored_on_other_cases_are_refused() -> None:
    with pytest.raises(CaseError, match="different cases"):
        mean_over_trainings([[case(score(0.2, 1.0))], [case(score(0.2, 1.0), name="b")]])

"""Every sign moves the score the right way, and says why in a sentence that a clinician understands."""

from dataclasses import replace
from typing import Any

import pytest

from cisfa.evaluation.organ_measurements import OrganMeasurement
from cisfa.imaging.organs import Organ, catalogue_organ
from cisfa.imaging.training_reference import IntensityProfile, SolidityRange, TrainingReference, VolumeRange
from cisfa.inference.evidence import Evidence, gather_evidence
from cisfa.inference.organ_shape import OrganShape
from cisfa.inference.quality import AMBER_BELOW, RED_BELOW, judge, judge_all
from cisfa.inference.signs import OrganSigns, Signs

SPLEEN = catalogue_organ("spleen", 4)
SURE = 0.98
USUAL = VolumeRange(cases=12, low_ml=90.0, median_ml=200.0, high_ml=420.0)
SOLID = SolidityRange(cases=12, low=0.66, median=0.72, high=0.81)


def measured(organ: Organ = SPLEEN, volume_ml: float = 210.0, **values: Any) -> OrganMeasurement:
    of_one_part = {"components": 1, "largest_component_fraction": 1.0, "touches_edge": False, "mean_intensity": 1.0}
    return OrganMeasurement(organ=organ, voxels=int(100 * volume_ml), volume_ml=volume_ml, **{**of_one_part, **values})


def evidence(**values: Any) -> Evidence:
    """Of a spleen that nothing speaks against, but for what is given."""
    faultless = Evidence(
        measured=measured(),
        signs=OrganSigns(agreement=0.97, confidence=SURE),
        shape=OrganShape(continuity=0.93, solidity=0.74),
        volumes=USUAL,
        solidity=SOLID,
        intensity_distance=1.0,
    )
    return replace(faultless, **values)


def with_agreement(agreement: float) -> Evidence:
    return evidence(signs=OrganSigns(agreement=agreement, confidence=SURE))


def with_confidence(confidence: float) -> Evidence:
    return evidence(signs=OrganSigns(agreement=0.97, confidence=confidence))


def in_parts(largest: float) -> Evidence:
    return evidence(measured=measured(components=3, largest_component_fraction=largest))


def test_parts_that_were_taken_away_still_speak_against_an_organ() -> None:
    """What is left is one piece, whichever it is; that there were others is the sign."""
    cut = replace(in_parts(1.0), uncut=in_parts(0.31).measured)
    quality = judge(cut)
    assert quality.score == judge(in_parts(0.31)).score
    assert quality.reasons == ("In 3 pieces, of which only the largest, with 31 %, was kept.",)


def of_volume(volume_ml: float) -> Evidence:
    return evidence(measured=measured(volume_ml=volume_ml))


def with_continuity(continuity: float | None) -> Evidence:
    return evidence(shape=OrganShape(continuity=continuity, solidity=0.74))


def with_solidity(solidity: float | None) -> Evidence:
    return evidence(shape=OrganShape(continuity=0.93, solidity=solidity))


def test_nothing_speaks_against_a_faultless_organ() -> None:
    quality = judge(evidence())
    assert (quality.level, quality.reasons) == ("green", ())
    assert quality.score > 0.9


@pytest.mark.parametrize(
    ("from_good_to_bad", "sentence"),
    [
        (
            [with_agreement(value) for value in (0.97, 0.85, 0.7, 0.4, 0.1)],
            "Small changes of the image change this organ: agreement 10 %.",
        ),
        (
            [with_confidence(value) for value in (0.98, 0.9, 0.8, 0.6, 0.3)],
            "The model is unsure of this organ: confidence 30 %.",
        ),
        ([in_parts(value) for value in (1.0, 0.9, 0.7, 0.5, 0.31)], "In 3 pieces; the largest holds 31 %."),
        (
            [of_volume(value) for value in (300, 600, 800, 1250)],
            "The spleen is 1,250 mL; most in training had 90 to 420 mL.",
        ),
        (
            [of_volume(value) for value in (100, 60, 40, 8.25)],
            "The spleen is 8.2 mL; most in training had 90 to 420 mL.",
        ),
        (
            [with_continuity(value) for value in (0.9, 0.6, 0.4, 0.2)],
            "It jumps from slice to slice: neighbours share 20 %.",
        ),
        (
            [with_solidity(value) for value in (0.74, 0.66, 0.6, 0.5, 0.4)],
            "The spleen is ragged or branched: it fills 40 % of its hull; most in training filled 66 to 81 %.",
        ),
        (
            [evidence(intensity_distance=value) for value in (1.0, 3.0, 5.0, 9.0)],
            "The volume's intensities are unlike those of training: 9.0 times their spread away.",
        ),
    ],
)
def test_the_worse_a_sign_the_lower_the_score_and_in_the_end_it_is_told(
    from_good_to_bad: list[Evidence], sentence: str
) -> None:
    qualities = [judge(one) for one in from_good_to_bad]
    scores = [quality.score for quality in qualities]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < scores[0]
    assert qualities[0].level == "green"
    assert qualities[-1].level != "green"
    assert qualities[-1].reasons == (sentence,)


def test_a_kidney_on_the_wrong_side_is_red() -> None:
    kidney = catalogue_organ("right kidney", 2)
    swapped = OrganShape(continuity=0.9, swapped_with="left kidney")
    quality = judge(evidence(measured=measured(kidney), shape=swapped))
    assert (quality.level, quality.reasons) == ("red", ("It lies on the wrong side of the left kidney.",))


def test_an_organ_that_was_not_found_is_red_whatever_else_is_known() -> None:
    nothing = measured(volume_ml=0.0, components=0, largest_component_fraction=None, mean_intensity=None)
    quality = judge(evidence(measured=nothing, shape=None, signs=OrganSigns(agreement=1.0, confidence=None)))
    assert (quality.level, quality.score) == ("red", 0)
    assert quality.reasons == (
        "Nothing was found: the spleen was missed, lies outside of the volume, or is not there.",
    )


def test_the_lowest_sign_gives_the_score_and_stands_first() -> None:
    both = evidence(signs=OrganSigns(agreement=0.3, confidence=SURE), measured=measured(volume_ml=800.0))
    quality = judge(both)
    assert quality.score == min(judge(with_agreement(0.3)).score, judge(of_volume(800.0)).score)
    assert [reason.split()[0] for reason in quality.reasons] == ["Small", "The"]


def test_levels_follow_the_score() -> None:
    for hundredths in range(101):
        quality = judge(with_agreement(hundredths / 100))
        level = "red" if quality.score < RED_BELOW else "amber" if quality.score < AMBER_BELOW else "green"
        assert quality.level == level or abs(quality.score - RED_BELOW) < 0.001
        assert bool(quality.reasons) is (quality.level != "green")
        assert 0 <= quality.score <= 1


def test_without_a_reference_the_rest_is_judged_and_it_says_what_was_not() -> None:
    old = evidence(volumes=None, solidity=None, intensity_distance=None, measured=measured(volume_ml=9000.0))
    quality = judge(old)
    assert quality.level == "green"
    assert quality.reasons == (
        "Not measured against training: its sizes, shapes and intensities are not in the bundle.",
    )
    without_shapes = judge(evidence(solidity=None))
    assert without_shapes.reasons == ("Not measured against training: its shapes are not in the bundle.",)
    without_two = judge(evidence(solidity=None, intensity_distance=None))
    assert without_two.reasons == ("Not measured against training: its shapes and intensities are not in the bundle.",)
    doubtful = judge(replace(old, signs=OrganSigns(agreement=0.2, confidence=SURE)))
    assert doubtful.level == "red"
    assert doubtful.reasons[-1] == quality.reasons[0]
    (partly,) = judge(evidence(volumes=None)).reasons
    assert partly == "Not measured against training: its sizes are not in the bundle."


def at_the_edge(volume_ml: float) -> Evidence:
    return evidence(measured=measured(volume_ml=volume_ml, touches_edge=True))


@pytest.mark.parametrize("volume_ml", [1.0, 45.0, 89.0, 200.0])
def test_an_organ_that_the_volumes_edge_cuts_off_is_never_too_small(volume_ml: float) -> None:
    assert judge(at_the_edge(volume_ml)) == judge(evidence())
    assert at_the_edge(volume_ml).times_outside == 1


def test_an_organ_that_the_volumes_edge_cuts_off_can_be_too_large() -> None:
    assert judge(at_the_edge(1250.0)) == judge(of_volume(1250.0))
    assert judge(at_the_edge(1250.0)).level == "red"


@pytest.mark.parametrize(("cases", "level"), [(1, "green"), (4, "green"), (5, "red")])
def test_nothing_is_judged_by_the_volumes_of_a_few_cases(cases: int, level: str) -> None:
    quality = judge(evidence(measured=measured(volume_ml=9000.0), volumes=replace(USUAL, cases=cases)))
    assert quality.level == level
    few = "Not measured against training: the bundle's sizes of this organ are those of too few cases."
    assert (few in quality.reasons) is (cases < 5)
    assert any("most in training" in reason for reason in quality.reasons) is (cases >= 5)


def test_a_single_slice_has_no_neighbours_to_be_judged_by() -> None:
    assert judge(with_continuity(None)) == judge(evidence())


# gathering


def profile() -> IntensityProfile:
    return IntensityProfile(cases=5, quantiles=(-1, -1, -1, -0.5, 0, 0.5, 1, 2, 3), deviations=(0.1,) * 9)


def signs(*organs: OrganSigns) -> Signs:
    return Signs(organs=organs, intensity_quantiles=(-1, -1, -1, -0.5, 0, 0.5, 1, 2, 3.9))


def test_evidence_puts_together_what_belongs_to_one_organ() -> None:
    liver = catalogue_organ("liver", 1)
    of_liver, of_spleen = OrganSigns(agreement=0.5, confidence=SURE), OrganSigns(agreement=0.9, confidence=SURE)
    reference = TrainingReference(volumes_ml={"spleen": USUAL}, intensity=profile())
    shape = OrganShape(continuity=0.9)
    found = gather_evidence(
        [measured(liver), measured(SPLEEN, 840.0)], signs(of_liver, of_spleen), {"spleen": shape}, reference
    )
    assert [(one.measured.organ.name, one.signs.agreement) for one in found] == [("liver", 0.5), ("spleen", 0.9)]
    assert [one.shape for one in found] == [None, shape]
    assert [one.times_outside for one in found] == [None, 2.0]
    assert found[0].intensity_distance == pytest.approx(1.0)
    assert [quality.level for quality in judge_all(found)] == ["red", judge(found[1]).level]


def test_without_a_reference_nothing_is_compared_with_it() -> None:
    (found,) = gather_evidence([measured()], signs(OrganSigns(agreement=1.0, confidence=SURE)), {}, None)
    assert (found.volumes, found.intensity_distance, found.times_outside) == (None, None, None)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_region_of_interest_is_not_compared_with_whole_volumes(is_known: bool) -> None:
    unlike = Signs(organs=(OrganSigns(agreement=0.97, confidence=SURE),), intensity_quantiles=(5.0,) * 9)
    reference = TrainingReference(volumes_ml={"spleen": USUAL}, intensity=profile()) if is_known else None
    tiny, shapes = [measured(volume_ml=3.0)], {"spleen": OrganShape(continuity=0.9)}
    (quality,) = judge_all(gather_evidence(tiny, unlike, shapes, reference, in_roi=True))
    assert quality.level == "green"
    assert quality.reasons == (
        "Not measured against training: in a region of interest, sizes, shapes and intensities cannot be compared.",
    )
    (whole,) = judge_all(gather_evidence(tiny, unlike, shapes, reference))
    assert whole.level == ("red" if is_known else "green")
    assert whole.reasons != quality.reasons


@pytest.mark.parametrize(
    ("volume_ml", "times"), [(89.9, 90 / 89.9), (90, 1), (200, 1), (420, 1), (840, 2), (45, 2), (0, None)]
)
def test_volumes_are_compared_by_ratio(volume_ml: float, times: float | None) -> None:
    assert of_volume(volume_ml).times_outside == (None if times is None else pytest.approx(times))

import numpy as np
import pytest

from cisfa.errors import CaseError, GeometryError
from cisfa.evaluation.score_case import score_case
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap

SHAPE = (7, 6, 5)
AXES = np.linalg.qr(np.array([[0.1, 0.3, 0.9], [0.2, -0.9, 0.3], [0.95, 0.1, -0.2]]))[0]
GEOMETRY = Geometry.from_axes(SHAPE, spacing_mm=(4.0, 1.25, 1.25), axes_lps=AXES)
ORGANS = parse_organs("1=liver,2=right kidney,5=spleen")


def label_map(
    *blocks: tuple[int, tuple[slice | int, ...]], geometry: Geometry = GEOMETRY, name: str = "ct.nii"
) -> LabelMap:
    voxels = np.zeros(geometry.shape, np.uint8)
    for label, place in blocks:
        voxels[place] = label
    return LabelMap(voxels, geometry, name)


LIVER = (1, (slice(1, 3), slice(0, 4), slice(0, 3)))
KIDNEY = (2, (4, slice(0, 2), slice(0, 2)))


def test_each_organ_is_scored_on_its_own() -> None:
    truth = label_map(LIVER, KIDNEY)
    shifted = label_map((1, (slice(1, 3), slice(0, 4), slice(1, 4))), KIDNEY)
    scores = score_case(shifted, truth, ORGANS, case="ct_07")
    liver, kidney, spleen = scores.organs
    assert scores.case == "ct_07"
    assert [score.organ.name for score in scores.organs] == ["liver", "right kidney", "spleen"]
    assert liver.dice == pytest.approx(2 * 16 / 48)
    assert liver.assd_mm == pytest.approx(8 * 2 * 1.25 / 48)  # all 24 voxels are surface; the end faces differ
    assert liver.remark == ""
    assert (kidney.dice, kidney.assd_mm, kidney.hd95_mm) == (1.0, 0.0, 0.0)
    assert (spleen.dice, spleen.remark) == (None, "both empty")


def test_volumes_are_in_ml() -> None:
    liver = score_case(label_map(KIDNEY), label_map(LIVER, KIDNEY), ORGANS, case="a").organs[0]
    assert liver.true_ml == pytest.approx(24 * 4.0 * 1.25 * 1.25 / 1000)
    assert liver.predicted_ml == 0


def test_false_positives_beyond_the_organ_slices_count_on_all_slices_alone() -> None:
    truth = label_map(LIVER, KIDNEY)
    prediction = label_map(LIVER, KIDNEY, (1, (6, slice(0, 4), slice(0, 3))), (1, (4, 5, slice(0, 4))))
    liver = score_case(prediction, truth, ORGANS, case="a").organs[0]
    assert liver.dice == pytest.approx(2 * 24 / (24 + 24 + 12 + 4))
    assert liver.dice_organ_slices == pytest.approx(2 * 24 / (24 + 24 + 4))  # slice 4 holds the kidney


def test_organ_slices_run_along_the_acquisition_even_if_the_file_stores_them_otherwise() -> None:
    truth = label_map(LIVER)
    prediction = label_map(LIVER, (1, (6, slice(0, 4), slice(0, 3))))
    axes = (1, 2, 0)
    turned = [LabelMap(one.voxels.transpose(axes), one.geometry.transposed(axes)) for one in (prediction, truth)]
    assert score_case(prediction, truth, ORGANS, case="a").organs[0].dice_organ_slices == 1.0
    assert score_case(turned[0], turned[1], ORGANS, case="a").organs[0].dice_organ_slices == 1.0


@pytest.mark.parametrize(
    ("in_prediction", "in_truth", "remark", "dice"),
    [
        (True, False, "truth empty", 0.0),
        (False, True, "prediction empty", 0.0),
        (False, False, "both empty", None),
        (True, True, "", 1.0),
    ],
)
def test_an_empty_mask_is_remarked_upon(in_prediction: bool, in_truth: bool, remark: str, dice: float | None) -> None:
    prediction, truth = (label_map(*([LIVER] if there else [])) for there in (in_prediction, in_truth))
    liver = score_case(prediction, truth, ORGANS, case="a").organs[0]
    assert (liver.remark, liver.dice) == (remark, dice)
    assert (liver.assd_mm is None) == bool(remark)
    assert (liver.hd95_mm is None) == bool(remark)


def test_a_truth_without_any_organ_has_no_organ_slices() -> None:
    liver = score_case(label_map(LIVER), label_map(), ORGANS, case="a").organs[0]
    assert (liver.dice, liver.dice_organ_slices) == (0.0, None)


def test_another_grid_is_refused_naming_both_files() -> None:
    moved = GEOMETRY.index_to_lps.copy()
    moved[:3, 3] += (0.0, 3.0, 0.0)
    truth = label_map(LIVER, geometry=Geometry(SHAPE, moved), name="truth.nii.gz")
    with pytest.raises(GeometryError, match=r"prediction ct\.nii .*truth\.nii\.gz.* 3\.00 mm"):
        score_case(label_map(LIVER), truth, ORGANS, case="a")


@pytest.mark.parametrize("wrong", ["prediction", "label map"])
def test_a_label_that_is_no_organs_is_named(wrong: str) -> None:
    good, bad = label_map(LIVER), label_map(LIVER, (3, (5, 5, 4)), (4, (5, 5, 3)), name="mr_2.nrrd")
    prediction, truth = (bad, good) if wrong == "prediction" else (good, bad)
    with pytest.raises(
        CaseError, match=rf"{wrong} mr_2\.nrrd holds the values 3, 4.*1 liver, 2 right kidney, 5 spleen"
    ):
        score_case(prediction, truth, ORGANS, case="a")

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from cisfa.evaluation.contours import (
    SLICES_SHOWN,
    ContourCase,
    contour_colours,
    draw_contours,
    evenly_chosen,
    radiological,
    worst_median_best,
)
from cisfa.evaluation.score_case import CaseScores, score_case
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import Organ, parse_organs
from cisfa.imaging.volume import LabelMap, Volume

TILT = np.linalg.qr(np.array([[0.05, 0.1, 1.0], [-0.1, 1.0, 0.05], [1.0, 0.08, -0.06]]))[0]
TILT *= np.sign(TILT[[0, 1, 2], [2, 1, 0]])[:, None]
# slices nearly to Superior, rows nearly to Posterior, columns nearly to Left
AXIAL = Geometry.from_axes((5, 30, 40), spacing_mm=(6.0, 2.0, 1.0), origin_lps_mm=(-80, 30, 200), axes_lps=TILT)
ORGANS = (Organ("liver", 1, (255, 0, 0)), Organ("spleen", 4, (0, 255, 0)))


def one_organ(geometry: Geometry, place: tuple[slice, slice, slice], label: int = 1) -> LabelMap:
    voxels = np.zeros(geometry.shape, np.uint8)
    voxels[place] = label
    return LabelMap(voxels, geometry)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_however_a_file_stores_its_axes_slices_are_shown_alike(
    axes: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    voxels, geometry = np.arange(6000).reshape(5, 30, 40), AXIAL
    stored, stored_geometry = voxels.transpose(axes), geometry.transposed(axes)
    for axis in flips:
        stored, stored_geometry = np.flip(stored, axis), stored_geometry.flipped(axis)
    slice_axis = axes.index(0)
    shown, shown_geometry = radiological(stored, stored_geometry, slice_axis)
    in_slices = {tuple(one.ravel()) for one in shown}
    assert in_slices == {tuple(one.ravel()) for one in voxels}
    assert shown_geometry.spacing_mm == pytest.approx((6.0, 2.0, 1.0))
    place = (shown_geometry.to_lps([[2, 3, 4]]), geometry.to_lps(np.argwhere(voxels == shown[2, 3, 4])))
    np.testing.assert_allclose(*place)


@pytest.mark.parametrize(
    ("slice_axis", "down", "right"),
    [(0, (0, 1, 0), (1, 0, 0)), (1, (0, 0, -1), (1, 0, 0)), (2, (0, 0, -1), (0, 1, 0))],
    ids=["axial", "coronal", "sagittal"],
)
def test_slices_are_shown_as_a_radiologist_sees_them(slice_axis: int, down: object, right: object) -> None:
    _, shown = radiological(np.zeros(AXIAL.shape), AXIAL, slice_axis)
    assert shown.axes_lps[1] @ np.array(down) > 0.9
    assert shown.axes_lps[2] @ np.array(right) > 0.9


def test_slices_are_chosen_evenly() -> None:
    assert evenly_chosen(np.arange(10, 20), 5).tolist() == [11, 13, 15, 17, 19]
    assert evenly_chosen(np.array([3, 8]), 5).tolist() == [3, 8]


def test_organs_that_look_alike_get_other_colours_as_lines() -> None:
    kidneys = parse_organs("2=right kidney,3=left kidney,5=my own organ")
    colours = list(contour_colours(kidneys).values())
    assert colours[0] == tuple(channel / 255 for channel in kidneys[0].colour)
    assert min(np.linalg.norm(np.subtract(a, b)) for a, b in itertools.combinations(colours, 2)) > 0.3


def test_more_organs_than_colours_are_drawn_nevertheless() -> None:
    alike = tuple(Organ(f"organ {label}", label, (200, 0, 0)) for label in range(1, 12))
    assert len(contour_colours(alike)) == 11


def scores_of(dices: dict[str, float | None]) -> list[CaseScores]:
    """Cases whose only organ overlaps by the given Dice, of ten voxels each; None for two empty masks."""
    scores = []
    for case, dice in dices.items():
        shared = 0 if dice is None else round(10 * dice)
        true = one_organ(AXIAL, (slice(2, 3), slice(4, 5), slice(0, 0 if dice is None else 10)))
        found = one_organ(
            AXIAL, (slice(2, 3), slice(4, 5), slice(10 - shared, 10 - shared + len(np.flatnonzero(true.voxels))))
        )
        scores.append(score_case(found, true, ORGANS[:1], case=case))
    return scores


def test_the_worst_the_median_and_the_best_case_are_picked() -> None:
    scores = scores_of({"a": 0.7, "b": 0.1, "c": 0.9, "d": 0.3, "e": None, "f": 0.5})
    assert worst_median_best(scores) == {"b": "worst", "f": "median", "c": "best"}


def test_few_cases_are_picked_once() -> None:
    assert worst_median_best(scores_of({"a": 0.7, "b": 0.1})) == {"b": "worst", "a": "best"}
    assert worst_median_best(scores_of({"a": 0.0})) == {"a": "case"}
    assert worst_median_best(scores_of({"a": None})) == {"a": "case"}


def coloured(pixels: np.ndarray, channel: int) -> np.ndarray:
    """Rows and columns of the pixels in pure red, green or blue, in the panels above the legend."""
    others = [other for other in range(3) if other != channel]
    above_legend = pixels[: -int(0.6 * 130)]
    return np.argwhere((above_legend[..., channel] > 0.6) & (above_legend[..., others] < 0.2).all(axis=-1))


def test_a_square_organ_is_drawn_square_whatever_the_spacing(tmp_path: Path) -> None:
    square = one_organ(AXIAL, (slice(2, 3), slice(10, 20), slice(10, 30)))  # 20 mm x 20 mm
    draw_contours([("case", ContourCase("case", square, square))], ORGANS, tmp_path / "contours.png")
    places = coloured(imread(tmp_path / "contours.png"), 0)
    height, width = np.ptp(places, axis=0)
    assert height > 50
    assert height == pytest.approx(width, rel=0.05)


def test_an_organ_at_the_patients_right_and_front_is_drawn_at_the_upper_left(tmp_path: Path) -> None:
    voxels = np.zeros(AXIAL.shape, np.uint8)
    voxels[2, 4:8, 4:8], voxels[2, 22:26, 32:36] = 1, 4  # the columns run to Left, the rows to Posterior
    stored = LabelMap(voxels[:, ::-1, ::-1], AXIAL.flipped(1).flipped(2))
    draw_contours([("case", ContourCase("case", stored, stored))], ORGANS, tmp_path / "contours.png")
    pixels = imread(tmp_path / "contours.png")
    front_right, back_left = coloured(pixels, 0).mean(axis=0), coloured(pixels, 1).mean(axis=0)
    assert (front_right < back_left - 40).all()


def test_the_image_lies_behind_the_contours(tmp_path: Path) -> None:
    organ = one_organ(AXIAL, (slice(1, 4), slice(10, 20), slice(10, 30)))
    bright_inside = Volume(np.where(organ.voxels == 1, 300.0, -1000.0), AXIAL)
    draw_contours([("case", ContourCase("case", organ, organ, bright_inside))], ORGANS, tmp_path / "image.png")
    pixels = imread(tmp_path / "image.png")
    (top, left), (bottom, right) = coloured(pixels, 0).min(axis=0), coloured(pixels, 0).max(axis=0)
    first_panel_right = pixels.shape[1] // SLICES_SHOWN
    right = min(right, first_panel_right - left)
    assert pixels[(top + bottom) // 2, (left + right) // 2, :3].min() > 0.95
    assert pixels[top - 15, (left + right) // 2, :3].max() < 0.05


@pytest.mark.parametrize("has_truth", [True, False])
def test_empty_masks_and_strange_names_are_drawn_nevertheless(tmp_path: Path, has_truth: bool) -> None:
    empty = LabelMap(np.zeros(AXIAL.shape, np.uint8), AXIAL)
    organ = one_organ(AXIAL, (slice(0, 5), slice(0, 30), slice(0, 40)))
    case = ContourCase("Müller_$1$_", organ if has_truth else empty, empty)
    organs = (Organ("côlon $x^$", 1, (255, 0, 0)),)
    draw_contours([("worst: Müller_$1$_", case), ("best", case)], organs, tmp_path / "contours.png")
    assert imread(tmp_path / "contours.png").shape[1] == round(SLICES_SHOWN * 2.6 * 130)


def test_the_truth_is_dashed_and_the_prediction_solid(tmp_path: Path) -> None:
    organ = one_organ(AXIAL, (slice(2, 3), slice(5, 25), slice(5, 35)))
    empty = LabelMap(np.zeros(AXIAL.shape, np.uint8), AXIAL)
    for name, truth, prediction in (("truth", organ, empty), ("prediction", empty, organ)):
        draw_contours([(name, ContourCase(name, truth, prediction))], ORGANS, tmp_path / f"{name}.png")
    dashed, solid = (len(coloured(imread(tmp_path / f"{name}.png"), 0)) for name in ("truth", "prediction"))
    assert 0.4 * solid < dashed < 0.9 * solid

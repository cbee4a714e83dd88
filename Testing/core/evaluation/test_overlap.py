import numpy as np
import pytest

from cisfa.evaluation.overlap import acquisition_axis, dice, organ_slices
from cisfa.imaging.geometry import Geometry

OBLIQUE_AXES = np.linalg.qr(np.array([[0.1, 0.3, 0.9], [0.2, -0.9, 0.3], [0.95, 0.1, -0.2]]))[0]


def mask_of(*indices: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((3, 4, 5), bool)
    for index in indices:
        mask[index] = True
    return mask


def test_dice_is_twice_the_shared_part_of_both_sizes() -> None:
    prediction = mask_of((0, 0, 0), (1, 1, 1), (2, 3, 4))
    truth = mask_of((1, 1, 1), (2, 3, 4), (2, 3, 3), (2, 3, 2), (2, 3, 1))
    assert dice(prediction, truth) == 2 * 2 / (3 + 5)


def test_dice_of_the_same_mask_is_one_and_of_strangers_zero() -> None:
    assert dice(mask_of((1, 2, 3)), mask_of((1, 2, 3))) == 1.0
    assert dice(mask_of((1, 2, 3)), mask_of((1, 2, 2))) == 0.0


def test_dice_is_zero_when_one_mask_is_empty_and_none_when_both_are() -> None:
    assert dice(mask_of(), mask_of((0, 0, 0))) == 0.0
    assert dice(mask_of((0, 0, 0)), mask_of()) == 0.0
    assert dice(mask_of(), mask_of()) is None


@pytest.mark.parametrize(("axis", "expected"), [(0, [1]), (1, [0, 3]), (2, [2, 4])])
def test_organ_slices_are_those_in_which_any_organ_is_present(axis: int, expected: list[int]) -> None:
    truth = np.zeros((3, 4, 5), np.uint8)
    truth[1, 0, 2], truth[1, 3, 4] = 1, 7
    assert np.flatnonzero(organ_slices(truth, axis)).tolist() == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_acquisition_axis_is_the_one_with_thick_slices_wherever_a_file_stores_it(axis: int) -> None:
    spacing = [0.78125, 0.78125, 0.78125]
    spacing[axis] = 5.0
    geometry = Geometry.from_axes((4, 5, 6), spacing_mm=spacing, axes_lps=OBLIQUE_AXES)
    assert acquisition_axis(geometry) == axis


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.5, 0.8, 0.8)])
def test_without_thick_slices_the_acquisition_axis_is_the_one_nearest_to_superior(
    axes: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    axial = Geometry.from_axes((4, 5, 6), spacing_mm=spacing_mm)
    assert acquisition_axis(axial.transposed(axes)) == axes.index(0)

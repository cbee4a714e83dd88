from collections.abc import Callable

import numpy as np
import pytest

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import Organ, parse_organs
from cisfa.imaging.volume import LabelMap
from cisfa.inference.organ_shape import OrganShape, shapes_of_organs

MakeGeometry = Callable[..., Geometry]
ORGANS = parse_organs("1=liver,2=right kidney,3=left kidney")
SHAPE = (9, 30, 40)
GRIDS = [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, 1, -1)), ((2, 0, 1), (1, -1, 1)), ((1, 2, 0), (-1, -1, -1))]
EVERY_GRID = pytest.mark.parametrize(("order", "signs"), GRIDS)


def on_grid(standard: np.ndarray, oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]):  # type: ignore[no-untyped-def]
    """What stands along (Superior, Posterior, Left), stored along other axes of the same patient."""
    reversed_axes = [axis for axis, sign in enumerate(signs) if sign < 0]
    voxels = np.flip(standard.transpose(order), reversed_axes)
    return LabelMap(np.ascontiguousarray(voxels), oblique(standard.shape, order, signs))


def kidneys(*, swapped: bool = False) -> np.ndarray:
    standard = np.zeros(SHAPE, np.uint8)
    # x grows to the patient's left
    standard[2:7, 10:20, 5:12], standard[2:7, 10:20, 28:35] = (3, 2) if swapped else (2, 3)
    return standard


@EVERY_GRID
def test_kidneys_on_their_own_sides_are_not_swapped(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    shapes = shapes_of_organs(on_grid(kidneys(), oblique, order, signs), ORGANS)
    assert list(shapes) == ["right kidney", "left kidney"]
    assert {shape.swapped_with for shape in shapes.values()} == {None}


@EVERY_GRID
def test_kidneys_on_each_others_side_are_swapped(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    shapes = shapes_of_organs(on_grid(kidneys(swapped=True), oblique, order, signs), ORGANS)
    assert shapes["right kidney"].swapped_with == "left kidney"
    assert shapes["left kidney"].swapped_with == "right kidney"


def test_one_kidney_alone_cannot_be_swapped(oblique: MakeGeometry) -> None:
    standard = kidneys(swapped=True)
    standard[standard == 3] = 0
    shapes = shapes_of_organs(on_grid(standard, oblique, *GRIDS[0]), ORGANS)
    assert list(shapes) == ["right kidney"]
    assert shapes["right kidney"].swapped_with is None


@EVERY_GRID
def test_an_organ_that_goes_on_from_slice_to_slice_is_continuous(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    standard = np.zeros(SHAPE, np.uint8)
    standard[2:7, 10:20, 5:25] = 1
    assert shapes_of_organs(on_grid(standard, oblique, order, signs), ORGANS)["liver"].continuity == 1


@EVERY_GRID
def test_one_that_jumps_or_is_missing_in_between_is_not(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    jumps, has_a_gap = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    for slice_number in range(2, 7):
        begin = 5 + 10 * (slice_number % 2)
        jumps[slice_number, 10:20, begin : begin + 20] = 1
    has_a_gap[2:7, 10:20, 5:25] = 1
    has_a_gap[4] = 0
    shapes = [shapes_of_organs(on_grid(one, oblique, order, signs), ORGANS)["liver"] for one in (jumps, has_a_gap)]
    assert shapes[0].continuity == pytest.approx(0.5)
    # two of the four pairs of neighbours share all, the others nothing
    assert shapes[1].continuity == pytest.approx(2 / 3)


def test_a_single_slice_has_no_neighbours(oblique: MakeGeometry) -> None:
    standard = np.zeros(SHAPE, np.uint8)
    standard[4, 10:20, 5:25] = 1
    assert shapes_of_organs(on_grid(standard, oblique, *GRIDS[0]), ORGANS) == {"liver": OrganShape(continuity=None)}
    single = LabelMap(standard[4:5], oblique((1, 30, 40)))
    of_one_slice = shapes_of_organs(single, ORGANS)["liver"]
    assert (of_one_slice.continuity, of_one_slice.solidity) == (None, None)


@EVERY_GRID
def test_a_box_fills_its_hull_and_one_with_an_arm_does_not(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    standard = np.zeros(SHAPE, np.uint8)
    standard[2:7, 10:20, 5:15] = 1
    assert shapes_of_organs(on_grid(standard, oblique, order, signs), ORGANS)["liver"].solidity == pytest.approx(1)
    standard[2:7, 10:12, 15:25] = 1  # an L of 10 by 10 and 2 by 10: 120 of a hull of 100 + 20 + 40
    found = shapes_of_organs(on_grid(standard, oblique, order, signs), ORGANS)["liver"].solidity
    assert found == pytest.approx(120 / 160)


def test_organs_that_were_not_found_have_no_shape(oblique: MakeGeometry) -> None:
    nothing = LabelMap(np.zeros(SHAPE, np.uint8), oblique(SHAPE))
    assert shapes_of_organs(nothing, (*ORGANS, Organ("tumour", 300, (1, 2, 3)))) == {}

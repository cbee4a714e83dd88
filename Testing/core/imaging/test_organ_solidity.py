"""Solidity is of the shape alone: the same for thick slices and thin ones, any grid, any size."""

from collections.abc import Callable

import numpy as np
import pytest

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organ_solidity import solidities
from cisfa.imaging.volume import LabelMap

MakeGeometry = Callable[..., Geometry]
LIVER, SPLEEN = 1, 300


def label_map(voxels: np.ndarray) -> LabelMap:
    return LabelMap(voxels.astype(np.uint16), Geometry.from_axes(voxels.shape))


def ball(radius: float, *, step: int = 1) -> np.ndarray:
    """A ball of so many pixels, of which every step-th slice is there."""
    half = int(radius) + 2
    grid = np.mgrid[-half : half + 1, -half : half + 1, -half : half + 1]
    return (np.square(grid).sum(axis=0) <= radius**2)[half % step :: step]


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_a_ball_fills_its_hull_however_thick_its_slices(step: int) -> None:
    """But for the steps of its pixels, which are the same whatever the slices are."""
    of_thin_slices = solidities(label_map(ball(20)), 0)[1]
    assert 0.95 < of_thin_slices < 1
    assert solidities(label_map(ball(20, step=step)), 0)[1] == pytest.approx(of_thin_slices, abs=0.01)
    assert solidities(label_map(ball(60, step=step)), 0)[1] > 0.98


def test_a_torn_ball_does_not() -> None:
    torn = ball(20)
    whole = solidities(label_map(torn), 0)[1]
    torn[:, ::3] = False  # every third row is gone; the outermost rows are there
    assert solidities(label_map(torn), 0)[1] == pytest.approx(whole * torn.sum() / ball(20).sum(), abs=0.03)


def test_two_parts_far_from_each_other_leave_most_of_their_hull_empty() -> None:
    voxels = np.zeros((20, 30, 30))
    voxels[0:4, 0:5, 0:5] = voxels[16:20, 25:30, 25:30] = 1
    assert solidities(label_map(voxels), 0)[1] < 0.15


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_axis_can_be_that_of_the_slices(axis: int) -> None:
    box = np.zeros((9, 10, 11))
    box[2:7, 3:8, 4:9] = 1
    assert solidities(label_map(box), axis) == {1: pytest.approx(1)}


def test_labels_are_told_apart_and_one_of_a_single_slice_is_left_out() -> None:
    voxels = np.zeros((6, 12, 12), np.uint16)
    voxels[1:5, 2:6, 2:6] = LIVER
    voxels[1:3, 7:11, 7:11] = SPLEEN
    voxels[3, 0, 0] = 2
    assert solidities(label_map(voxels), 0) == {LIVER: pytest.approx(1), SPLEEN: pytest.approx(1)}


def test_nothing_has_no_solidity() -> None:
    assert solidities(label_map(np.zeros((3, 4, 5))), 0) == {}


def test_the_grid_does_not_matter(oblique: MakeGeometry) -> None:
    voxels = np.zeros((12, 20, 20), np.uint16)
    voxels[2:10, 4:16, 4:9] = voxels[2:6, 4:9, 4:16] = 1
    flat = solidities(label_map(voxels), 0)
    assert solidities(LabelMap(voxels, oblique(voxels.shape)), 0) == pytest.approx(flat)

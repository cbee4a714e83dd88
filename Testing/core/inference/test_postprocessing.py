from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap
from cisfa.inference.postprocessing import keep_largest_components

MakeGeometry = Callable[..., Geometry]


def kept(voxels: np.ndarray) -> np.ndarray:
    return keep_largest_components(LabelMap(voxels, Geometry.from_axes(voxels.shape))).voxels


def slowly_kept(voxels: np.ndarray) -> np.ndarray:
    expected = np.zeros_like(voxels)
    for label in np.unique(voxels[voxels > 0]):
        parts, _ = ndimage.label(voxels == label, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        assert (sizes == sizes.max()).sum() == 1
        expected[parts == sizes.argmax()] = label
    return expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_of_each_organ_the_largest_part_is_kept(dtype: type) -> None:
    generator = np.random.default_rng(0)
    voxels = np.zeros((12, 40, 50), dtype)
    for label in (1, 2, 255) if dtype is np.uint8 else (1, 2, 300, 65535):
        for half in range(1, 5):  # parts of very different sizes, some overlapping others
            at = [int(generator.integers(half, count - half)) for count in voxels.shape]
            voxels[tuple(slice(place - half, place + half) for place in at)] = label
    np.testing.assert_array_equal(kept(voxels), slowly_kept(voxels))


def test_parts_that_touch_at_a_corner_are_one() -> None:
    voxels = np.zeros((4, 6, 6), np.uint8)
    voxels[0, 0, 0] = voxels[1, 1, 1] = voxels[2, 2, 2] = 5
    voxels[3, 4:, 4:5] = 5
    expected = voxels.copy()
    expected[3] = 0
    np.testing.assert_array_equal(kept(voxels), expected)


def test_one_organ_does_not_hold_another_together() -> None:
    voxels = np.array([[[1, 1, 2, 1, 2, 2]]], np.uint8)
    np.testing.assert_array_equal(kept(voxels), [[[1, 1, 0, 0, 2, 2]]])


def test_an_organ_at_every_border_is_not_cut() -> None:
    voxels = np.ones((3, 4, 5), np.uint16) * 300
    np.testing.assert_array_equal(kept(voxels), voxels)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 1, 6), (3, 5, 1), (1, 1, 1)])
def test_a_single_slice_is_a_volume_too(shape: tuple[int, int, int]) -> None:
    voxels = np.zeros(shape, np.uint8)
    voxels[-1, -1, -1] = 9
    np.testing.assert_array_equal(kept(voxels), voxels)


def test_a_label_map_without_organs_stays_empty() -> None:
    assert not kept(np.zeros((3, 4, 5), np.uint8)).any()


def test_grid_name_and_the_given_label_map_are_kept(oblique: MakeGeometry) -> None:
    voxels = np.zeros((5, 40, 37), np.uint16)
    voxels[1, 2, 3] = voxels[3, 4:9, 3] = 2
    before = LabelMap(voxels.copy(), oblique(), "case")
    after = keep_largest_components(before)
    assert after.geometry is before.geometry
    assert after.name == "case"
    assert after.voxels.dtype == np.uint16
    np.testing.assert_array_equal(before.voxels, voxels)

import numpy as np

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organ_parts import parts_of_organs
from cisfa.imaging.volume import LabelMap


def label_map(voxels: np.ndarray) -> LabelMap:
    return LabelMap(voxels, Geometry.from_axes(voxels.shape))


def test_each_organ_is_cut_out_with_its_parts_the_largest_first() -> None:
    voxels = np.zeros((6, 9, 12), np.uint16)
    voxels[1:3, 2:4, 5] = 300
    voxels[4, 2:8, 7:9] = 300
    voxels[2, 2, 2] = 7
    seven, three_hundred = parts_of_organs(label_map(voxels))
    assert (seven.label, seven.sizes) == (7, (1,))
    assert (three_hundred.label, three_hundred.sizes) == (300, (12, 4))
    assert three_hundred.box == (slice(1, 5), slice(2, 8), slice(5, 9))
    np.testing.assert_array_equal(three_hundred.in_organ, voxels[three_hundred.box] == 300)
    largest = np.zeros_like(voxels)
    largest[three_hundred.box][three_hundred.in_largest] = 300
    assert (largest[4] == voxels[4]).all()
    assert largest.sum() == 12 * 300


def test_background_alone_has_no_organ() -> None:
    assert list(parts_of_organs(label_map(np.zeros((3, 4, 5), np.uint8)))) == []

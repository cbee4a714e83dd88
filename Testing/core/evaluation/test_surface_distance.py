import itertools

import numpy as np
import pytest
from scipy import ndimage

from cisfa.evaluation.surface_distance import SurfaceDistance, surface_distance, surface_points_mm
from cisfa.imaging.geometry import Geometry

SHAPE = (6, 9, 8)
OBLIQUE_AXES = np.linalg.qr(np.array([[0.1, 0.3, 0.9], [0.2, -0.9, 0.3], [0.95, 0.1, -0.2]]))[0]
GEOMETRY = Geometry.from_axes(
    SHAPE, spacing_mm=(5.0, 1.5, 0.8), origin_lps_mm=(120.0, -35.0, 410.0), axes_lps=OBLIQUE_AXES
)


def mask_of(*indices: object) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for index in indices:
        mask[index] = True
    return mask


def measured(prediction: np.ndarray, truth: np.ndarray, geometry: Geometry = GEOMETRY) -> SurfaceDistance:
    distance = surface_distance(prediction, truth, geometry)
    assert distance is not None
    return distance


def brute_force(prediction: np.ndarray, truth: np.ndarray, geometry: Geometry) -> SurfaceDistance:
    """The definition, voxel by voxel and pair by pair."""
    ours, theirs = slow_surface_mm(prediction, geometry), slow_surface_mm(truth, geometry)
    pairs = np.array([[np.sqrt(((a - b) ** 2).sum()) for b in theirs] for a in ours])
    to_truth, to_prediction = pairs.min(axis=1), pairs.min(axis=0)
    return SurfaceDistance(
        assd_mm=float(np.concatenate([to_truth, to_prediction]).mean()),
        hd95_mm=float(max(np.percentile(to_truth, 95), np.percentile(to_prediction, 95))),
    )


def slow_surface_mm(mask: np.ndarray, geometry: Geometry) -> list[np.ndarray]:
    points = []
    for index in itertools.product(*map(range, mask.shape)):
        if not mask[index]:
            continue
        for axis, step in itertools.product(range(3), (-1, 1)):
            neighbour = list(index)
            neighbour[axis] += step
            if not 0 <= neighbour[axis] < mask.shape[axis] or not mask[tuple(neighbour)]:
                points.append((geometry.index_to_lps @ [*index, 1])[:3])
                break
    return points


def blob(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.gaussian_filter(noise, (0.8, 1.6, 1.9)) > 0.05


def test_two_single_voxels_are_as_far_apart_as_their_centres() -> None:
    distance = measured(mask_of((1, 2, 3)), mask_of((2, 4, 6)))
    expected = (5.0**2 + (2 * 1.5) ** 2 + (3 * 0.8) ** 2) ** 0.5
    assert distance.assd_mm == pytest.approx(expected)
    assert distance.hd95_mm == pytest.approx(expected)


@pytest.mark.parametrize(("axis", "spacing_mm"), [(0, 5.0), (1, 1.5), (2, 0.8)])
def test_two_parallel_plates_are_apart_by_their_spacing_along_that_axis(axis: int, spacing_mm: float) -> None:
    near, far = [slice(None)] * 3, [slice(None)] * 3
    near[axis], far[axis] = 1, 4
    assert measured(mask_of(tuple(near)), mask_of(tuple(far))).assd_mm == pytest.approx(3 * spacing_mm)


def test_every_surface_voxel_of_both_masks_weighs_the_same() -> None:
    distance = measured(mask_of((2, 4, 1)), mask_of((2, 4, slice(1, 4))))
    assert distance.assd_mm == pytest.approx((0 + 0 + 0.8 + 1.6) / (1 + 3))
    assert distance.hd95_mm == pytest.approx(1.6 - 0.1 * 0.8)  # the 95th percentile of 0, 0.8, 1.6
    assert measured(mask_of((2, 4, slice(1, 4))), mask_of((2, 4, 1))) == distance


def test_a_mask_is_at_no_distance_from_itself() -> None:
    mask = blob(3, SHAPE)
    assert measured(mask, mask) == SurfaceDistance(0.0, 0.0)


def test_inner_voxels_are_no_surface() -> None:
    block = mask_of((slice(1, 4), slice(2, 6), slice(3, 7)))
    points = surface_points_mm(block, GEOMETRY)
    assert len(points) == 3 * 4 * 4 - 1 * 2 * 2
    assert not np.isclose(points, GEOMETRY.to_lps([[2, 3, 4]])).all(axis=1).any()


def test_a_mask_cut_by_the_volumes_border_has_surface_there() -> None:
    assert len(surface_points_mm(np.ones(SHAPE, bool), GEOMETRY)) == 6 * 9 * 8 - 4 * 7 * 6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_in_a_volume_of_one_slice_the_outline_is_the_surface(axis: int) -> None:
    shape = [5, 6, 7]
    shape[axis] = 1
    mask = np.ones(shape, bool)
    geometry = Geometry.from_axes(mask.shape, spacing_mm=(5.0, 1.5, 0.8), axes_lps=OBLIQUE_AXES)
    height, width = (length for length in shape if length > 1)
    assert len(surface_points_mm(mask, geometry)) == height * width - (height - 2) * (width - 2)


@pytest.mark.parametrize("seed", range(4))
def test_random_blobs_on_an_oblique_grid_agree_with_the_definition(seed: int) -> None:
    prediction, truth = blob(seed, SHAPE), blob(seed + 100, SHAPE)
    expected = brute_force(prediction, truth, GEOMETRY)
    assert 0 < expected.assd_mm < expected.hd95_mm
    distance = measured(prediction, truth)
    assert distance.assd_mm == pytest.approx(expected.assd_mm)
    assert distance.hd95_mm == pytest.approx(expected.hd95_mm)


def test_a_sheared_grid_is_measured_in_the_patient() -> None:
    sheared = GEOMETRY.index_to_lps.copy()
    sheared[:3, 0] += 2.5 * GEOMETRY.axes_lps[2]  # a tilted gantry: slices shift along the columns
    geometry = Geometry(SHAPE, sheared)
    single = measured(mask_of((1, 2, 3)), mask_of((2, 2, 3)), geometry)
    assert single.assd_mm == pytest.approx((5.0**2 + 2.5**2) ** 0.5)
    prediction, truth = blob(7, SHAPE), blob(8, SHAPE)
    assert measured(prediction, truth, geometry).assd_mm == pytest.approx(
        brute_force(prediction, truth, geometry).assd_mm
    )


def test_masks_that_are_views_into_larger_arrays_are_measured_alike() -> None:
    prediction, truth = blob(5, SHAPE), blob(6, SHAPE)
    axes = (2, 0, 1)
    turned = measured(prediction.transpose(axes)[::-1], truth.transpose(axes)[::-1], GEOMETRY.transposed(axes))
    assert turned.assd_mm == pytest.approx(measured(prediction, truth).assd_mm)


def test_there_is_no_distance_to_an_empty_mask() -> None:
    empty, mask = mask_of(), mask_of((1, 2, 3))
    assert surface_distance(empty, mask, GEOMETRY) is None
    assert surface_distance(mask, empty, GEOMETRY) is None
    assert surface_distance(empty, empty, GEOMETRY) is None

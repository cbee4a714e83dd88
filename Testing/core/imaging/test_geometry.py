import itertools
from collections.abc import Callable

import numpy as np
import pytest

from cisfa.errors import GeometryError
from cisfa.imaging.geometry import Geometry, axes_by_direction, closest_axis, plane_of_axis
from cisfa.imaging.volume import LabelMap, Volume

MakeGeometry = Callable[..., Geometry]
ORDERS = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1, -1), repeat=3))


def test_what_is_given_in_parts_can_be_read_in_parts() -> None:
    axes = [[0, 0, -1], [0.6, 0.8, 0], [-0.8, 0.6, 0]]
    geometry = Geometry.from_axes((4, 5, 6), spacing_mm=(3, 2, 0.5), origin_lps_mm=(1, 2, 3), axes_lps=axes)
    assert geometry.spacing_mm == pytest.approx((3, 2, 0.5))
    np.testing.assert_allclose(geometry.axes_lps, axes, atol=1e-12)
    np.testing.assert_allclose(geometry.origin_lps_mm, (1, 2, 3))
    assert geometry.voxel_volume_ml == pytest.approx(0.003)


def test_a_step_along_an_axis_goes_its_way_by_its_spacing(oblique: MakeGeometry) -> None:
    geometry = oblique(order=(1, 2, 0), signs=(-1, 1, -1))
    for axis in range(3):
        step = geometry.to_lps([np.eye(3)[axis] + 2])[0] - geometry.to_lps([(2, 2, 2)])[0]
        np.testing.assert_allclose(step, geometry.axes_lps[axis] * geometry.spacing_mm[axis])


def test_points_go_to_the_patient_and_back(oblique: MakeGeometry) -> None:
    geometry = oblique(order=(2, 0, 1), signs=(1, -1, -1))
    indices = np.random.default_rng(1).uniform(-3, 50, (20, 3))
    np.testing.assert_allclose(geometry.to_index(geometry.to_lps(indices)), indices, atol=1e-10)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_transposing_and_flipping_keep_every_voxel_in_its_place(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    straight = oblique((4, 5, 6))
    turned = straight.transposed(order)
    for axis, sign in enumerate(signs):
        turned = turned.flipped(axis) if sign < 0 else turned
    expected = oblique((4, 5, 6), order, signs)
    assert turned.shape == expected.shape
    np.testing.assert_allclose(turned.index_to_lps, expected.index_to_lps, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_each_anatomical_plane_has_the_axis_that_runs_along_its_normal(
    oblique: MakeGeometry, order: tuple[int, int, int]
) -> None:
    geometry = oblique(order=order, signs=(-1, 1, -1))
    for direction, plane in enumerate(("axial", "coronal", "sagittal")):
        assert closest_axis(geometry, plane) == order.index(direction)
        assert plane_of_axis(geometry, order.index(direction)) == plane


def test_a_grid_tilted_by_half_a_right_angle_still_has_three_different_axes() -> None:
    half = np.sqrt(0.5)
    axes = [[0, half, half], [0, half, -half], [1, 0, 0]]
    assert sorted(axes_by_direction(Geometry.from_axes((2, 3, 4), axes_lps=axes))) == [0, 1, 2]
    space_diagonal = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3
    assert axes_by_direction(Geometry.from_axes((2, 3, 4), axes_lps=space_diagonal)) in [
        (0, 1, 2),
        (1, 2, 0),
        (2, 0, 1),
    ]


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([0.0, 1, 1, 1]),
        np.array([[1.0, 1, 0, 0], [2, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.full((4, 4), np.nan),
        np.diag([1.0, 1, np.inf, 1]),
        np.eye(3),
    ],
    ids=["no spacing", "parallel axes", "nan", "infinite", "3x3"],
)
def test_a_degenerate_grid_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="degenerate"):
        Geometry((2, 3, 4), matrix)


def test_a_grid_of_a_microscope_is_not_degenerate() -> None:
    assert Geometry.from_axes((2, 3, 4), spacing_mm=(2e-5, 1e-5, 1e-5)).spacing_mm == pytest.approx((2e-5, 1e-5, 1e-5))


def test_a_geometry_cannot_be_changed_by_accident(oblique: MakeGeometry) -> None:
    with pytest.raises(ValueError, match="read-only"):
        oblique().index_to_lps[0, 0] = 5


def test_grids_that_differ_by_rounding_are_one(oblique: MakeGeometry) -> None:
    geometry = oblique()
    in_float32 = Geometry(geometry.shape, geometry.index_to_lps.astype(np.float32))
    assert geometry.is_same_grid(in_float32)
    geometry.require_same_grid(in_float32, ours="a", theirs="b")


def test_grids_a_tenth_of_a_voxel_apart_are_two(oblique: MakeGeometry) -> None:
    geometry, matrix = oblique(), oblique().index_to_lps.copy()
    matrix[2, 3] += 0.07
    with pytest.raises(GeometryError, match=r"a.nii and b.nii .* 0.07 mm apart"):
        geometry.require_same_grid(Geometry(geometry.shape, matrix), ours="a.nii", theirs="b.nii")


def test_a_flipped_grid_is_another_grid(oblique: MakeGeometry) -> None:
    geometry = oblique()
    assert not geometry.is_same_grid(geometry.flipped(2))
    assert geometry.is_same_grid(geometry.flipped(2).flipped(2))


def test_grids_of_different_shape_are_named_with_their_shapes(oblique: MakeGeometry) -> None:
    with pytest.raises(GeometryError, match="a has 5 slices of 40x37, but b has 6 slices of 40x37"):
        oblique().require_same_grid(oblique((6, 40, 37)), ours="a", theirs="b")


def test_voxels_must_have_the_shape_of_their_geometry(oblique: MakeGeometry) -> None:
    with pytest.raises(GeometryError, match=r"case_7: the voxels have shape \(5, 37, 40\)"):
        Volume(np.zeros((5, 37, 40)), oblique(), "case_7")


def test_a_label_map_holds_unsigned_integers_only(oblique: MakeGeometry) -> None:
    with pytest.raises(TypeError, match="float64"):
        LabelMap(np.zeros(oblique().shape), oblique())

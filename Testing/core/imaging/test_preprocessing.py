import itertools
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cisfa.config import PreprocessingConfig
from cisfa.errors import GeometryError, VolumeFileError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.preprocessing import Preprocessing, Restorer, SliceFrame, choose_plane
from cisfa.imaging.roi import Roi
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map, write_volume

MakeGeometry = Callable[..., Geometry]
ORDERS = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1, -1), repeat=3))
PLANES = ("axial", "coronal", "sagittal")
# of (slice, row, column) in the standard view: the LPS direction in which each index grows
DIRECTIONS = {
    "axial": [(0, 0, 1), (0, 1, 0), (1, 0, 0)],
    "coronal": [(0, 1, 0), (0, 0, -1), (1, 0, 0)],
    "sagittal": [(1, 0, 0), (0, 0, -1), (0, 1, 0)],
}
UNCUT = PreprocessingConfig(size=32, crop_to_body=False)


def points_of(geometry: Geometry) -> np.ndarray:
    """LPS of every voxel, (slices, rows, columns, 3)."""
    indices = np.stack(np.indices(geometry.shape), axis=-1).reshape(-1, 3)
    return geometry.to_lps(indices).reshape(*geometry.shape, 3)


def somewhere(points: np.ndarray) -> np.ndarray:
    """A value that tells every place from every other, mirrored ones included."""
    x, y, z = (points - [-78.0, 38.0, 419.0]).transpose(3, 0, 1, 2)
    return 500 + 3 * x - 2 * y + 5 * z + 0.1 * x * y - 0.07 * y * z + 0.05 * x * x


def ball(geometry: Geometry, centre_lps_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    return np.linalg.norm(points_of(geometry) - centre_lps_mm, axis=-1) < radius_mm


def centroid(labels: LabelMap, value: int) -> np.ndarray:
    return labels.geometry.to_lps(np.argwhere(labels.voxels == value)).mean(axis=0)


def middle(geometry: Geometry, *beside_mm: float) -> np.ndarray:
    """The middle of a grid, or a place beside it by so much to the Left, Posterior and Superior."""
    centre = geometry.to_lps([(np.array(geometry.shape) - 1) / 2])[0]
    return centre + np.array(beside_mm or (0.0, 0.0, 0.0))


def painted(classes: np.ndarray, frame: SliceFrame, values: list[int], *, batch: int = 2) -> LabelMap:
    """What a network that is always right would make of label classes: certainty, slice by slice, put back."""
    restorer = Restorer(frame, np.array(values, np.uint8 if max(values) < 256 else np.uint16))
    certain = (classes[:, None] == np.arange(len(values))[:, None, None]).astype(np.float32)
    for first in range(0, len(certain), batch):
        restorer.add(first, certain[first : first + batch])
    return restorer.label_map("painted")


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def along_voxels(geometry: Geometry, bounds: tuple[tuple[int, int], ...]) -> Roi:
    """The box around a block of voxels."""
    corners = np.array(np.meshgrid(*[(low - 0.5, high - 0.5) for low, high in bounds])).reshape(3, 8).T
    return Roi(geometry.to_lps(corners))


# the standard view


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_however_voxels_are_stored_slices_are_the_same(
    oblique: MakeGeometry, plane: str, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    preprocessing = Preprocessing(replace(UNCUT, plane=plane), "MR")
    expected, found = (
        preprocessing.apply(Volume(somewhere(points_of(geometry)), geometry))
        for geometry in (oblique((4, 9, 7)), oblique((4, 9, 7), order, signs))
    )
    np.testing.assert_allclose(found.voxels, expected.voxels, atol=1e-4)
    assert found.frame.row_spacing_mm == pytest.approx(expected.frame.row_spacing_mm)
    assert found.frame.column_spacing_mm == pytest.approx(expected.frame.column_spacing_mm)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_however_voxels_are_stored_the_body_is_cut_out_the_same(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    preprocessing = Preprocessing(PreprocessingConfig(size=32), "MR")
    prepared = []
    for geometry in (oblique((4, 50, 60)), oblique((4, 50, 60), order, signs)):
        bright = ball(geometry, middle(geometry, 3, -4, 0), 13)
        prepared.append(preprocessing.apply(Volume(np.where(bright, somewhere(points_of(geometry)), 0), geometry)))
    np.testing.assert_allclose(prepared[1].voxels, prepared[0].voxels, atol=1e-4)
    assert prepared[1].frame.box == prepared[0].frame.box
    assert prepared[0].frame.box_shape < (45, 50)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("signs", SIGNS)
def test_slices_are_seen_as_a_radiologist_sees_them(
    oblique: MakeGeometry, plane: str, signs: tuple[int, int, int]
) -> None:
    geometry = oblique((9, 10, 11), (1, 2, 0), signs)
    for axis, direction in enumerate(DIRECTIONS[plane]):
        along = points_of(geometry) @ np.array(direction, float)
        slices = Preprocessing(replace(UNCUT, plane=plane), "MR").apply(Volume(along, geometry)).voxels
        means = slices.mean(axis=tuple(other for other in range(3) if other != axis))
        assert (np.diff(means)[2:-2] > 0).all()


def test_the_left_kidney_is_on_the_right_of_an_axial_slice() -> None:
    geometry = Geometry.from_axes((3, 40, 50), axes_lps=((0, 0, -1), (0, -1, 0), (-1, 0, 0)))
    voxels = np.zeros(geometry.shape)
    to_the_left_and_back = geometry.to_index([(-10.0, -8.0, -1.0)]).round().astype(int)[0]
    voxels[tuple(to_the_left_and_back)] = 1
    slices = Preprocessing(UNCUT, "CT").apply(Volume(voxels, geometry)).voxels
    slice_, row, column = np.unravel_index(slices.argmax(), slices.shape)
    assert slice_ == 1
    assert row > 16
    assert column > 16


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [
        ((3.0, 0.9, 0.7), "axial"),
        ((0.9, 3.0, 0.7), "coronal"),
        ((0.7, 0.9, 3.0), "sagittal"),
        ((1.0, 1.0, 1.0), "axial"),
        ((1.0, 1.0, 1.2), "axial"),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_the_plane_of_acquisition_has_the_thick_slices(
    spacing: tuple[float, float, float], plane: str, order: tuple[int, int, int]
) -> None:
    axes = np.eye(3)[::-1]
    geometry = Geometry.from_axes((9, 9, 9), spacing_mm=np.array(spacing)[list(order)], axes_lps=axes[list(order)])
    assert choose_plane(geometry, "auto") == plane
    assert choose_plane(geometry, "coronal") == "coronal"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_plane_of_a_single_slice_is_its_own(axis: int) -> None:
    shape = tuple(1 if other == axis else 40 for other in range(3))
    assert choose_plane(Geometry.from_axes(shape), "auto") == PLANES[axis]


# the way back


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_labels_come_back_exactly_where_they_were(
    oblique: MakeGeometry, plane: str, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    shape = {"axial": (4, 36, 38), "coronal": (36, 4, 38), "sagittal": (36, 38, 4)}[plane]
    geometry = oblique(shape, order, signs)
    # 32 pixels of each slice, off its middle, and not the first slice: as large as the network's slices
    patient_bounds = [(1, 4) if count == 4 else (3, 35) for count in shape]
    bounds = tuple(patient_bounds[axis] for axis in order)
    if any(sign < 0 for sign in signs):
        bounds = tuple(
            (low, high) if sign > 0 else (count - high, count - low)
            for (low, high), sign, count in zip(bounds, signs, geometry.shape, strict=True)
        )
    labels = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.uint8)
    preprocessing = Preprocessing(replace(UNCUT, plane=plane), "MR")
    volume = Volume(somewhere(points_of(geometry)), geometry)
    frame = preprocessing.apply(volume, along_voxels(geometry, bounds)).frame
    assert (frame.slices, *frame.box_shape) == (3, 32, 32)
    back = painted(preprocessing.apply_to_labels(LabelMap(labels, geometry), frame), frame, [0, 1, 2])
    expected = np.zeros_like(labels)
    inside = tuple(slice(low, high) for low, high in bounds)
    expected[inside] = labels[inside]
    np.testing.assert_array_equal(back.voxels, expected)
    assert back.geometry is geometry
    assert back.voxels.flags.c_contiguous


@pytest.mark.parametrize("size", [48, 64, 100])
@pytest.mark.parametrize(
    ("order", "signs"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1)), ((1, 2, 0), (1, -1, 1))]
)
@pytest.mark.parametrize("plane", PLANES)
def test_an_organ_comes_back_to_its_place_from_slices_of_another_size(
    oblique: MakeGeometry, plane: str, size: int, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    geometry = oblique((18, 63, 81), order, signs)
    centre = middle(geometry, 4.3, -2.1, 1.7)
    labels = LabelMap((ball(geometry, centre, 17) * np.uint8(2)).astype(np.uint8), geometry)
    preprocessing = Preprocessing(replace(UNCUT, plane=plane, size=size), "MR")
    frame = preprocessing.apply(Volume(somewhere(points_of(geometry)), geometry)).frame
    back = painted(preprocessing.apply_to_labels(labels, frame), frame, [0, 1, 2])
    assert dice(back.voxels == 2, labels.voxels == 2) > 0.95
    pixel = min(geometry.spacing_mm[frame.axes[1]], geometry.spacing_mm[frame.axes[2]])
    np.testing.assert_allclose(centroid(back, 2), centroid(labels, 2), atol=0.1 * pixel)


@pytest.mark.parametrize("size", [40, 64, 137])  # nearest neighbour itself moves labels by a sixth of a pixel at 2:3
def test_intensities_and_labels_of_an_organ_stay_on_top_of_each_other(oblique: MakeGeometry, size: int) -> None:
    geometry = oblique((9, 117, 99), (2, 1, 0), (-1, 1, 1))
    inside = ball(geometry, middle(geometry, 3.3, 5.1, 0.4), 14)
    preprocessing = Preprocessing(replace(UNCUT, size=size), "MR")
    prepared = preprocessing.apply(Volume(inside * 100.0, geometry))
    labels = preprocessing.apply_to_labels(LabelMap(inside.astype(np.uint8), geometry), prepared.frame)
    bright = prepared.voxels - prepared.voxels.min()
    places = np.indices(bright.shape).reshape(3, -1)
    by_intensity, by_label = places @ bright.ravel() / bright.sum(), places @ labels.ravel() / labels.sum()
    np.testing.assert_allclose(by_intensity, by_label, atol=0.1)


@pytest.mark.parametrize("size", [40, 64, 150])
def test_a_slices_pixel_lies_where_its_frame_says(oblique: MakeGeometry, size: int) -> None:
    geometry = oblique((5, 90, 70), (0, 2, 1), (1, -1, -1))
    centre = middle(geometry, 5.2, -3.9, 0.0)
    distance = np.linalg.norm(points_of(geometry) - centre, axis=-1)
    prepared = Preprocessing(replace(UNCUT, size=size), "MR").apply(
        Volume(np.exp(-((distance / 9) ** 2)), geometry), along_voxels(geometry, ((0, 5), (4, 67), (11, 80)))
    )
    frame, bright = prepared.frame, prepared.voxels - prepared.voxels.min()
    at = np.indices(bright.shape).reshape(3, -1) @ bright.ravel() ** 2 / (bright**2).sum()
    boxes = np.array([(part.start, part.stop) for part in frame.box])
    steps = (boxes[:, 1] - boxes[:, 0]) / np.array(bright.shape)
    standard = boxes[:, 0] + (at + 0.5) * steps - 0.5
    native = np.zeros(3)
    for place, axis in enumerate(frame.axes):
        flipped = place in frame.flips
        native[axis] = geometry.shape[axis] - 1 - standard[place] if flipped else standard[place]
    np.testing.assert_allclose(geometry.to_lps([native])[0], centre, atol=0.07)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("order", "signs"), [((0, 1, 2), (1, 1, 1)), ((1, 2, 0), (-1, -1, 1)), ((2, 1, 0), (1, -1, -1))]
)
def test_a_file_becomes_a_label_map_on_its_own_grid(
    oblique: MakeGeometry, tmp_path: Path, suffix: str, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    geometry = oblique((7, 40, 48), order, signs)
    inside = ball(geometry, middle(geometry, 2, 1, 0), 9)
    write_volume(Volume((inside * 900 + 50).astype(np.int16), geometry), tmp_path / f"volume{suffix}")
    volume = read_volume(tmp_path / f"volume{suffix}")
    preprocessing = Preprocessing(replace(UNCUT, size=80), "MR")
    prepared = preprocessing.apply(volume)
    found = painted((prepared.voxels > prepared.voxels.mean() + 1).astype(np.uint8), prepared.frame, [0, 300])
    write_label_map(found, tmp_path / f"labels{suffix}")
    labels = read_label_map(tmp_path / f"labels{suffix}")
    labels.geometry.require_same_grid(volume.geometry, ours="the label map", theirs="the volume")
    assert dice(labels.voxels == 300, inside) > 0.97


def test_slices_outside_the_region_of_interest_are_left_out_and_stay_background(oblique: MakeGeometry) -> None:
    geometry = oblique((8, 40, 50), (1, 0, 2), (1, -1, 1))
    volume = Volume(somewhere(points_of(geometry)), geometry)
    prepared = Preprocessing(UNCUT, "MR").apply(volume, along_voxels(geometry, ((5, 33), (2, 6), (9, 41))))
    assert prepared.voxels.shape == (4, 32, 32)
    back = painted(np.ones((4, 32, 32), np.uint8), prepared.frame, [0, 7])
    expected = np.zeros(geometry.shape, np.uint8)
    expected[5:33, 2:6, 9:41] = 7
    np.testing.assert_array_equal(back.voxels, expected)


def test_intensities_outside_the_region_of_interest_do_not_matter(oblique: MakeGeometry) -> None:
    geometry = oblique((5, 40, 50))
    voxels = somewhere(points_of(geometry))
    roi = along_voxels(geometry, ((1, 4), (3, 35), (9, 41)))
    expected = Preprocessing(UNCUT, "MR").apply(Volume(voxels, geometry), roi).voxels
    other = np.full_like(voxels, 9999.0)
    other[1:4, 3:35, 9:41] = voxels[1:4, 3:35, 9:41]
    np.testing.assert_array_equal(Preprocessing(UNCUT, "MR").apply(Volume(other, geometry), roi).voxels, expected)
    assert expected.mean() == pytest.approx(0, abs=1e-5)
    assert expected.std() == pytest.approx(1, abs=1e-5)


def test_a_region_of_interest_beside_the_volume_is_refused(oblique: MakeGeometry) -> None:
    geometry = oblique()
    with pytest.raises(GeometryError, match="outside the volume"):
        Preprocessing(UNCUT, "MR").apply(
            Volume(somewhere(points_of(geometry)), geometry), along_voxels(geometry, ((0, 3), (50, 60), (0, 9)))
        )


@pytest.mark.parametrize("crop_to_body", [True, False])
@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("value", [0, 40, -1000])
def test_a_constant_volume_is_refused_by_name(
    oblique: MakeGeometry, crop_to_body: bool, modality: str, value: int
) -> None:
    volume = Volume(np.full((5, 40, 37), value, np.int16), oblique(), "case_3.nrrd")
    with pytest.raises(VolumeFileError, match=r"case_3\.nrrd is constant"):
        Preprocessing(PreprocessingConfig(size=32, crop_to_body=crop_to_body), modality).apply(volume)


def test_a_label_map_on_another_grid_is_refused(oblique: MakeGeometry) -> None:
    geometry = oblique()
    preprocessing = Preprocessing(UNCUT, "MR")
    frame = preprocessing.apply(Volume(somewhere(points_of(geometry)), geometry)).frame
    with pytest.raises(GeometryError, match=r"labels\.nii and its volume have the same shape but lie at different"):
        preprocessing.apply_to_labels(
            LabelMap(np.ones((5, 40, 37), np.uint8), geometry.flipped(2), "labels.nii"), frame
        )


def test_a_single_slice_goes_there_and_back(oblique: MakeGeometry) -> None:
    geometry = oblique((1, 32, 32), (1, 0, 2), (-1, 1, 1))
    labels = LabelMap(np.random.default_rng(1).integers(0, 2, geometry.shape).astype(np.uint8), geometry)
    preprocessing = Preprocessing(UNCUT, "MR")
    prepared = preprocessing.apply(Volume(somewhere(points_of(geometry)), geometry))
    assert prepared.voxels.shape == (1, 32, 32)
    back = painted(preprocessing.apply_to_labels(labels, prepared.frame), prepared.frame, [0, 1])
    np.testing.assert_array_equal(back.voxels, labels.voxels)


def test_hundreds_of_organs_keep_their_label_values(oblique: MakeGeometry) -> None:
    geometry = oblique((3, 32, 32))
    frame = Preprocessing(UNCUT, "MR").apply(Volume(somewhere(points_of(geometry)), geometry)).frame
    classes = np.random.default_rng(2).integers(0, 301, (3, 32, 32))
    back = painted(classes, frame, list(range(301)), batch=1)
    assert back.voxels.dtype == np.uint16
    np.testing.assert_array_equal(back.voxels, classes)


def test_probabilities_are_made_smooth_before_the_likeliest_class_is_taken() -> None:
    geometry = Geometry.from_axes((1, 64, 64))
    preprocessing = Preprocessing(UNCUT, "MR")
    frame = preprocessing.apply(Volume(somewhere(points_of(geometry)), geometry)).frame
    probabilities = np.zeros((1, 2, 32, 32), np.float32)
    probabilities[0, 1] = np.clip(np.add.outer(np.arange(32), np.arange(32)) / 62, 0, 1)
    probabilities[0, 0] = 1 - probabilities[0, 1]
    restorer = Restorer(frame, np.array([0, 1], np.uint8))
    restorer.add(0, probabilities)
    rows, columns = np.indices((64, 64))
    expected = rows + columns > 63
    found = restorer.label_map("diagonal").voxels[0].astype(bool)
    # doubled pixels would make steps of two, each a voxel away from the line
    assert (found != expected).sum() <= 64
    assert not (found & (rows + columns < 62)).any()


# memory


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_large_study_is_never_in_memory_as_floating_point(
    oblique: MakeGeometry, order: tuple[int, int, int], modality: str
) -> None:
    geometry = oblique((100, 512, 512), order, (1, -1, 1))
    one = np.random.default_rng(3).normal(0, 300, geometry.shape[1:]).astype(np.int16)
    voxels = np.broadcast_to(one, geometry.shape).copy()
    slices = 2 * 100 * 64 * 64 * 4
    tracemalloc.start()
    frame = Preprocessing(PreprocessingConfig(size=64), modality).apply(Volume(voxels, geometry)).frame
    restorer = Restorer(frame, np.array([0, 1, 2], np.uint8))
    some = np.random.default_rng(4).random((8, 3, 64, 64)).astype(np.float32)
    for first in (0, 48, 92):
        restorer.add(first, some)
    label_map = restorer.label_map("large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert label_map.voxels.shape == geometry.shape
    assert peak < 3 * voxels.size + slices

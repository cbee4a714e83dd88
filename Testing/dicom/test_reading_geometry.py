"""Where the voxels of a series lie, whatever its orientation, its kind and the order of its files."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_series import open_series, read_series
from cisfa.imaging.volume import Volume
from cisfa.phantom.case import make_case
from series_writer import decimal, oblique_axes, small_volume, write_enhanced, write_series

# slice, row, column: where each index grows, so that the slices follow the normal (row direction x column direction)
ORIENTATIONS = {
    "axial": [(0, 0, 1), (0, 1, 0), (1, 0, 0)],
    # feet first: the row runs to the patient's right, so the normal to the feet
    "axial, feet first": [(0, 0, -1), (0, 1, 0), (-1, 0, 0)],
    "coronal": [(0, 1, 0), (0, 0, -1), (1, 0, 0)],
    "sagittal": [(-1, 0, 0), (0, 0, -1), (0, 1, 0)],
    "oblique": oblique_axes(),
}


def in_order_of_the_normal(volume: Volume) -> Volume:
    """The volume with its slices along row direction x column direction."""
    slices, rows, columns = volume.geometry.axes_lps
    if np.cross(columns, rows) @ slices > 0:
        return volume
    return Volume(volume.voxels[::-1], volume.geometry.flipped(0))


def require_same(found: Volume, expected: Volume) -> None:
    assert np.array_equal(found.voxels, expected.voxels)
    assert found.geometry.is_same_grid(expected.geometry)
    assert found.geometry.farthest_corner_mm(expected.geometry) < 1e-6


@pytest.mark.parametrize("axes", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_series_is_read_as_it_was_written(tmp_path: Path, axes: list[tuple[int, ...]], modality: str) -> None:
    volume = small_volume(axes)
    if modality == "MR":
        volume = Volume((volume.voxels + 1000).astype(np.int16), volume.geometry)
    write_series(tmp_path / "series", volume, modality=modality)
    found = read_series(tmp_path / "series")
    require_same(found, volume)
    assert found.voxels.dtype == np.int16
    assert found.name == "series"


@pytest.mark.parametrize("axes", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_a_series_that_was_acquired_from_the_other_end_is_turned_to_its_normal(
    tmp_path: Path, axes: list[tuple[int, ...]]
) -> None:
    straight = small_volume(axes)
    reverse = Volume(straight.voxels[::-1], straight.geometry.flipped(0))
    write_series(tmp_path, reverse)
    require_same(read_series(tmp_path), straight)


@pytest.mark.parametrize("axes", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_frames_of_an_enhanced_object_are_sorted_by_where_they_lie(tmp_path: Path, axes: list[tuple[int, ...]]) -> None:
    volume = small_volume(axes)
    path = write_enhanced(tmp_path / "enhanced", volume, order=[4, 0, 5, 2, 1, 3])
    found = read_series(path)
    require_same(found, volume)
    assert [(frame.file, frame.number) for frame in open_series(path).frames] == [(0, n) for n in (1, 4, 3, 5, 0, 2)]


def test_several_enhanced_files_of_one_series_make_one_volume(tmp_path: Path) -> None:
    volume = small_volume()

    def one_series(dataset: Dataset) -> None:
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2", "1.2.9"

    for name, part in (("b", [3, 0]), ("a", [5, 1]), ("c", [2, 4])):
        write_enhanced(tmp_path / name, volume, order=part, change=one_series)
    require_same(read_series(tmp_path), volume)
    require_same(read_series(tmp_path / "a"), volume)


def test_what_all_frames_share_may_stand_with_each_frame(tmp_path: Path) -> None:
    volume = small_volume()

    def spread(dataset: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
            frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
            frame.PixelValueTransformationSequence = shared.PixelValueTransformationSequence
        del dataset.SharedFunctionalGroupsSequence

    require_same(read_series(write_enhanced(tmp_path / "enhanced.dcm", volume, change=spread)), volume)


def test_a_legacy_converted_object_is_read_like_an_enhanced_one(tmp_path: Path) -> None:
    volume = small_volume()

    def convert(dataset: Dataset) -> None:
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.2"

    require_same(read_series(write_enhanced(tmp_path / "legacy.dcm", volume, change=convert)), volume)


@pytest.mark.parametrize("domain", ["ct", "mr"])
def test_a_phantom_keeps_its_voxels_and_its_place(tmp_path: Path, domain: str) -> None:
    volume, _ = make_case("ct" if domain == "ct" else "mr", seed=5, index=0, size="small")
    write_series(tmp_path / "classic", volume, modality=domain.upper())
    write_enhanced(tmp_path / "enhanced" / "one", volume, modality=domain.upper())
    for place in ("classic", "enhanced"):
        require_same(read_series(tmp_path / place), in_order_of_the_normal(volume))


def test_simpleitks_own_reader_of_series_agrees(tmp_path: Path) -> None:
    import SimpleITK

    write_series(tmp_path, small_volume(spacing_mm=(3.25, 0.75, 1.5)))
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = SimpleITK.ReadImage(names)
    found = read_series(tmp_path)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), found.voxels)
    assert np.allclose(image.GetOrigin(), found.geometry.origin_lps_mm, atol=1e-6)
    assert np.allclose(image.GetSpacing(), found.geometry.spacing_mm[::-1], atol=1e-6)
    axes = np.array(image.GetDirection()).reshape(3, 3).T[::-1]
    assert np.allclose(axes, found.geometry.axes_lps, atol=1e-6)


@pytest.mark.parametrize(("between", "thickness", "spacing"), [("3.5", "3", 3.5), (None, "3", 3.0), ("0", "3", 3.0)])
def test_a_single_slice_is_as_thick_as_it_says(
    tmp_path: Path, between: str | None, thickness: str, spacing: float
) -> None:
    def state(dataset: Dataset, _: int) -> None:
        dataset.SliceThickness = thickness
        if between is not None:
            dataset.SpacingBetweenSlices = between

    write_series(tmp_path, small_volume(slices=1), change=state)
    assert read_series(tmp_path).geometry.spacing_mm == pytest.approx((spacing, 0.7, 0.9))


def test_a_single_slice_that_does_not_say_how_thick_it_is_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume(slices=1), change=lambda dataset, _: delattr(dataset, "SliceThickness"))
    with pytest.raises(VolumeFileError, match="single slice without Spacing Between Slices"):
        read_series(tmp_path)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path: Path) -> None:
    volume = small_volume(ORIENTATIONS["axial"], slices=40, spacing_mm=(0.625, 0.7, 0.7))

    def round_off(dataset: Dataset, _: int) -> None:
        dataset.ImagePositionPatient = [f"{float(part):.1f}" for part in dataset.ImagePositionPatient]

    write_series(tmp_path, volume, change=round_off)
    found = read_series(tmp_path).geometry
    assert found.spacing_mm[0] == pytest.approx(0.625, abs=0.002)
    assert found.farthest_corner_mm(volume.geometry) < 0.1


def test_cosines_rounded_to_three_decimals_are_no_tilt(tmp_path: Path) -> None:
    volume = small_volume(slices=30, spacing_mm=(1.0, 0.7, 0.7))

    def round_off(dataset: Dataset, _: int) -> None:
        dataset.ImageOrientationPatient = [f"{float(part):.3f}" for part in dataset.ImageOrientationPatient]

    write_series(tmp_path, volume, change=round_off)
    found = read_series(tmp_path).geometry
    assert np.allclose(found.axes_lps @ found.axes_lps.T, np.eye(3), atol=1e-9)
    assert found.farthest_corner_mm(volume.geometry) < 0.05


def test_directions_a_little_off_unit_length_are_straightened(tmp_path: Path) -> None:
    volume = small_volume()

    def stretch(dataset: Dataset, _: int) -> None:
        dataset.ImageOrientationPatient = [decimal(float(part) * 1.0008) for part in dataset.ImageOrientationPatient]

    write_series(tmp_path, volume, change=stretch)
    require_same(read_series(tmp_path), volume)

"""DICOM series wherever a volume is read, and the frame of reference that label maps of them keep."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK

from cisfa.errors import BundleError, VolumeFileError
from cisfa.imaging.dicom_modality import modality_of
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, SeriesFacts, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map
from cisfa.imaging.volume_names import stem_of
from cisfa.inference.predictor import require_modality
from series_writer import small_volume, write_enhanced, write_series

UID = "1.2.826.0.1.3680043.8.498.42"


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(VolumeFileError) as caught:
        read(path)
    return str(caught.value)


def test_a_folder_and_a_file_of_a_series_are_volumes(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "1.2.840.113", small_volume())
    bare = paths[2].with_name("slice number 3")
    paths[2].rename(bare)
    for place in (tmp_path / "1.2.840.113", paths[0], bare):
        found = read_volume(place)
        assert np.array_equal(found.voxels, small_volume().voxels)
        assert found.series is not None
        assert found.name == place.name


def test_a_multi_frame_file_is_a_volume(tmp_path: Path) -> None:
    assert read_volume(write_enhanced(tmp_path / "enhanced", small_volume())).voxels.shape == (6, 7, 9)


def test_other_folders_and_files_are_refused_as_before(tmp_path: Path) -> None:
    assert "is a folder, not a volume" in refusal(read_volume, tmp_path)
    (tmp_path / "notes").write_text("of the day", encoding="utf-8")
    assert "is a suffixless file, not a volume" in refusal(read_volume, tmp_path / "notes")
    assert "does not exist" in refusal(read_volume, tmp_path / "gone")


def test_a_series_is_no_label_map(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", small_volume())
    for place in (tmp_path / "series", paths[0]):
        assert "is DICOM, and label maps are read from .nii.gz" in refusal(read_label_map, place)


def test_the_name_of_a_series_is_not_cut_at_a_point(tmp_path: Path) -> None:
    write_series(tmp_path / "1.2.840.113", small_volume(slices=1))
    (tmp_path / "1.2.840.113.7").touch()
    assert stem_of(tmp_path / "1.2.840.113") == "1.2.840.113"
    assert stem_of(tmp_path / "1.2.840.113.7") == "1.2.840.113.7"
    assert stem_of(tmp_path / "slice.dcm") == "slice"
    assert stem_of(tmp_path / "ct_1.nii.gz") == "ct_1"


def some_labels(uid: str) -> LabelMap:
    geometry = small_volume().geometry
    voxels = (np.arange(np.prod(geometry.shape)).reshape(geometry.shape) % 4).astype(np.uint8)
    return LabelMap(voxels, geometry, frame_of_reference_uid=uid)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("uid", [UID, UID + "1", ""])
def test_a_label_map_keeps_its_frame_of_reference(tmp_path: Path, suffix: str, uid: str) -> None:
    path = tmp_path / f"labels{suffix}"
    write_label_map(some_labels(uid), path)
    found = read_label_map(path)
    assert found.frame_of_reference_uid == uid
    assert np.array_equal(found.voxels, some_labels("").voxels)
    assert found.geometry.is_same_grid(some_labels("").geometry)


def test_other_programs_read_a_label_map_with_its_frame_of_reference(tmp_path: Path) -> None:
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        write_label_map(some_labels(UID), tmp_path / f"labels{suffix}")
        image = SimpleITK.ReadImage(str(tmp_path / f"labels{suffix}"))
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), some_labels(UID).voxels)
    extension = nibabel.load(tmp_path / "labels.nii.gz").header.extensions[0]
    assert (extension.get_code(), extension.get_content().rstrip(b"\0")) == (6, f"FrameOfReferenceUID={UID}".encode())
    assert SimpleITK.ReadImage(str(tmp_path / "labels.nrrd")).GetMetaData("CISFA_FrameOfReferenceUID") == UID


def test_other_comments_in_a_nifti_header_are_no_frame_of_reference(tmp_path: Path) -> None:
    path = tmp_path / "labels.nii.gz"
    image = nibabel.Nifti1Image(np.zeros((9, 7, 6), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"drawn by hand"))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(44, b"\x93NUMPY\0\xff"))
    nibabel.save(image, path)
    assert read_label_map(path).frame_of_reference_uid == ""


def looking_like(modality: str, stated: str | None) -> Volume:
    voxels = np.full((4, 5, 6), -900 if modality == "CT" else 20, np.int16)
    voxels[1:3, 1:4, 1:5] = 300
    series = None if stated is None else SeriesFacts(modality=stated)
    return Volume(voxels, Geometry.from_axes((4, 5, 6)), "series", series)


def bundle_for(modality: str) -> SimpleNamespace:
    return SimpleNamespace(name="random weights", target=SimpleNamespace(modality=modality))


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("looks", ["CT", "MR"])
def test_what_a_series_says_counts_more_than_how_it_looks(modality: str, looks: str) -> None:
    require_modality(bundle_for(modality), looking_like(looks, modality))
    assert modality_of(looking_like(looks, modality)) == modality


@pytest.mark.parametrize("stated", ["CT", "PT", "US"])
def test_a_series_that_says_that_it_is_something_else_is_refused(stated: str) -> None:
    with pytest.raises(BundleError, match=f"segments MR, but series is {stated}: its DICOM series says so"):
        require_modality(bundle_for("MR"), looking_like("MR", stated))


@pytest.mark.parametrize("stated", [None, ""])
def test_a_volume_that_says_nothing_is_what_it_looks_like(stated: str | None) -> None:
    require_modality(bundle_for("MR"), looking_like("MR", stated))
    assert modality_of(looking_like("CT", stated)) == "CT"
    with pytest.raises(BundleError, match="looks like CT"):
        require_modality(bundle_for("MR"), looking_like("CT", stated))


def test_what_is_neither_ct_nor_mr_has_no_modality_to_train_with() -> None:
    with pytest.raises(VolumeFileError, match="series is PT: its DICOM series says so"):
        modality_of(looking_like("CT", "PT"))

"""What ``cisfa segment`` takes for a volume: DICOM folders, files of a series, folders of both, other formats."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from cisfa.cli.segment_plan import (
    find_volumes,
    plan_label_maps,
    plan_organ_reports,
    plan_outputs,
    plan_segmentations,
)
from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_values import patient_reading
from cisfa.imaging.volume import Volume
from cisfa.imaging.volume_files import write_volume
from segmented_phantom import geometry, organ_voxels
from series_writer import write_series


def volume() -> Volume:
    return Volume(organ_voxels().astype("int16"), geometry())


def test_a_folder_with_a_series_is_one_volume_under_the_folders_whole_name(tmp_path: Path) -> None:
    write_series(tmp_path / "1.2.840.113", volume())
    assert plan_outputs([tmp_path / "1.2.840.113"], tmp_path / "out", overwrite=False) == {
        tmp_path / "1.2.840.113": tmp_path / "out" / "1.2.840.113.nii.gz"
    }


def test_a_folder_stands_for_the_series_below_it_and_the_files_in_it(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "patient 1" / "study" / "CT", volume())
    write_series(tmp_path / "in" / "patient 2", volume())
    write_volume(volume(), tmp_path / "in" / "c.nrrd")
    (tmp_path / "in" / "empty").mkdir()
    assert find_volumes([tmp_path / "in"]) == {
        tmp_path / "in" / "c.nrrd": "c",
        tmp_path / "in" / "patient 1" / "study" / "CT": "patient 1_study_CT",
        tmp_path / "in" / "patient 2": "patient 2",
    }


def test_all_files_of_a_series_as_a_shell_names_them_are_one_volume(tmp_path: Path) -> None:
    one = write_series(tmp_path / "both", volume())
    for path in one:
        path.rename(path.with_name(f"first {path.name}"))
    write_series(tmp_path / "both", volume())
    files = sorted((tmp_path / "both").iterdir())
    assert len(files) == 2 * len(one)
    assert list(find_volumes(files)) == [files[0], files[len(one)]]


def test_a_segmentation_lies_beside_its_label_map_and_never_among_the_images(tmp_path: Path) -> None:
    folder = tmp_path / "CT"
    write_series(folder, volume())
    planned = plan_segmentations({folder: tmp_path / "out" / "CT.nii.gz"}, overwrite=False)
    assert planned == {folder: tmp_path / "out" / "CT.dcm"}
    with pytest.raises(VolumeFileError, match="among the files of the series"):
        plan_segmentations({folder: folder / "labels.nii.gz"}, overwrite=False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "CT.dcm").touch()
    with pytest.raises(VolumeFileError, match="exists already"):
        plan_segmentations({folder: tmp_path / "out" / "CT.nii.gz"}, overwrite=False)


def write_both(folder: Path, change: Callable[[Dataset, int], None] | None = None) -> tuple[list[Path], list[Path]]:
    """Two series among each other, as files in the order of their names."""
    parts = []
    for name in ("a", "b"):
        paths = write_series(folder / name, volume(), change=change)
        parts.append(sorted(path.rename(folder / f"{name}{path.name}") for path in paths))
    return parts[0], parts[1]


def refer_to_much(dataset: Dataset, _: int) -> None:
    source = Dataset()
    source.ReferencedSOPInstanceUID = "1.2.840.113619.2.55.3.2831868886.914.1437650159.467.1"
    dataset.SourceImageSequence = Sequence([source] * 1200)


@pytest.mark.parametrize("way", ["many references", "big endian", "no series"])
def test_no_series_is_taken_for_another_whose_files_a_shell_named_too(tmp_path: Path, way: str) -> None:
    one, other = write_both(tmp_path, refer_to_much if way == "many references" else None)
    if way == "big endian":
        for path in one + other:
            dataset = dcmread(path)
            dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            with patient_reading():
                dataset._read_little = dataset.is_little_endian = False
                dataset.save_as(path)
    if way == "no series":
        for path in one:
            dataset = dcmread(path)
            dataset.SeriesInstanceUID = ""
            dataset.save_as(path)
    assert list(find_volumes([*one, *other])) == [one[0], other[0]]


def test_a_file_of_a_series_that_cannot_be_read_stays_to_be_refused(tmp_path: Path) -> None:
    paths = sorted(write_series(tmp_path / "s", volume()))
    paths[2].write_bytes(bytes(128) + b"DICM" + b"\2\0")
    paths[3].write_bytes(b"")
    assert list(find_volumes(paths)) == [paths[0], paths[2], paths[3]]


def test_a_file_whose_header_pydicom_alone_understands_is_known_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = write_both(tmp_path)
    monkeypatch.setattr("cisfa.imaging.dicom_series_uid.series_mark", lambda path: None)
    assert list(find_volumes([*one, *other])) == [one[0], other[0]]


def make_segmentation(path: Path) -> None:
    """As one, by what it says that it is."""
    source = write_series(path.parent / "source", volume())
    dataset = dcmread(source[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    dataset.save_as(path)
    for each in source:
        each.unlink()
    source[0].parent.rmdir()


def test_results_of_an_earlier_run_are_no_volumes(tmp_path: Path) -> None:
    write_series(tmp_path / "inc" / "mr", volume())
    write_volume(volume(), tmp_path / "inc" / "results" / "mr.nii.gz")
    make_segmentation(tmp_path / "inc" / "results" / "mr.dcm")
    assert find_volumes([tmp_path / "inc"]) == {tmp_path / "inc" / "mr": "mr"}
    assert find_volumes([tmp_path / "inc" / "results"]) == {tmp_path / "inc" / "results" / "mr.nii.gz": "mr"}
    (tmp_path / "inc" / "results" / "mr.nii.gz").unlink()
    with pytest.raises(VolumeFileError, match="results holds no volumes"):
        find_volumes([tmp_path / "inc" / "results"])


def test_a_series_and_other_volumes_in_one_folder_are_to_be_separated(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "both", volume())
    write_volume(volume(), tmp_path / "both" / "b.nii.gz")
    with pytest.raises(VolumeFileError, match=r"both holds a DICOM series and volumes of other formats \(b.nii.gz\)"):
        find_volumes([tmp_path / "both"])
    assert len(find_volumes([paths[0], tmp_path / "both" / "b.nii.gz"])) == 2


def test_a_file_beside_its_folder_counts_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in" / "mr", volume())
    folder = tmp_path / "in" / "mr"
    assert find_volumes([folder, paths[0]]) == {folder: "mr"}
    assert find_volumes([paths[0], tmp_path / "in"]) == {folder: "mr"}
    one, _ = write_both(tmp_path / "two")
    assert list(find_volumes([tmp_path / "two", one[1]])) == [tmp_path / "two", one[1]]


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_paths_that_can_be_none_are_told(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    source = tmp_path / "s.nii.gz"
    for plan in (
        lambda: find_volumes([place]),
        lambda: plan_label_maps({source: "s"}, place, overwrite=False),
        lambda: plan_label_maps({source: name}, tmp_path, overwrite=False),
        lambda: plan_segmentations({tmp_path / "s": tmp_path / "out" / f"{name}.nii.gz"}, overwrite=False),
        lambda: plan_organ_reports({source: tmp_path / "s.nii"}, place, names_a_file=False, overwrite=False),
    ):
        with pytest.raises(VolumeFileError, match="cannot be opened"):
            plan()


@pytest.mark.usefixtures("closed_folder")
def test_a_folder_below_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    write_volume(volume(), tmp_path / "a.nii")
    with pytest.raises(VolumeFileError, match="closed cannot be opened: Permission denied"):
        find_volumes([tmp_path])

"""What ``cisfa segment`` takes for a volume: DICOM folders, files of a series, folders of both, other formats."""

from pathlib import Path

import pytest

from cisfa.cli.segment_plan import find_volumes, plan_outputs, plan_segmentations
from cisfa.errors import VolumeFileError
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

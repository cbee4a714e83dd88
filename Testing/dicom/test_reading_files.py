"""Which files make a series, and what a series says about itself; what is untidy in headers is put up with."""

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_places import dicom_folders_below, files_behind, holds_dicom, is_dicom_file
from cisfa.imaging.dicom_series import open_series, read_series
from cisfa.imaging.dicom_series_uid import series_mark
from cisfa.imaging.volume import Volume
from series_writer import make_study, save, small_volume, write_enhanced, write_series

Change = Callable[[Dataset, int], None]


def require_whole(place: Path | list[Path]) -> Volume:
    found = read_series(place)
    assert np.array_equal(found.voxels, small_volume().voxels)
    assert found.geometry.is_same_grid(small_volume().geometry)
    return found


def no_image(path: Path, sop_class: str, *, with_pixels: bool = False) -> None:
    """A DICOM object that is no image, though it may have pixels."""
    dataset = Dataset()
    dataset.update(make_study())
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = sop_class, generate_uid(), generate_uid()
    if with_pixels:
        dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.SamplesPerPixel = 4, 4, 8, 1
        dataset.PixelRepresentation, dataset.PixelData = 0, bytes(16)
    save(dataset, path)


def test_a_folder_a_file_and_a_list_of_files_name_the_same_series(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", small_volume())
    assert require_whole(tmp_path / "series").name == "series"
    assert require_whole(paths[3]).name == paths[3].name
    require_whole(paths[::-1])
    assert open_series(iter(paths)).files == tuple(paths)


def test_a_file_stands_for_its_series_among_those_of_its_folder(tmp_path: Path) -> None:
    paths = write_series(tmp_path, small_volume())
    other = small_volume(slices=4)
    for path in write_series(tmp_path / "other", other):
        path.rename(tmp_path / f"other-{path.name}")
    require_whole(paths[0])
    assert read_series(next(tmp_path.glob("other-*"))).voxels.shape == other.voxels.shape


def test_a_damaged_neighbour_of_another_series_does_not_matter_to_a_file(tmp_path: Path) -> None:
    paths = write_series(tmp_path, small_volume())
    other = write_series(tmp_path / "other", small_volume())[0].read_bytes()
    (tmp_path / "broken").write_bytes(other[: other.index(b"\x28\0\x10\0US")])
    require_whole(paths[0])
    with pytest.raises(VolumeFileError, match="broken is truncated"):
        open_series(tmp_path)


def test_names_of_files_say_nothing(tmp_path: Path) -> None:
    for number, path in enumerate(write_series(tmp_path, small_volume())):
        path.rename(tmp_path / ["1.2.840.5", "Bild ä", "no suffix", "b.IMA", "0001", "readme.txt"][number])
    require_whole(tmp_path)


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume())
    storage = "1.2.840.10008.5.1.4.1.1."
    for number, kind in enumerate(["66.4", "88.11", "88.59", "11.1", "481.3", "481.2", "104.1", "66.1"]):
        no_image(tmp_path / f"other{number}", f"{storage}{kind}", with_pixels=kind in ("66.4", "481.2"))
    no_image(tmp_path / "DICOMDIR", "1.2.840.10008.1.3.10")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "._IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "notes.txt").write_text("of the day", encoding="utf-8")
    (tmp_path / "empty.log").touch()
    (tmp_path / "folder").mkdir()
    require_whole(tmp_path)


@pytest.mark.parametrize("kind", ["localizer", "screenshot"])
def test_scouts_and_screenshots_are_left_out_where_other_images_remain(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path, small_volume())
    path = write_series(tmp_path / "scout", small_volume(slices=1))[0]
    dataset = dcmread(path)
    if kind == "localizer":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    else:
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        del dataset.ImagePositionPatient
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    save(dataset, tmp_path / "scout.dcm")
    require_whole(tmp_path)


def test_localizers_alone_are_a_series(tmp_path: Path) -> None:
    write_series(
        tmp_path, small_volume(), change=lambda dataset, _: setattr(dataset, "ImageType", ["A", "B", "LOCALIZER"])
    )
    require_whole(tmp_path)


def test_an_object_that_is_no_image_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    no_image(tmp_path / "seg", "1.2.840.10008.5.1.4.1.1.66.4", with_pixels=True)
    with pytest.raises(VolumeFileError, match=r"seg is DICOM, but no image \(Segmentation Storage\)"):
        open_series(tmp_path / "seg")


def test_other_modalities_are_read_and_told(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume(), change=lambda dataset, _: setattr(dataset, "Modality", "PT"))
    assert open_series(tmp_path).facts.modality == "PT"


def test_a_series_says_what_a_case_needs_of_it(tmp_path: Path) -> None:
    study = make_study()
    write_series(tmp_path, small_volume(), study=study, change=lambda dataset, _: setattr(dataset, "Laterality", "L"))
    facts = open_series(tmp_path).facts
    assert (facts.modality, facts.laterality, facts.body_part) == ("CT", "L", "ABDOMEN")
    assert facts.frame_of_reference_uid == study.FrameOfReferenceUID
    assert facts.study_uid == study.StudyInstanceUID
    assert facts.series_uid == dcmread(next(tmp_path.iterdir())).SeriesInstanceUID
    said = (
        f"DICOM.PatientID:{study.PatientID}",
        f"DICOM.StudyInstanceUID:{study.StudyInstanceUID}",
        f"DICOM.FrameOfReferenceUID:{study.FrameOfReferenceUID}",
    )
    assert facts.patient_keys == tuple(hashlib.sha256(text.encode()).hexdigest() for text in said)


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, "R"),
        ({"ImageLaterality": "", "Laterality": "L"}, "L"),
        ({"ImageLaterality": "B"}, ""),
        ({}, ""),
    ],
)
def test_the_side_of_the_image_comes_before_that_of_the_series(tmp_path: Path, said: dict[str, str], side: str) -> None:
    def state(dataset: Dataset, _: int) -> None:
        for keyword, value in said.items():
            setattr(dataset, keyword, value)

    write_series(tmp_path, small_volume(), change=state)
    assert open_series(tmp_path).facts.laterality == side


def test_the_side_of_an_enhanced_object_is_that_of_its_frames(tmp_path: Path) -> None:
    def state(dataset: Dataset) -> None:
        anatomy = Dataset()
        anatomy.FrameLaterality = "R"
        dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = Sequence([anatomy])

    assert open_series(write_enhanced(tmp_path / "e", small_volume(), change=state)).facts.laterality == "R"


def test_a_patient_without_identifiers_has_no_keys(tmp_path: Path) -> None:
    def forget(dataset: Dataset, _: int) -> None:
        dataset.PatientID = dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = ""

    write_series(tmp_path, small_volume(), change=forget)
    facts = open_series(tmp_path).facts
    assert (facts.patient_keys, facts.frame_of_reference_uid, facts.study_uid) == ((), "", "")


def replace_value(path: Path, tag: int, value: bytes) -> None:
    """Put another value into a file (explicit VR, little endian), past anybody's checks."""
    whole = path.read_bytes()
    at = whole.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF), 132)
    end = at + 8 + int.from_bytes(whole[at + 6 : at + 8], "little")
    padded = value + b" " * (len(value) % 2)
    path.write_bytes(whole[: at + 6] + struct.pack("<H", len(padded)) + padded + whole[end:])


CHARSET, NAME, DESCRIPTION = 0x00080005, 0x00100010, 0x0008103E
GERMAN = {NAME: b"M\xfcller^J\xf6rg", DESCRIPTION: b"Bauch ven\xf6s"}


@pytest.mark.parametrize(
    "values",
    [
        {CHARSET: b"", **GERMAN},
        {CHARSET: b"ISO_IR 999", **GERMAN},
        {CHARSET: b"latin one", **GERMAN},
        {CHARSET: b"ISO 2022 IR 87", **GERMAN},
        {CHARSET: b"ISO_IR 192", **GERMAN},
        {NAME: b"ANON"},
        {NAME: b"A^B^C^D^E^F^G=H=I=J"},
        {0x00280030: b"0.70000000000000000000\\0.9000000000000000000"},
        {0x00281052: b" -1024 \0"},
        {0x00200013: b"1.5"},
        {0x00200013: b"first"},
        {0x00080020: b"yesterday"},
        {0x0020000D: b"not a uid"},
        {0x0020000E: b"not\\a uid"},
        {0x00080008: b"original\\primary with far too many letters"},
        {0x00180060: b"12O"},
    ],
)
def test_untidy_values_are_put_up_with(tmp_path: Path, values: dict[int, bytes]) -> None:
    for path in write_series(tmp_path, small_volume()):
        for tag, value in values.items():
            replace_value(path, tag, value)
    require_whole(tmp_path)


def delete_what_is_optional(dataset: Dataset, _: int) -> None:
    for keyword in ("InstanceNumber", "PatientName", "PatientID", "StudyDate", "SeriesNumber", "SliceThickness"):
        del dataset[keyword]
    for keyword in ("ImageType", "BodyPartExamined", "SeriesDescription", "Manufacturer", "AcquisitionNumber"):
        dataset[keyword].value = None


def add_private(dataset: Dataset, _: int) -> None:
    dataset.private_block(0x0029, "OF A MAKER", create=True).add_new(1, "OB", b"\1\2\3\4")


def pad(dataset: Dataset, _: int) -> None:
    dataset.PixelData = dataset.PixelData + b"\0\0"


@pytest.mark.parametrize(
    "change",
    [
        delete_what_is_optional,
        add_private,
        pad,
        lambda dataset, _: setattr(dataset, "SeriesInstanceUID", ""),
        lambda dataset, _: delattr(dataset, "SeriesInstanceUID"),
        lambda dataset, _: delattr(dataset, "FrameOfReferenceUID"),
        lambda dataset, index: setattr(dataset, "FrameOfReferenceUID", "" if index % 2 else "1.2.3"),
    ],
)
def test_what_is_missing_or_too_much_is_put_up_with(tmp_path: Path, change: Change) -> None:
    write_series(tmp_path, small_volume(), change=change)
    require_whole(tmp_path)


def test_a_series_whose_uids_are_blank_is_one_beside_another(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume(), change=lambda dataset, _: setattr(dataset, "SeriesInstanceUID", ""))
    blank = sorted(tmp_path.iterdir())
    for path in write_series(tmp_path / "other", small_volume(slices=3)):
        path.rename(tmp_path / f"z{path.name}")
    require_whole(blank[0])


def without_preamble(whole: bytes) -> bytes:
    return whole[132:]


def without_meta(whole: bytes) -> bytes:
    return whole[132 + 12 + int.from_bytes(whole[140:144], "little") :]


def preamble_alone(whole: bytes) -> bytes:
    return whole[:132] + without_meta(whole)


@pytest.mark.parametrize("strip", [without_preamble, without_meta, preamble_alone])
def test_files_without_preamble_or_meta_header_are_dicom_too(tmp_path: Path, strip: Callable[[bytes], bytes]) -> None:
    paths = write_series(tmp_path, small_volume())
    for path in paths:
        path.write_bytes(strip(path.read_bytes()))
    assert all(map(is_dicom_file, paths))
    assert holds_dicom(tmp_path)
    require_whole(tmp_path)
    require_whole(paths[2])


def test_files_without_meta_header_in_implicit_vr_are_dicom_too(tmp_path: Path) -> None:
    for path in write_series(tmp_path, small_volume()):
        dataset = dcmread(path)
        dataset.file_meta = FileMetaDataset()
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        path.write_bytes(path.read_bytes().removeprefix(bytes(128) + b"DICM"))
    require_whole(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"DICM", b"\x08\x00", b"#!/bin/sh\n" * 30, b"\x08\x00\x05\x00some words here", b"MZ"]
)
def test_other_files_are_no_dicom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not is_dicom_file(path)
    assert not holds_dicom(tmp_path)
    assert files_behind(path) == [path]


def test_folders_that_hold_dicom_are_found_at_any_depth(tmp_path: Path) -> None:
    for place in ("b/deep/series", "a", "a/inner", ".hidden/series"):
        write_series(tmp_path / place, small_volume(slices=2))
    (tmp_path / "empty").mkdir()
    found = dicom_folders_below(tmp_path)
    assert found == [tmp_path / "a", tmp_path / "a" / "inner", tmp_path / "b" / "deep" / "series"]
    assert dicom_folders_below(tmp_path / "gone") == []
    assert not holds_dicom(tmp_path / "gone")
    assert not is_dicom_file(tmp_path / "a")


def test_the_files_of_a_series_are_told_from_others_by_their_first_bytes(tmp_path: Path) -> None:
    paths = write_series(tmp_path, small_volume())
    for path in write_series(tmp_path / "other", small_volume(slices=2)):
        path.rename(tmp_path / f"other-{path.name}")
    assert files_behind(paths[0]) == sorted(paths)
    assert series_mark(paths[0]).decode() == dcmread(paths[0]).SeriesInstanceUID
    assert len(files_behind(tmp_path)) == 8


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who may be forbidden something")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = write_series(tmp_path, small_volume())[0]
    path.chmod(0)
    with pytest.raises(VolumeFileError, match=r"no DICOM file|cannot be"):
        open_series(path)


def test_pydicom_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(VolumeFileError, match="Reading DICOM needs pydicom: pip install pydicom"):
        open_series(tmp_path)

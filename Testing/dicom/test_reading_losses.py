"""What must not be lost or mixed in without a word: end slices, other patients, files that cannot be opened."""

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid

from cisfa.cases.discovery import discover
from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_files import holds_image_series
from cisfa.imaging.dicom_places import dicom_folders_below, files_behind
from cisfa.imaging.dicom_series import open_series, read_series
from cisfa.imaging.dicom_series_uid import series_mark
from cisfa.imaging.dicom_values import patient_reading
from series_writer import small_volume, write_series

IMPLICIT, BIG, DEFLATED = ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian
needs_links = pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")


def refusal(place: Path | list[Path]) -> str:
    with pytest.raises(VolumeFileError) as caught:
        open_series(place)
    return str(caught.value)


def refer_to_much(dataset: Dataset, _: int) -> None:
    """More than 64 KiB of references before the series' own UID, series among them."""
    sources = [Dataset() for _ in range(900)]
    for source in sources:
        source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", generate_uid()
        source.SeriesInstanceUID = "1.2.3.4"
    dataset.SourceImageSequence = Sequence(sources)


def rewrite(paths: list[Path], syntax: str) -> None:
    for path in paths:
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        with patient_reading():
            dataset._read_little, dataset._read_implicit = syntax != BIG, syntax == IMPLICIT
            dataset.is_little_endian, dataset.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
            dataset.save_as(path)


def two_series(folder: Path, syntax: str, change: Callable[[Dataset, int], None] | None) -> tuple[list[Path], ...]:
    """Two in one folder, of 6 and 4 slices."""
    found = []
    for number, slices in enumerate((6, 4)):
        paths = write_series(folder / str(number), small_volume(slices=slices), change=change)
        found.append([path.rename(folder / f"{number}-{path.name}") for path in paths])
        rewrite(found[-1], syntax)
    return tuple(found)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("change", [None, refer_to_much])
def test_the_files_behind_a_file_are_its_series_however_it_is_written(
    tmp_path: Path, syntax: str, change: Callable[[Dataset, int], None] | None
) -> None:
    one, other = two_series(tmp_path, syntax, change)
    assert (series_mark(one[0]) or b"").decode() == dcmread(one[0]).SeriesInstanceUID
    assert files_behind(one[0]) == sorted(one)
    assert files_behind(other[0]) == sorted(other)
    assert [case.volume for case in discover(sorted(one + other))] == [min(one), min(other)]


def test_sequences_of_unknown_length_and_kind_are_gone_past(tmp_path: Path) -> None:
    path = write_series(tmp_path, small_volume(slices=1))[0]
    whole, uid = path.read_bytes(), dcmread(path).SeriesInstanceUID
    at = whole.index(b"\x18\0\x50\0DS")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack("<HHI", 0x0020, 0x000E, 4) + b"9.9\0"
    ends = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    for kind in (b"UN", b"SQ"):
        inner = item if kind == b"UN" else item.replace(b"\x20\0\x0e\0\4\0\0\0", b"\x20\0\x0e\0UI\4\0")
        private = struct.pack("<HH", 0x0011, 0x1001) + kind + b"\0\0\xff\xff\xff\xff" + inner + ends
        path.write_bytes(whole[:at] + private + whole[at:])
        assert series_mark(path) == uid.encode()


def test_a_series_that_has_no_uid_is_told_from_one_that_is_unknown(tmp_path: Path) -> None:
    def forget(dataset: Dataset, _: int) -> None:
        del dataset.SeriesInstanceUID

    paths = write_series(tmp_path, small_volume(), change=forget)
    assert series_mark(paths[0]) == b""
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[:300])
    assert series_mark(paths[0]) is None
    assert files_behind(paths[0]) == files_behind(paths[1]) == sorted(paths)
    # no header at all, though it begins as one: endless items, and too many of them
    endless = struct.pack("<HH", 0x0009, 0x1001) + b"SQ\0\0\xff\xff\xff\xff"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    deep = endless + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    for junk in (endless + item * 60_000, deep * 2000, endless + b"\7" * 90):
        paths[0].write_bytes(bytes(128) + b"DICM" + junk)
        assert series_mark(paths[0]) is None
    assert series_mark(tmp_path / "gone") is None


def test_files_whose_series_is_unknown_are_cases_of_their_own(tmp_path: Path) -> None:
    paths = sorted(write_series(tmp_path, small_volume()))
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    assert [case.volume for case in discover(paths)] == [paths[0], paths[2]]


def last_of(folder: Path) -> Path:
    return write_series(folder, small_volume())[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is truncated (0 bytes); copy the series again"),
        (bytes(100), "is truncated (100 bytes); copy the series again"),
        (bytes(9000), "is damaged (it begins with zeros alone); copy the series again"),
    ],
)
def test_an_end_slice_of_which_nothing_is_left_is_missed(tmp_path: Path, content: bytes, words: str) -> None:
    last = last_of(tmp_path)
    last.write_bytes(content)
    assert f"{last} {words}" in refusal(tmp_path)
    assert f"{last} {words}" in refusal(next(path for path in tmp_path.iterdir() if path != last))
    files = sorted(tmp_path.iterdir())
    assert f"{last.name} is no DICOM file" in refusal(files)


def test_an_end_slice_without_suffix_is_missed_too(tmp_path: Path) -> None:
    last_of(tmp_path).write_bytes(b"")
    for number, path in enumerate(sorted(tmp_path.iterdir())):
        path.rename(tmp_path / f"1.2.840.{number}")
    (tmp_path / "readme.txt").touch()
    assert "is truncated (0 bytes)" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [140, 300, 900])
def test_an_end_slice_that_was_cut_is_missed_beside_the_file_that_was_named(tmp_path: Path, kept: int) -> None:
    last = last_of(tmp_path)
    last.write_bytes(last.read_bytes()[:kept])
    first = next(path for path in tmp_path.iterdir() if path != last)
    assert last.name in refusal(tmp_path)
    with pytest.raises(VolumeFileError, match=last.name):
        read_series(first)


@needs_links
def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    last = last_of(tmp_path)
    last.unlink()
    last.symlink_to("not fetched yet")
    for place in (tmp_path, next(path for path in tmp_path.iterdir() if path != last)):
        assert f"{last} cannot be opened: No such file" in refusal(place)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who may be forbidden something")
def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path: Path) -> None:
    last = last_of(tmp_path)
    last.chmod(0)
    assert f"{last} cannot be opened: Permission denied" in refusal(tmp_path)


def test_two_patients_in_one_series_are_refused_without_their_names(tmp_path: Path) -> None:
    def mix(dataset: Dataset, index: int) -> None:
        dataset.PatientID = "A" if index < 4 else "B"

    write_series(tmp_path, small_volume(), change=mix)
    message = refusal(tmp_path)
    assert "mixes 2 patients in one series: its images differ in Patient ID (4 and 2 images)" in message


def test_two_modalities_in_one_series_are_refused(tmp_path: Path) -> None:
    def mix(dataset: Dataset, index: int) -> None:
        dataset.Modality = "CT" if index else "PT"

    write_series(tmp_path, small_volume(), change=mix)
    assert "mixes 2 modalities in one series: CT (5 images), PT (1 images)" in refusal(tmp_path)


def test_what_some_slices_leave_out_is_what_the_others_say(tmp_path: Path) -> None:
    def forget(dataset: Dataset, index: int) -> None:
        if index % 2:
            dataset.PatientID = dataset.Modality = dataset.FrameOfReferenceUID = ""

    write_series(tmp_path, small_volume(), change=forget)
    assert open_series(tmp_path).facts.frame_of_reference_uid


def test_a_mosaic_is_refused(tmp_path: Path) -> None:
    def tile(dataset: Dataset, _: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

    write_series(tmp_path, small_volume(slices=1), change=tile)
    assert "is a mosaic: all slices of a volume side by side" in refusal(tmp_path)


@pytest.mark.parametrize(("slope", "intercept"), [("1e308", "0"), ("1e37", "0"), ("1e36", "-1e300"), ("1.5", "1e300")])
def test_values_that_overflow_are_refused(tmp_path: Path, slope: str, intercept: str) -> None:
    def state(dataset: Dataset, _: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept

    write_series(tmp_path, small_volume(), change=state)
    with pytest.raises(VolumeFileError, match="its values overflow when they are rescaled by the slope"):
        read_series(tmp_path)


def test_a_slope_beyond_all_integers_does_not_matter_to_zeros(tmp_path: Path) -> None:
    def state(dataset: Dataset, _: int) -> None:
        dataset.RescaleSlope, dataset.PixelData = "1e30", bytes(126)

    write_series(tmp_path, small_volume(), change=state)
    assert read_series(tmp_path).voxels.max() == -1024


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_a_path_that_can_be_none_is_told(tmp_path: Path, name: str) -> None:
    assert "cannot be opened" in refusal(tmp_path / name)
    assert "cannot be opened" in refusal([tmp_path / name])


@pytest.mark.usefixtures("closed_folder")
def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", small_volume(slices=2))
    with pytest.raises(VolumeFileError, match="closed cannot be opened: Permission denied"):
        dicom_folders_below(tmp_path)


@needs_links
def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    write_series(tmp_path / "elsewhere" / "p" / "CT", small_volume(slices=2))
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "patient").symlink_to(tmp_path / "elsewhere" / "p")
    (tmp_path / "in" / "sub" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "sub" / "up").symlink_to(tmp_path / "in")
    assert dicom_folders_below(tmp_path / "in") == [tmp_path / "in" / "patient" / "CT"]


def test_only_images_make_an_image_series(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    path = write_series(folder, small_volume(slices=1))[0]
    assert holds_image_series(folder)
    dataset = dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    dataset.save_as(path)
    (folder / "done").touch()
    shutil.copy(path, folder / "b.nii.gz")
    assert not holds_image_series(folder)
    (folder / "x.dcm").touch()
    with pytest.raises(VolumeFileError, match=r"x.dcm is truncated \(0 bytes\)"):
        holds_image_series(folder)
    (folder / "x.dcm").write_bytes(bytes(128) + b"DICM" + b"\2\0")
    with pytest.raises(VolumeFileError, match=r"x\.dcm"):
        holds_image_series(folder)


def test_a_short_text_among_the_slices_is_none_of_them(tmp_path: Path) -> None:
    for path in write_series(tmp_path, small_volume()):
        path.rename(path.with_suffix(""))
    (tmp_path / "VERSION").write_text("CD 1.0\nKrankenhaus Süd\n", encoding="utf-8")
    assert len(open_series(tmp_path).frames) == len(small_volume().voxels)

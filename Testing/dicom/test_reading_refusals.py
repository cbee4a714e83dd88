"""Series that make no volume: each is refused with a sentence that says why, with numbers."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_series import open_series, read_series
from series_writer import decimal, small_volume, write_enhanced, write_series

Change = Callable[[Dataset, int], None]


def refusal(place: Path | list[Path]) -> str:
    with pytest.raises(VolumeFileError) as caught:
        read_series(place)
    return str(caught.value)


def refusal_of(folder: Path, change: Change, *, slices: int = 6) -> str:
    write_series(folder, small_volume(slices=slices), change=change)
    with pytest.raises(VolumeFileError) as caught:
        open_series(folder)
    assert str(caught.value).startswith(str(folder))
    return str(caught.value)


def put(**values: object) -> Change:
    """A change that states the same in every slice."""
    return lambda dataset, _: [setattr(dataset, name, value) for name, value in values.items()] and None


def put_in_one(index_of_slice: int, **values: object) -> Change:
    return lambda dataset, index: put(**values)(dataset, index) if index == index_of_slice else None


def put_raw(keyword: str, kind: str, value: bytes) -> Change:
    """A change that writes a value past pydicom's checks."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword) or 0)
    padded = value if len(value) % 2 == 0 else value + b" "

    def change(dataset: Dataset, _: int) -> None:
        dataset[tag] = RawDataElement(tag, kind, len(padded), padded, 0, False, True)

    return change


def moved(dataset: Dataset, offset_mm: np.ndarray | float) -> None:
    """Shift a slice along the normal, or by a vector."""
    directions = np.array([float(part) for part in dataset.ImageOrientationPatient])
    normal = np.cross(directions[:3], directions[3:])
    shift = normal * offset_mm if np.isscalar(offset_mm) else offset_mm
    position = np.array([float(part) for part in dataset.ImagePositionPatient]) + shift
    dataset.ImagePositionPatient = [decimal(part) for part in position]


@pytest.mark.parametrize("degrees", [1.0, 15.0, -22.5])
def test_a_gantry_tilt_is_told_in_degrees(tmp_path: Path, degrees: float) -> None:
    def tilt(dataset: Dataset, index: int) -> None:
        column = np.array([float(part) for part in dataset.ImageOrientationPatient])[3:]
        moved(dataset, column * np.tan(np.radians(degrees)) * 2.5 * index)

    message = refusal_of(tmp_path, tilt, slices=12)
    assert f"tilted gantry: its slices follow each other at {abs(degrees):.1f} degrees" in message


def test_a_drift_of_less_than_half_a_pixel_is_no_tilt(tmp_path: Path) -> None:
    def drift(dataset: Dataset, index: int) -> None:
        moved(dataset, np.array([float(part) for part in dataset.ImageOrientationPatient])[3:] * 0.06 * index)

    write_series(tmp_path, small_volume(), change=drift)
    assert open_series(tmp_path).geometry.shape == (6, 7, 9)


def test_a_single_slice_aside_of_the_others_is_refused(tmp_path: Path) -> None:
    def aside(dataset: Dataset, index: int) -> None:
        if index in (2, 3):
            moved(
                dataset, np.array([float(part) for part in dataset.ImageOrientationPatient])[:3] * (2 * index - 5) * 3
            )

    assert "aside" in refusal_of(tmp_path, aside)


@pytest.mark.parametrize(
    ("left_out", "words"), [([3], "lacks 1 slice: between"), ([1, 2, 7], "lacks 3 slices: between")]
)
def test_missing_slices_are_counted_and_placed(tmp_path: Path, left_out: list[int], words: str) -> None:
    axes = [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    paths = write_series(tmp_path, small_volume(axes, slices=10))
    for index in left_out:
        paths[index].unlink()
    message = refusal(tmp_path)
    assert words in message
    begin = 107.75 + 2.5 * (left_out[0] - 1)
    assert f"between {begin:.1f} and" in message
    assert "2.5 mm apart" in message


def test_a_gap_among_three_slices_is_a_missing_slice(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume(slices=4))[1].unlink()
    assert "lacks 1 slice" in refusal(tmp_path)


def test_uneven_slices_are_refused_with_their_range(tmp_path: Path) -> None:
    message = refusal_of(tmp_path, lambda dataset, index: moved(dataset, 0.2 * index * index))
    assert "varies from 2.7 to 4.3 mm" in message


def test_one_slice_far_off_is_refused(tmp_path: Path) -> None:
    assert "varies from 1.5 to 3.5 mm" in refusal_of(
        tmp_path, lambda dataset, index: moved(dataset, 1.0 if index == 3 else 0.0)
    )


@pytest.mark.parametrize(
    ("keyword", "values", "words"),
    [
        ("EchoTime", ["2.3", "4.6"], "Echo Time (EchoTime: 2.3, 4.6)"),
        ("TemporalPositionIdentifier", ["1", "2"], "TemporalPositionIdentifier: 1, 2"),
        ("AcquisitionNumber", ["1", "2"], "AcquisitionNumber: 1, 2"),
        ("TriggerTime", ["10", "250"], "TriggerTime: 10, 250"),
        ("DiffusionBValue", [0.0, 800.0], "DiffusionBValue: 0.0, 800.0"),
        ("InversionTime", ["100", "900"], "InversionTime: 100, 900"),
        ("ImageType", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]], "ImageType: ORIGINAL"),
    ],
)
def test_several_volumes_in_one_series_are_told_apart(
    tmp_path: Path, keyword: str, values: list[object], words: str
) -> None:
    for part in (0, 1):

        def state(dataset: Dataset, _: int, part: int = part) -> None:
            dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.4"
            setattr(dataset, keyword, values[part])

        paths = write_series(tmp_path / str(part), small_volume(), change=state)
        for path in paths:
            path.rename(tmp_path / f"{part}-{path.name}")
    message = refusal(tmp_path)
    assert "12 images at 6 positions: 6 positions hold two images" in message
    assert words in message


def test_several_echoes_in_one_enhanced_object_are_told_apart(tmp_path: Path) -> None:
    def two_echoes(dataset: Dataset) -> None:
        for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            echo = Dataset()
            echo.EffectiveEchoTime = 20.0 + 60.0 * (number % 2)
            frame.MREchoSequence = Sequence([echo])

    path = write_enhanced(tmp_path / "echoes", small_volume(), order=[0, 0, 1, 1, 2, 2], change=two_echoes)
    message = refusal(path)
    assert "6 images at 3 positions" in message
    assert "EchoTime: 20.0, 80.0" in message


def test_a_copy_of_a_slice_is_called_the_same_image(tmp_path: Path) -> None:
    paths = write_series(tmp_path, small_volume())
    (tmp_path / "copy").write_bytes(paths[2].read_bytes())
    assert "7 images at 6 positions: 1 position holds two images, and these are the same image" in refusal(tmp_path)


def test_a_copy_of_a_slice_under_another_uid_is_known_by_its_pixels(tmp_path: Path) -> None:
    dataset = dcmread(write_series(tmp_path, small_volume())[4])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(tmp_path / "copy")
    assert "the same image" in refusal(tmp_path)


def test_doubled_slices_that_nothing_tells_apart_are_refused_all_the_same(tmp_path: Path) -> None:
    for part in ("a", "b"):
        volume = small_volume()
        if part == "b":
            volume.voxels[:] += 5
        for path in write_series(tmp_path / part, volume, change=put(SeriesInstanceUID="1.2", FrameOfReferenceUID="1")):
            path.rename(tmp_path / f"{part}{path.name}")
    assert "their headers do not tell why" in refusal(tmp_path)


def test_a_folder_of_several_series_lists_them(tmp_path: Path) -> None:
    for number in range(7):
        change = put(SeriesDescription=f"phase {number}", SeriesNumber=str(number))
        for path in write_series(tmp_path / "s", small_volume(slices=2 + (number == 3)), change=change):
            path.rename(tmp_path / f"{number}{path.name}")
    message = refusal(tmp_path)
    assert "holds 7 series: 3 'phase 3' (3 images), 0 'phase 0' (2 images)" in message
    assert message.endswith("and 2 more. Name one file of the series that is meant.")


def test_files_of_several_series_are_refused(tmp_path: Path) -> None:
    one, other = (write_series(tmp_path / name, small_volume()) for name in ("a", "b"))
    assert "holds 2 series" in refusal([*one, *other])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put_in_one(2, ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "orientation: 1 of 6 are turned by up to"),
        (put_in_one(2, Rows=9, Columns=7), "numbers of rows and columns: 7x9 (5 of 6), 9x7 (1 of 6)"),
        (put_in_one(2, PixelSpacing=["0.8", "0.9"]), "differ in pixel spacing, from 0.7 x 0.9 to 0.8 x 0.9 mm"),
        (put_in_one(2, FrameOfReferenceUID="1.2.3"), "2 frames of reference (with 5 and 1 slices)"),
        (put_in_one(2, ImagePositionPatient=None), "has no Image Position (Patient)"),
        (put_in_one(2, ImageOrientationPatient=None), "has no Image Orientation (Patient)"),
        (put_in_one(2, PixelSpacing=None), "has no Pixel Spacing"),
        (lambda dataset, _: delattr(dataset, "PixelSpacing"), "has no Pixel Spacing"),
        (put(PixelSpacing=["0", "0.9"]), "pixel spacing 0 x 0.9 mm"),
        (put(PixelSpacing=["-0.7", "0.9"]), "pixel spacing -0.7 x 0.9 mm"),
        (put_raw("PixelSpacing", "DS", b"1,25\\1,25"), r"Pixel Spacing is '1,25\\1,25', and must be 2 numbers"),
        (put_raw("ImagePositionPatient", "DS", b"1\\2"), "must be 3 numbers"),
        (put_raw("ImagePositionPatient", "DS", b"1\\2\\nan"), "must be 3 numbers"),
        (put_raw("RescaleSlope", "DS", b"one"), "Rescale Slope is 'one', and must be one number"),
        (put(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8660254, 0]), "meet at 60.0 degrees"),
        (put(ImageOrientationPatient=[1, 0, 0, 0, 1.1, 0]), "have the lengths 1 and 1.1"),
        (put(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "have the lengths 0 and 0"),
        (put(PixelSpacing=["1e-320", "0.9"]), "grid is degenerate"),
        (put(ImagePositionPatient=["1", "2", "3"]), "6 images at 1 position: 1 position holds up to 6 images"),
        (put(RescaleSlope="0"), "rescale slope 0"),
        (put(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "holds colours (RGB, 3 samples per pixel)"),
        (put(PhotometricInterpretation="PALETTE COLOR"), "holds colours (PALETTE COLOR"),
        (put(BitsAllocated=1, BitsStored=1, HighBit=0), "stores 1 bit per pixel"),
        (put(BitsStored=20, HighBit=19), "20 bits of a pixel are used up to bit 19, but there are 16"),
        (put(Rows=0), "0 rows and 9 columns"),
        (put(NumberOfFrames=4), "4 frames and says of 0 where they lie"),
    ],
)  # fmt: skip
def test_what_the_headers_say_wrong_is_told(tmp_path: Path, change: Change, words: str) -> None:
    assert words in refusal_of(tmp_path, change)


def test_a_modality_lut_is_refused(tmp_path: Path) -> None:
    def by_table(dataset: Dataset, _: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept
        table = Dataset()
        table.LUTDescriptor = [2, 0, 16]
        dataset.ModalityLUTSequence = Sequence([table])

    assert "table (Modality LUT)" in refusal_of(tmp_path, by_table)


def test_an_enhanced_object_that_says_of_too_few_frames_where_they_lie_is_refused(tmp_path: Path) -> None:
    path = write_enhanced(
        tmp_path / "short",
        small_volume(),
        change=lambda dataset: dataset.PerFrameFunctionalGroupsSequence.pop() and None,
    )
    assert "6 frames and says of 5 where they lie" in refusal(path)


def test_a_frame_without_a_place_is_named(tmp_path: Path) -> None:
    def forget(dataset: Dataset) -> None:
        del dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence

    assert "(frame 4) has no Image Position (Patient)" in refusal(
        write_enhanced(tmp_path / "frames", small_volume(), change=forget)
    )


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    def to_float(dataset: Dataset, _: int) -> None:
        dataset.FloatPixelData = np.zeros(63, np.float32).tobytes()
        dataset.BitsAllocated = 32
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit

    write_series(tmp_path, small_volume(), change=to_float)
    assert "floating point pixels" in refusal(tmp_path)


def test_truncated_pixels_are_told_in_bytes(tmp_path: Path) -> None:
    path = write_series(tmp_path, small_volume())[3]
    path.write_bytes(path.read_bytes()[:-40])
    assert f"{path} is truncated: it holds 86 of 126 bytes of pixels" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [140, 300, 420, 600, 800, 1000])
def test_a_file_that_ends_in_its_header_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_series(tmp_path, small_volume())[3]
    path.write_bytes(path.read_bytes()[:kept])
    refusal(tmp_path)


def test_every_cut_of_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = write_series(tmp_path, small_volume(slices=4))[1]
    whole = path.read_bytes()
    for kept in range(1, len(whole) - 1, 29):
        path.write_bytes(whole[:kept])
        refusal(tmp_path)


@pytest.mark.parametrize(
    ("sound", "damaged", "words"),
    [
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.1000\xb3.1.2.1\0", "cannot be decompressed"),
        (b"\x28\0\x03\1US", b"\x28\0\x03\1S\2", "Pixel Representation is "),
        (b"\x28\0\x10\0US\2\0\7\0", b"\x28\0\x10\0SS\2\0\xf0\xff", "-16 rows and 9 columns"),
    ],
)
def test_damage_in_single_bytes_of_a_header_is_told(tmp_path: Path, sound: bytes, damaged: bytes, words: str) -> None:
    path = write_series(tmp_path, small_volume())[3]
    assert sound in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(sound, damaged))
    assert words in refusal(tmp_path)


def test_noise_in_a_file_is_never_a_traceback(tmp_path: Path) -> None:
    path = write_series(tmp_path, small_volume(slices=3))[1]
    whole, random = path.read_bytes(), np.random.default_rng(3)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(132, len(whole) - 130, 6):
            damaged[place] = int(random.integers(256))
        path.write_bytes(bytes(damaged))
        with suppress(VolumeFileError):
            read_series(tmp_path)


def test_a_folder_without_dicom_is_told(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here", encoding="utf-8")
    assert "holds no DICOM image" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["gone", "gone/deeper"])
def test_what_does_not_exist_is_told(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name) == f"{tmp_path / name} does not exist."
    assert refusal([tmp_path / name]) == f"{tmp_path / name} does not exist."


def test_no_files_at_all_are_told(tmp_path: Path) -> None:
    assert "No DICOM files were given" in refusal([])


def test_a_file_that_is_no_dicom_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing here", encoding="utf-8")
    assert "notes.txt is no DICOM file" in refusal(path)

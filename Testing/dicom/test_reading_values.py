"""What the voxels of a series hold: rescaled as each slice says, of any size and sign, compressed or not."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_pixels import read_stored
from cisfa.imaging.dicom_series import open_series, read_series
from cisfa.imaging.dicom_values import patient_reading
from cisfa.imaging.volume import Volume
from series_writer import decimal, small_volume, write_enhanced, write_series


def rewrite(folder: Path, change: Callable[[Dataset], None], syntax: str) -> None:
    """Write each file of a folder again, changed, in another transfer syntax."""
    for path in folder.iterdir():
        dataset = dcmread(path)
        change(dataset)
        dataset.file_meta.TransferSyntaxUID = syntax
        little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        with patient_reading():
            dataset.is_little_endian, dataset.is_implicit_VR = little, implicit
            dataset._read_little, dataset._read_implicit = little, implicit
            dataset.save_as(path)


def test_every_slice_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    def state(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = str(index + 1), str(-10 * index)

    volume = small_volume()
    write_series(tmp_path, volume, change=state)
    found = read_series(tmp_path)
    stored = volume.voxels.astype(int) + 1024
    factors = np.arange(1, 7)[:, None, None]
    assert np.array_equal(found.voxels, stored * factors - 10 * (factors - 1))
    assert found.voxels.dtype == np.int16


def test_every_frame_of_an_enhanced_object_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    order = [3, 0, 5, 1, 2, 4]

    def state(dataset: Dataset) -> None:
        del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        for index, frame in zip(order, dataset.PerFrameFunctionalGroupsSequence, strict=True):
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept = str(index + 1), "7"
            frame.PixelValueTransformationSequence = Sequence([values])

    volume = small_volume()
    found = read_series(write_enhanced(tmp_path / "e", volume, order=order, change=state))
    assert np.array_equal(found.voxels, (volume.voxels.astype(int) + 1024) * np.arange(1, 7)[:, None, None] + 7)


def test_fractions_make_floating_point_voxels(tmp_path: Path) -> None:
    def state(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.25", "-3.5"

    volume = small_volume()
    write_series(tmp_path, volume, change=state)
    found = read_series(tmp_path).voxels
    assert found.dtype == np.float32
    assert np.array_equal(found, (volume.voxels + 1024) * np.float32(0.25) - np.float32(3.5))


def test_whole_values_beyond_16_bits_stay_whole(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume(), change=lambda dataset, _: setattr(dataset, "RescaleSlope", "1000"))
    found = read_series(tmp_path).voxels
    assert found.dtype == np.int32
    assert found[0, 0, 1] == 25 * 1000 - 1024


def test_whole_values_beyond_32_bits_become_floating_point(tmp_path: Path) -> None:
    write_series(tmp_path, small_volume(), change=lambda dataset, _: setattr(dataset, "RescaleSlope", "100000000"))
    assert read_series(tmp_path).voxels.dtype == np.float32


@pytest.mark.parametrize("state", ["absent", "empty"])
def test_what_does_not_say_how_it_is_rescaled_is_not(tmp_path: Path, state: str) -> None:
    def forget(dataset: Dataset, _: int) -> None:
        if state == "absent":
            del dataset.RescaleSlope, dataset.RescaleIntercept
        else:
            dataset.RescaleSlope = dataset.RescaleIntercept = None

    volume = small_volume()
    write_series(tmp_path, volume, change=forget)
    assert np.array_equal(read_series(tmp_path).voxels, volume.voxels + 1024)


def test_signed_values_of_twelve_bits_keep_their_sign(tmp_path: Path) -> None:
    def store(dataset: Dataset, index: int) -> None:
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 12, 11
        dataset.RescaleIntercept = "0"
        # the four bits above hold overlays of an old scanner
        stored = (small_volume().voxels[index].astype(np.int16) & 0x0FFF) | 0x5000
        dataset.PixelData = stored.astype("<u2").tobytes()

    write_series(tmp_path, small_volume(), change=store)
    found = read_series(tmp_path).voxels
    assert found.min() == -1000
    assert np.array_equal(found, small_volume().voxels)


def test_bits_below_those_that_count_are_left_out(tmp_path: Path) -> None:
    def store(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 15
        dataset.PixelData = (((small_volume().voxels[index].astype(int) + 1024) << 4) | 3).astype("<u2").tobytes()

    write_series(tmp_path, small_volume(), change=store)
    assert np.array_equal(read_series(tmp_path).voxels, small_volume().voxels)


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("i1", 8), ("<i2", 16), ("<u4", 32), ("<i4", 32)])
def test_pixels_of_every_size_are_read(tmp_path: Path, dtype: str, bits: int) -> None:
    planes = np.arange(6 * 63).reshape(6, 7, 9) % 120 - (50 if "i" in dtype else 0)

    def store(dataset: Dataset, index: int) -> None:
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit, dataset.PixelRepresentation = bits - 1, int("i" in dtype)
        dataset.RescaleIntercept = "0"
        data = planes[index].astype(dtype).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)

    write_series(tmp_path, small_volume(), change=store)
    found = read_series(tmp_path).voxels
    assert np.array_equal(found, planes)
    assert found.dtype == np.int16


def test_slices_of_different_sizes_of_pixels_make_one_volume(tmp_path: Path) -> None:
    planes = np.arange(6 * 63).reshape(6, 7, 9) % 120

    def store(dataset: Dataset, index: int) -> None:
        bits = 8 if index == 2 else 16
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit, dataset.RescaleIntercept = bits - 1, "0"
        data = planes[index].astype(f"<u{bits // 8}").tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)

    write_series(tmp_path, small_volume(), change=store)
    assert np.array_equal(read_series(tmp_path).voxels, planes)


def test_monochrome1_keeps_its_values(tmp_path: Path) -> None:
    write_series(
        tmp_path, small_volume(), change=lambda dataset, _: setattr(dataset, "PhotometricInterpretation", "MONOCHROME1")
    )
    assert np.array_equal(read_series(tmp_path).voxels, small_volume().voxels)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_every_uncompressed_transfer_syntax_is_read(tmp_path: Path, syntax: str) -> None:
    write_series(tmp_path, small_volume())
    rewrite(tmp_path, lambda _: None, syntax)
    assert dcmread(next(tmp_path.iterdir())).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read_series(tmp_path).voxels, small_volume().voxels)


def test_pixels_in_big_endian_are_read() -> None:
    with patient_reading():
        little, big = (read_stored(packaged(name)) for name in ("MR_small.dcm", "MR_small_bigendian.dcm"))
    assert np.array_equal(little, big)
    assert little.max() > 1000


def packaged(name: str) -> Path:
    """A file that pydicom brings along; none is downloaded."""
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"this pydicom does not bring {name} along")
    return Path(found)


def compressed_series(folder: Path, syntax: str) -> Volume:
    volume = small_volume()
    for path in write_series(folder, volume):
        compress(path, syntax)
    return volume


def compress(path: Path, syntax: str) -> None:
    dataset = dcmread(path)
    try:
        dataset.compress(syntax, generate_instance_uid=False)
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"this Python cannot compress to {syntax}: {error}")
    dataset.save_as(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_losslessly_compressed_slices_are_read_to_the_bit(tmp_path: Path, syntax: str) -> None:
    volume = compressed_series(tmp_path, syntax)
    found = read_series(tmp_path)
    assert np.array_equal(found.voxels, volume.voxels)
    assert found.geometry.is_same_grid(volume.geometry)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_frames_of_an_enhanced_object_are_rescaled_one_by_one(tmp_path: Path, syntax: str) -> None:
    volume, order = small_volume(), [3, 0, 5, 1, 2, 4]

    def state(dataset: Dataset) -> None:
        del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        for index, frame in zip(order, dataset.PerFrameFunctionalGroupsSequence, strict=True):
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept = decimal(0.5 * (index + 1)), "-1024"
            frame.PixelValueTransformationSequence = Sequence([values])

    path = write_enhanced(tmp_path / "e", volume, order=order, change=state)
    compress(path, syntax)
    expected = (volume.voxels.astype(int) + 1024) * 0.5 * np.arange(1, 7)[:, None, None] - 1024
    assert np.array_equal(read_series(path).voxels, expected)


@pytest.mark.parametrize("options", [["+e1"], ["+el"]], ids=["selection value 1", "process 14"])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_jpeg_is_read_to_the_bit(tmp_path: Path, options: list[str], signed: bool) -> None:
    dcmcjpeg = shutil.which("dcmcjpeg")
    if dcmcjpeg is None:
        pytest.skip("dcmcjpeg of DCMTK is not installed")

    def store(dataset: Dataset, index: int) -> None:
        if signed:
            dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
            dataset.PixelData = small_volume().voxels[index].astype("<i2").tobytes()

    for path in write_series(tmp_path, small_volume(), change=store):
        packed = path.with_suffix("")
        subprocess.run([dcmcjpeg, *options, str(path), str(packed)], check=True, timeout=60)
        path.unlink()
    assert np.array_equal(read_series(tmp_path).voxels, small_volume().voxels)


def test_baseline_jpeg_is_read_nearly_as_it_was(tmp_path: Path) -> None:
    dcmcjpeg = shutil.which("dcmcjpeg")
    if dcmcjpeg is None:
        pytest.skip("dcmcjpeg of DCMTK is not installed")
    slope = np.broadcast_to(20 * np.arange(9), (7, 9))

    def store(dataset: Dataset, index: int) -> None:
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = (slope + index).astype(np.uint8).tobytes() + b"\0"

    for path in write_series(tmp_path, small_volume(), change=store):
        packed = path.with_suffix("")
        subprocess.run([dcmcjpeg, "+eb", "+q", "98", str(path), str(packed)], check=True, timeout=60)
        path.unlink()
    found = read_series(tmp_path).voxels.astype(int) + 1024
    assert np.abs(found - slope - np.arange(6)[:, None, None]).max() <= 3


@pytest.mark.parametrize("cut", [10, 40, 70])
def test_a_compressed_slice_that_lost_its_end_is_refused(tmp_path: Path, cut: int) -> None:
    compressed_series(tmp_path, JPEGLSLossless)
    path = sorted(tmp_path.iterdir())[2]
    dataset = dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[:-cut]])
    dataset.save_as(path)
    with pytest.raises(VolumeFileError, match=f"{path.name} cannot be decompressed"):
        read_series(tmp_path)


def test_jpeg_2000_that_pydicom_brings_along_agrees_with_its_original() -> None:
    with patient_reading():
        found = read_stored(packaged("MR_small_jp2klossless.dcm"))
        original = read_stored(packaged("MR_small.dcm"))
    assert np.array_equal(found, original)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_implicit.dcm"])
def test_files_that_pydicom_brings_along_agree_with_their_original(name: str) -> None:
    with patient_reading():
        assert np.array_equal(read_stored(packaged(name)), read_stored(packaged("MR_small.dcm")))


def test_truncated_compressed_pixels_are_refused(tmp_path: Path) -> None:
    compressed_series(tmp_path, JPEGLSLossless)
    path = sorted(tmp_path.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(VolumeFileError, match=f"{path.name} .*(damaged|truncated)"):
        read_series(tmp_path)


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = write_series(tmp_path, small_volume(slices=1))[0]
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([b"\0\0\1\xb3" * 20])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    dataset.save_as(path)
    with pytest.raises(VolumeFileError, match=r"compression \(MPEG2 Main Profile / Main Level\) is not supported"):
        read_series(tmp_path)


def test_a_series_that_does_not_fit_into_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError

    write_series(tmp_path, small_volume())
    monkeypatch.setattr("cisfa.imaging.dicom_series.np.empty", no_room)
    with pytest.raises(VolumeFileError, match="6x7x9 voxels, more than fit into this computer's memory"):
        read_series(tmp_path)


def test_a_series_is_opened_without_its_pixels(tmp_path: Path) -> None:
    for path in write_series(tmp_path, small_volume()):
        path.write_bytes(path.read_bytes()[:-126])
    assert all("PixelData" not in header for header in open_series(tmp_path).headers)
    with pytest.raises(VolumeFileError, match="truncated"):
        read_series(tmp_path)

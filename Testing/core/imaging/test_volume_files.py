import errno
import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from cisfa.errors import VolumeFileError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map, write_volume
from cisfa.imaging.volume_names import stem_of, suffix_of
from cisfa.whole_files import write_whole

MakeGeometry = Callable[..., Geometry]
FORMATS = pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
EVERY_FORMAT = pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"])
# columns, rows, slices; ITK's order
POINTS = [(0, 0, 0), (6, 0, 0), (0, 5, 0), (0, 0, 4), (6, 5, 4)]


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)


@pytest.fixture
def image(voxels: np.ndarray) -> SimpleITK.Image:
    """An oblique image in ITK's own terms, so that nothing of ours is needed to say where it lies."""
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing((0.7, 0.9, 3.1))
    image.SetOrigin((-91.5, 20.25, 413.0))
    turn = SimpleITK.VersorTransform((2.0, -1.0, 1.5), 0.3)
    flip = np.diag([-1.0, 1.0, -1.0])
    image.SetDirection((np.array(turn.GetMatrix()).reshape(3, 3) @ flip).ravel().tolist())
    return image


def places(image: SimpleITK.Image) -> np.ndarray:
    return np.array([image.TransformIndexToPhysicalPoint(point) for point in POINTS])


def our_places(geometry: Geometry) -> np.ndarray:
    return geometry.to_lps([point[::-1] for point in POINTS])


def refusal(path: Path, read: Callable[[Path], Any] = read_volume) -> str:
    """The message with which a file is refused."""
    with pytest.raises(VolumeFileError) as refused:
        read(path)
    assert path.name in str(refused.value)
    return str(refused.value)


def nifti(voxels: np.ndarray, path: Path, affine: np.ndarray | None = None, **fields: object) -> Path:
    """Write a NIfTI-1 file whose header holds what is asked for, however wrong."""
    image = nibabel.Nifti1Image(np.asarray(voxels).T, np.diag([0.7, 0.9, 3.1, 1]) if affine is None else affine)
    plain = path.with_name("plain.nii")
    image.to_filename(plain)
    content = bytearray(plain.read_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    plain.unlink()
    path.write_bytes(gzip.compress(content) if path.name.lower().endswith(".gz") else content)
    return path


# where voxels lie


@EVERY_FORMAT
def test_voxels_lie_where_itk_says_they_do(
    image: SimpleITK.Image, voxels: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"oblique{suffix}"
    SimpleITK.WriteImage(image, str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.voxels.dtype == np.int16
    np.testing.assert_allclose(our_places(volume.geometry), places(image), atol=2e-5)
    np.testing.assert_allclose(volume.geometry.spacing_mm, (3.1, 0.9, 0.7), rtol=1e-6)


def test_voxels_lie_where_nibabel_says_they_do(image: SimpleITK.Image, tmp_path: Path) -> None:
    path = tmp_path / "oblique.nii.gz"
    SimpleITK.WriteImage(image, str(path))
    ras = nibabel.affines.apply_affine(nibabel.load(path).affine, POINTS)
    np.testing.assert_allclose(our_places(read_volume(path).geometry) * [-1, -1, 1], ras, atol=1e-6)


@FORMATS
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_what_is_written_is_read_back_the_same_by_us_and_by_itk(
    oblique: MakeGeometry, tmp_path: Path, suffix: str, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    geometry = oblique((5, 6, 7), order, signs)
    labels = np.random.default_rng(1).integers(0, 300, geometry.shape).astype(np.uint16)
    path = tmp_path / f"labels{suffix}"
    write_label_map(LabelMap(labels, geometry), path)
    read = read_label_map(path)
    np.testing.assert_array_equal(read.voxels, labels)
    assert read.geometry.farthest_corner_mm(geometry) < 1e-4
    assert read.name == path.name
    image = SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), labels)
    ends = [(0, 0, 0), tuple(count - 1 for count in geometry.shape)]
    by_itk = [image.TransformIndexToPhysicalPoint([int(index) for index in end[::-1]]) for end in ends]
    np.testing.assert_allclose(by_itk, geometry.to_lps(ends), atol=1e-4)


@FORMATS
def test_a_sheared_grid_keeps_its_shear(tmp_path: Path, suffix: str) -> None:
    matrix = np.array([[0.2, 0, 0.7, 5], [1.1, 0.9, 0, 6], [3.1, 0, 0, 7], [0, 0, 0, 1]])
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), Geometry((3, 4, 5), matrix))
    write_volume(volume, tmp_path / f"tilted{suffix}")
    np.testing.assert_allclose(read_volume(tmp_path / f"tilted{suffix}").geometry.index_to_lps, matrix, atol=1e-6)


def test_a_place_given_as_a_rotation_alone_is_read(image: SimpleITK.Image, tmp_path: Path) -> None:
    path = tmp_path / "both.nii"
    SimpleITK.WriteImage(image, str(path))
    content = bytearray(path.read_bytes())
    content[254:256] = bytes(2)  # sform_code
    path.write_bytes(content)
    assert int(nibabel.load(path).header["sform_code"]) == 0
    np.testing.assert_allclose(our_places(read_volume(path).geometry), places(image), atol=1e-4)


@pytest.mark.parametrize(("rotation", "matrix"), [(1, 2), (2, 4), (1, 1), (4, 1)])
def test_a_label_map_covers_its_volume_whichever_of_two_places_a_program_believes(
    voxels: np.ndarray, tmp_path: Path, rotation: int, matrix: int
) -> None:
    path, target = tmp_path / "two places.nii", tmp_path / "labels.nii.gz"
    scanner, atlas = np.diag([-0.7, 0.9, 3.1, 1]), np.diag([0.7, 0.9, 3.1, 1])  # one left-handed, one not
    scanner[:3, 3], atlas[:3, 3] = (10, 20, 30), (-40, 50, 60)
    image = nibabel.Nifti1Image(voxels.T, atlas)
    image.set_qform(scanner, rotation)
    image.set_sform(atlas, matrix)
    image.to_filename(path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.origin_lps_mm, (40, -50, 60))
    write_label_map(LabelMap(np.ones(voxels.shape, np.uint8), volume.geometry), target, like=path)
    for one in (path, target):
        header = nibabel.load(one).header
        np.testing.assert_allclose(header.get_qform(), scanner, atol=1e-5)
        np.testing.assert_allclose(header.get_sform(), atlas, atol=1e-5)
        assert (header["qform_code"], header["sform_code"]) == (rotation, matrix)
    np.testing.assert_allclose(places(SimpleITK.ReadImage(str(target))), places(SimpleITK.ReadImage(str(path))))


def test_the_place_of_another_grid_is_not_taken_over(oblique: MakeGeometry, tmp_path: Path) -> None:
    other, target = tmp_path / "other.nii", tmp_path / "labels.nii"
    write_volume(Volume(np.ones((5, 6, 7)), oblique((5, 6, 7), signs=(1, 1, -1))), other)
    geometry = oblique((5, 6, 7))
    write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), geometry), target, like=other)
    assert read_label_map(target).geometry.is_same_grid(geometry)
    write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), geometry), target, like=tmp_path / "gone.nii")
    assert read_label_map(target).geometry.is_same_grid(geometry)


@pytest.mark.parametrize(("unit", "mm"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001), (7, 1.0)])
def test_lengths_are_read_in_the_unit_that_the_header_states(
    voxels: np.ndarray, tmp_path: Path, unit: int, mm: float
) -> None:
    path = nifti(voxels, tmp_path / "units.nii", xyzt_units=unit)
    spacing = np.array(read_volume(path).geometry.spacing_mm)
    np.testing.assert_allclose(spacing, np.array([3.1, 0.9, 0.7]) * mm, rtol=1e-6)
    if unit in (1, 3):
        np.testing.assert_allclose(spacing, SimpleITK.ReadImage(str(path)).GetSpacing()[::-1], rtol=1e-6)


def test_a_file_that_does_not_say_left_from_right_is_refused(voxels: np.ndarray, tmp_path: Path) -> None:
    path = nifti(voxels, tmp_path / "unknown.nii", qform_code=0, sform_code=0)
    assert "left and right are unknown" in refusal(path)


@pytest.mark.parametrize(
    "rows",
    [
        {"srow_x": [0, 0, 0, 5]},
        {"srow_x": [1, 2, 0, 0], "srow_y": [1, 2, 0, 0]},
        {"srow_z": [np.nan] * 4},
        {"srow_y": [0, np.inf, 0, 0]},
    ],
    ids=["zero", "parallel", "nan", "infinite"],
)
def test_a_degenerate_grid_in_a_header_is_named(
    voxels: np.ndarray, tmp_path: Path, rows: dict[str, list[float]]
) -> None:
    assert "degenerate" in refusal(nifti(voxels, tmp_path / "flat.nii", **rows))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"space directions: (", b"space directions: (0,0,0) (0,1,0) (0,0,1)\n#"),
        (b"space directions: (", b"space directions: (1,0,0) (1,0,0) (0,0,1)\n#"),
        (b"kinds: domain domain domain", b"kinds: list domain domain"),
        (b"sizes: 7 6 5", b"sizes: 7 6 0"),
        (b"encoding: raw", b"encoding: zebra"),
    ],
)
def test_a_degenerate_nrrd_header_is_named(image: SimpleITK.Image, tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "flat.nrrd"
    SimpleITK.WriteImage(image, str(path))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    refusal(path)


def test_a_nrrd_in_right_anterior_superior_coordinates_is_turned_to_ours(
    image: SimpleITK.Image, tmp_path: Path
) -> None:
    path = tmp_path / "ras.nrrd"
    SimpleITK.WriteImage(image, str(path))
    path.write_bytes(path.read_bytes().replace(b"left-posterior-superior", b"right-anterior-superior"))
    np.testing.assert_allclose(our_places(read_volume(path).geometry), places(image) * [-1, -1, 1], atol=1e-9)


@pytest.mark.parametrize("line", [b"ElementSpacing = 0 0.9 3.1\n#", b"TransformMatrix = 1 0 0 1 0 0 0 0 1\n#"])
def test_a_degenerate_metaimage_header_is_named(image: SimpleITK.Image, tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "flat.mha"
    SimpleITK.WriteImage(image, str(path))
    name = line.partition(b" ")[0]
    path.write_bytes(path.read_bytes().replace(name, line + b"Comment", 1))
    refusal(path)


# what voxels hold


@EVERY_FORMAT
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float32", "float64"])
def test_every_scalar_type_is_kept(image: SimpleITK.Image, tmp_path: Path, suffix: str, dtype: str) -> None:
    expected = (np.abs(SimpleITK.GetArrayFromImage(image)) % 100).astype(dtype)
    path = tmp_path / f"typed{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(expected), str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, expected)
    assert volume.voxels.dtype == np.dtype(dtype)
    assert volume.voxels.dtype.isnative
    assert volume.voxels.flags.c_contiguous


@pytest.mark.parametrize(
    ("dtype", "slope", "offset"), [(np.int16, 1, -1024), (np.uint8, 0.5, 3), (np.float64, 2, 1), (np.uint16, 3, 0)]
)
def test_the_headers_rescaling_is_applied(tmp_path: Path, dtype: type, slope: float, offset: float) -> None:
    stored = np.random.default_rng(2).integers(0, 200, (3, 4, 5)).astype(dtype)
    volume = read_volume(nifti(stored, tmp_path / "scaled.nii.gz", scl_slope=slope, scl_inter=offset))
    np.testing.assert_array_equal(volume.voxels, (stored.astype(float) * slope + offset).astype(np.float32))
    assert volume.voxels.dtype == np.float32


@pytest.mark.parametrize(("slope", "offset"), [(1, 0), (0, 5), (np.nan, np.nan)])
def test_no_rescaling_leaves_the_type_alone(voxels: np.ndarray, tmp_path: Path, slope: float, offset: float) -> None:
    volume = read_volume(nifti(voxels, tmp_path / "same.nii", scl_slope=slope, scl_inter=offset))
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.voxels.dtype == np.int16


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_both_versions_of_nifti_are_read_in_both_byte_orders(
    voxels: np.ndarray, tmp_path: Path, suffix: str, kind: Any, endianness: str
) -> None:
    affine = np.diag([-0.7, -0.9, 3.1, 1])
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.int16)
    kind(voxels.T, affine, header).to_filename(tmp_path / f"a{suffix}")
    volume = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.dtype.isnative
    np.testing.assert_allclose(volume.geometry.index_to_lps, np.diag([3.1, 0.9, 0.7, 1])[[2, 1, 0, 3]], atol=1e-6)


@FORMATS
def test_a_two_dimensional_image_is_a_volume_of_one_slice(voxels: np.ndarray, tmp_path: Path, suffix: str) -> None:
    flat = SimpleITK.GetImageFromArray(voxels[0])
    flat.SetSpacing((0.7, 0.9))
    flat.SetOrigin((5.0, 6.0))
    SimpleITK.WriteImage(flat, str(tmp_path / f"flat{suffix}"))
    volume = read_volume(tmp_path / f"flat{suffix}")
    np.testing.assert_array_equal(volume.voxels, voxels[:1])
    np.testing.assert_allclose(volume.geometry.to_lps([(0, 0, 0), (0, 2, 3)]), [(5, 6, 0), (7.1, 7.8, 0)], atol=1e-5)


@FORMATS
def test_a_single_slice_keeps_its_thickness(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    geometry = oblique((1, 6, 7))
    write_volume(Volume(np.arange(42, dtype=np.float32).reshape(1, 6, 7), geometry), tmp_path / f"one{suffix}")
    read = read_volume(tmp_path / f"one{suffix}")
    assert read.voxels.shape == (1, 6, 7)
    np.testing.assert_allclose(read.geometry.index_to_lps, geometry.index_to_lps, atol=1e-4)


@FORMATS
def test_a_series_of_one_volume_is_that_volume(image: SimpleITK.Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"series{suffix}"
    SimpleITK.WriteImage(SimpleITK.JoinSeries([image]), str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_allclose(our_places(volume.geometry), places(image), atol=2e-5)


@FORMATS
def test_a_series_of_several_volumes_is_refused(image: SimpleITK.Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"series{suffix}"
    SimpleITK.WriteImage(SimpleITK.JoinSeries([image, image]), str(path))
    assert "4 dimensions (7x6x5x2)" in refusal(path)


@FORMATS
def test_colours_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"colours{suffix}"
    colours = np.random.default_rng(3).integers(0, 255, (5, 6, 7, 3)).astype(np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colours, isVector=True), str(path))
    assert "components per voxel" in refusal(path) or "5 dimensions" in refusal(path)


def test_niftis_own_kind_of_colour_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((7, 6, 5), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nibabel.Nifti1Image(colours, np.eye(4)).to_filename(tmp_path / "rgb.nii.gz")
    assert "RGB colours" in refusal(tmp_path / "rgb.nii.gz")


@FORMATS
def test_complex_numbers_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"phase{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((2, 3, 4), np.complex64)), str(path))
    assert "not one intensity per voxel" in refusal(path)


@FORMATS
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_counted_and_refused(
    oblique: MakeGeometry, tmp_path: Path, suffix: str, wrong: float
) -> None:
    voxels = np.zeros((5, 6, 7), np.float32)
    voxels[2, 3, 3:5] = wrong
    write_volume(Volume(voxels, oblique((5, 6, 7))), tmp_path / f"broken{suffix}")
    assert "2 voxels that are NaN or infinite" in refusal(tmp_path / f"broken{suffix}")


# files that are no volumes


@EVERY_FORMAT
@pytest.mark.parametrize("content", [b"", b"x", b"hello, this is a text\n" * 50, bytes(range(256)) * 20])
def test_a_file_of_something_else_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"other{suffix}"
    path.write_bytes(content)
    message = refusal(path)
    assert ("empty (0 bytes)" if not content else "cannot be read: it is damaged, truncated") in message
    assert "0x" not in message


@FORMATS
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.98])
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_truncated_file_is_named(
    image: SimpleITK.Image, tmp_path: Path, suffix: str, kept: float, is_packed: bool
) -> None:
    path = tmp_path / f"cut{suffix}"
    SimpleITK.WriteImage(image, str(path), useCompression=is_packed)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "damaged, truncated" in refusal(path)


@pytest.mark.parametrize("lost", [1, 8])
def test_a_compressed_nifti_that_lost_its_last_bytes_is_named(voxels: np.ndarray, tmp_path: Path, lost: int) -> None:
    path = nifti(voxels, tmp_path / "cut.nii.gz")
    path.write_bytes(path.read_bytes()[:-lost])
    assert "damaged, truncated" in refusal(path)


def test_a_changed_byte_in_a_compressed_nifti_is_noticed(voxels: np.ndarray, tmp_path: Path) -> None:
    path = nifti(voxels, tmp_path / "changed.nii.gz")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content), 20):
        changed = content.copy()
        changed[place] ^= 4
        path.write_bytes(changed)
        refusal(path)


def test_an_uncompressed_file_under_a_compressed_name_is_named(voxels: np.ndarray, tmp_path: Path) -> None:
    path = nifti(voxels, tmp_path / "plain.nii").rename(tmp_path / "named.nii.gz")
    assert "Not a gzipped file" in refusal(path)
    path = nifti(voxels, tmp_path / "packed.nii.gz").rename(tmp_path / "named.nii")
    assert "damaged, truncated" in refusal(path)


@pytest.mark.parametrize("name", ["ct.txt", "ct.dcm", "ct", "ct.nii.gz.txt"])
def test_a_file_of_another_kind_is_told_what_is_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("voxels", encoding="utf-8")
    assert "expected one of .nii.gz, .nii, .nrrd" in refusal(tmp_path / name)


@EVERY_FORMAT
def test_a_folder_named_like_a_volume_is_no_volume(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"ct{suffix}").mkdir()
    assert "is a folder, not a volume" in refusal(tmp_path / f"ct{suffix}")


@pytest.mark.parametrize("name", ["gone.nii.gz", "gone.nrrd", "gone.txt", "file/gone.nii"])
def test_a_missing_file_does_not_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "does not exist" in refusal(tmp_path / name)


def test_a_name_that_no_disk_can_hold_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / f"{'x' * 300}.nii")
    assert "cannot be opened" in message or "does not exist" in message


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    voxels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = nifti(voxels, tmp_path / "secret.nii")

    def refuse(self: Path, *arguments: object, **words: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot be opened: Permission denied." in refusal(path)


def test_a_header_that_claims_more_voxels_than_memory_holds_is_refused(voxels: np.ndarray, tmp_path: Path) -> None:
    path = nifti(voxels, tmp_path / "huge.nii.gz", dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    assert "32767x32767x32767" in refusal(path) or "damaged" in refusal(path)


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("a.nii.gz", ".nii.gz", "a"),
        ("A.B.NII.GZ", ".nii.gz", "A.B"),
        ("ü 肝.Nrrd", ".nrrd", "ü 肝"),
        ("a.gz", None, "a"),
        ("nii.gz", None, "nii"),
        ("a", None, "a"),
    ],
)
def test_a_name_is_split_before_its_volume_suffix(name: str, suffix: str | None, stem: str) -> None:
    assert suffix_of(Path(name)) == suffix
    assert stem_of(Path(name)) == stem


# names


@FORMATS
@pytest.mark.parametrize("name", ["Säge & Öl – 肝臓", "with spaces", "a'b\"c" if os.name == "posix" else "a'b", "É"])
def test_names_and_folders_may_have_accents_and_spaces(
    oblique: MakeGeometry, tmp_path: Path, suffix: str, name: str
) -> None:
    path = tmp_path / f"{name} folder" / f"{name}{suffix}"
    write_volume(Volume(np.ones((5, 6, 7), np.int16), oblique((5, 6, 7))), path)
    assert read_volume(path).name == f"{name}{suffix}"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@FORMATS
def test_names_in_capitals_are_written_whole_and_read(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"CT{suffix.upper()}"
    labels = np.random.default_rng(4).integers(0, 9, (5, 6, 7)).astype(np.uint8)
    write_label_map(LabelMap(labels, oblique((5, 6, 7))), path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    np.testing.assert_array_equal(read_label_map(path).voxels, labels)


# label maps


@FORMATS
def test_whole_numbers_in_floating_point_are_labels(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    voxels = np.random.default_rng(5).integers(0, 300, (5, 6, 7)).astype(np.float32)
    write_volume(Volume(voxels, oblique((5, 6, 7))), tmp_path / f"float{suffix}")
    labels = read_label_map(tmp_path / f"float{suffix}")
    np.testing.assert_array_equal(labels.voxels, voxels)
    assert labels.voxels.dtype == np.uint16


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_labels_take_the_least_memory_that_holds_them(
    oblique: MakeGeometry, tmp_path: Path, highest: int, dtype: type
) -> None:
    voxels = np.zeros((5, 6, 7), np.int32)
    voxels[1, 2, 3] = highest
    write_volume(Volume(voxels, oblique((5, 6, 7))), tmp_path / "a.nrrd")
    labels = read_label_map(tmp_path / "a.nrrd")
    assert labels.voxels.dtype == dtype
    assert labels.voxels[1, 2, 3] == highest


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (0.5, np.float32, "holds the value 0.5"),
        (np.nan, np.float64, "holds the value nan"),
        (-1, np.int16, "from -1 to 0"),
        (-2.0, np.float32, "from -2 to 0"),
        (65536, np.int32, "from 0 to 65536"),
        (np.inf, np.float32, "to inf"),
        (2**53 + 1, np.int64, "to 9.0072e+15"),
    ],
)
def test_values_that_are_no_labels_are_refused(
    oblique: MakeGeometry, tmp_path: Path, value: float, dtype: type, expected: str
) -> None:
    voxels = np.zeros((5, 6, 7), dtype)
    voxels[4, 5, 6] = value
    write_volume(Volume(voxels, oblique((5, 6, 7))), tmp_path / "wrong.nii")
    message = refusal(tmp_path / "wrong.nii", read_label_map)
    assert "is no label map" in message
    assert expected in message


# writing


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd", "a.txt", "a", "a.img"])
def test_what_cannot_be_written_in_one_file_is_refused(oblique: MakeGeometry, tmp_path: Path, name: str) -> None:
    with pytest.raises(VolumeFileError, match=r"use one of \.nii\.gz, \.nii, \.nrrd, \.mha"):
        write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), oblique((5, 6, 7))), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@FORMATS
def test_a_missing_folder_is_made(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / "folder" / f"a{suffix}"
    write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), oblique((5, 6, 7))), path)
    assert read_label_map(path).voxels.all()


@FORMATS
def test_a_file_where_the_folder_should_be_is_left_alone(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(VolumeFileError, match=r"cannot be written: .* Choose a folder"):
        write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), oblique((5, 6, 7))), tmp_path / "file" / f"a{suffix}")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@FORMATS
def test_a_folder_in_the_way_is_left_alone(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.mkdir()
    (path / "inside").write_bytes(b"mine")
    with pytest.raises(VolumeFileError, match="cannot be written"):
        write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), oblique((5, 6, 7))), path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert [entry.name for entry in path.iterdir()] == ["inside"]


@FORMATS
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is a thing of Linux")
def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(
    oblique: MakeGeometry, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, labels = tmp_path / f"a{suffix}", np.random.default_rng(6).integers(0, 9, (20, 30, 40)).astype(np.uint8)
    path.write_bytes(b"from before")

    def on_a_full_disk(prefix: str, suffix: str, dir: Path) -> tuple[int, str]:
        unfinished = dir / f"{prefix}0{suffix}"
        unfinished.symlink_to("/dev/full")
        return os.open(os.devnull, os.O_RDONLY), str(unfinished)

    monkeypatch.setattr(tempfile, "mkstemp", on_a_full_disk)
    with pytest.raises(VolumeFileError, match=r"a\..* cannot be written: .*enough free space"):
        write_label_map(LabelMap(labels, oblique((20, 30, 40))), path)
    assert path.read_bytes() == b"from before"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (RuntimeError("ITK ERROR: MetaImageIO(0x55d0): File cannot be written\nReason: Success"), "File cannot be"),
        (RuntimeError(""), "RuntimeError"),
    ],
)
def test_a_write_that_fails_in_the_middle_says_why_and_cleans_up(tmp_path: Path, error: Exception, reason: str) -> None:
    def write(unfinished: Path) -> None:
        unfinished.write_bytes(b"half")
        raise error

    with pytest.raises(VolumeFileError, match=f"report.json cannot be written: {reason}"):
        write_whole(tmp_path / "report.json", write)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_cleans_up(tmp_path: Path) -> None:
    def write(unfinished: Path) -> None:
        unfinished.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.json", write)
    assert list(tmp_path.iterdir()) == []


@FORMATS
def test_the_same_label_map_gives_the_same_bytes(oblique: MakeGeometry, tmp_path: Path, suffix: str) -> None:
    labels = LabelMap(np.random.default_rng(7).integers(0, 9, (5, 6, 7)).astype(np.uint8), oblique((5, 6, 7)))
    write_label_map(labels, tmp_path / f"a{suffix}")
    write_label_map(labels, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such permissions")
def test_colleagues_may_read_a_result_as_any_other_file(oblique: MakeGeometry, tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    write_label_map(LabelMap(np.ones((5, 6, 7), np.uint8), oblique((5, 6, 7))), tmp_path / "a.nii.gz")
    assert (tmp_path / "a.nii.gz").stat().st_mode == usual.stat().st_mode


def test_a_volume_that_was_read_does_not_hold_its_file(voxels: np.ndarray, tmp_path: Path) -> None:
    path = nifti(voxels, tmp_path / "a.nii")
    volume = read_volume(path)
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(volume.voxels, voxels)


@pytest.mark.parametrize("name", [f"{'n' * 300}.nii.gz", "a\0b.nrrd"])
def test_a_path_that_can_be_none_is_told(tmp_path: Path, voxels: np.ndarray, name: str) -> None:
    label_map = LabelMap(np.zeros((2, 3, 4), np.uint8), Geometry.from_axes((2, 3, 4)))
    for use in (read_volume, read_label_map, lambda path: write_label_map(label_map, path)):
        with pytest.raises(VolumeFileError, match="cannot be opened"):
            use(tmp_path / name)

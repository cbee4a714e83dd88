"""CHAOS: DICOM series with a PNG mask for each slice, which must end up on that slice whatever the files' order."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cisfa.errors import ConfigError
from cisfa.imaging.volume_files import read_label_map, read_volume

pydicom = pytest.importorskip("pydicom")

GREY = {"liver": 63, "right kidney": 126, "left kidney": 189, "spleen": 252}
OURS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
SECRETS = (b"Phantom", "Tülay".encode(), "Tülay".encode("latin-1"), b"PH-0042", b"A17")


@pytest.fixture
def write_slices() -> Callable:
    """Write a patient's slices as files of these names, by their order along the body."""
    from pydicom.uid import generate_uid

    from series_writer import make_study, save, slice_dataset

    def write(folder: Path, patient, names: list[str], modality: str = "MR", *, one_series: bool = True) -> None:  # type: ignore[no-untyped-def]
        folder.mkdir(parents=True)
        study, series = make_study(), generate_uid()
        for index, plane in enumerate(patient.volume.voxels):
            dataset = slice_dataset(patient.geometry, index, plane, modality)
            dataset.update(study)
            dataset.SeriesInstanceUID = series if one_series else generate_uid()
            if not one_series:
                dataset.FrameOfReferenceUID = generate_uid()
            save(dataset, folder / f"{names[index]}.dcm")

    return write


@pytest.fixture
def write_masks(png: Callable) -> Callable:
    """Write a patient's masks as files of these names, by their slices' order along the body."""

    def write(folder: Path, patient, names: list[str], values: dict[str, int], **options: str) -> None:  # type: ignore[no-untyped-def]
        for name, plane in zip(names, patient.labels(values).voxels.astype(np.uint8), strict=True):
            png(folder / f"{name}.png", plane, **options)

    return write


def downwards(form: str, first: int, count: int = 10, step: int = 1) -> list[str]:
    """Names whose numbers rise towards the feet, so that sorted names are not sorted places."""
    return [form.format(first + step * index) for index in range(count)][::-1]


def written(tmp_path: Path, name: str) -> np.ndarray:
    label_map = read_label_map(tmp_path / "out" / "labels" / f"{name}.nii.gz")
    volume = read_volume(tmp_path / "out" / "images" / f"{name}.nii.gz")
    assert label_map.geometry.is_same_grid(volume.geometry)
    return label_map.voxels


@pytest.mark.parametrize("one_series", [True, False])
def test_masks_of_mr_lie_on_the_slices_of_their_names(
    one_series: bool, raw: Path, tmp_path: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable,
    prepared: Callable,
) -> None:  # fmt: skip
    patient, home = abdomen(), raw / "Train_Sets" / "MR" / "13" / "T2SPIR"
    names = [f"IMG-0004-{number:05}" for number in np.random.default_rng(3).permutation(10) + 1]
    write_slices(home / "DICOM_anon", patient, names, one_series=one_series)
    write_masks(home / "Ground", patient, names, GREY)
    record = prepared("chaos")
    assert record.kept["chaos_mr_13"].files == (
        "Train_Sets/MR/13/T2SPIR/DICOM_anon",
        "Train_Sets/MR/13/T2SPIR/Ground",
    )
    np.testing.assert_array_equal(written(tmp_path, "chaos_mr_13"), patient.labels(OURS).voxels)
    volume = read_volume(tmp_path / "out" / "images" / "chaos_mr_13.nii.gz")
    np.testing.assert_array_equal(volume.voxels, patient.volume.voxels)
    assert volume.geometry.is_same_grid(patient.geometry)


def test_nothing_of_the_headers_is_taken_over(
    raw: Path, tmp_path: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable, prepared: Callable
) -> None:
    home, names = raw / "MR" / "1" / "T2SPIR", downwards("IMG-0004-{:05}", 1)
    write_slices(home / "DICOM_anon", abdomen(), names)
    write_masks(home / "Ground", abdomen(), names, GREY)
    assert any(secret in next((home / "DICOM_anon").iterdir()).read_bytes() for secret in SECRETS)
    prepared("chaos")
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not [secret for secret in SECRETS if secret in content], path.name
        assert str(tmp_path).encode() not in content


@pytest.mark.parametrize("form", ["i{:04},0000b", "IMG-0002-{:05}"])
@pytest.mark.parametrize("first_slice", [0, 1])
def test_masks_of_ct_lie_on_the_slices_of_their_numbers(
    form: str, first_slice: int, raw: Path, tmp_path: Path, abdomen: Callable, write_slices: Callable,
    write_masks: Callable, prepared: Callable,
) -> None:  # fmt: skip
    patient, home = abdomen(), raw / "Train_Sets" / "CT" / "21"
    write_slices(home / "DICOM_anon", patient, downwards(form, first_slice), "CT")
    write_masks(home / "Ground", patient, downwards("liver_GT_{:03}", 0), {"liver": 255}, kind="1 bit")
    record = prepared("chaos", modality="ct")
    np.testing.assert_array_equal(written(tmp_path, "chaos_ct_21"), patient.labels({"liver": 1}).voxels)
    said = [remark.what for remark in record.kept["chaos_ct_21"].remarks]
    assert ("masks are numbered from another number than slices" in said) == (first_slice == 1)
    assert "left and right could not be checked" in said


def test_a_liver_of_air_is_doubted(
    raw: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable, prepared: Callable
) -> None:
    from dataclasses import replace

    class Hollow(type(abdomen())):  # type: ignore[misc]
        @property
        def volume(self):  # type: ignore[no-untyped-def]
            whole = super().volume
            return replace(whole, voxels=whole.voxels - 700)

    patient, home = Hollow(abdomen().geometry, abdomen().organs), raw / "CT" / "2"
    write_slices(home / "DICOM_anon", patient, downwards("i{:04},0000b", 0), "CT")
    write_masks(home / "Ground", patient, downwards("liver_GT_{:03}", 0), {"liver": 255})
    remarks = prepared("chaos").kept["chaos_ct_2"].remarks
    assert "the masks may lie on other slices" in [remark.what for remark in remarks]


def test_the_phase_that_masks_are_not_named_after_finds_them_by_place(
    raw: Path, tmp_path: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable, prepared: Callable
) -> None:
    patient, home = abdomen(), raw / "MR" / "5" / "T1DUAL"
    write_slices(home / "DICOM_anon" / "InPhase", patient, downwards("IMG-0004-{:05}", 2, step=2))
    # numbered from the head, so that neither names nor their order would find the masks
    write_slices(home / "DICOM_anon" / "OutPhase", abdomen(9), [f"IMG-0004-{2 * k + 1:05}" for k in range(10)])
    write_masks(home / "Ground", patient, downwards("IMG-0004-{:05}", 2, step=2), GREY)
    for sequence, seed in (("t1-out", 9), ("t1-in", 0)):
        prepared("chaos", sequence=sequence, out=sequence)
        label_map = read_label_map(tmp_path / sequence / "labels" / "chaos_mr_5.nii.gz")
        volume = read_volume(tmp_path / sequence / "images" / "chaos_mr_5.nii.gz")
        np.testing.assert_array_equal(label_map.voxels, patient.labels(OURS).voxels)
        np.testing.assert_array_equal(volume.voxels, abdomen(seed).volume.voxels)


def test_another_sequence_is_not_mistaken_for_the_one_chosen(
    raw: Path, abdomen: Callable, write_slices: Callable, prepared: Callable
) -> None:
    write_slices(raw / "MR" / "5" / "T2SPIR" / "DICOM_anon", abdomen(), downwards("IMG-{:05}", 1))
    write_slices(raw / "CT" / "5" / "DICOM_anon", abdomen(), downwards("i{:04},0000b", 1), "CT")
    record = prepared("chaos", with_unlabelled=True)
    assert list(record.kept) == ["chaos_mr_5"]
    with pytest.raises(ConfigError, match="--sequence chooses among sequences of MR"):
        prepared("chaos", modality="ct", sequence="t1-in", out="other")


def lose_a_mask(masks: Path, png: Callable) -> None:
    sorted(masks.iterdir())[4].unlink()


def shift_numbers(masks: Path, png: Callable) -> None:
    for path in sorted(masks.iterdir()):
        path.rename(path.with_name(f"G{int(path.stem[-5:]) + 7:05}.png"))


def skip_a_number(masks: Path, png: Callable) -> None:
    for path in sorted(masks.iterdir()):
        number = int(path.stem[-5:])
        path.rename(path.with_name(f"G{number + (number > 4):05}.png"))


def take_numbers_away(masks: Path, png: Callable) -> None:
    for letter, path in zip("abcdefghij", sorted(masks.iterdir()), strict=True):
        path.rename(path.with_name(f"{letter}.png"))


def draw_another_grey(masks: Path, png: Callable) -> None:
    png(sorted(masks.iterdir())[3], np.full((24, 30), 90, np.uint8))


def draw_another_size(masks: Path, png: Callable) -> None:
    png(sorted(masks.iterdir())[3], np.zeros((30, 24), np.uint8))


def draw_in_colour(masks: Path, png: Callable) -> None:
    png(sorted(masks.iterdir())[3], np.zeros((24, 30), np.uint8), kind="colour")


def cut_a_mask(masks: Path, png: Callable) -> None:
    path = sorted(masks.iterdir())[3]
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lose_a_mask, "masks and slices do not match"),
        (shift_numbers, "masks and slices do not match"),
        (skip_a_number, "masks and slices do not match"),
        (take_numbers_away, "masks and slices do not match"),
        (draw_another_size, "masks and slices do not match"),
        (draw_another_grey, "the label map holds unknown values"),
        (draw_in_colour, "a mask cannot be read"),
        (cut_a_mask, "a mask cannot be read"),
    ],
)
def test_masks_that_leave_a_doubt_cost_their_case(
    damage: Callable, reason: str, raw: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable,
    prepared: Callable, reasons: Callable, png: Callable,
) -> None:  # fmt: skip
    names = downwards("IMG-0004-{:05}", 1)
    for number in ("1", "2"):
        home = raw / "MR" / number / "T2SPIR"
        write_slices(home / "DICOM_anon", abdomen(int(number)), names)
        write_masks(home / "Ground", abdomen(), names, GREY)
    damage(raw / "MR" / "2" / "T2SPIR" / "Ground", png)
    record = prepared("chaos")
    assert list(record.kept) == ["chaos_mr_1"]
    assert reasons(record) == {"chaos_mr_2": reason}


def test_numbers_that_do_not_follow_the_body_match_nothing(
    raw: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable, prepared: Callable, reasons: Callable
) -> None:
    home, names = raw / "CT" / "1", downwards("i{:04},0000b", 0)
    write_slices(home / "DICOM_anon", abdomen(), [*names[5:], *names[:5]], "CT")
    write_masks(home / "Ground", abdomen(), downwards("liver_GT_{:03}", 0), {"liver": 255})
    write_slices(raw / "CT" / "2" / "DICOM_anon", abdomen(), names, "CT")
    record = prepared("chaos", with_unlabelled=True)
    assert list(record.kept) == ["chaos_ct_2"]
    assert record.left_out["chaos_ct_1"].detail == "The numbers of the slices' files do not follow the slices' places."


def test_a_series_that_lost_a_slice_is_refused_by_the_reader(
    raw: Path, abdomen: Callable, write_slices: Callable, prepared: Callable, reasons: Callable
) -> None:
    for number in ("1", "2", "10"):
        write_slices(raw / "MR" / number / "T2SPIR" / "DICOM_anon", abdomen(), downwards("IMG-{:05}", 1))
    (raw / "MR" / "2" / "T2SPIR" / "DICOM_anon" / "IMG-00004.dcm").unlink()
    record = prepared("chaos", with_unlabelled=True)
    assert list(record.kept) == ["chaos_mr_1", "chaos_mr_10"]
    assert reasons(record) == {"chaos_mr_2": "the volume cannot be read"}
    assert "lacks 1 slice" in record.left_out["chaos_mr_2"].detail


def test_what_a_sequence_lacks_is_named(
    raw: Path, abdomen: Callable, write_slices: Callable, write_masks: Callable, prepared: Callable
) -> None:
    names = downwards("IMG-0004-{:05}", 2, step=2)
    for number in range(1, 6):
        home = raw / "MR" / str(number) / "T1DUAL"
        write_slices(home / "DICOM_anon" / "InPhase", abdomen(), names)
        write_slices(home / "DICOM_anon" / "OutPhase", abdomen(), downwards("IMG-0004-{:05}", 1, step=2))
        write_masks(home / "Ground", abdomen(), names, GREY)
    series = {number: raw / "MR" / str(number) / "T1DUAL" / "DICOM_anon" for number in range(1, 6)}
    (series[2] / "OutPhase").rename(series[2] / "Elsewhere")
    for path in (series[3] / "OutPhase").iterdir():
        path.unlink()
    moved = abdomen().flipped(0)
    for path in (series[4] / "InPhase").iterdir():
        path.unlink()
    (series[4] / "InPhase").rmdir()
    write_slices(series[4] / "InPhase", moved, names)
    damaged = next((series[5] / "OutPhase").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-200])
    record = prepared("chaos", sequence="t1-out")
    assert list(record.kept) == ["chaos_mr_1"]
    assert {name: why.what for name, why in record.left_out.items()} == {
        "chaos_mr_2": "the volume is missing",
        "chaos_mr_3": "the volume is missing",
        "chaos_mr_4": "the masks belong to another grid",
        "chaos_mr_5": "the volume cannot be read",
    }
    assert record.left_out["chaos_mr_2"].detail == "There is no folder OutPhase in DICOM_anon."
    assert damaged.name in record.left_out["chaos_mr_5"].detail

"""BTCV in the layouts that people have: official, single files of Synapse, sorted for MONAI and nnU-Net."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map

VALUES = {"spleen": 1, "right kidney": 2, "left kidney": 3, "liver": 6, "stomach": 7}
OURS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
LAYOUTS = {
    "official": ("RawData/Training/img/img0007.nii.gz", "RawData/Training/label/label0007.nii.gz"),
    "nested": ("a/RawData/Training/img/img0007.nii.gz", "a/RawData/Training/label/label0007.nii.gz"),
    "single files": ("averaged-training-images/DET0007_avg.nii.gz", "averaged-training-labels/DET0007_avg_seg.nii.gz"),
    "MONAI": ("imagesTr/img0007.nii.gz", "labelsTr/label0007.nii.gz"),
    "nnU-Net": ("Task017/imagesTr/ABD_0007_0000.nii.gz", "Task017/labelsTr/ABD_0007.nii.gz"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_four_organs_on_the_volumes_grid(
    layout: str, raw: Path, tmp_path: Path, abdomen: Callable, prepared: Callable
) -> None:
    volume, labels = LAYOUTS[layout]
    patient = abdomen()
    patient.write(raw / volume, raw / labels, VALUES)
    record = prepared("btcv")
    assert list(record.kept) == ["btcv_0007"]
    assert record.kept["btcv_0007"].files == (volume, labels)
    written = read_volume(tmp_path / "out" / "images" / "btcv_0007.nii.gz")
    label_map = read_label_map(tmp_path / "out" / "labels" / "btcv_0007.nii.gz")
    np.testing.assert_array_equal(written.voxels, patient.volume.voxels)
    np.testing.assert_array_equal(label_map.voxels, patient.labels(OURS).voxels)
    assert written.geometry.is_same_grid(patient.geometry)
    np.testing.assert_array_equal(label_map.geometry.index_to_lps, written.geometry.index_to_lps)


def test_organs_get_their_labels_in_the_order_they_are_named(
    raw: Path, tmp_path: Path, abdomen: Callable, prepared: Callable, labels_of_dataset: Callable
) -> None:
    patient = abdomen()
    patient.write(raw / "img/img0001.nii.gz", raw / "label/label0001.nii.gz", VALUES)
    record = prepared("btcv", organs=("Stomach", "kidney_left"))
    assert labels_of_dataset() == {"background": 0, "stomach": 1, "left kidney": 2}
    label_map = read_label_map(tmp_path / "out" / "labels" / "btcv_0001.nii.gz")
    np.testing.assert_array_equal(label_map.voxels, patient.labels({"stomach": 1, "left kidney": 2}).voxels)
    assert record.kept["btcv_0001"].organs_ml == {"stomach": 11.52, "left kidney": 7.68}


@pytest.mark.parametrize(
    ("organs", "said"), [(("appendix",), "no organ appendix"), (("liver", "Liver"), "more than once")]
)
def test_organs_that_make_no_sense_are_refused(
    organs: tuple[str, ...], said: str, raw: Path, abdomen: Callable, prepared: Callable
) -> None:
    abdomen().write(raw / "img/img0001.nii.gz", raw / "label/label0001.nii.gz", VALUES)
    with pytest.raises(ConfigError, match=said):
        prepared("btcv", organs=organs)


def test_volumes_without_labels_are_left_out_or_kept_apart(
    raw: Path, tmp_path: Path, abdomen: Callable, prepared: Callable, reasons: Callable
) -> None:
    abdomen(1).write(raw / "Training/img/img0001.nii.gz", raw / "Training/label/label0001.nii.gz", VALUES)
    abdomen(2).write(raw / "Testing/img/img0061.nii.gz")
    record = prepared("btcv")
    assert reasons(record) == {"btcv_0061": "it has no label map"}
    record = prepared("btcv", out="both", with_unlabelled=True)
    assert not record.left_out
    assert [path.name for path in (tmp_path / "both" / "images").iterdir()] == ["btcv_0001.nii.gz"]
    alone = read_volume(tmp_path / "both" / "unlabelled" / "images" / "btcv_0061.nii.gz")
    np.testing.assert_array_equal(alone.voxels, abdomen(2).volume.voxels)


def test_a_lost_file_costs_its_own_case_alone(
    raw: Path, abdomen: Callable, prepared: Callable, reasons: Callable
) -> None:
    for number in (1, 2, 3, 4):
        abdomen(number).write(raw / f"img/img000{number}.nii.gz", raw / f"label/label000{number}.nii.gz", VALUES)
    (raw / "img/img0002.nii.gz").unlink()
    (raw / "img/img0003.nii.gz").write_bytes((raw / "img/img0003.nii.gz").read_bytes()[:900])
    (raw / "label/label0004.nii.gz").write_bytes(b"")
    record = prepared("btcv")
    assert list(record.kept) == ["btcv_0001"]
    assert reasons(record) == {
        "btcv_0002": "the volume is missing",
        "btcv_0003": "the volume cannot be read",
        "btcv_0004": "the label map cannot be read",
    }
    assert record.left_out["btcv_0003"].detail.startswith(str(Path("img/img0003.nii.gz")))


@pytest.mark.parametrize(("shift_mm", "is_kept"), [(0.02, True), (1.5, False)])
def test_a_label_header_may_differ_by_rounding_and_no_more(
    shift_mm: float, is_kept: bool, raw: Path, tmp_path: Path, abdomen: Callable, prepared: Callable, reasons: Callable
) -> None:
    patient = abdomen()
    patient.write(raw / "img/img0001.nii.gz", raw / "label/label0001.nii.gz", VALUES)
    abdomen(5).write(raw / "img/img0002.nii.gz", raw / "label/label0002.nii.gz", VALUES)
    matrix = patient.geometry.index_to_lps.copy()
    matrix[:3, 3] += shift_mm
    moved = Geometry(patient.geometry.shape, matrix)
    write_label_map(LabelMap(patient.labels(VALUES).voxels, moved), raw / "label/label0001.nii.gz")
    record = prepared("btcv")
    if not is_kept:
        assert reasons(record) == {"btcv_0001": "the label map lies on another grid"}
        return
    volume = read_volume(tmp_path / "out" / "images" / "btcv_0001.nii.gz")
    label_map = read_label_map(tmp_path / "out" / "labels" / "btcv_0001.nii.gz")
    np.testing.assert_array_equal(label_map.geometry.index_to_lps, volume.geometry.index_to_lps)


def test_an_unknown_value_is_refused(raw: Path, abdomen: Callable, prepared: Callable) -> None:
    abdomen().write(raw / "img/img0001.nii.gz", raw / "label/label0001.nii.gz", {**VALUES, "stomach": 14})
    with pytest.raises(CaseError, match="holds the value 14"):
        prepared("btcv")


def test_a_copy_beside_the_download_is_refused(raw: Path, abdomen: Callable, prepared: Callable) -> None:
    for folder in ("RawData/Training/img", "imagesTr"):
        abdomen().write(raw / folder / "img0001.nii.gz")
    with pytest.raises(CaseError, match="btcv_0001 is there twice"):
        prepared("btcv")


def test_what_archivers_leave_behind_is_no_case(raw: Path, abdomen: Callable, prepared: Callable) -> None:
    abdomen().write(raw / "Training/img/img0001.nii.gz", raw / "Training/label/label0001.nii.gz", VALUES)
    for junk in (
        "Training/img/._img0002.nii.gz",
        "__MACOSX/Training/img/img0003.nii.gz",
        "Training/img/img0004.nii.txt",
    ):
        (raw / junk).parent.mkdir(parents=True, exist_ok=True)
        (raw / junk).write_bytes(b"junk")
    record = prepared("btcv")
    assert list(record.kept) == ["btcv_0001"]
    assert not record.left_out

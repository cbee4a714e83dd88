"""TotalSegmentator: a folder a case, a file an organ, whole bodies of which many show no abdomen."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map

FILES = {"liver": "liver", "right kidney": "kidney_right", "left kidney": "kidney_left", "spleen": "spleen"}
OURS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}


@pytest.fixture
def write_case(raw: Path, abdomen: Callable) -> Callable:
    """Write a case's folder; masks are changed by name, and left out where the change is None."""

    def write(
        name: str,
        changes: Mapping[str, object] | None = None,
        volume: str = "ct.nii.gz",
        flipped_axis: int | None = None,
    ) -> None:
        patient = abdomen(int(name[1:])) if flipped_axis is None else abdomen(int(name[1:])).flipped(flipped_axis)
        patient.write(raw / name / volume)
        for organ, file in FILES.items():
            mask = patient.labels({organ: 1}).voxels.astype(np.uint8)
            change = (changes or {}).get(organ, lambda voxels: voxels)
            if change is not None:
                mask = np.asarray(change(mask)).astype(np.uint8)
                write_label_map(LabelMap(mask, patient.geometry), raw / name / "segmentations" / f"{file}.nii.gz")

    return write


def test_masks_become_one_label_map(
    write_case: Callable, tmp_path: Path, abdomen: Callable, prepared: Callable
) -> None:
    write_case("s0011")
    record = prepared("totalsegmentator")
    name = "totalsegmentator_s0011"
    assert record.kept[name].files == ("s0011/ct.nii.gz", "s0011/segmentations")
    label_map = read_label_map(tmp_path / "out" / "labels" / f"{name}.nii.gz")
    np.testing.assert_array_equal(label_map.voxels, abdomen(11).labels(OURS).voxels)
    assert label_map.geometry.is_same_grid(abdomen(11).geometry)


def test_a_voxel_of_two_organs_goes_to_the_first_and_is_said(
    write_case: Callable, tmp_path: Path, abdomen: Callable, prepared: Callable
) -> None:
    def also_in_liver(mask: np.ndarray) -> np.ndarray:
        mask[4, 10, 5:9] = 1
        return mask

    write_case("s0001", {"right kidney": also_in_liver})
    record = prepared("totalsegmentator")
    label_map = read_label_map(tmp_path / "out" / "labels" / "totalsegmentator_s0001.nii.gz")
    np.testing.assert_array_equal(label_map.voxels, abdomen(1).labels(OURS).voxels)
    (remark,) = record.kept["totalsegmentator_s0001"].remarks
    assert remark.what == "masks overlap"
    assert remark.detail.startswith("4 voxels of the right kidney")


def test_cases_that_show_nothing_of_the_organs_are_left_out(
    write_case: Callable, prepared: Callable, reasons: Callable
) -> None:
    def nothing(mask: np.ndarray) -> np.ndarray:
        return mask * 0

    def tip(mask: np.ndarray) -> np.ndarray:
        mask[5:] = mask[:4] = 0
        mask[:, :, 4:] = 0
        return mask

    write_case("s0001")
    write_case("s0002", dict.fromkeys(FILES, nothing))
    write_case("s0003", {**dict.fromkeys(FILES, nothing), "liver": tip})
    write_case("s0004", {"spleen": nothing})
    record = prepared("totalsegmentator")
    assert list(record.kept) == ["totalsegmentator_s0001", "totalsegmentator_s0004"]
    assert set(reasons(record).values()) == {"it has none of the organs, or only slivers"}
    assert "liver (0.72 mL)" in record.left_out["totalsegmentator_s0003"].detail
    (remark,) = record.kept["totalsegmentator_s0004"].remarks
    assert remark.detail == "It lacks spleen."
    record = prepared("totalsegmentator", out="whole", all_organs=True)
    assert list(record.kept) == ["totalsegmentator_s0001"]


def test_a_lost_mask_is_not_taken_for_an_organ_that_is_not_there(
    write_case: Callable, prepared: Callable, reasons: Callable
) -> None:
    write_case("s0001")
    write_case("s0002", {"spleen": None})
    write_case("s0003", {"spleen": lambda mask: mask * 7})
    record = prepared("totalsegmentator")
    assert reasons(record) == {
        "totalsegmentator_s0002": "a mask file is missing",
        "totalsegmentator_s0003": "the label map holds unknown values",
    }


def test_organs_that_nobody_asked_for_tell_left_from_right(
    write_case: Callable, tmp_path: Path, abdomen: Callable, prepared: Callable, reasons: Callable
) -> None:
    write_case("s0001")
    write_case("s0002", flipped_axis=2)
    write_case("s0003", dict.fromkeys(("liver", "right kidney", "left kidney")))
    write_case("s0004", {"liver": lambda mask: mask * 7, "right kidney": lambda mask: mask * 7})
    record = prepared("totalsegmentator", organs=("spleen",))
    assert reasons(record) == {"totalsegmentator_s0002": "the organs lie mirrored or turned"}
    assert record.kept["totalsegmentator_s0001"].remarks == ()
    for name in ("totalsegmentator_s0003", "totalsegmentator_s0004"):
        assert [one.what for one in record.kept[name].remarks] == ["left and right could not be checked"]
    label_map = read_label_map(tmp_path / "out" / "labels" / "totalsegmentator_s0001.nii.gz")
    np.testing.assert_array_equal(label_map.voxels, abdomen(1).labels({"spleen": 1}).voxels)


def test_the_table_chooses_cases(raw: Path, write_case: Callable, prepared: Callable, reasons: Callable) -> None:
    for name in ("s0001", "s0002", "s0003"):
        write_case(name)
    table = "image_id;study_type;split\ns0001;ct abdomen-pelvis;train\ns0002;ct thorax;train\n"
    (raw / "meta.csv").write_text(table, encoding="utf-8-sig")
    record = prepared("totalsegmentator", only=(("study_type", "Abdomen"), ("split", "train")))
    assert list(record.kept) == ["totalsegmentator_s0001"]
    assert set(reasons(record).values()) == {"study_type is not Abdomen"}
    assert record.left_out["totalsegmentator_s0003"].detail == "meta.csv says nothing for s0003."
    with pytest.raises(ConfigError, match=r"no column kind\. It has image_id, study_type, split"):
        prepared("totalsegmentator", out="other", only=(("kind", "x"),))
    (raw / "meta.csv").unlink()
    with pytest.raises(CaseError, match=r"meta.csv is missing"):
        prepared("totalsegmentator", out="other", only=(("split", "x"),))


def test_the_sets_of_ct_and_of_mr_number_different_patients(write_case: Callable, prepared: Callable) -> None:
    write_case("s0001", volume="mri.nii.gz")
    record = prepared("totalsegmentator")
    assert list(record.kept) == ["totalsegmentator_mr_s0001"]
    assert record.kept["totalsegmentator_mr_s0001"].has_labels


def test_an_organ_that_no_case_has_is_refused_with_those_there_are(write_case: Callable, prepared: Callable) -> None:
    write_case("s0001")
    with pytest.raises(ConfigError, match=r"no organ brain\. It has left kidney, liver, right kidney, spleen"):
        prepared("totalsegmentator", organs=("brain",))


@pytest.mark.parametrize("axis_of_body", [0, 1, 2])
def test_whole_bodies_are_cut_to_the_organs_where_they_lie(
    axis_of_body: int, raw: Path, tmp_path: Path, abdomen: Callable, prepared: Callable
) -> None:
    patient, order = abdomen(1), {0: (0, 1, 2), 1: (2, 0, 1), 2: (1, 2, 0)}[axis_of_body]
    volume, grid = patient.volume.voxels.transpose(order), patient.geometry.transposed(order)
    from cisfa.imaging.volume import Volume
    from cisfa.imaging.volume_files import write_volume

    write_volume(Volume(np.ascontiguousarray(volume), grid), raw / "s0001" / "ct.nii.gz")
    for organ, file in FILES.items():
        mask = np.ascontiguousarray(patient.labels({organ: 1}).voxels.transpose(order))
        write_label_map(LabelMap(mask, grid), raw / "s0001" / "segmentations" / f"{file}.nii.gz")
    prepared("totalsegmentator", organs=("kidney_right",), around_organs_mm=7.0)
    written = read_volume(tmp_path / "out" / "images" / "totalsegmentator_s0001.nii.gz")
    label_map = read_label_map(tmp_path / "out" / "labels" / "totalsegmentator_s0001.nii.gz")
    # slices 1 to 4 show it; 7 mm are two more of 6 mm, of which the volume has one below
    kept = patient.volume.voxels[0:7].transpose(order)
    np.testing.assert_array_equal(written.voxels, kept)
    np.testing.assert_array_equal(label_map.voxels, patient.labels({"right kidney": 1}).voxels[0:7].transpose(order))
    np.testing.assert_allclose(written.geometry.to_lps([[0, 0, 0]]), grid.to_lps([[0, 0, 0]]), atol=1e-3)

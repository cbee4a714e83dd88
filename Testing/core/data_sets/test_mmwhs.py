"""MM-WHS: CT and MR side by side, values of their own, one of which some files get wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.volume_files import read_label_map

VALUES = {
    "myocardium": 205,
    "left atrium": 420,
    "left ventricle": 500,
    "right atrium": 550,
    "right ventricle": 600,
    "ascending aorta": 820,
    "pulmonary artery": 850,
}
OURS = {"myocardium": 1, "left atrium": 2, "left ventricle": 3, "ascending aorta": 4}


def names(raw: Path, stem: str) -> tuple[Path, Path]:
    folder = raw / "MM-WHS 2017 Dataset" / stem.rpartition("_")[0]
    return folder / f"{stem}_image.nii.gz", folder / f"{stem}_label.nii.gz"


def test_the_papers_four_structures_are_usual(
    raw: Path, tmp_path: Path, heart: Callable, prepared: Callable, labels_of_dataset: Callable
) -> None:
    heart(1).write(*names(raw, "mr_train_1001"), VALUES)
    heart(2).write(names(raw, "mr_test_2001")[0])
    heart(3).write(*names(raw, "ct_train_1001"), VALUES)
    record = prepared("mmwhs", modality="mr", with_unlabelled=True)
    assert list(record.kept) == ["mmwhs_mr_1001", "mmwhs_mr_2001"]
    label_map = read_label_map(tmp_path / "out" / "labels" / "mmwhs_mr_1001.nii.gz")
    np.testing.assert_array_equal(label_map.voxels, heart().labels(OURS).voxels)
    assert labels_of_dataset() == {"background": 0, **OURS}


def test_ct_and_mr_together_ask_for_a_choice(raw: Path, heart: Callable, prepared: Callable) -> None:
    heart(1).write(*names(raw, "mr_train_1001"), VALUES)
    heart(3).write(*names(raw, "ct_train_1001"), VALUES)
    with pytest.raises(ConfigError, match="--modality ct or --modality mr"):
        prepared("mmwhs")


def test_421_is_the_left_atrium_and_is_said(raw: Path, tmp_path: Path, heart: Callable, prepared: Callable) -> None:
    labels = heart().labels(VALUES)
    labels.voxels[4, 15, 16] = 421
    heart().write(*names(raw, "mr_train_1010"), VALUES)
    from cisfa.imaging.volume_files import write_label_map

    write_label_map(labels, names(raw, "mr_train_1010")[1])
    record = prepared("mmwhs")
    label_map = read_label_map(tmp_path / "out" / "labels" / "mmwhs_mr_1010.nii.gz")
    np.testing.assert_array_equal(label_map.voxels, heart().labels(OURS).voxels)
    remarks = record.kept["mmwhs_mr_1010"].remarks
    assert [remark.what for remark in remarks] == ["a label value was a slip"]
    assert "421, which was read as 420 (left atrium)" in remarks[0].detail


def test_another_value_is_refused(raw: Path, heart: Callable, prepared: Callable) -> None:
    heart().write(*names(raw, "mr_train_1001"), {**VALUES, "pulmonary artery": 851})
    with pytest.raises(CaseError, match=r"unknown values.*holds the value 851"):
        prepared("mmwhs")


def test_ventricles_that_are_not_wanted_still_tell_a_mirrored_heart(
    raw: Path, heart: Callable, prepared: Callable, reasons: Callable
) -> None:
    heart(1).write(*names(raw, "ct_train_1001"), VALUES)
    heart(2).flipped(2).write(*names(raw, "ct_train_1002"), VALUES)
    record = prepared("mmwhs")
    assert list(record.kept) == ["mmwhs_ct_1001"]
    assert reasons(record) == {"mmwhs_ct_1002": "the organs lie mirrored or turned"}
    assert "the right ventricle should lie to the right of" in record.left_out["mmwhs_ct_1002"].detail

"""AMOS as its dataset.json lists it: CT up to 500, MR above, validation cases labelled, test cases not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cisfa.data_sets.record import Record
from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.volume_files import read_label_map

VALUES = {"spleen": 1, "right kidney": 2, "left kidney": 3, "liver": 6, "stomach": 7}
NAMES = (
    "background",
    "spleen",
    "right kidney",
    "left kidney",
    "gall bladder",
    "esophagus",
    "liver",
    "stomach",
    "arota",
)


@pytest.fixture
def amos(raw: Path, abdomen: Callable) -> Path:
    """One CT and one MR for training, one of each for validation, an MR for testing."""
    home = raw / "amos22"
    for number, part in ((1, "Tr"), (507, "Tr"), (8, "Va"), (540, "Va")):
        name = f"amos_{number:04}.nii.gz"
        patient(number, abdomen).write(home / f"images{part}" / name, home / f"labels{part}" / name, VALUES)
    abdomen(600).write(home / "imagesTs" / "amos_0600.nii.gz")
    write_list(home, {})
    return home


def patient(number: int, abdomen: Callable) -> Any:
    """With air and fat where its number is a CT's."""
    return replace(abdomen(number), lowest=-200 if number <= 500 else 80)


def write_list(home: Path, changes: dict[str, object]) -> None:
    def entry(number: int, part: str) -> dict[str, str]:
        return {part_: f"./{part_}s{part}/amos_{number:04}.nii.gz" for part_ in ("image", "label")}

    values = {
        "labels": {str(value): name for value, name in enumerate(NAMES)},
        "training": [entry(1, "Tr"), entry(507, "Tr")],
        "validation": [entry(8, "Va"), entry(540, "Va")],
        "test": [{"image": "./imagesTs/amos_0600.nii.gz"}],
    }
    (home / "dataset.json").write_text(json.dumps({**values, **changes}), encoding="utf-8")


def test_the_modality_decides_which_numbers_are_kept(
    amos: Path, tmp_path: Path, abdomen: Callable, prepared: Callable, reasons: Callable
) -> None:
    record: Record = prepared("amos", modality="mr", with_unlabelled=True)
    assert list(record.kept) == ["amos_0507", "amos_0540", "amos_0600"]
    assert reasons(record) == {"amos_0001": "it is CT", "amos_0008": "it is CT"}
    assert [name for name, case in record.kept.items() if not case.has_labels] == ["amos_0600"]
    label_map = read_label_map(tmp_path / "out" / "labels" / "amos_0540.nii.gz")
    ours = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
    np.testing.assert_array_equal(label_map.voxels, abdomen(540).labels(ours).voxels)


def test_number_500_is_the_last_ct(amos: Path, abdomen: Callable, prepared: Callable) -> None:
    patient(500, abdomen).write(amos / "imagesTr" / "amos_0500.nii.gz", amos / "labelsTr" / "amos_0500.nii.gz", VALUES)
    write_list(amos, {"training": [{"image": f"./imagesTr/amos_{number:04}.nii.gz"} for number in (1, 500, 507)]})
    assert list(prepared("amos", modality="ct").kept) == ["amos_0001", "amos_0008", "amos_0500"]


def test_a_volume_that_contradicts_its_number_is_left_out(
    amos: Path, abdomen: Callable, prepared: Callable, reasons: Callable
) -> None:
    labels = amos / "labelsTr"
    patient(1, abdomen).write(amos / "imagesTr" / "amos_0507.nii.gz", labels / "amos_0507.nii.gz", VALUES)
    patient(507, abdomen).write(amos / "imagesTr" / "amos_0001.nii.gz", labels / "amos_0001.nii.gz", VALUES)
    record = prepared("amos", modality="mr")
    assert reasons(record)["amos_0507"] == "it looks like CT"
    assert "amos_0507.nii.gz has intensities below -50" in record.left_out["amos_0507"].detail
    assert list(record.kept) == ["amos_0540"]
    assert reasons(prepared("amos", out="ct", modality="ct"))["amos_0001"] == "it looks like MR"


def test_both_modalities_are_no_one_domain(amos: Path, prepared: Callable) -> None:
    with pytest.raises(ConfigError, match="cannot be one domain"):
        prepared("amos")


def test_organs_have_the_names_of_the_catalogue(amos: Path, prepared: Callable) -> None:
    with pytest.raises(ConfigError, match=r"gallbladder.*oesophagus"):
        prepared("amos", modality="ct", organs=("pancreas",))


def test_validation_cases_listed_without_labels_find_them(amos: Path, prepared: Callable) -> None:
    write_list(amos, {"validation": [{"image": "./imagesVa/amos_0008.nii.gz"}]})
    record = prepared("amos", modality="ct")
    assert list(record.kept) == ["amos_0001", "amos_0008"]


def test_a_listed_volume_that_is_not_there_is_named(amos: Path, prepared: Callable, reasons: Callable) -> None:
    (amos / "imagesTr" / "amos_0001.nii.gz").unlink()
    assert reasons(prepared("amos", modality="ct"))["amos_0001"] == "the volume is missing"


def test_a_list_never_leads_out_of_its_folder(amos: Path, prepared: Callable, reasons: Callable) -> None:
    outside = {"image": "../amos_0002.nii.gz", "label": "../amos_0002.nii.gz"}
    write_list(amos, {"validation": [outside]})
    (amos.parent / "amos_0002.nii.gz").write_bytes((amos / "imagesTr" / "amos_0001.nii.gz").read_bytes())
    record = prepared("amos", modality="ct")
    assert "amos_0002" not in {**record.kept, **record.left_out}


def test_without_its_list_nothing_is_guessed(amos: Path, prepared: Callable) -> None:
    (amos / "dataset.json").unlink()
    with pytest.raises(CaseError, match="Put it back beside imagesTr"):
        prepared("amos", modality="ct")


def test_two_downloads_in_one_folder_are_refused(amos: Path, raw: Path, prepared: Callable) -> None:
    (raw / "copy").mkdir()
    write_list(raw / "copy", {})
    with pytest.raises(CaseError, match="holds AMOS twice"):
        prepared("amos", modality="ct")


def test_a_modality_that_is_not_there_is_refused(amos: Path, prepared: Callable) -> None:
    for path in amos.rglob("amos_05*"):
        path.unlink()
    (amos / "imagesTs" / "amos_0600.nii.gz").unlink()
    with pytest.raises(ConfigError, match="holds no MR, only CT"):
        prepared("amos", modality="mr")

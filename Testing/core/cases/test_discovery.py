import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cisfa.cases.case_list import ListedCase
from cisfa.cases.discovery import discover
from cisfa.errors import CaseError

Touch = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Make empty files below a folder; finding cases opens none."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "Étude 1" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "Étude 1"

    return make


def found(cases: Sequence[ListedCase], folder: Path) -> list[tuple[str, str, str | None]]:
    return [
        (
            case.name,
            case.volume.relative_to(folder).as_posix(),
            None if case.labels is None else case.labels.relative_to(folder).as_posix(),
        )
        for case in cases
    ]


def describe(folder: Path, **values: Any) -> None:
    values = {"labels": {"0": "background", "1": "liver", "2": "spleen"}, **values}
    (folder / "dataset.json").write_text(json.dumps(values), encoding="utf-8")


def test_images_and_labels_are_paired_by_name(touch: Touch) -> None:
    folder = touch("images/b.nrrd", "images/a.nii.gz", "images/._a.nii.gz", "labels/a.mha", "labels/z.nii")
    assert found(discover([folder]), folder) == [
        ("a", "images/a.nii.gz", "labels/a.mha"),
        ("b", "images/b.nrrd", None),
    ]


def test_nnunets_channel_is_no_part_of_a_cases_name(touch: Touch) -> None:
    folder = touch("imagesTr/la_003_0000.nii.gz", "labelsTr/la_003.nii.gz", "imagesTr/la_004_0000.nii.gz")
    assert found(discover([folder]), folder) == [
        ("la_003", "imagesTr/la_003_0000.nii.gz", "labelsTr/la_003.nii.gz"),
        ("la_004", "imagesTr/la_004_0000.nii.gz", None),
    ]


def test_a_second_channel_is_no_case_of_its_own(touch: Touch) -> None:
    with pytest.raises(CaseError, match="second channel of the case a"):
        discover([touch("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz")])


def test_segments_of_a_labelled_case_are_those_of_the_dataset_json(touch: Touch) -> None:
    folder = touch("images/a.nii.gz", "images/b.nii.gz", "labels/a.nii.gz")
    describe(folder, labels={"background": 0, "liver": 4})
    with_labels, without = discover([folder])
    assert [(segment.value, segment.name) for segment in with_labels.segments] == [(4, "liver")]
    assert with_labels.segments[0].code == "SCT:10200004"
    assert without.segments == ()


@pytest.mark.parametrize("points_at", ["", "dataset.json"])
def test_the_decathlons_dataset_json_lists_its_cases(touch: Touch, points_at: str) -> None:
    folder = touch("imagesTr/spleen_2.nii.gz", "labelsTr/spleen_2.nii.gz", "imagesTs/spleen_1.nii.gz")
    describe(
        folder,
        training=[
            {"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/spleen_2.nii.gz"},
            {"image": "./imagesTr/._spleen_2.nii.gz", "label": "./labelsTr/._spleen_2.nii.gz"},
        ],
        test=["./imagesTs/spleen_1.nii.gz"],
    )
    cases = discover([folder / points_at])
    assert found(cases, folder) == [
        ("spleen_2", "imagesTr/spleen_2.nii.gz", "labelsTr/spleen_2.nii.gz"),
        ("spleen_1", "imagesTs/spleen_1.nii.gz", None),
    ]
    assert [len(case.segments) for case in cases] == [2, 0]


def test_a_dataset_json_of_nnunet_leaves_out_the_channel_that_its_files_have(touch: Touch) -> None:
    folder = touch("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0000.nii.gz")
    listed = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    describe(folder, training=listed, test=["./imagesTs/b.nii.gz"])
    assert found(discover([folder]), folder) == [
        ("a", "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
        ("b", "imagesTs/b_0000.nii.gz", None),
    ]


@pytest.mark.parametrize(
    "training", [None, [{"image": "a.nii.gz"}], ["a.nii.gz"], [{"image": 1, "label": "b.nii.gz"}], {"image": "a"}]
)
def test_a_dataset_json_that_lists_nothing_useful_is_said(touch: Touch, training: object) -> None:
    folder = touch("a.nii.gz")
    describe(folder, training=training)
    with pytest.raises(CaseError, match=r"does not list its cases.*Choose the folder of the volumes"):
        discover([folder / "dataset.json"])


def test_a_broken_dataset_json_does_not_hide_a_folders_volumes(touch: Touch) -> None:
    folder = touch("a.nii.gz", "a_seg.nii.gz")
    (folder / "dataset.json").write_text("{", encoding="utf-8")
    assert found(discover([folder]), folder) == [("a", "a.nii.gz", "a_seg.nii.gz")]


@pytest.mark.parametrize(
    "label_map",
    ["a b_seg.nrrd", "a b.seg.nrrd", "a b_label.nii", "a b-labels.nii.gz", "a b segmentation.mha", "a b_GT.nii.gz",
     "label_a b.nii.gz", "seg-a b.nrrd", "mask_a b.nii"],
)  # fmt: skip
def test_loose_label_maps_are_known_by_their_names(touch: Touch, label_map: str) -> None:
    folder = touch("a b.nii.gz", label_map)
    assert found(discover([folder]), folder) == [("a b", "a b.nii.gz", label_map)]
    assert found(discover([folder / "a b.nii.gz"]), folder) == [("a b", "a b.nii.gz", label_map)]
    assert found(discover([folder / label_map, folder / "a b.nii.gz"]), folder) == [("a b", "a b.nii.gz", label_map)]


def test_a_volume_that_is_only_called_like_a_label_map_is_a_volume(touch: Touch) -> None:
    folder = touch("mask.nii.gz", "before_seg.nii.gz", "label_free.nrrd")
    assert [case.name for case in discover([folder])] == ["before_seg", "label_free", "mask"]


def test_files_of_one_name_in_the_folders_of_two_patients_are_not_mixed_up(touch: Touch) -> None:
    folder = touch("p1/ct.nii.gz", "p1/ct_seg.nii.gz", "p2/ct.nii.gz", "p2/ct_seg.nii.gz")
    cases = discover(sorted(folder.rglob("*.nii.gz")))
    assert found(cases, folder) == [
        ("ct", "p1/ct.nii.gz", "p1/ct_seg.nii.gz"),
        ("ct", "p2/ct.nii.gz", "p2/ct_seg.nii.gz"),
    ]


def test_a_label_map_from_another_folder_is_taken_when_it_is_given(touch: Touch) -> None:
    folder = touch("scans/x.nii.gz", "drawn/x_label.nrrd")
    cases = discover([folder / "scans" / "x.nii.gz", folder / "drawn" / "x_label.nrrd"])
    assert found(cases, folder) == [("x", "scans/x.nii.gz", "drawn/x_label.nrrd")]


def test_several_folders_give_their_cases_in_order(touch: Touch) -> None:
    folder = touch("one/images/b.nii.gz", "two/a.nii.gz")
    assert [case.name for case in discover([folder / "one", folder / "two"])] == ["b", "a"]


def test_what_holds_no_case_is_said(touch: Touch) -> None:
    folder = touch("notes.txt", "inner/a.nii.gz")
    with pytest.raises(CaseError, match=r"There is no case in .*Étude 1"):
        discover([folder])
    with pytest.raises(CaseError, match=r"notes\.txt is no volume, folder or dataset\.json"):
        discover([folder / "notes.txt"])

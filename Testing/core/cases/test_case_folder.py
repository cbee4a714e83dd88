from collections.abc import Callable
from pathlib import Path

import pytest

from cisfa.cases.case_folder import (
    CaseFiles,
    labelled_cases,
    organs_beside,
    require_different_patients,
    unlabelled_cases,
)
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


def names_of(cases: list[CaseFiles]) -> list[tuple[str, str, str | None]]:
    return [(case.name, case.volume.name, case.labels and case.labels.name) for case in cases]


def test_volumes_and_label_maps_are_paired_by_name_whatever_their_format(touch: Touch) -> None:
    folder = touch("images/b.nrrd", "images/a.nii.gz", "labels/a.nii", "labels/b.mha", "labels/extra.nii.gz")
    assert names_of(labelled_cases(folder)) == [("a", "a.nii.gz", "a.nii"), ("b", "b.nrrd", "b.mha")]
    assert names_of(unlabelled_cases(folder)) == [("a", "a.nii.gz", None), ("b", "b.nrrd", None)]


def test_nnu_nets_layout_and_names_are_understood(touch: Touch) -> None:
    folder = touch(
        "imagesTr/liver_01_0000.nii.gz", "imagesTr/liver_02_0000.nii.gz",
        "labelsTr/liver_01.nii.gz", "labelsTr/liver_02.nii.gz", "imagesTs/liver_03_0000.nii.gz",
    )  # fmt: skip
    assert [case.name for case in labelled_cases(folder)] == ["liver_01", "liver_02"]
    assert [case.name for case in unlabelled_cases(folder)] == ["liver_01", "liver_02"]


def test_cases_numbered_with_four_digits_are_no_channels(touch: Touch) -> None:
    """AMOS names its cases amos_0001, in nnU-Net's own folders or not."""
    numbered = ("amos_0001.nii.gz", "amos_0004.nii.gz")
    plain = touch(*(f"plain/images/{name}" for name in numbered), *(f"plain/labels/{name}" for name in numbered))
    assert [case.name for case in labelled_cases(plain / "plain")] == ["amos_0001", "amos_0004"]
    folder = touch(
        *(f"as_nnunet/imagesTr/{name}" for name in numbered), *(f"as_nnunet/labelsTr/{name}" for name in numbered)
    )
    assert [case.name for case in labelled_cases(folder / "as_nnunet")] == ["amos_0001", "amos_0004"]
    folder = touch(
        "both/imagesTr/amos_0001_0000.nii.gz", "both/imagesTr/amos_0004_0000.nii.gz",
        *(f"both/labelsTr/{name}" for name in numbered),
    )  # fmt: skip
    assert names_of(labelled_cases(folder / "both")) == [
        ("amos_0001", "amos_0001_0000.nii.gz", "amos_0001.nii.gz"),
        ("amos_0004", "amos_0004_0000.nii.gz", "amos_0004.nii.gz"),
    ]


def test_numbering_may_begin_at_zero(touch: Touch) -> None:
    names = ("ct_0000.nii.gz", "ct_0001.nii.gz")
    folder = touch(*(f"images/{name}" for name in names), *(f"labels/{name}" for name in names))
    assert [case.name for case in labelled_cases(folder)] == ["ct_0000", "ct_0001"]
    assert [case.name for case in unlabelled_cases(folder)] == ["ct_0000", "ct_0001"]


def test_a_label_map_may_bear_the_volumes_name_with_its_channel(touch: Touch) -> None:
    folder = touch("images/a_0000.nii.gz", "labels/a_0000.nii.gz")
    assert names_of(labelled_cases(folder)) == [("a_0000", "a_0000.nii.gz", "a_0000.nii.gz")]


def test_a_second_channel_is_refused(touch: Touch) -> None:
    folder = touch("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    for find in (labelled_cases, unlabelled_cases):
        with pytest.raises(CaseError, match=r"a_0001\.nii\.gz is a second channel of the case a;"):
            find(folder)


def test_what_is_no_volume_is_overlooked(touch: Touch) -> None:
    folder = touch("images/a.nii.gz", "images/._a.nii.gz", "images/notes.txt", "images/Thumbs.db", "labels/a.nii.gz")
    (folder / "images" / "old.nii.gz").mkdir()
    assert [case.name for case in labelled_cases(folder)] == ["a"]


def test_source_cases_without_a_folder_of_label_maps_are_refused(touch: Touch) -> None:
    with pytest.raises(CaseError, match=r"has no label maps in labels \(there is no such folder\)"):
        labelled_cases(touch("images/a.nii.gz"))


def test_source_cases_with_an_empty_folder_of_label_maps_are_refused(touch: Touch) -> None:
    with pytest.raises(CaseError, match="has no label maps in labels"):
        labelled_cases(touch("images/a.nii.gz", "labels/readme.txt"))


def test_the_cases_without_a_label_map_are_named(touch: Touch) -> None:
    folder = touch(*(f"images/case {number}.nii.gz" for number in range(9)), "labels/case 3.nii.gz")
    with pytest.raises(CaseError, match="lacks the label maps of case 0, case 1, case 2, case 4, case 5 and 3 more"):
        labelled_cases(folder)


def test_one_case_in_two_formats_is_refused(touch: Touch) -> None:
    with pytest.raises(CaseError, match=r"holds a twice: a\.nii\.gz and a\.nrrd"):
        unlabelled_cases(touch("images/a.nii.gz", "images/a.nrrd"))


@pytest.mark.parametrize("find", [labelled_cases, unlabelled_cases])
def test_folders_that_hold_nothing_usable_say_so(touch: Touch, find: Callable[[Path], object]) -> None:
    folder = touch("empty/images/readme.txt", "scans/a.nii.gz")
    with pytest.raises(CaseError, match="holds no volumes"):
        find(folder / "empty")
    with pytest.raises(CaseError, match="neither images/ nor imagesTr/"):
        find(folder / "scans")
    with pytest.raises(CaseError, match="is no folder"):
        find(folder / "nowhere")
    with pytest.raises(CaseError, match="is no folder"):
        find(folder / "scans" / "a.nii.gz")


def test_a_targets_label_maps_are_not_even_listed(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = touch("images/a.nii.gz", "labels/a.nii.gz")
    listed: list[str] = []
    real = Path.iterdir

    def spy(self: Path) -> object:
        listed.append(self.name)
        return real(self)

    monkeypatch.setattr(Path, "iterdir", spy)
    assert [case.labels for case in unlabelled_cases(folder)] == [None]
    assert listed == ["images"]


def test_one_patient_in_both_domains_is_refused_by_name(touch: Touch) -> None:
    folder = touch("ct/images/p1.nii.gz", "ct/images/p2.nii.gz", "mr/images/p2.nrrd", "mr/images/p3.nrrd")
    source, target = unlabelled_cases(folder / "ct"), unlabelled_cases(folder / "mr")
    with pytest.raises(CaseError, match=r"both hold p2\..*--same-names-differ"):
        require_different_patients(source, target)
    require_different_patients(source, target, names_may_repeat=True)
    require_different_patients(source, target[1:])


def test_dataset_json_names_the_organs(touch: Touch) -> None:
    folder = touch("images/a.nii.gz")
    assert organs_beside(folder) is None
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "spleen": 3, "liver": 1}}', encoding="utf-8")
    organs = organs_beside(folder)
    assert organs is not None
    assert [(organ.label, organ.name) for organ in organs] == [(1, "liver"), (3, "spleen")]

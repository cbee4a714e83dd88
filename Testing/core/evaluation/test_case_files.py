import json
from pathlib import Path

import pytest

from cisfa.errors import CaseError, ConfigError
from cisfa.evaluation.case_files import match_cases, organs_of_dataset, volumes_in


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_volumes_are_found_by_their_stem(tmp_path: Path) -> None:
    folder = touch(tmp_path / "Étude 3", "b.nii.gz", "a.1.nrrd", "c.NII", "notes.txt", "._b.nii.gz", "dataset.json")
    assert {case: path.name for case, path in volumes_in(folder).items()} == {
        "a.1": "a.1.nrrd",
        "b": "b.nii.gz",
        "c": "c.NII",
    }


def test_two_files_of_one_case_are_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"a\.nii\.gz and a\.nrrd"):
        volumes_in(touch(tmp_path, "a.nrrd", "a.nii.gz"))


def test_a_folder_without_volumes_or_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="holds no volume"):
        volumes_in(touch(tmp_path / "empty", "readme.md"))
    with pytest.raises(CaseError, match="missing is no folder"):
        volumes_in(tmp_path / "missing")


def test_cases_are_matched_by_name_and_nnunets_suffix_is_tolerated() -> None:
    labels = {"a": Path("a.nii"), "b": Path("b.nii"), "c": Path("c.nii"), "d_0000": Path("d_0000.nii")}
    volumes = {stem: Path(f"images/{stem}.nii.gz") for stem in ("a_0000", "b", "b_0000", "d_0000", "x")}
    matched = match_cases(labels, volumes)
    assert {case: path.name for case, path in matched.files.items()} == {
        "a": "a_0000.nii.gz",
        "b": "b.nii.gz",
        "d_0000": "d_0000.nii.gz",
    }
    assert matched.missing == ("c",)
    assert matched.surplus == ("b_0000.nii.gz", "x.nii.gz")


@pytest.mark.parametrize("place", [".", ".."])
@pytest.mark.parametrize(
    "labels", [{"background": 0, "liver": 1, "spleen": 4}, {"0": "background", "4": "spleen", "1": "liver"}]
)
def test_a_data_sets_description_names_the_organs(tmp_path: Path, place: str, labels: dict[str, object]) -> None:
    folder = touch(tmp_path / "labelsTr")
    (folder / place / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    organs = organs_of_dataset(folder)
    assert organs is not None
    assert [(organ.label, organ.name) for organ in organs] == [(1, "liver"), (4, "spleen")]


def test_without_a_description_there_are_no_names(tmp_path: Path) -> None:
    assert organs_of_dataset(touch(tmp_path / "a" / "labels")) is None


def test_a_broken_description_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"dataset\.json"):
        organs_of_dataset(tmp_path)

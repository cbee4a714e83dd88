import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cisfa.cases.case_list import CaseList, ListedCase, read_case_list, write_case_list
from cisfa.errors import CaseError
from cisfa.imaging.organs import Code, catalogue_organ
from cisfa.imaging.segments import Segment

LIVER = Segment(5, "Leber", Code("SCT", "10200004", "Liver"))
OTHER = Segment(2, "label 2")


def a_list(folder: Path) -> CaseList:
    source = ListedCase(
        "Müller, Zoë", folder / "Fälle CT" / "a b.nii.gz", labels=folder / "Fälle CT" / "a b_seg.nii.gz",
        segments=(LIVER, OTHER), patient_keys=("0a1b",),
    )  # fmt: skip
    few = ListedCase("mr", folder / "mr.nrrd", few_labels=folder / "few.seg.nrrd", segments=(LIVER,))
    mapping = {LIVER.key: "liver", OTHER.key: None}
    return CaseList(
        (source,), (few, ListedCase("plain", folder / "plain.mha")), (catalogue_organ("liver", 1),), mapping
    )


def written(folder: Path, values: Any) -> Path:
    path = folder / "cases.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_a_list_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "Liste é.json"
    write_case_list(a_list(tmp_path), path)
    assert read_case_list(path) == a_list(tmp_path)
    assert "Müller" in path.read_text(encoding="utf-8")


def test_a_folder_can_be_moved_with_its_list_in_it(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    write_case_list(a_list(tmp_path / "before"), tmp_path / "before" / "cases.json")
    (tmp_path / "before").rename(tmp_path / "nach her")
    assert read_case_list(tmp_path / "nach her" / "cases.json") == a_list(tmp_path / "nach her")


def test_what_lies_elsewhere_keeps_its_whole_path(tmp_path: Path) -> None:
    elsewhere = CaseList(source=(ListedCase("a", tmp_path / "data" / "a.nii.gz"),))
    write_case_list(elsewhere, tmp_path / "lists" / "cases.json")
    stored = json.loads((tmp_path / "lists" / "cases.json").read_text(encoding="utf-8"))
    assert Path(stored["source"][0]["volume"]).is_absolute()
    assert read_case_list(tmp_path / "lists" / "cases.json") == elsewhere


def test_paths_within_the_folder_are_written_with_slashes(tmp_path: Path) -> None:
    write_case_list(a_list(tmp_path), tmp_path / "cases.json")
    stored = json.loads((tmp_path / "cases.json").read_text(encoding="utf-8"))
    assert stored["source"][0]["volume"] == "Fälle CT/a b.nii.gz"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([], "is no list of cases"),
        ({}, "has no schema"),
        ({"schema": True}, "has no schema"),
        ({"schema": 2}, "newer version.*schema 2.*Update"),
        ({"schema": 1, "sauce": []}, "Did you mean source"),
        ({"schema": 1, "source": [{"name": "a"}]}, "volume is missing"),
        ({"schema": 1, "source": [{"name": "a", "volume": 3}]}, "must be a text"),
        ({"schema": 1, "source": {}}, "must be a list"),
        ({"schema": 1, "source": [{"name": "a", "volume": "x"}, {"name": "a", "volume": "y"}]}, "source case a twice"),
        ({"schema": 1, "target": [{"name": "a", "volume": "x"}] * 2}, "target case a twice"),
        (
            {"schema": 1, "source": [{"name": "a", "volume": "x", "segments": [{"value": 0, "name": "b"}]}]},
            "has the label 0; labels are from 1 to 65535",
        ),
        (
            {"schema": 1, "source": [{"name": "a", "volume": "x", "segments": [{"value": 3, "name": "b"}] * 2}]},
            "value of a's label map 3 twice",
        ),
        ({"schema": 1, "organs": [{"name": "a", "label": 70000, "colour": [1, 2, 3]}]}, "has the label 70000"),
        (
            {"schema": 1, "organs": [{"name": n, "label": 1, "colour": [1, 2, 3]} for n in "ab"]},
            "has the label 1 twice",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_list_is_said(tmp_path: Path, values: Any, complaint: str) -> None:
    with pytest.raises(CaseError, match=complaint) as caught:
        read_case_list(written(tmp_path, values))
    assert "cases.json" in str(caught.value)


def test_files_that_are_no_json_or_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"cannot be read: No such file"):
        read_case_list(tmp_path / "nowhere.json")
    (tmp_path / "half.json").write_text('{"schema": 1, "source": [', encoding="utf-8")
    with pytest.raises(CaseError, match=r"is not JSON .*Choose a list of cases"):
        read_case_list(tmp_path / "half.json")
    (tmp_path / "latin.json").write_bytes('{"schema": 1, "é": 1}'.encode("latin-1"))
    with pytest.raises(CaseError, match="is not JSON"):
        read_case_list(tmp_path / "latin.json")


def test_one_name_may_be_in_both_domains(tmp_path: Path) -> None:
    case = ListedCase("a", tmp_path / "a.nii.gz")
    write_case_list(CaseList((case,), (case,)), tmp_path / "cases.json")
    assert read_case_list(tmp_path / "cases.json").target == (case,)


def test_values_become_the_organs_labels(tmp_path: Path) -> None:
    cases = a_list(tmp_path)
    assert cases.values_of(cases.source[0]) == {5: 1, 2: 0}


def test_a_segment_without_a_meaning_is_named(tmp_path: Path) -> None:
    cases = a_list(tmp_path)
    with pytest.raises(CaseError, match=r"Müller, Zoë has the segment Leber, and nobody has said"):
        replace(cases, mapping={}).values_of(cases.source[0])
    with pytest.raises(CaseError, match=r"learned as spleen, which is none of the organs \(liver\)"):
        replace(cases, mapping={LIVER.key: "spleen", OTHER.key: None}).values_of(cases.source[0])

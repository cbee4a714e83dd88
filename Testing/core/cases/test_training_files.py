from dataclasses import replace
from pathlib import Path

import pytest

from cisfa.cases.case_folder import CaseFiles
from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.training_files import source_files, target_files
from cisfa.errors import CaseError
from cisfa.imaging.organs import catalogue_organ
from cisfa.imaging.segments import Segment

SEGMENTS = (Segment(5, "liver"), Segment(7, "couch"))
CT = ListedCase("ct", Path("ct.nii.gz"), labels=Path("ct_seg.nii.gz"), segments=SEGMENTS, patient_keys=("a", "b"))
MR = ListedCase("mr", Path("mr.nii.gz"), labels=Path("expert.nii.gz"), patient_keys=("c",))
CASES = CaseList((CT,), (MR,), (catalogue_organ("liver", 1),), {"liver": "liver", "couch": None})


def test_source_cases_come_with_what_their_values_mean() -> None:
    assert source_files(CASES) == [CaseFiles("ct", CT.volume, CT.labels, values={5: 1, 7: 0}, patient_keys=("a", "b"))]


def test_values_that_nobody_named_are_taken_as_they_are() -> None:
    assert source_files(replace(CASES, source=(replace(CT, segments=()),)))[0].values is None


def test_the_label_maps_of_target_cases_are_not_handed_on() -> None:
    assert target_files(CASES) == [CaseFiles("mr", MR.volume, None, patient_keys=("c",))]


def test_few_labels_are_handed_on_with_their_meaning() -> None:
    few = replace(MR, few_labels=Path("few.nii.gz"), segments=SEGMENTS)
    expected = CaseFiles("mr", MR.volume, None, few_labels=few.few_labels, values={5: 1, 7: 0}, patient_keys=("c",))
    assert target_files(replace(CASES, target=(few,))) == [expected]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"source": ()}, "no source cases"),
        ({"organs": ()}, "names no organ"),
        ({"source": (replace(CT, labels=None),)}, "ct has no label map"),
        ({"mapping": {"liver": "liver"}}, "segment couch, and nobody has said"),
    ],
)
def test_a_source_that_cannot_be_learned_from_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(CaseError, match=complaint):
        source_files(replace(CASES, **change))  # type: ignore[arg-type]


def test_a_list_without_target_is_refused_when_the_target_is_asked_for() -> None:
    with pytest.raises(CaseError, match="no target cases"):
        target_files(replace(CASES, target=()))


def test_one_patient_on_both_sides_is_found_by_any_of_their_keys() -> None:
    same = replace(CASES, target=(MR, replace(MR, name="mr 2", patient_keys=("x", "b"))))
    with pytest.raises(CaseError, match="source case ct and the target case mr 2 are of one patient"):
        target_files(same)
    assert len(source_files(same)) == 1  # for a method that asks for no target nothing is wrong
    assert len(target_files(CASES)) == 1

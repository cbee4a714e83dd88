import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cisfa.cases.check_report import (
    CaseFacts,
    CheckReport,
    Estimate,
    Finding,
    FoundSegment,
    Intensities,
    read_check_report,
    write_check_report,
)
from cisfa.errors import CaseError
from cisfa.imaging.organs import Code
from cisfa.imaging.segments import Segment

FACTS = CaseFacts(
    domain="source", name="Zoë 1", shape=(5, 40, 37), spacing_mm=(5.0, 0.7, 0.7), acquired_plane="axial", plane="axial",
    slices=5, body_mm=(210.0, 330.5), modality="CT", intensities=Intensities(-1024, -1000, -3.5, 210, 1800),
    size_bytes=2**33, fingerprint="0f", has_labels=True, labelled_slices=3, thumbnail="/somewhere/0f.png",
    segments=(FoundSegment(Segment(3, "Leber", Code("SCT", "10200004", "Liver")), 812, is_listed=True),),
)  # fmt: skip
BROKEN = CaseFacts("target", "mr", problem="mr.nii.gz does not exist.")
ESTIMATE = Estimate(
    device="a card", steps=1000, step_s=0.25, time_basis="measured", memory_mib=900.5, memory_basis="computed",
    free_memory_mib=None, total_memory_mib=None, disk_mib=80.0, free_disk_mib=5e5,
)  # fmt: skip
REPORT = CheckReport(
    cases=(FACTS, BROKEN),
    findings=(Finding("error", "mr: é", ("mr",), "target"), Finding("warning", "few cases")),
    estimate=ESTIMATE,
)


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, estimate=None), CheckReport()])
def test_a_report_comes_back_as_it_was_saved(tmp_path: Path, report: CheckReport) -> None:
    write_check_report(report, tmp_path / "Bericht é.json")
    assert read_check_report(tmp_path / "Bericht é.json") == report


def test_errors_and_warnings_are_told_apart() -> None:
    assert [finding.message for finding in REPORT.errors] == ["mr: é"]
    assert [finding.message for finding in REPORT.warnings] == ["few cases"]
    assert REPORT.has_errors
    assert not replace(REPORT, findings=REPORT.warnings).has_errors


def test_the_time_of_a_training_follows_from_its_steps() -> None:
    assert ESTIMATE.total_s == 250
    assert replace(ESTIMATE, step_s=None).total_s is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is damaged"),
        ("[]", "is no report on cases"),
        ('{"schema": true}', "is no report on cases"),
        ('{"schema": 2}', r"newer version of CISFA \(schema 2\)\. Update"),
        ('{"schema": 1, "cases": [{"name": "a"}]}', r"is damaged .*domain is missing.*Check the cases again"),
        ('{"schema": 1, "cases": [{"name": "a", "domain": "sauce"}]}', "is damaged .*one of source, target"),
        ('{"schema": 1, "findings": [{"severity": "error", "message": 3}]}', "is damaged .*must be a text"),
        ('{"schema": 1, "more": 3}', "is damaged .*no setting more"),
    ],
)
def test_what_is_wrong_with_a_report_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(CaseError, match=complaint):
        read_check_report(tmp_path / "report.json")


def test_a_report_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"cannot be read: No such file.*Check the cases again"):
        read_check_report(tmp_path / "nowhere.json")


def test_the_file_is_text_that_a_person_can_read(tmp_path: Path) -> None:
    write_check_report(REPORT, tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "Zoë 1" in text
    assert json.loads(text)["schema"] == 1


def test_slicers_process_can_read_reports_and_headers_without_anything_heavy() -> None:
    code = (
        "import sys, cisfa.cases.check_report, cisfa.cases.discovery, cisfa.cases.organ_mapping,"
        " cisfa.imaging.segmentation_header\n"
        "print(*[name for name in ('numpy', 'SimpleITK', 'torch', 'matplotlib') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, encoding="utf-8")
    assert answer.stdout.split() == []

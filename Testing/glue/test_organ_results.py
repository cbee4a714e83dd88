import json
from pathlib import Path

import pytest

from CISFASegmentationLib.organ_results import OrganResult, ReportError, read_report


def organ(**changes: object) -> OrganResult:
    values = {
        "name": "liver",
        "label": 1,
        "volume_ml": 1500.0,
        "mean_intensity": 80.0,
        "components": 1,
        "touches_edge": False,
    }
    return OrganResult(**{**values, **changes})


@pytest.mark.parametrize(
    ("found", "remarks"),
    [
        (organ(), ()),
        (organ(components=3), ("3 components",)),
        (organ(touches_edge=True), ("touches the volume's edge",)),
        (organ(components=2, touches_edge=True), ("2 components", "touches the volume's edge")),
        (organ(components=0, volume_ml=0.0, mean_intensity=None), ("nothing found",)),
    ],
)
def test_what_should_be_doubted_is_said(found: OrganResult, remarks: tuple[str, ...]) -> None:
    assert found.remarks == remarks


@pytest.mark.parametrize("content", ["", "{}", '{"organs": [{}]}', '{"organs": 3}', '{"organs": []}'])
def test_a_broken_report_is_a_sentence(content: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReportError, match="no usable report"):
        read_report(path)


def test_a_missing_report_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no usable report"):
        read_report(tmp_path / "report.json")


def test_a_report_is_read_in_its_order(tmp_path: Path) -> None:
    organs = [vars(organ(name="spleen", label=4, mean_intensity=None)), vars(organ())]
    values = {"bundle": {"checksum": "c" * 64}, "device": "CPU", "organs": organs, "more": "from a newer version"}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    report = read_report(path)
    assert [found.name for found in report.organs] == ["spleen", "liver"]
    assert (report.bundle_checksum, report.device) == ("c" * 64, "CPU")
    assert report.organs[0].mean_intensity is None

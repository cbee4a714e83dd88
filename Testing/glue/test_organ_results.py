import json
from pathlib import Path

import pytest

from CISFASegmentationLib.organ_results import Level, OrganResult, Quality, ReportError, organ_values, read_report


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


def judged(level: Level, *reasons: str, **changes: object) -> OrganResult:
    return organ(quality=Quality(level, 0.5, reasons), **changes)


@pytest.mark.parametrize(
    ("found", "remarks"),
    [
        (judged(Level.GREEN), ()),
        (judged(Level.GREEN, components=2), ("2 components",)),
        (
            judged(Level.RED, "In 3 pieces; the largest holds 61 %.", components=3),
            ("In 3 pieces; the largest holds 61 %.",),
        ),
        (judged(Level.RED, "It has 13 pieces.", components=3), ("It has 13 pieces.", "3 components")),
        (judged(Level.RED, "In 1,204 pieces.", components=1204), ("In 1,204 pieces.",)),
        (judged(Level.RED, "In 1,204 pieces.", components=204), ("In 1,204 pieces.", "204 components")),
        (judged(Level.AMBER, "A part is odd.", components=3), ("A part is odd.", "3 components")),
        (
            judged(Level.AMBER, "It reaches the edge of the volume.", components=2, touches_edge=True),
            ("It reaches the edge of the volume.", "2 components"),
        ),
        (judged(Level.RED, "Nothing was found.", components=0), ("Nothing was found.",)),
        (judged(Level.RED, components=0), ("nothing found",)),
    ],
)
def test_nothing_is_said_twice_and_nothing_is_left_out(found: OrganResult, remarks: tuple[str, ...]) -> None:
    assert found.remarks == remarks


@pytest.mark.parametrize(
    ("found", "is_doubtful"),
    [
        (organ(), False),
        (organ(touches_edge=True), True),
        (judged(Level.GREEN), False),
        (judged(Level.GREEN, touches_edge=True), False),  # weighed already
        (judged(Level.GREEN, components=0), True),
        (judged(Level.AMBER), True),
        (judged(Level.RED), True),
        (judged(Level.RED, is_edited=True), False),
        (organ(components=0, is_edited=True), False),
    ],
)
def test_an_organ_is_doubtful_when_its_quality_says_so_or_without_one_its_remarks(
    found: OrganResult, is_doubtful: bool
) -> None:
    assert found.is_doubtful == is_doubtful


def write_entry(folder: Path, **values: object) -> Path:
    entry = {"name": "liver", "label": 1, "volume_ml": 1.0, "mean_intensity": 1, "components": 1, "touches_edge": False}
    path = folder / "report.json"
    content = {"bundle": {"checksum": "c"}, "device": "CPU", "organs": [{**entry, **values}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_quality_is_read_with_its_reasons(tmp_path: Path) -> None:
    values = {
        "level": "amber",
        "score": 0.62,
        "reasons": ["Größer als üblich.", "In 2 pieces."],
        "more": "of a newer one",
    }
    (found,) = read_report(write_entry(tmp_path, quality=values)).organs
    assert found.quality == Quality(Level.AMBER, 0.62, ("Größer als üblich.", "In 2 pieces."))


@pytest.mark.parametrize(
    "quality",
    [
        None,
        "red",
        [],
        {},
        {"level": "blue", "score": 0.1, "reasons": []},
        {"level": ["red"], "score": 0.1, "reasons": []},
        {"level": "red", "score": None, "reasons": []},
        {"level": "red", "score": float("nan"), "reasons": []},
        {"level": "red", "score": 0.1, "reasons": "many"},
    ],
)
def test_a_quality_that_is_missing_or_not_understood_costs_nobody_the_segmentation(
    quality: object, tmp_path: Path
) -> None:
    (found,) = read_report(write_entry(tmp_path, quality=quality)).organs
    assert (found.name, found.quality) == ("liver", None)


@pytest.mark.parametrize("found", [organ(mean_intensity=None), judged(Level.RED, "In 3 pieces.", components=3)])
def test_what_is_written_of_an_organ_is_read_again(found: OrganResult, tmp_path: Path) -> None:
    assert read_report(write_entry(tmp_path, **organ_values(found))).organs == (found,)

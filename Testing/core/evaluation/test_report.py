import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cisfa.errors import CaseError, ConfigError
from cisfa.evaluation.contours import ContourCase
from cisfa.evaluation.report import require_free_folder, write_report
from cisfa.evaluation.score_case import CaseScores, score_case
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap

GEOMETRY = Geometry.from_axes((4, 12, 15), spacing_mm=(5.0, 1.5, 1.5))
ORGANS = parse_organs("1=liver,4=spleen")
CASES = ("Müller 1", "b", "c")


def label_map(start: int, *, spleen: bool = True) -> LabelMap:
    voxels = np.zeros(GEOMETRY.shape, np.uint8)
    voxels[1:3, start : start + 5, 2:8] = 1
    voxels[2, 9:11, 10:13] = 4 if spleen else 0
    return LabelMap(voxels, GEOMETRY)


def scores_of(*shifts: int, spleen: bool = True) -> list[CaseScores]:
    return [
        score_case(label_map(1 + shift, spleen=spleen), label_map(1), ORGANS, case=case)
        for case, shift in zip(CASES, shifts, strict=False)
    ]


def contours_of(drawn: list[str]) -> Callable[[str], ContourCase]:
    def load(case: str) -> ContourCase:
        drawn.append(case)
        return ContourCase(case, label_map(1), label_map(2))

    return load


def test_one_method_is_reported_in_four_files(tmp_path: Path) -> None:
    drawn: list[str] = []
    folder = tmp_path / "Bericht für März"
    written = write_report({"cisfa": scores_of(2, 0, 1)}, folder, contours=contours_of(drawn))
    assert [path.name for path in written] == ["scores.csv", "summary.json", "report.md", "contours.png"]
    assert {path.name for path in folder.iterdir()} == {path.name for path in written}
    assert drawn == ["Müller 1", "c", "b"]  # worst, median, best
    assert (folder / "contours.png").read_bytes().startswith(b"\x89PNG")
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "## cisfa: 3 cases" in report
    assert "](contours.png)" in report
    assert "Paired tests" not in report


def test_the_scores_have_a_row_for_each_case_and_organ(tmp_path: Path) -> None:
    write_report({"cisfa": scores_of(1, 0, spleen=False)}, tmp_path / "out")
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["case"], row["organ"], row["label"]) for row in rows] == [
        ("cisfa", case, organ, label) for case in CASES[:2] for organ, label in (("liver", "1"), ("spleen", "4"))
    ]
    liver, spleen = rows[0], rows[1]
    assert float(liver["dice"]) == pytest.approx(0.8)
    assert float(liver["true_ml"]) == pytest.approx(60 * 5 * 1.5 * 1.5 / 1000)
    assert (spleen["dice"], spleen["assd_mm"], spleen["remark"]) == ("0.000000", "", "prediction empty")


def test_empty_masks_are_counted_and_listed(tmp_path: Path) -> None:
    write_report({"cisfa": scores_of(1, 0, spleen=False)}, tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "- Müller 1, spleen: prediction empty" in report
    assert "- b, spleen: prediction empty" in report


def test_the_summary_holds_everything_for_machines(tmp_path: Path) -> None:
    scores = {"cisfa": scores_of(0, 1, 2), "plain": scores_of(2, 2, 3)}
    write_report(scores, tmp_path / "out", reference="plain")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    ours, theirs = summary["methods"]
    assert (summary["format"], summary["reference"]) == (1, "plain")
    assert (ours["method"], theirs["method"]) == ("cisfa", "plain")
    assert ours["cases"][0]["case"] == "Müller 1"
    assert ours["cases"][1]["organs"][0]["dice"] == scores["cisfa"][1].organs[0].dice
    assert ours["summary"][0]["organ"] == "liver"
    assert ours["summary"][0]["measures"]["dice"]["mean"] == pytest.approx((1.0 + 0.8 + 0.6) / 3)
    assert ours["against_reference"]["dice"]["liver"]["mean_difference"] == pytest.approx((0.4 + 0.2 + 0.2) / 3)
    assert ours["against_reference"]["dice"]["spleen"]["remark"] == "all differences are zero"
    assert theirs["against_reference"] == {}


def test_many_methods_are_each_compared_with_the_reference(tmp_path: Path) -> None:
    scores = {"cisfa": scores_of(0, 1, 0), "no weights": scores_of(1, 1, 2), "plain": scores_of(2, 2, 3)}
    write_report(scores, tmp_path / "out", reference="plain")
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "### cisfa against plain" in report
    assert "### no weights against plain" in report
    assert "### plain against plain" not in report
    assert "| method (ASSD mm)" in report


def test_methods_without_a_reference_stand_side_by_side(tmp_path: Path) -> None:
    write_report({"cisfa": scores_of(0, 1), "plain": scores_of(2, 2, 3)}, tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "| method (Dice %, all slices)" in report
    assert "Paired tests" not in report


def test_a_report_is_not_overwritten_unless_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_report({"old": scores_of(2)}, folder, contours=contours_of([]))
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    before = (folder / "report.md").read_bytes()
    with pytest.raises(ConfigError, match="is not empty"):
        write_report({"new": scores_of(1)}, folder)
    assert (folder / "report.md").read_bytes() == before
    write_report({"new": scores_of(1)}, folder, overwrite=True)
    assert "## new: 1 case\n" in (folder / "report.md").read_text(encoding="utf-8")
    assert not (folder / "contours.png").exists()  # the old report's
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="is a file"):
        require_free_folder(tmp_path / "out", overwrite=True)


def test_nothing_is_written_when_a_case_cannot_be_drawn(tmp_path: Path) -> None:
    def fail(case: str) -> ContourCase:
        raise CaseError(f"{case} is gone")

    with pytest.raises(CaseError, match="is gone"):
        write_report({"cisfa": scores_of(1, 2)}, tmp_path / "out", contours=fail)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("methods", [{}, {"cisfa": []}])
def test_a_report_of_nothing_is_refused(tmp_path: Path, methods: dict[str, list[CaseScores]]) -> None:
    with pytest.raises(ConfigError, match="no case"):
        write_report(methods, tmp_path / "out")


def test_an_unknown_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'plain' is none of the methods cisfa"):
        write_report({"cisfa": scores_of(1)}, tmp_path / "out", reference="plain")


def test_a_case_scored_twice_is_refused_even_for_one_method(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="more often: Müller 1"):
        write_report({"cisfa": scores_of(1) + scores_of(2)}, tmp_path / "out")

"""The report of a cross-validation, from results made by hand."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cisfa.evaluation.contours import ContourCase
from cisfa.evaluation.score_case import CaseScores, OrganScore
from cisfa.evaluation.statistics import ASSD, DICE, OVER_ORGANS
from cisfa.evaluation.study_report import write_study_report
from cisfa.evaluation.study_results import RowResult, StudyResults, TrainingResult
from cisfa.evaluation.study_summary import compact_json
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import Organ, parse_organs
from cisfa.imaging.volume import LabelMap

ORGANS = parse_organs("1=liver,4=spleen")
# fold -> its cases; folds differ in size, so that a mean of folds is none of cases
FOLDS = {1: ("Müller 1", "b"), 2: ("c",)}
DICE_OF = {"Müller 1": 0.9, "b": 0.7, "c": 0.5}


def organ_score(organ: Organ, dice: float) -> OrganScore:
    return OrganScore(
        organ=organ, dice=dice, dice_organ_slices=dice, assd_mm=10 * (1 - dice), hd95_mm=20 * (1 - dice),
        predicted_ml=5.0, true_ml=5.0, remark="",
    )  # fmt: skip


def training(fold: int, seed: int, worse: float) -> TrainingResult:
    scores = [
        CaseScores(case, (organ_score(ORGANS[0], DICE_OF[case] - worse), organ_score(ORGANS[1], DICE_OF[case] - 0.2)))
        for case in FOLDS[fold]
    ]
    return TrainingResult(fold, seed, tuple(scores), minutes=10.0 * fold, steps=4000, hardware="CPU, 2 threads")


def row(name: str, *worse_of_seeds: float, settings: dict[str, Any] | None = None) -> RowResult:
    trainings = [training(fold, seed, worse) for seed, worse in enumerate(worse_of_seeds) for fold in FOLDS]
    return RowResult(name, "cisfa", settings or {}, name == "CISFA", tuple(trainings))


def results_of(*rows: RowResult) -> StudyResults:
    return StudyResults(
        rows=rows, reference=rows[0].name if len(rows) > 1 else None, settings={"schedule.steps": 4000}, folds=2,
        fold_seed=7, source_cases=24, target_cases=3,
    )  # fmt: skip


def write(results: StudyResults, folder: Path, figure: str = "CISFA") -> dict[str, Any]:
    voxels = np.zeros((3, 8, 10), np.uint8)
    voxels[1, 2:5, 2:6] = 1
    label_map = LabelMap(voxels, Geometry.from_axes(voxels.shape, spacing_mm=(5.0, 1.5, 1.2)))
    write_study_report(results, folder, figure=figure, contours=lambda case: ContourCase(case, label_map, label_map))
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary


def test_means_are_taken_over_cases_and_over_folds(tmp_path: Path) -> None:
    liver = write(results_of(row("CISFA", 0.0)), tmp_path / "Bericht für März")["rows"][0]["dice"]["liver"]
    assert liver["mean"] == pytest.approx(0.7)
    assert liver["sd"] == pytest.approx(np.std([0.9, 0.7, 0.5], ddof=1), rel=1e-4)
    assert liver["folds"] == [0.8, 0.5]
    assert liver["folds_mean"] == pytest.approx(0.65)
    assert liver["folds_sd"] == pytest.approx(np.std([0.8, 0.5], ddof=1), rel=1e-4)


def test_several_seeds_count_as_one_and_their_spread_stands_apart(tmp_path: Path) -> None:
    results = results_of(row("CISFA", 0.0, 0.1))
    entry = write(results, tmp_path)["rows"][0]
    assert (entry["cases"], entry["trainings"], entry["dice"]["liver"]["n"]) == (3, 4, 3)
    assert entry["dice"]["liver"]["mean"] == pytest.approx(0.65)
    assert [one["seed"] for one in entry["seed_means"]] == [0, 1]
    assert [one["dice"] for one in entry["seed_means"]] == pytest.approx([0.6, 0.55])
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Over seeds" in report
    line = next(line for line in report[report.index("## Over seeds") :].splitlines() if line.startswith("| CISFA"))
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["CISFA", "60.0", "55.0", "57.5 ± 3.5"]


def test_one_seed_needs_no_table_of_seeds(tmp_path: Path) -> None:
    write(results_of(row("CISFA", 0.0)), tmp_path)
    assert "## Over seeds" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_every_row_is_tested_against_the_reference_with_both_tests(tmp_path: Path) -> None:
    ours, other = write(results_of(row("CISFA", 0.0), row("no weight", 0.1)), tmp_path)["rows"]
    assert ours["against_reference"] == {}
    assert set(other["against_reference"]) == {"dice", "assd_mm"}
    test = other["against_reference"]["dice"]["liver"]
    assert test["n"] == 3
    assert test["mean_difference"] == pytest.approx(-0.1)
    assert test["wilcoxon_p"] == pytest.approx(0.25)
    assert set(other["against_reference"]["assd_mm"]) == {"liver", "spleen", OVER_ORGANS}


def test_what_a_row_took_and_how_it_differs_stands_in_the_report(tmp_path: Path) -> None:
    rows = (row("CISFA", 0.0), row("no weight", 0.1, settings={"patch_contrast.organ_weight": 1.0}))
    ours, other = write(results_of(*rows), tmp_path)["rows"]
    assert (ours["chosen"], other["chosen"]) == (True, False)
    assert other["settings"] == {"patch_contrast.organ_weight": 1.0}
    assert (other["minutes"]["mean"], other["steps"], other["hardware"]) == (15.0, [4000], ["CPU, 2 threads"])
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "patch_contrast.organ_weight=1.0" in report
    assert "schedule.steps=4000" in report
    assert "15.0 ± 7.1" in report


def test_the_scores_of_each_training_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    write(results_of(row("CISFA", 0.0, 0.1)), tmp_path)
    with (tmp_path / "trainings.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 3 * 2  # seeds, cases, organs
    of_c = [(line["fold"], line["seed"], float(line["dice"])) for line in lines if line["case"] == "c"]
    assert of_c == [("2", "0", 0.5), ("2", "0", 0.3), ("2", "1", 0.4), ("2", "1", 0.3)]


def test_the_figure_shows_the_row_that_is_asked_for(tmp_path: Path) -> None:
    write(results_of(row("CISFA", 0.0), row("no weight", 0.1)), tmp_path, figure="no weight")
    assert "## Contours of no weight" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_without_anything_to_draw_there_is_no_figure_and_an_older_one_goes(tmp_path: Path) -> None:
    write(results_of(row("CISFA", 0.0)), tmp_path)
    assert (tmp_path / "contours.png").is_file()
    written = write_study_report(results_of(row("CISFA", 0.0)), tmp_path, figure="CISFA", contours=lambda case: None)
    assert not (tmp_path / "contours.png").exists()
    assert tmp_path / "contours.png" not in written
    assert "Contours" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_means_over_folds_and_seeds_agree_with_those_of_the_cases() -> None:
    result = row("CISFA", 0.0, 0.2)
    assert result.means_of_folds(ASSD)["liver"] == pytest.approx([3.0, 6.0])
    assert result.mean_of_seed(DICE, 1) == pytest.approx((0.5 + 0.5) / 2)


def test_json_is_laid_out_in_few_lines_and_stays_json() -> None:
    value = {"short": [1, 2, 3], "row": {"é": list(range(100))}, "empty": {}, "none": None, "third": 1 / 3}
    text = compact_json(value)
    assert json.loads(text) == {**value, "third": 0.33333}
    assert ' "short": [1, 2, 3],' in text.splitlines()
    assert max(map(len, text.splitlines())) <= 160

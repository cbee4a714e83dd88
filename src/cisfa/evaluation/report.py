"""Write an evaluation into a folder: scores.csv, summary.json, report.md and contours.png.

One method or many go through the same code: a report of one method is a comparison without a reference.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cisfa import __version__
from cisfa.errors import ConfigError
from cisfa.evaluation.contours import ContourCase, draw_contours, worst_median_best
from cisfa.evaluation.score_case import CaseScores, OrganScore
from cisfa.evaluation.statistics import (
    ASSD,
    DICE,
    DICE_ORGAN_SLICES,
    MEASURES,
    Measure,
    PairedTest,
    case_mean,
    compare,
    organs_of,
    require_each_case_once,
    summarise,
)
from cisfa.evaluation.tables import methods_table, organs_table, paired_tests_table
from cisfa.whole_files import write_text, write_whole

SCORES = "scores.csv"
SUMMARY = "summary.json"
REPORT = "report.md"
CONTOURS = "contours.png"
SUMMARY_FORMAT = 1

_COLUMNS = ("dice", "dice_organ_slices", "assd_mm", "hd95_mm", "predicted_ml", "true_ml")
_HOW_TO_READ = """\
Dice is 100 % when prediction and truth are the same mask and 0 % when they share no voxel. "Organ slices" are the
slices in which the truth of any organ is present; false positives in the other slices count in "all slices" alone.
ASSD (average symmetric surface distance) and HD95 (95 % Hausdorff distance) are in mm on the grid of the labels.

A mask without a voxel has no surface: such cases are counted in the last three columns and are missing from ASSD and
HD95, so a method that finds nothing is not punished there, but has a Dice of 0. Where both masks are empty there is no
Dice either. Values are mean ± standard deviation over cases (n - 1); the last row averages each case over its organs
first.
"""
_HOW_TO_READ_TESTS = """\
p-values are two-sided and not corrected for the number of comparisons; in the tables of methods they are those of the
paired t-test. Differences are method minus reference, over the cases in which both have a value.
"""


_Tests = Mapping[str, Mapping[Measure, Mapping[str, PairedTest]]]


@dataclass(frozen=True)
class StudyParts:
    """What a cross-validation puts into a report of its rows.

    Attributes:
        figure: The row whose contours are drawn.
        sections: Markdown that stands above the rows' own tables.
        summary: Gives the text of ``summary.json`` from the paired tests of every row but the reference.
    """

    figure: str
    sections: str
    summary: Callable[[_Tests], str]


def require_free_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise when a report must not be written there.

    Raises:
        ConfigError: It is a file, or a folder that is not empty while ``overwrite`` is not set.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; the report needs a folder. Choose another one.")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. Choose another folder, or allow its report to be overwritten.")


def write_report(
    scores_by_method: Mapping[str, Sequence[CaseScores]],
    folder: Path,
    *,
    reference: str | None = None,
    contours: Callable[[str], ContourCase | None] | None = None,
    overwrite: bool = False,
    study: StudyParts | None = None,
) -> tuple[Path, ...]:
    """Write the report of one method, or of several with each tested against a reference.

    Each file is moved into place whole. Other files in the folder are left alone.

    Args:
        scores_by_method: Name of each method to its cases; the first is the one whose contours are drawn.
        folder: Made when missing.
        reference: The method that every other one is compared with; None for no tests.
        contours: Gives what to draw of a case of that name, called for the worst, the median and the best case of the
            first method, or the study's figure; a case of which it gives None is not drawn. None for no figure.
        overwrite: Whether a report that is there may be replaced.
        study: What a cross-validation adds; None for a report of cases alone.

    Returns:
        The files that were written.

    Raises:
        ConfigError: The folder is not free, there is no case, or the reference is no method.
        CaseError: A case was scored twice, or a method was not scored on the reference's cases.
        VolumeFileError: A file cannot be written.
    """
    require_free_folder(folder, overwrite=overwrite)
    _require_cases(scores_by_method, reference)
    tests = _tests(scores_by_method, reference)
    figure = study.figure if study else next(iter(scores_by_method))
    summary = study.summary(tests) if study else _summary_text(scores_by_method, reference, tests)
    text = _report(scores_by_method, reference, tests, study)
    drawn = [] if contours is None else _to_draw(scores_by_method[figure], contours)
    if drawn:
        text += f"\n## Contours of {figure}\n\nTruth dashed, prediction solid.\n\n![contours]({CONTOURS})\n"
    write_whole(folder / SCORES, lambda path: _write_scores(scores_by_method, path))
    write_text(folder / SUMMARY, summary)
    write_text(folder / REPORT, text)
    written = (folder / SCORES, folder / SUMMARY, folder / REPORT)
    if not drawn:
        (folder / CONTOURS).unlink(missing_ok=True)  # an older report's figure would pass for this one's
        return written
    write_whole(folder / CONTOURS, lambda path: draw_contours(drawn, organs_of(scores_by_method[figure]), path))
    return (*written, folder / CONTOURS)


def _require_cases(scores_by_method: Mapping[str, Sequence[CaseScores]], reference: str | None) -> None:
    if reference is not None and reference not in scores_by_method:
        raise ConfigError(f"The reference {reference!r} is none of the methods {', '.join(scores_by_method)}.")
    if not scores_by_method or not all(scores_by_method.values()):
        raise ConfigError("There is no case to report. Score at least one case with every method.")
    for scores in scores_by_method.values():
        require_each_case_once(scores)


def _tests(scores_by_method: Mapping[str, Sequence[CaseScores]], reference: str | None) -> _Tests:
    """Every method but the reference -> measure -> organ -> test."""
    if reference is None:
        return {}
    return {
        method: {measure: compare(scores, scores_by_method[reference], measure) for measure in MEASURES}
        for method, scores in scores_by_method.items()
        if method != reference
    }


def _to_draw(
    scores: Sequence[CaseScores], contours: Callable[[str], ContourCase | None]
) -> list[tuple[str, ContourCase]]:
    """A title and what to draw, for the worst, the median and the best case, as far as there is something to draw."""
    titles = worst_median_best(scores)
    means = {case.case: case_mean(case, DICE) for case in scores}
    found = {case: contours(case) for case in titles}
    return [
        (f"{titles[case]}: {case}, {_mean_dice(means[case])}", drawn)
        for case, drawn in found.items()
        if drawn is not None
    ]


def _mean_dice(mean: float | None) -> str:
    return "no Dice" if mean is None else f"mean Dice {100 * mean:.1f} %"


def _write_scores(scores_by_method: Mapping[str, Sequence[CaseScores]], path: Path) -> None:
    write_scores_table(("method",), [((method,), scores) for method, scores in scores_by_method.items()], path)


def write_scores_table(
    keys: Sequence[str], groups: Iterable[tuple[Sequence[object], Sequence[CaseScores]]], path: Path
) -> None:
    """Write a CSV table with a line for each case and organ.

    Args:
        keys: Names of the first columns.
        groups: What stands in these, and the cases that it stands for.
        path: The file; Dice from 0 to 1, distances in mm, volumes in mL, empty where there is no value.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*keys, "case", "organ", "label", *_COLUMNS, "remark"))
        for group, scores in groups:
            for case in scores:
                for score in case.organs:
                    values = [_in_csv(getattr(score, column)) for column in _COLUMNS]
                    writer.writerow((*group, case.case, score.organ.name, score.organ.label, *values, score.remark))


def _in_csv(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _summary_text(scores_by_method: Mapping[str, Sequence[CaseScores]], reference: str | None, tests: _Tests) -> str:
    values = _summary(scores_by_method, reference, tests)
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _summary(scores_by_method: Mapping[str, Sequence[CaseScores]], reference: str | None, tests: _Tests) -> Any:
    """Everything, in full precision; Dice from 0 to 1."""
    return {
        "format": SUMMARY_FORMAT,
        "cisfa_version": __version__,
        "reference": reference,
        "methods": [
            {
                "method": method,
                "summary": [asdict(summary) for summary in summarise(scores)],
                "against_reference": {
                    measure.field: {organ: asdict(test) for organ, test in by_organ.items()}
                    for measure, by_organ in tests.get(method, {}).items()
                },
                "cases": [
                    {"case": case.case, "organs": [_score_in_json(score) for score in case.organs]} for case in scores
                ],
            }
            for method, scores in scores_by_method.items()
        ],
    }


def _score_in_json(score: OrganScore) -> dict[str, Any]:
    values = {column: getattr(score, column) for column in _COLUMNS}
    return {"organ": score.organ.name, "label": score.organ.label, **values, "remark": score.remark}


def _report(
    scores_by_method: Mapping[str, Sequence[CaseScores]],
    reference: str | None,
    tests: _Tests,
    study: StudyParts | None,
) -> str:
    parts = ["# Evaluation\n", _HOW_TO_READ]
    if len(scores_by_method) > 1:
        parts.append("## Methods\n")
        measures = (DICE, DICE_ORGAN_SLICES, ASSD)
        parts += [methods_table(scores_by_method, measure, reference=reference) for measure in measures]
    if study:
        parts.append(study.sections)
    for method, scores in scores_by_method.items():
        parts += [
            f"## {method}: {len(scores)} case{'' if len(scores) == 1 else 's'}\n",
            organs_table(summarise(scores)),
        ]
        parts += _empty_masks(scores)
    if tests:
        parts += ["## Paired tests\n", _HOW_TO_READ_TESTS]
    for method, by_measure in tests.items():
        parts += [f"### {method} against {reference}\n", paired_tests_table(by_measure)]
    return "\n".join(parts)


def _empty_masks(scores: Sequence[CaseScores]) -> list[str]:
    lines = [
        f"- {case.case}, {score.organ.name}: {score.remark}" for case in scores for score in case.organs if score.remark
    ]
    return ["Empty masks:\n", "\n".join(lines) + "\n"] if lines else []

"""The tables of a cross-validation that a report of cases does not have: over folds, over seeds, cost and settings."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cisfa.evaluation.statistics import ASSD, DICE, OVER_ORGANS, Measure, describe
from cisfa.evaluation.study_results import RowResult, StudyResults
from cisfa.evaluation.tables import NOTHING, markdown_table, mean_and_sd, number

_OVER_FOLDS = """\
Mean over the cases of each fold, then mean ± standard deviation (n - 1) over the {folds} folds. Papers often give this
one; folds hold few cases, so its spread is smaller than that over cases.
"""
_OVER_SEEDS = """\
Mean over organs and cases of the trainings with one seed, and the standard deviation (n - 1) between seeds. The folds
are the same for all seeds. Everywhere else in this report a case is first averaged over the seeds, so that it counts
once; a mask counts as empty there when that of any seed is.
"""
_ROWS = """\
Settings are those that differ from the study's own. Minutes are those of one training, mean ± standard deviation over
trainings.
"""


def study_sections(results: StudyResults) -> str:
    """Markdown: rows with settings and cost, means over folds, and over seeds where there are several."""
    parts = ["## Rows\n", _ROWS, _rows_table(results.rows), _study_line(results)]
    if len(results.rows[0].folds) > 1:
        parts += ["## Over folds\n", _OVER_FOLDS.format(folds=len(results.rows[0].folds))]
        parts += [_folds_table(results.rows, measure) for measure in (DICE, ASSD)]
    if len(results.rows[0].seeds) > 1:
        parts += ["## Over seeds\n", _OVER_SEEDS]
        parts += [_seeds_table(results.rows, measure) for measure in (DICE, ASSD)]
    return "\n".join(parts)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as after ``--set``, separated by blanks."""
    return " ".join(f"{name}={_setting(value)}" for name, value in settings.items())


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _study_line(results: StudyResults) -> str:
    first = results.rows[0]
    settings = f" Settings of the study: {settings_text(results.settings)}." if results.settings else ""
    part = "" if len(first.folds) == results.folds else f" Here stands fold {_listed(first.folds)} alone."
    return (
        f"{results.source_cases} source and {results.target_cases} target cases in {results.folds} folds, shared out by"
        f" seed {results.fold_seed}.{part} Trained with seed {_listed(first.seeds)}.{settings}\n"
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _rows_table(rows: Sequence[RowResult]) -> str:
    header = ("row", "method", "settings", "trainings", "steps", "minutes", "hardware")
    chosen_header = ("chosen",) if any(row.is_chosen for row in rows) else ()
    lines = []
    for row in rows:
        minutes = mean_and_sd(row.minutes, Measure("minutes", "minutes", 1.0, 1))
        settings, hardware = settings_text(row.settings) or NOTHING, ", ".join(row.hardware) or NOTHING
        cells = (row.name, row.method, settings, str(len(row.trainings)), _listed(row.steps) or NOTHING)
        chosen = ("yes" if row.is_chosen else "",) if chosen_header else ()
        lines.append((*cells, minutes, hardware, *chosen))
    return markdown_table((*header, *chosen_header), lines)


def _folds_table(rows: Sequence[RowResult], measure: Measure) -> str:
    means = {row.name: row.means_of_folds(measure) for row in rows}
    organs = list(dict.fromkeys(organ for by_organ in means.values() for organ in by_organ))
    lines = [
        (name, *(mean_and_sd(describe(by_organ.get(organ, ())), measure) for organ in organs))
        for name, by_organ in means.items()
    ]
    return markdown_table((f"row ({measure.title})", *organs), lines)


def _seeds_table(rows: Sequence[RowResult], measure: Measure) -> str:
    lines = []
    for row in rows:
        means = [row.mean_of_seed(measure, seed) for seed in row.seeds]
        cells = [number(mean, measure) for mean in means]
        lines.append((row.name, *cells, mean_and_sd(describe(means), measure)))
    seeds = [f"seed {seed}" for seed in rows[0].seeds]
    return markdown_table((f"row ({measure.title}, {OVER_ORGANS})", *seeds, "over seeds"), lines)

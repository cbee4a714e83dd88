"""``summary.json`` of a cross-validation: everything that its table needs, small enough to stand in a repository.

One JSON object without a path; cases stand in it as numbers alone. Dice runs from 0 to 1, ASSD is in mm; a value that
does not exist is null.

- ``format``: 1; ``kind``: "cross-validation"; ``cisfa_version``; ``source_cases``, ``target_cases``, ``folds`` (how
  many the cases were shared out into), ``fold_seed``; ``settings``, those of the study that differ from the defaults;
  ``folds_reported`` and ``seeds``, of which every row has all; ``reference``, the row that the others are tested
  against.
- ``rows``, each with ``row``, ``method``, ``settings`` (that differ from the study's), ``chosen``, ``cases``,
  ``trainings``, ``steps``, ``minutes`` (of one training: n, mean, sd), ``hardware``.
- ``dice`` and ``assd_mm`` of a row: organ, or "mean over organs", to ``n``, ``mean`` and ``sd`` over cases,
  ``folds`` (the mean of each), and ``folds_mean`` and ``folds_sd`` over these.
- ``seed_means``, one entry a seed: mean over organs and cases; ``empty``: how many organs of cases hold no voxel in the
  prediction alone, in the truth alone, in both.
- ``against_reference``: measure to organ to the paired tests, row minus reference: ``n``, ``mean_difference``,
  ``t_test_p``, ``wilcoxon_p``, ``remark``. Two-sided, not corrected for the number of comparisons.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cisfa import __version__
from cisfa.evaluation.statistics import (
    ASSD,
    DICE,
    OVER_ORGANS,
    Measure,
    PairedTest,
    describe,
    summarise,
)
from cisfa.evaluation.study_results import RowResult, StudyResults

FORMAT = 1
MEASURES_KEPT = (DICE, ASSD)
_LINE = 160
_DIGITS = 5

Tests = Mapping[str, Mapping[Measure, Mapping[str, PairedTest]]]


def study_summary(results: StudyResults, tests: Tests) -> str:
    """The text of the file.

    Args:
        results: What was found.
        tests: Every row but the reference to its measures' paired tests; empty for none.
    """
    first = results.rows[0]
    values = {
        "format": FORMAT,
        "kind": "cross-validation",
        "cisfa_version": __version__,
        "source_cases": results.source_cases,
        "target_cases": results.target_cases,
        "folds": results.folds,
        "fold_seed": results.fold_seed,
        "folds_reported": first.folds,
        "seeds": first.seeds,
        "settings": results.settings,
        "reference": results.reference,
        "rows": [_row(row, tests.get(row.name, {})) for row in results.rows],
    }
    return compact_json(values) + "\n"


def compact_json(value: Any, *, indent: int = 0, before: int = 0) -> str:
    """JSON with a line for whatever fits into one, so that large tables stay short and their differences readable.

    Args:
        value: What JSON can hold.
        indent: Of the line that it begins on.
        before: Characters that already stand there.
    """
    line = json.dumps(_rounded(value), ensure_ascii=False, allow_nan=False)
    if indent + before + len(line) <= _LINE or not isinstance(value, Mapping | list | tuple) or not value:
        return line
    inner = indent + 1
    if isinstance(value, Mapping):
        keys = [json.dumps(key, ensure_ascii=False) + ": " for key in value]
        parts = [
            key + compact_json(part, indent=inner, before=len(key) + 1)
            for key, part in zip(keys, value.values(), strict=True)
        ]
    else:
        parts = [compact_json(part, indent=inner, before=1) for part in value]
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    joined = ",\n".join(" " * inner + part for part in parts)
    return f"{opening}\n{joined}\n{' ' * indent}{closing}"


def _rounded(value: Any) -> Any:
    """Five significant digits, which no spread over patients fills."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value


def _row(row: RowResult, tests: Mapping[Measure, Mapping[str, PairedTest]]) -> dict[str, Any]:
    summary = {one.organ: one for one in summarise(row.scores)}[OVER_ORGANS]
    return {
        "row": row.name,
        "method": row.method,
        "settings": row.settings,
        "chosen": row.is_chosen,
        "cases": len(row.scores),
        "trainings": len(row.trainings),
        "steps": row.steps,
        "minutes": asdict(row.minutes),
        "hardware": row.hardware,
        **{measure.field: _measure(row, measure) for measure in MEASURES_KEPT},
        "seed_means": [_seed(row, seed) for seed in row.seeds],
        "empty": {
            "prediction": summary.predictions_empty,
            "truth": summary.truths_empty,
            "both": summary.both_empty,
        },
        "against_reference": {
            measure.field: {organ: asdict(test) for organ, test in tests[measure].items()}
            for measure in MEASURES_KEPT
            if measure in tests
        },
    }


def _measure(row: RowResult, measure: Measure) -> dict[str, Any]:
    fold_means = row.means_of_folds(measure)
    return {
        summary.organ: {
            **asdict(summary.measures[measure.field]),
            "folds": fold_means[summary.organ],
            **_over_folds(fold_means[summary.organ]),
        }
        for summary in summarise(row.scores)
    }


def _over_folds(means: Sequence[float | None]) -> dict[str, float | None]:
    over_folds = describe(means)
    return {"folds_mean": over_folds.mean, "folds_sd": over_folds.sd}


def _seed(row: RowResult, seed: int) -> dict[str, Any]:
    return {"seed": seed, **{measure.field: row.mean_of_seed(measure, seed) for measure in MEASURES_KEPT}}

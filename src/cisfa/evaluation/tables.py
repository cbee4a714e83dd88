"""Tables of scores in Markdown, padded so that they can be read in a terminal as well."""

from collections.abc import Mapping, Sequence

from cisfa.evaluation.score_case import CaseScores
from cisfa.evaluation.statistics import (
    MEASURES,
    OVER_ORGANS,
    Distribution,
    Measure,
    PairedTest,
    Summary,
    compare,
    summarise,
)

NOTHING = "-"
_SMALLEST_SHOWN_P = 0.001


def organs_table(summaries: Sequence[Summary], measures: Sequence[Measure] = MEASURES) -> str:
    """One method: rows are organs and their mean, columns the measures (mean ± sd) and the counts of empty masks.

    Where fewer cases have a value than the most that any measure of that row has, the cell says how many (n = ...).
    """
    header = ("organ", *(measure.title for measure in measures), "prediction empty", "truth empty", "both empty")
    rows = []
    for summary in summaries:
        cells = [_cell(summary, measure) for measure in measures]
        empty = (summary.predictions_empty, summary.truths_empty, summary.both_empty)
        rows.append((summary.organ, *cells, *map(str, empty)))
    return markdown_table(header, rows)


def methods_table(
    scores_by_method: Mapping[str, Sequence[CaseScores]], measure: Measure, *, reference: str | None = None
) -> str:
    """Many methods: rows are methods, columns organs and their mean; cells are mean ± sd and a p-value.

    The last column counts the empty predictions of all organs, which a distance cannot punish.

    Args:
        scores_by_method: Name of each method to its cases.
        measure: What the cells show.
        reference: The method that every other one is tested against, by a paired t-test; None for no p-values.

    Raises:
        CaseError: A method was not scored on the reference's cases and organs.
    """
    summaries = {method: summarise(scores) for method, scores in scores_by_method.items()}
    organs = list(dict.fromkeys(summary.organ for rows in summaries.values() for summary in rows))
    organs.remove(OVER_ORGANS)
    rows = []
    for method, scores in scores_by_method.items():
        tests = {} if reference in (None, method) else compare(scores, scores_by_method[reference], measure)
        row = {summary.organ: summary for summary in summaries[method]}
        cells = [_method_cell(row.get(organ), tests, measure) for organ in (*organs, OVER_ORGANS)]
        rows.append((method, *cells, str(row[OVER_ORGANS].predictions_empty)))
    return markdown_table((f"method ({measure.title})", *organs, OVER_ORGANS, "prediction empty"), rows)


def paired_tests_table(tests_by_measure: Mapping[Measure, Mapping[str, PairedTest]]) -> str:
    """One method against the reference: a row for each measure and organ, with both tests."""
    header = ("measure", "organ", "n", "mean difference", "paired t-test p", "Wilcoxon p", "remark")
    rows = []
    for measure, tests in tests_by_measure.items():
        for organ, test in tests.items():
            difference = number(test.mean_difference, measure, signed=True)
            p_values = (_p_value(test.t_test_p), _p_value(test.wilcoxon_p))
            rows.append((measure.title, organ, str(test.n), difference, *p_values, test.remark))
    return markdown_table(header, rows)


def _method_cell(summary: Summary | None, tests: Mapping[str, PairedTest], measure: Measure) -> str:
    if summary is None:
        return NOTHING
    cell = _cell(summary, measure)
    return f"{cell} (p {_p_value(tests[summary.organ].t_test_p, equals='= ')})" if tests else cell


def _cell(summary: Summary, measure: Measure) -> str:
    most = max(distribution.n for distribution in summary.measures.values())
    return mean_and_sd(summary.measures[measure.field], measure, of=most)


def mean_and_sd(distribution: Distribution, measure: Measure, *, of: int = 0) -> str:
    """``87.3 ± 2.1``, with ``(n = 3)`` when fewer than ``of`` cases have a value."""
    cell = number(distribution.mean, measure)
    if distribution.sd is not None:
        cell += f" ± {number(distribution.sd, measure)}"
    return f"{cell} (n = {distribution.n})" if distribution.n < of else cell


def number(value: float | None, measure: Measure, *, signed: bool = False) -> str:
    """A measure's value as it is shown, a hyphen for None."""
    if value is None:
        return NOTHING
    return f"{value * measure.shown_times:{'+' if signed else ''}.{measure.digits}f}"


def _p_value(p: float | None, *, equals: str = "") -> str:
    if p is None:
        return f"{equals}{NOTHING}"
    return f"< {_SMALLEST_SHOWN_P}" if p < _SMALLEST_SHOWN_P else f"{equals}{p:.3f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown whose columns are padded to one width."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (header, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines) + "\n"

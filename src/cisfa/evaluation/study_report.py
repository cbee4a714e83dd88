"""Write the report of a cross-validation: that of its rows, with folds, seeds, cost and settings beside."""

from collections.abc import Callable
from pathlib import Path

from cisfa.evaluation.contours import ContourCase
from cisfa.evaluation.report import StudyParts, write_report, write_scores_table
from cisfa.evaluation.study_results import StudyResults
from cisfa.evaluation.study_summary import study_summary
from cisfa.evaluation.study_tables import study_sections
from cisfa.whole_files import write_whole

TRAININGS = "trainings.csv"


def write_study_report(
    results: StudyResults, folder: Path, *, figure: str, contours: Callable[[str], ContourCase | None]
) -> tuple[Path, ...]:
    """Write ``report.md``, ``summary.json``, ``scores.csv``, ``trainings.csv`` and ``contours.png``.

    ``scores.csv`` holds every case once, averaged over the seeds; ``trainings.csv`` holds what each training scored,
    with the step of the weights that were scored where it is known. A report that is there is replaced; without
    anything to draw there are no contours.

    Args:
        results: At least one complete row.
        folder: Made when missing.
        figure: The row whose contours are drawn.
        contours: Gives what to draw of a case of that name; None leaves the case out of the figure.

    Returns:
        The files that were written.

    Raises:
        CaseError: A case was scored twice, or rows were not scored on the same cases.
        VolumeFileError: A file cannot be written.
    """
    written = write_report(
        {row.name: row.scores for row in results.rows},
        folder,
        reference=results.reference,
        contours=contours,
        overwrite=True,
        study=StudyParts(figure, study_sections(results), lambda tests: study_summary(results, tests)),
    )
    trainings = [
        ((row.name, training.fold, training.seed, training.chosen_step), training.scores)
        for row in results.rows
        for training in row.trainings
    ]
    keys = ("row", "fold", "seed", "chosen_step")
    write_whole(folder / TRAININGS, lambda path: write_scores_table(keys, trainings, path))
    return (*written, folder / TRAININGS)

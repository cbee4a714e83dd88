"""From the folder of a study to its results: which rows are complete, their scores, and what their runs took."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cisfa.cases.case_folder import CaseFiles
from cisfa.config import TrainingConfig
from cisfa.errors import CaseError, RunError
from cisfa.evaluation.score_case import CaseScores, score_case
from cisfa.evaluation.study_results import RowResult, StudyResults, TrainingResult
from cisfa.events import Notice, Progress, Report
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume_files import read_label_map
from cisfa.runs.run_files import ENVIRONMENT
from cisfa.runs.run_json import read_json
from cisfa.runs.run_state import stored_state
from cisfa.training.run_folder import RunFolder
from cisfa.training.study import Choice, Part, Study
from cisfa.training.study_rows import StudyRow, StudyTable, changed_settings


def score_study(study: Study, table: StudyTable, folder: Path, choice: Choice, report: Report) -> StudyResults | None:
    """Score every row that is complete in the folds of the choice; the others are told and left out.

    Args:
        study: What is cross-validated.
        table: Its rows with their reference.
        folder: Of the study.
        choice: Its folds count, its rows do not: rows that other processes have done stand in the table too.
        report: Hears progress and notices.

    Returns:
        None when no row is complete.

    Raises:
        CisfaError: A label map or a prediction cannot be read, or they do not fit together.
    """
    complete = list(_complete_rows(study, folder, choice, report))
    count, done = sum(len(part.held_out) for _, parts in complete for part in parts), 0
    rows = []
    for row, parts in complete:
        trainings = []
        for part in parts:
            scores = []
            for case in part.held_out:
                report(Progress(f"scoring {row.name}", done / count))
                scores.append(_score(part, case, study))
                done += 1
            trainings.append(_training(part, scores))
        settings = changed_settings(row.config, study.config)
        rows.append(RowResult(row.name, row.config.method, settings, row.is_chosen, tuple(trainings)))
    if not rows:
        return None
    report(Progress("scoring", 1.0))
    reference = table.reference if len(rows) > 1 else None
    if reference is not None and reference not in [row.name for row in rows]:
        report(Notice(f"The reference {reference} is not complete yet, so no row is tested against it."))
        reference = None
    return StudyResults(
        rows=tuple(rows),
        reference=reference,
        settings=changed_settings(study.config, TrainingConfig()),
        folds=study.folds,
        fold_seed=study.seed_of_folds,
        source_cases=len(study.source),
        target_cases=len(study.target),
    )


def prediction_of(study: Study, folder: Path, row: str, case: str) -> Path:
    """Where a case's prediction by a row lies, that of the first seed.

    Raises:
        RunError: There is none.
    """
    for part in study.parts(folder, Choice(rows=frozenset([row]))):
        for held_out in part.held_out:
            if held_out.name == case and part.prediction(held_out).is_file():
                return part.prediction(held_out)
    raise RunError(f"{folder} holds no prediction of {case} by {row}. Train that row first.")


def _complete_rows(
    study: Study, folder: Path, choice: Choice, report: Report
) -> Iterator[tuple[StudyRow, Sequence[Part]]]:
    parts = list(study.parts(folder, Choice(folds=choice.folds)))
    for row in study.rows:
        of_row = [part for part in parts if part.row.name == row.name]
        missing = [part for part in of_row if not part.is_done]
        if not missing:
            yield row, of_row
        else:
            report(
                Notice(
                    f"{row.name} is not complete and not in the report: {len(missing)} of {len(of_row)} trainings are"
                    f" missing, the first is {missing[0].in_words(study)}."
                )
            )


def _score(part: Part, case: CaseFiles, study: Study) -> CaseScores:
    if case.labels is None:
        raise CaseError(f"{case.name} has no label map to be scored against. Add it to the target's label maps.")
    organs = study.organs or organs_from_names(study.config.organs)
    return score_case(read_label_map(part.prediction(case)), read_label_map(case.labels), organs, case=case.name)


def _training(part: Part, scores: Sequence[CaseScores]) -> TrainingResult:
    seconds, state = RunFolder(part.run).trained_s(), stored_state(part.run)
    return TrainingResult(
        fold=part.fold + 1,
        seed=part.seed,
        scores=tuple(scores),
        minutes=seconds / 60 if seconds else None,
        steps=state.step if state else None,
        hardware=_hardware(part.run),
    )


def _hardware(run: Path) -> str:
    try:
        return str(read_json(run / ENVIRONMENT)["device"])
    except (RunError, KeyError):
        return ""  # a run's folder may have been cleared away to save space; its predictions count all the same

"""From the folder of a study to its results: what each part scored, which rows are complete, what their runs took."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cisfa import __version__
from cisfa.bundle.manifest_file import read_manifest
from cisfa.cases.case_folder import CaseFiles
from cisfa.config import TrainingConfig
from cisfa.errors import BundleError, CaseError, RunError
from cisfa.evaluation.score_case import score_case
from cisfa.evaluation.study_results import RowResult, StudyResults, TrainingResult
from cisfa.events import Notice, Progress, Report
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map
from cisfa.runs.run_files import ENVIRONMENT
from cisfa.runs.run_json import read_json
from cisfa.runs.run_state import stored_state
from cisfa.training.part_result import (
    PartResult,
    ScoreEntry,
    digests_of_labels,
    read_result,
    rounded,
    score_entries,
    write_result,
)
from cisfa.training.run_folder import RunFolder
from cisfa.training.study import Choice, Part, Study, write_folds
from cisfa.training.study_rows import StudyTable, changed_settings


class Scorer:
    """Gives the result of a part: the one that is kept, or a new one of its predictions.

    Label maps are read for scoring, and once for seeing whether results that are kept still fit them.
    """

    def __init__(self, study: Study) -> None:
        """Args: the study whose parts are scored."""
        self._study = study
        self._organs = study.organs or organs_from_names(study.config.organs)
        self._digests: dict[str, tuple[str, str]] = {}

    def result(self, part: Part, report: Report) -> TrainingResult:
        """What a part scored, which is written down wherever it is not yet.

        Args:
            part: It is done.
            report: Hears progress and notices.

        Raises:
            CisfaError: A label map or a prediction cannot be read, they do not fit together, or the labels have changed
                and there are no predictions that could be scored again.
        """
        kept = self.usable(part)
        result = kept or self._scored(part, report)
        for path in part.result_files:
            if kept is None or not path.is_file():
                write_result(result, path)
        scores = result.case_scores(self._organs)
        return TrainingResult(
            result.fold,
            result.seed,
            scores,
            minutes=result.minutes,
            steps=result.steps,
            hardware=result.hardware,
            chosen_step=result.chosen_step,
        )

    def usable(self, part: Part) -> PartResult | None:
        """The result that is kept of a part; None when its predictions have to be scored.

        Raises:
            CisfaError: It was scored on other labels, and there are no predictions that could be scored again.
        """
        if part.result_file is None:
            return None
        result = read_result(part.result_file)
        if result.fits({case.name: self._digests_of(case) for case in part.held_out}, self._organs):
            return result
        if not part.is_segmented:
            raise RunError(
                f"{part.result_file} was scored on other label maps or organs than those of the target now, and the"
                f" predictions are no longer in {part.folder}. Give the labels back, or delete the file so that this"
                " part is trained again."
            )
        return None

    def _digests_of(self, case: CaseFiles) -> tuple[str, str]:
        if case.name not in self._digests:
            self._digests[case.name] = digests_of_labels(_truth(case))
        return self._digests[case.name]

    def _scored(self, part: Part, report: Report) -> PartResult:
        entries: list[ScoreEntry] = []
        for number, case in enumerate(part.held_out):
            report(Progress(f"scoring {part.in_words(self._study)}", number / len(part.held_out)))
            truth = _truth(case)
            self._digests[case.name] = digests_of_labels(truth)
            prediction = read_label_map(part.prediction(case))
            entries += score_entries(score_case(prediction, truth, self._organs, case=case.name))
        seconds, state = RunFolder(part.run).trained_s(), stored_state(part.run)
        # the run may have been cleared away to save space; what it took stands in the result of before then
        before = None if part.result_file is None else read_result(part.result_file)
        return PartResult(
            cisfa_version=__version__,
            row=part.row.name,
            method=part.config.method,
            fold=part.fold + 1,
            seed=part.seed,
            minutes=rounded(seconds / 60) if seconds else (before.minutes if before else None),
            steps=state.step if state else (before.steps if before else None),
            hardware=_hardware(part.run) or (before.hardware if before else ""),
            config=part.config,
            labels={case.name: self._digests[case.name][0] for case in part.held_out},
            scores=tuple(entries),
            chosen_step=_chosen_step(part.bundle) or (before.chosen_step if before else None),
        )


def score_study(study: Study, table: StudyTable, folder: Path, choice: Choice, report: Report) -> StudyResults | None:
    """Score what is done and has no result yet, and gather the rows that are complete in the folds of the choice.

    Rows that are not complete are told and left out, but their parts that are done get their results, too.

    Args:
        study: What is cross-validated.
        table: Its rows with their reference.
        folder: Of the study.
        choice: Its folds count, its rows do not: rows that other processes have done stand in the table too.
        report: Hears progress and notices.

    Returns:
        None when no row is complete.

    Raises:
        CisfaError: A label map, a prediction or a result cannot be read, or they do not fit together.
    """
    scorer = Scorer(study)
    parts = list(study.parts(folder, Choice(folds=choice.folds)))
    done = [part for part in parts if part.is_done]
    if done:
        write_folds(study, folder)
    trainings = {part.folder: scorer.result(part, report) for part in done}
    rows = tuple(_complete_rows(study, parts, trainings, report))
    if not rows:
        return None
    report(Progress("scoring", 1.0))
    reference = table.reference if len(rows) > 1 else None
    if reference is not None and reference not in [row.name for row in rows]:
        report(Notice(f"The reference {reference} is not complete yet, so no row is tested against it."))
        reference = None
    return StudyResults(
        rows=rows,
        reference=reference,
        settings=changed_settings(study.config, TrainingConfig()),
        folds=study.folds,
        fold_seed=study.seed_of_folds,
        source_cases=len(study.source),
        target_cases=len(study.target),
    )


def prediction_of(study: Study, folder: Path, row: str, case: str) -> Path | None:
    """Where a case's prediction by a row lies, that of the first seed; None when it is no longer there."""
    for part in study.parts(folder, Choice(rows=frozenset([row]))):
        for held_out in part.held_out:
            if held_out.name == case and part.seed == study.seeds_trained[0]:
                path = part.prediction(held_out)
                return path if path.is_file() else None
    return None


def _complete_rows(
    study: Study, parts: Sequence[Part], trainings: Mapping[Path, TrainingResult], report: Report
) -> Iterator[RowResult]:
    for row in study.rows:
        of_row = [part for part in parts if part.row.name == row.name]
        missing = [part for part in of_row if part.folder not in trainings]
        if not missing:
            settings = changed_settings(row.config, study.config)
            of_parts = tuple(trainings[part.folder] for part in of_row)
            yield RowResult(row.name, row.config.method, settings, row.is_chosen, of_parts)
        else:
            report(
                Notice(
                    f"{row.name} is not complete and not in the report: {len(missing)} of {len(of_row)} trainings are"
                    f" missing, the first is {missing[0].in_words(study)}."
                )
            )


def _truth(case: CaseFiles) -> LabelMap:
    if case.labels is None:
        raise CaseError(f"{case.name} has no label map to be scored against. Add it to the target's label maps.")
    return read_label_map(case.labels)


def _chosen_step(bundle: Path) -> int | None:
    try:
        return read_manifest(bundle).training.steps
    except BundleError:
        return None  # it may have been cleared away; its predictions count all the same


def _hardware(run: Path) -> str:
    try:
        return str(read_json(run / ENVIRONMENT)["device"])
    except (RunError, KeyError):
        return ""  # the run's folder may have been cleared away; its predictions count all the same

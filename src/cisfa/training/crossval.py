"""Cross-validation over disjoint folds of patients, in both domains.

In fold k every row learns from the cases outside fold k (target cases without their labels) and segments the target
cases of fold k. Labels of target cases are read by the score of what was segmented, and by ``supervised`` and
``supervised-plus``, whose place is to use them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cases.case_folder import CaseFiles
from cisfa.errors import RunError, TrainingDivergedError
from cisfa.events import Event, Notice, Progress, Report
from cisfa.imaging.volume_files import read_volume, write_label_map
from cisfa.inference.predictor import PredictionOptions, Predictor
from cisfa.runs.run_files import LOCK
from cisfa.training.export import make_bundle
from cisfa.training.methods import method_named
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training
from cisfa.training.study import Choice, Part, Study, require_usable, write_folds
from cisfa.training.study_scores import Scorer

_EVERYTHING = Choice()


def cross_validate(
    study: Study, folder: Path, device: torch.device, report: Report, *, resume: bool, choice: Choice = _EVERYTHING
) -> tuple[str, ...]:
    """Train every row in every fold, segment the held-out cases and score them; what is done is not done again.

    Several processes may work in one folder: each passes over the parts that another one is working on.

    Args:
        study: Cases, rows and settings.
        folder: Gets ``fold-k/ROW/``, or ``fold-k/ROW/seed-s/``, with run, bundle.zip, predictions and result.json.
        device: Where to train and segment.
        report: Hears progress, metrics and notices.
        resume: Go on in a folder that holds an earlier part of the same study.
        choice: The rows and folds to train.

    Returns:
        A sentence for each part whose training diverged; the others are trained all the same.

    Raises:
        CisfaError: Cases or settings cannot be used, or the folder holds something else.
    """
    require_usable(study, choice, folder, resume=resume)
    scorer = Scorer(study)
    for part in study.parts(folder, Choice(folds=choice.folds)):
        scorer.usable(part)  # the report will ask for it; better to learn now than after hours that it cannot be used
    write_folds(study, folder)
    diverged: list[str] = []
    parts = list(study.parts(folder, choice))
    # another process may have been killed meanwhile, so what it was working on is tried once more at the end
    passed_over = [part for part in parts if not _do(part, study, device, report, diverged)]
    for part in passed_over:
        _do(part, study, device, report, diverged)
    return tuple(diverged)


def _do(part: Part, study: Study, device: torch.device, report: Report, diverged: list[str]) -> bool:
    """Train, segment and score a part unless that is done; False when another process is working on it."""
    place = part.in_words(study)
    if part.is_done:
        report(Notice(f"{place}: done already"))
        return True
    try:
        with _held(part.folder) as is_free:
            if not is_free:
                report(Notice(f"{place}: another process is working on it"))
                return False
            report(Notice(place))
            _train_and_segment(part, _cases_of(part, study), device, _within(report, place))
            Scorer(study).result(part, report)
    except TrainingDivergedError as error:
        diverged.append(f"{place}: {error}")
        report(Notice(diverged[-1]))
    return True


def _train_and_segment(part: Part, cases: TrainingCases, device: torch.device, report: Report) -> None:
    if part.is_done:  # by another process, a moment ago
        return
    for case in part.held_out:  # of an earlier run that is gone: together with this one's they would pass for done
        part.prediction(case).unlink(missing_ok=True)
    run_training(RunFolder(part.run), cases, part.config, device, report)
    bundle = make_bundle(part.run, part.bundle, name=None, description=None, licence=None, overwrite=True)
    options = PredictionOptions(trust_modality=True)  # the modality was settled when the cases were read
    predictor = Predictor(open_bundle(bundle), device, options, report)
    for case in part.held_out:
        label_map = predictor.segment(read_volume(case.volume))
        write_label_map(label_map, part.prediction(case), like=case.volume)


def _cases_of(part: Part, study: Study) -> TrainingCases:
    """Labelled target cases where the target's own labels are to be learned, unlabelled ones elsewhere."""
    source, target = _outside(study.source_folds, part.fold), _outside(study.target_folds, part.fold)
    if not method_named(part.config.method).has_target:
        return TrainingCases(target, (), study.organs)
    return TrainingCases(source, [replace(case, labels=None, few_labels=None) for case in target], study.organs)


def _outside(folds: Sequence[Sequence[CaseFiles]], fold: int) -> list[CaseFiles]:
    return [case for number, cases in enumerate(folds) if number != fold for case in cases]


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a part's folder while training and segmenting; False when another process holds it."""
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}. Choose another folder.") from error
    try:
        yield True
    finally:
        lock.release(force=True)


def _within(report: Report, place: str) -> Report:
    """Say in every progress event which part of the study it is about."""

    def tell(event: Event) -> None:
        report(replace(event, stage=f"{place}: {event.stage}") if isinstance(event, Progress) else event)

    return tell

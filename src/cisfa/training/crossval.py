"""Cross-validation over disjoint folds of patients, in both domains.

In fold k every method learns from the cases outside fold k (target cases without their labels) and segments the target
cases of fold k. Labels of target cases are read by the score at the very end, and by ``supervised``, whose place is to
use them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cases.case_folder import CaseFiles
from cisfa.config import TrainingConfig
from cisfa.errors import CaseError, ConfigError, RunError
from cisfa.evaluation.score_case import CaseScores, score_case
from cisfa.events import Event, Notice, Progress, Report
from cisfa.imaging.organs import Organ, organs_from_names
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map
from cisfa.inference.predictor import PredictionOptions, Predictor
from cisfa.training.export import make_bundle
from cisfa.training.methods import method_named
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training


@dataclass(frozen=True)
class Study:
    """What is cross-validated.

    Attributes:
        source: Labelled source cases.
        target: Target cases with their label maps, which only the score and ``supervised`` read.
        organs: Of the labels; None takes the config's.
        methods: Names of methods.
        folds: How many.
        config: Settings of every run but for the method.
    """

    source: Sequence[CaseFiles]
    target: Sequence[CaseFiles]
    organs: tuple[Organ, ...] | None
    methods: Sequence[str]
    folds: int
    config: TrainingConfig


def folds_of(cases: Sequence[CaseFiles], folds: int, *, seed: int) -> list[list[CaseFiles]]:
    """Share cases out at random into disjoint folds whose sizes differ by one at most.

    Raises:
        ConfigError: There are fewer than two folds, or more folds than cases.
    """
    if not 2 <= folds <= len(cases):
        raise ConfigError(f"--folds is {folds}; with {len(cases)} cases it must be from 2 to {len(cases)}.")
    order = np.random.default_rng(seed).permutation(len(cases))
    return [[cases[index] for index in sorted(order[fold::folds])] for fold in range(folds)]


def cross_validate(
    study: Study, folder: Path, device: torch.device, report: Report, *, resume: bool
) -> dict[str, list[CaseScores]]:
    """Train and score every method in every fold; runs that are done are not done again.

    Args:
        study: Cases, methods and settings.
        folder: Gets ``fold-k/METHOD/`` with run, bundle.zip and predictions.
        device: Where to train and segment.
        report: Hears progress, metrics and notices.
        resume: Go on in a folder that holds an earlier part of the same study.

    Returns:
        Method to the scores of all target cases, each from the fold in which it was held out.

    Raises:
        CisfaError: Cases or settings cannot be used, or the folder holds something else.
    """
    _require_usable(study, folder, resume=resume)
    source_folds = folds_of(study.source, study.folds, seed=study.config.seed)
    target_folds = folds_of(study.target, study.folds, seed=study.config.seed)
    scores: dict[str, list[CaseScores]] = {method: [] for method in study.methods}
    for fold, held_out in enumerate(target_folds):
        for method in study.methods:
            report(Notice(f"fold {fold + 1} of {study.folds}, {method}"))
            cases = TrainingCases(_outside(source_folds, fold), _outside(target_folds, fold), study.organs)
            part = _Part(folder / f"fold-{fold + 1}" / method, replace(study.config, method=method), cases, held_out)
            part.train_and_segment(device, _within(report, f"fold {fold + 1}/{study.folds}, {method}"))
            scores[method] += [_score(case, part.prediction(case), study) for case in held_out]
    return scores


def prediction_of(folder: Path, method: str, case: str) -> Path:
    """Where a case's prediction by a method lies.

    Raises:
        RunError: There is none.
    """
    found = sorted(folder.glob(f"fold-*/{method}/predictions/{case}.nii.gz"))
    if not found:
        raise RunError(f"{folder} holds no prediction of {case} by {method}.")
    return found[0]


@dataclass(frozen=True)
class _Part:
    """One method in one fold."""

    folder: Path
    config: TrainingConfig
    cases: TrainingCases
    held_out: Sequence[CaseFiles]

    def prediction(self, case: CaseFiles) -> Path:
        return self.folder / "predictions" / f"{case.name}.nii.gz"

    def train_and_segment(self, device: torch.device, report: Report) -> None:
        if all(self.prediction(case).is_file() for case in self.held_out):
            return
        run = self.folder / "run"
        run_training(RunFolder(run), self._training_cases(), self._training_config(), device, report)
        bundle = make_bundle(run, self.folder / "bundle.zip", name=None, description=None, licence=None, overwrite=True)
        options = PredictionOptions(trust_modality=True)  # the modality was settled when the cases were read
        predictor = Predictor(open_bundle(bundle), device, options, report)
        for case in self.held_out:
            label_map = predictor.segment(read_volume(case.volume))
            write_label_map(label_map, self.prediction(case), like=case.volume)

    def _training_config(self) -> TrainingConfig:
        """A method that knows one domain learns from the target's cases, so they are read as the target's."""
        if method_named(self.config.method).has_target:
            return self.config
        return replace(self.config, source_modality=self.config.target_modality)

    def _training_cases(self) -> TrainingCases:
        """Labelled target cases where the target's own labels are to be learned, unlabelled ones elsewhere."""
        if not method_named(self.config.method).has_target:
            return replace(self.cases, source=self.cases.target, target=())
        return replace(self.cases, target=[replace(case, labels=None, few_labels=None) for case in self.cases.target])


def _score(case: CaseFiles, prediction: Path, study: Study) -> CaseScores:
    if case.labels is None:
        raise CaseError(f"{case.name} has no label map to be scored against.")
    organs = study.organs or organs_from_names(study.config.organs)
    return score_case(read_label_map(prediction), read_label_map(case.labels), organs, case=case.name)


def _outside(folds: Sequence[Sequence[CaseFiles]], fold: int) -> list[CaseFiles]:
    return [case for number, cases in enumerate(folds) if number != fold for case in cases]


def _within(report: Report, place: str) -> Report:
    """Say in every progress event which part of the study it is about."""

    def tell(event: Event) -> None:
        report(replace(event, stage=f"{place}: {event.stage}") if isinstance(event, Progress) else event)

    return tell


def _require_usable(study: Study, folder: Path, *, resume: bool) -> None:
    if not study.methods or len(set(study.methods)) < len(study.methods):
        raise ConfigError(f"--methods is {','.join(study.methods)!r}; name one or more methods, each once.")
    for method in study.methods:
        method_named(method)
    if study.config.few_labels.weight > 0:
        raise ConfigError(
            f"few_labels.weight is {study.config.few_labels.weight}; cross-validation tells how well a method does"
            " without any target label. Leave it at 0."
        )
    unlabelled = [case.name for case in study.target if case.labels is None]
    if unlabelled:
        raise CaseError(f"{unlabelled[0]} has no label map; cross-validation scores every target case against one.")
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        raise RunError(f"{folder} is not empty. Pass --resume to go on with it, or choose another folder.")


def scores_by_fold(scores: Mapping[str, Sequence[CaseScores]], study: Study) -> dict[str, list[float]]:
    """Mean Dice over organs and cases in each fold, for a mean and deviation over folds as the paper gives them."""
    means: dict[str, list[float]] = {}
    for method, of_method in scores.items():
        by_name = {score.case: score for score in of_method}
        means[method] = []
        for held_out in folds_of(study.target, study.folds, seed=study.config.seed):
            dice = [organ.dice for case in held_out for organ in by_name[case.name].organs if organ.dice is not None]
            means[method].append(float(np.mean(dice)))
    return means

"""A study: which rows are trained on which folds with which seeds, and where each part lies on disk.

In fold k every row learns from the cases outside fold k and segments the target cases of fold k. The folds are the same
for all rows and seeds.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cisfa.cases.case_folder import CaseFiles, some_of
from cisfa.config import ScheduleConfig, TrainingConfig
from cisfa.errors import CaseError, ConfigError, RunError
from cisfa.imaging.organs import Organ
from cisfa.runs.run_json import read_json, read_run_config
from cisfa.runs.run_summary import is_run
from cisfa.training.methods import method_named
from cisfa.training.part_result import RESULT, PartResult, read_result
from cisfa.training.study_rows import StudyRow, changed_settings, slug_of
from cisfa.whole_files import write_text

FOLDS = "folds.json"
# beside the folders of the folds: which case is in which
_RESULTS = (f"fold-*/*/{RESULT}", f"fold-*/*/seed-*/{RESULT}")


@dataclass(frozen=True)
class Study:
    """What is cross-validated.

    Attributes:
        source: Labelled source cases.
        target: Target cases with their label maps, which only the score, ``supervised`` and ``supervised-plus`` read.
        organs: Of the labels; None takes the config's.
        rows: Of the table.
        folds: How many.
        config: The command's own settings, those of a row without any.
        seeds: Each trains every row anew in every fold; None takes the config's, and then no folder is named after it.
        fold_seed: Shares the cases out into folds; None takes the first seed.
        results: A folder of results apart from the runs, laid out like theirs, whose word counts; None for none.
    """

    source: Sequence[CaseFiles]
    target: Sequence[CaseFiles]
    organs: tuple[Organ, ...] | None
    rows: Sequence[StudyRow]
    folds: int
    config: TrainingConfig
    seeds: tuple[int, ...] | None = None
    fold_seed: int | None = None
    results: Path | None = None

    @property
    def seeds_trained(self) -> tuple[int, ...]:
        """The seeds, also where none is named."""
        return (self.config.seed,) if self.seeds is None else self.seeds

    @property
    def seed_of_folds(self) -> int:
        """What shares the cases out."""
        return self.seeds_trained[0] if self.fold_seed is None else self.fold_seed

    @property
    def source_folds(self) -> list[list[CaseFiles]]:
        """The source cases of each fold, which are left out there."""
        return folds_of(self.source, self.folds, seed=self.seed_of_folds)

    @property
    def target_folds(self) -> list[list[CaseFiles]]:
        """The target cases of each fold, which are segmented there."""
        return folds_of(self.target, self.folds, seed=self.seed_of_folds)

    def parts(self, folder: Path, choice: "Choice") -> "Iterator[Part]":
        """What the choice comprises; all rows of a fold before the next fold, and of a seed before the next seed."""
        target_folds = self.target_folds
        for seed in self.seeds_trained:
            for fold in choice.folds_among(self.folds):
                for row in self.rows:
                    if choice.rows is None or row.name in choice.rows:
                        place = Path(f"fold-{fold + 1}", row.slug, *(() if self.seeds is None else (f"seed-{seed}",)))
                        results = None if self.results is None else self.results / place
                        yield Part(folder / place, row, fold, seed, target_folds[fold], results)


@dataclass(frozen=True)
class Choice:
    """A part of a study, so that several processes can share it.

    Attributes:
        rows: Names of the rows; None takes all.
        folds: Folds, counted from 0; None takes all.
    """

    rows: frozenset[str] | None = None
    folds: tuple[int, ...] | None = None

    def folds_among(self, count: int) -> tuple[int, ...]:
        """The folds of the choice, in their order."""
        return tuple(range(count)) if self.folds is None else tuple(sorted(self.folds))


@dataclass(frozen=True)
class Part:
    """One row in one fold with one seed: one run, and the held-out cases that it segments.

    Attributes:
        folder: Gets the run, the bundle, the predictions and the result.
        row: The row of the table.
        fold: Counted from 0.
        seed: Of the run.
        held_out: The target cases of the fold.
        results: Folder of the study's results apart from the runs that gets the result too; None where there is none.
    """

    folder: Path
    row: StudyRow
    fold: int
    seed: int
    held_out: Sequence[CaseFiles]
    results: Path | None = None

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def bundle(self) -> Path:
        """The model that segments the held-out cases."""
        return self.folder / "bundle.zip"

    @property
    def config(self) -> TrainingConfig:
        """The run's settings. A method that knows one domain learns from the target's cases, read as the target's."""
        config = replace(self.row.config, seed=self.seed)
        if method_named(config.method).has_target:
            return config
        return replace(config, source_modality=config.target_modality)

    @property
    def is_done(self) -> bool:
        """True when it has a result, or every held-out case has been segmented and can be scored."""
        return self.result_file is not None or self.is_segmented

    @property
    def is_segmented(self) -> bool:
        """True when the predictions of all held-out cases are there."""
        return all(self.prediction(case).is_file() for case in self.held_out)

    @property
    def result_files(self) -> tuple[Path, ...]:
        """Where its result is kept; the first that is there counts."""
        folders = (self.folder,) if self.results is None else (self.results, self.folder)
        return tuple(folder / RESULT for folder in folders)

    @property
    def result_file(self) -> Path | None:
        """Its result that counts; None when it has not been scored."""
        return next((path for path in self.result_files if path.is_file()), None)

    def prediction(self, case: CaseFiles) -> Path:
        """Where a case's prediction lies, or will lie."""
        return self.folder / "predictions" / f"{case.name}.nii.gz"

    def in_words(self, study: Study) -> str:
        """For people: "fold 1 of 4, CISFA", with the seed where there are several."""
        seed = f", seed {self.seed}" if len(study.seeds_trained) > 1 else ""
        return f"fold {self.fold + 1} of {study.folds}, {self.row.name}{seed}"


def folds_of(cases: Sequence[CaseFiles], folds: int, *, seed: int) -> list[list[CaseFiles]]:
    """Share cases out at random into disjoint folds whose sizes differ by one at most.

    Raises:
        ConfigError: There are fewer than two folds, or more folds than cases.
    """
    if not 2 <= folds <= len(cases):
        raise ConfigError(f"--folds is {folds}; with {len(cases)} cases it must be from 2 to {len(cases)}.")
    order = np.random.default_rng(seed).permutation(len(cases))
    return [[cases[index] for index in sorted(order[fold::folds])] for fold in range(folds)]


def require_usable(study: Study, choice: Choice, folder: Path, *, resume: bool) -> None:
    """Make sure that a study can be trained or reported in a folder, before anything is.

    Args:
        study: The study.
        choice: The part of it that is to be trained.
        folder: Of the study.
        resume: Whether the folder may hold an earlier part of the same study.

    Raises:
        CisfaError: Settings or cases cannot be used, or the folder holds something else.
    """
    for row in study.rows:
        if row.config.few_labels.weight > 0:
            raise ConfigError(
                f"few_labels.weight is {row.config.few_labels.weight}; cross-validation tells how well a method does"
                " without any target label. Leave it at 0."
            )
    seeds = study.seeds_trained
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds is {','.join(map(str, seeds))!r}; name one or more seeds, each once.")
    for fold in choice.folds or ():
        if not 0 <= fold < study.folds:
            raise ConfigError(f"--fold is {fold + 1}; with {study.folds} folds it must be from 1 to {study.folds}.")
    unlabelled = [case.name for case in study.target if case.labels is None]
    if unlabelled:
        raise CaseError(f"{unlabelled[0]} has no label map; cross-validation scores every target case against one.")
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        raise RunError(f"{folder} is not empty. Pass --resume to go on with it, or choose another folder.")
    _require_same_folds(study, folder)
    for part in study.parts(folder, Choice()):
        _require_same_settings(part)


def write_folds(study: Study, folder: Path) -> None:
    """Write down which case is in which fold, beside the runs and the results, for whoever goes on with the study.

    Raises:
        VolumeFileError: A folder cannot be written.
    """
    for path in _folds_files(study, folder):
        if not path.is_file():
            values = {"schema": 1, "fold_seed": study.seed_of_folds, **_folds_in_json(study)}
            write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _folds_files(study: Study, folder: Path) -> list[Path]:
    return [place / FOLDS for place in (folder, study.results) if place is not None]


def _folds_in_json(study: Study) -> dict[str, Any]:
    names = [[[case.name for case in cases] for cases in folds] for folds in (study.source_folds, study.target_folds)]
    return {"source": names[0], "target": names[1]}


def _require_same_folds(study: Study, folder: Path) -> None:
    """A case must not be segmented by a model that learned from it, as it might after the folds have changed."""
    folds = _folds_in_json(study)
    for path in _folds_files(study, folder):
        if not path.is_file():
            if any(found for pattern in _RESULTS for found in path.parent.glob(pattern)):
                raise RunError(f"{path.parent} holds results without their {FOLDS}. Copy it from where they came.")
            continue
        values = read_json(path)
        if {domain: values.get(domain) for domain in folds} != folds:
            raise RunError(
                f"{path.parent} was begun with other folds ({path}). Go on with the same cases, --folds and"
                " --fold-seed, or choose another folder."
            )


def _require_same_settings(part: Part) -> None:
    """A finished part is not done again, so it must be the one that is wanted."""
    if part.result_file is not None:
        result = read_result(part.result_file)
        _require_own_result(part, result, part.result_file)
        _require_same_config(part, result.config, f"{part.result_file} holds the result")
    if part.is_segmented and is_run(part.run):
        _require_same_config(part, read_run_config(part.run), f"{part.folder} holds a finished run")
    elif part.is_segmented and part.result_file is None:
        raise RunError(
            f"{part.folder} holds predictions of the row {part.row.name!r} with neither their run nor a {RESULT}, so"
            " nobody knows with which settings they were made. Put the run's folder back, or delete the predictions so"
            " that this part is trained again."
        )


def _require_own_result(part: Part, result: PartResult, path: Path) -> None:
    """A result that was copied to a wrong place must not stand in for another one."""
    if (slug_of(result.row), result.fold, result.seed) != (part.row.slug, part.fold + 1, part.seed):
        raise RunError(
            f"{path} holds the result of the row {result.row!r} in fold {result.fold} with seed {result.seed}, which"
            " belongs elsewhere. Move it to where it belongs, or delete it."
        )
    if set(result.labels) != {case.name for case in part.held_out}:
        raise RunError(
            f"{path} holds the scores of other cases than those of fold {result.fold}: {some_of(list(result.labels))}."
            " Go on with the same cases, --folds and --fold-seed, or choose another folder."
        )


def _require_same_config(part: Part, config: TrainingConfig, found: str) -> None:
    ours = part.config
    different = changed_settings(_for_the_result(ours), _for_the_result(config))
    different |= {
        name: getattr(ours, name) for name in ("method", "seed") if getattr(ours, name) != getattr(config, name)
    }
    if different:
        name, value = next(iter(different.items()))
        raise RunError(
            f"{found} of the row {part.row.name!r} with other settings ({name} is {value} here). Give the row its"
            " settings back, or give what is new a name of its own."
        )


def _for_the_result(config: TrainingConfig) -> TrainingConfig:
    """Settings without those that only say how often a run is saved and shown."""
    schedule = ScheduleConfig(epochs=config.schedule.epochs, steps=config.schedule.steps)
    return replace(config, schedule=schedule)

"""What a cross-validation found: the rows of its table, each with the scores of its trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cisfa.evaluation.repeated_scores import mean_over_trainings
from cisfa.evaluation.score_case import CaseScores
from cisfa.evaluation.statistics import OVER_ORGANS, Distribution, Measure, describe, summarise


@dataclass(frozen=True)
class TrainingResult:
    """One training, scored on the cases that were held out of it.

    Attributes:
        fold: Counted from 1.
        seed: Of the training.
        scores: Of the held-out cases.
        minutes: Spent training, the whole run; None when that is not known.
        steps: Optimiser updates of the whole run; None when that is not known.
        hardware: What it was trained on; empty when that is not known.
        chosen_step: Optimiser updates of the weights that were scored; None when that is not known.
    """

    fold: int
    seed: int
    scores: tuple[CaseScores, ...]
    minutes: float | None
    steps: int | None
    hardware: str
    chosen_step: int | None = None


@dataclass(frozen=True)
class RowResult:
    """One row of the table.

    Attributes:
        name: The row's.
        method: Its training recipe.
        settings: Dotted name to value of the settings that differ from those of the whole study.
        is_chosen: True when the study points this row out.
        trainings: One for each fold and seed.
    """

    name: str
    method: str
    settings: Mapping[str, Any]
    is_chosen: bool
    trainings: tuple[TrainingResult, ...]

    @cached_property
    def scores(self) -> list[CaseScores]:
        """All target cases, each averaged over the seeds."""
        return mean_over_trainings([self._of_seed(seed) for seed in self.seeds])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trainings, in their order."""
        return tuple(dict.fromkeys(training.seed for training in self.trainings))

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of the trainings, rising."""
        return tuple(sorted({training.fold for training in self.trainings}))

    @property
    def hardware(self) -> tuple[str, ...]:
        """What the trainings ran on, each once."""
        return tuple(dict.fromkeys(training.hardware for training in self.trainings if training.hardware))

    @property
    def steps(self) -> tuple[int, ...]:
        """How many steps the trainings took, each number once."""
        return tuple(sorted({training.steps for training in self.trainings if training.steps is not None}))

    @property
    def minutes(self) -> Distribution:
        """Minutes of one training, over trainings."""
        return describe(training.minutes for training in self.trainings)

    def means_of_folds(self, measure: Measure) -> dict[str, list[float | None]]:
        """Organ, or ``OVER_ORGANS``, to the mean over cases in each fold; cases are averaged over the seeds first."""
        by_name = {case.case: case for case in self.scores}
        means: dict[str, list[float | None]] = {}
        for fold in self.folds:
            held_out = {case.case for training in self.trainings if training.fold == fold for case in training.scores}
            for summary in summarise([by_name[case] for case in by_name if case in held_out]):
                means.setdefault(summary.organ, []).append(summary.measures[measure.field].mean)
        return means

    def mean_of_seed(self, measure: Measure, seed: int) -> float | None:
        """Mean over organs, then over all target cases, of the trainings with one seed."""
        return (
            {summary.organ: summary for summary in summarise(self._of_seed(seed))}[OVER_ORGANS]
            .measures[measure.field]
            .mean
        )

    def _of_seed(self, seed: int) -> list[CaseScores]:
        return [case for training in self.trainings if training.seed == seed for case in training.scores]


@dataclass(frozen=True)
class StudyResults:
    """All rows that are complete, and what the study is.

    Attributes:
        rows: In the order of the table; every one has the same cases, folds and seeds.
        reference: Name of the row that the others are tested against; None for no tests.
        settings: Dotted name to value of the study's settings that differ from the defaults.
        folds: How many the cases were shared out into.
        fold_seed: What shared them out.
        source_cases: How many there are.
        target_cases: Likewise of the target.
    """

    rows: tuple[RowResult, ...]
    reference: str | None
    settings: Mapping[str, Any]
    folds: int
    fold_seed: int
    source_cases: int
    target_cases: int

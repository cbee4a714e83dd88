"""What a list of runs tells of each: state, method, data, age, best score, size."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cisfa.config import TrainingConfig
from cisfa.errors import RunError
from cisfa.runs.run_curves import CurveReader
from cisfa.runs.run_data import RunData, read_run_data
from cisfa.runs.run_files import CHECKPOINTS, CONFIG, ENVIRONMENT, TRAINED, VALIDATION
from cisfa.runs.run_json import read_json, read_run_config
from cisfa.runs.run_state import RunState, read_state

DICE = "dice"  # the column of validation.csv by which runs are compared


@dataclass(frozen=True)
class RunSummary:
    """One run.

    Attributes:
        path: Its folder.
        state: How far it is.
        config: Its settings; None when they cannot be read.
        data: What it learns from; None before its cases were read.
        started: When its process last began; None while unknown.
        trained_s: Seconds spent training.
        best_dice: Highest Dice on translated held-out source slices, 0 to 1; None before the first validation.
        best_step: The step of it.
        size_bytes: On the disk.
        has_checkpoint: True when it can be resumed and made a bundle of.
        problem: Why it cannot be used, in a sentence; empty when it can.
    """

    path: Path
    state: RunState
    config: TrainingConfig | None
    data: RunData | None
    started: datetime | None
    trained_s: float
    best_dice: float | None
    best_step: int | None
    size_bytes: int
    has_checkpoint: bool
    problem: str

    @property
    def name(self) -> str:
        """For a list."""
        return self.path.name


def summarise(folder: Path, *, is_local: bool) -> RunSummary:
    """Look at a run; whatever is wrong with it becomes its ``problem``.

    Args:
        folder: The run's.
        is_local: As for :func:`~cisfa.runs.run_state.read_state`.
    """
    problem, config, data = "", None, None
    try:
        # a run that could not even read its cases has a state and no settings, which is no fault of the folder
        config = read_run_config(folder) if is_run(folder) else None
        data = read_run_data(folder)
    except RunError as error:
        problem = str(error)
    best, step = _best(folder)
    return RunSummary(
        path=folder,
        state=read_state(folder, is_local=is_local),
        config=config,
        data=data,
        started=_started(folder),
        trained_s=_trained_s(folder),
        best_dice=best,
        best_step=step,
        size_bytes=sum(_sizes(folder)),
        has_checkpoint=any((folder / CHECKPOINTS).glob("step-*.pt")),
        problem=problem,
    )


def is_run(folder: Path) -> bool:
    """True when a run was started in a folder."""
    return (folder / CONFIG).is_file()


def _best(folder: Path) -> tuple[float | None, int | None]:
    reader = CurveReader(folder / VALIDATION)
    reader.read()
    scores = zip(reader.values.get(DICE, ()), reader.steps, strict=False)
    known = [(score, step) for score, step in scores if not math.isnan(score)]
    if not known:
        return None, None
    score, step = max(known, key=lambda one: one[0])
    return score, int(step)


def _started(folder: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(str(read_json(folder / ENVIRONMENT)["started"]))
    except (RunError, KeyError, ValueError):
        return None


def _trained_s(folder: Path) -> float:
    try:
        return float(read_json(folder / TRAINED)["seconds"])
    except (RunError, KeyError, TypeError, ValueError):
        return 0.0


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.stat().st_size
        except OSError:
            continue  # a checkpoint that was removed just now

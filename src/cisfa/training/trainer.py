"""The loop: batches in, steps of whatever method, checkpoints and measurements out."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled, TrainingDivergedError
from cisfa.events import Progress, Report
from cisfa.training.candidates import Candidates
from cisfa.training.checkpoint import save_checkpoint
from cisfa.training.method import Batch, Method
from cisfa.training.processes import Alone, Processes
from cisfa.training.recorder import Recorder
from cisfa.training.run_folder import RunFolder
from cisfa.training.sampling import EndlessShuffle, augment, rng_of_step
from cisfa.training.slice_dataset import DomainSlices
from cisfa.training.validation import Validation

_PROGRESS_EVERY_S = 1.0
_STAGE = "training"


def total_steps(config: TrainingConfig, source_slices: int, target_slices: int) -> int:
    """How many steps a run takes; an epoch is one pass over the larger domain."""
    if config.schedule.steps is not None:
        return config.schedule.steps
    return config.schedule.epochs * math.ceil(max(source_slices, target_slices) / config.optimiser.batch_size)


class Batches:
    """The batch of each step, as a function of the seed and the step."""

    def __init__(
        self, config: TrainingConfig, source: DomainSlices, target: DomainSlices, processes: Processes | None = None
    ) -> None:
        """Prepare the order of the slices.

        Args:
            config: The run's settings.
            source: Of the run, on the training device; of a batch, this process gets its share.
            target: Likewise, with few labels or without.
            processes: Those that train together; None where this one is alone.
        """
        self.config, self._source, self._target = config, source, target
        self.processes = processes or Alone(source.voxels.device)
        size, seed = config.optimiser.batch_size, config.seed
        self._source_order = EndlessShuffle(len(source), size, seed=seed, domain="source")
        self._target_order = EndlessShuffle(len(target), size, seed=seed, domain="target")
        if target.few is not None:
            self._few_order = EndlessShuffle(len(target.few.at), size, seed=seed, domain="few labels")

    def at(self, step: int) -> Batch:
        """This process's share of the batch of a step, counted from 0."""
        share, device = self.processes.share, self._source.voxels.device
        source_at = share.of(self._source_order.at(step)).to(device)
        target_at = share.of(self._target_order.at(step)).to(device)
        labels = self._source.labels[source_at].long()  # type: ignore[index]
        source, moved = self._augment(self._source.voxels[source_at], labels, step, "augmentation of source")
        target, _ = self._augment(self._target.voxels[target_at], None, step, "augmentation of target")
        return Batch(source, labels if moved is None else moved, target, *self._few_at(step))

    def _few_at(self, step: int) -> tuple[Tensor | None, Tensor | None]:
        """Target slices that somebody drew, and their labels; a batch of their own, however few there are."""
        few = self._target.few
        if few is None:
            return None, None
        drawn = self.processes.share.of(self._few_order.at(step)).to(few.at.device)
        labels = few.labels[drawn].long()
        return self._augment(self._target.voxels[few.at[drawn]], labels, step, "augmentation of few labels")

    def _augment(self, slices: Tensor, labels: Tensor | None, step: int, purpose: str) -> tuple[Tensor, Tensor | None]:
        rng = rng_of_step(self.config.seed, step, purpose)
        return augment(slices.float(), labels, self.config.augmentation, rng, share=self.processes.share)


@dataclass
class _Pace:
    """Steps a second since this process began, for the time that remains."""

    first_step: int
    steps: int
    started: float

    def progress(self, done: int) -> Progress:
        passed = time.monotonic() - self.started
        fresh = done - self.first_step
        remaining = passed / fresh * (self.steps - done) if fresh else None
        return Progress(_STAGE, done / self.steps, remaining)


class Listener:
    """What a process has in place of a recorder that writes nothing: it hears only whether it was asked to stop."""

    def __init__(self, report: Report) -> None:
        """Args: hears of progress, and raises what ends the training."""
        self.progress = report


@dataclass
class _Keeper:
    """What one process does after a step for all of them: measuring, showing and saving."""

    method: Method
    batches: Batches
    validation: Validation
    folder: RunFolder
    recorder: Recorder
    saved: int

    def __post_init__(self) -> None:
        self.candidates = Candidates(self.folder.path, self.batches.config.selection, from_step=self.saved)

    def after(self, done: int, last: int, values: Mapping[str, float]) -> None:
        """Do what is due after so many steps of those of the run."""
        config = self.batches.config
        schedule = config.schedule
        # before the metrics, since whoever hears of these may end the run, which goes on from here
        if done % schedule.preview_every == 0 or done in (1, last):
            self.recorder.preview(done, self.method.preview(self.batches.at(done - 1)))
        measured = values if done % schedule.metrics_every == 0 or done == last else {}
        is_validated = done % config.validation.every == 0 or done == last
        scores = self.validation.measure(self.method) if is_validated else {}
        if is_validated:
            self.candidates.add(self.method.segmenter, scores, step=done, steps=last)
        self.recorder.metrics(done, measured, scores)
        if done % schedule.checkpoint_every == 0 or done == last:
            self.save(done)

    def save(self, done: int) -> None:
        """Write a checkpoint, unless it stands there already."""
        if done > self.saved:
            keep = self.batches.config.schedule.keep_checkpoints
            save_checkpoint(self.folder.checkpoints, self.method, step=done, keep=keep)
            self.saved = done


def train(
    method: Method,
    batches: Batches,
    validation: Validation,
    *,
    folder: RunFolder,
    recorder: Recorder | Listener,
    steps: tuple[int, int],
) -> None:
    """Run a method's steps, saving as the schedule says and at the end.

    Where several processes train together, all end after the same step, whichever of them has a reason to.

    Args:
        method: Built, and restored from a checkpoint when resuming.
        batches: Where each step's slices come from, the run's settings, and who trains together.
        validation: What is measured now and then.
        folder: The run.
        recorder: Hears of progress and metrics; what it raises (a cancellation) ends the training after a checkpoint.
            A listener in processes that are not the first.
        steps: Those done before, and those of the whole run.

    Raises:
        TrainingDivergedError: A loss is not finite; the last checkpoint is from before.
        Cancelled: The user asked for it; a checkpoint of the last step was written.
    """
    first, last = steps
    config, processes = batches.config, batches.processes
    keeper = _Keeper(method, batches, validation, folder, recorder, first) if isinstance(recorder, Recorder) else None
    pace, told = _Pace(first, last, time.monotonic()), -math.inf
    trouble: Exception | None = None
    for done in range(first + 1, last + 1):
        method.set_progress(done=done - 1, steps=last)
        losses = method.step(batches.at(done - 1), rng_of_step(config.seed, done - 1, "method"))
        values = _values(losses, processes)
        _require_finite(values, done)
        try:
            if keeper:
                keeper.after(done, last, values)
            if time.monotonic() - told > _PROGRESS_EVERY_S or done == last:
                told = time.monotonic()
                recorder.progress(pace.progress(done))
        except Exception as error:  # of what the others do not do, so that they would wait for this one in vain
            trouble = error
        if processes.any_says(trouble is not None):
            trouble = trouble or Cancelled("Stopped on request.")
            if keeper and isinstance(trouble, Cancelled):
                keeper.save(done)
            raise trouble


def _values(losses: Mapping[str, Tensor], processes: Processes) -> dict[str, float]:
    """The losses of the whole batch."""
    stacked = torch.stack(list(losses.values()))
    processes.average([stacked])
    # one transfer from the device, not one for each loss
    return dict(zip(losses, stacked.tolist(), strict=True))


def _require_finite(values: dict[str, float], step: int) -> None:
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingDivergedError(
            f"{wrong[0]} became {values[wrong[0]]} at step {step}: training has diverged. Start a new run with a"
            " smaller optimiser.learning_rate, or with optimiser.precision=float32; the last checkpoint of this one is"
            " from before and stays usable."
        )


def seed_everything(seed: int) -> None:
    """Make the networks' first weights repeatable, and on a CPU everything else too.

    A graphics card adds up gradients of padding and resampling in no fixed order, so there runs agree nearly.
    """
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True

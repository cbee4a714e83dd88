"""The loop: batches in, steps of whatever method, checkpoints and measurements out."""

import math
import time
from dataclasses import dataclass

import torch

from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled, TrainingDivergedError
from cisfa.events import Progress
from cisfa.training.checkpoint import save_checkpoint
from cisfa.training.method import Batch, Method
from cisfa.training.recorder import Recorder
from cisfa.training.run_folder import RunFolder
from cisfa.training.sampling import EndlessShuffle, augment, rng_of_step
from cisfa.training.slice_dataset import DomainSlices

_PROGRESS_EVERY_S = 1.0
_STAGE = "training"


def total_steps(config: TrainingConfig, source_slices: int, target_slices: int) -> int:
    """How many steps a run takes; an epoch is one pass over the larger domain."""
    if config.schedule.steps is not None:
        return config.schedule.steps
    return config.schedule.epochs * math.ceil(max(source_slices, target_slices) / config.optimiser.batch_size)


class Batches:
    """The batch of each step, as a function of the seed and the step."""

    def __init__(self, config: TrainingConfig, source: DomainSlices, target: DomainSlices) -> None:
        """Args: the run's settings; both domains, on the training device."""
        self._config, self._source, self._target = config, source, target
        size, seed = config.optimiser.batch_size, config.seed
        self._source_order = EndlessShuffle(len(source), size, seed=seed, domain="source")
        self._target_order = EndlessShuffle(len(target), size, seed=seed, domain="target")

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        seed, settings = self._config.seed, self._config.augmentation
        device = self._source.voxels.device
        source_at, target_at = self._source_order.at(step).to(device), self._target_order.at(step).to(device)
        labels = self._source.labels[source_at].long()  # type: ignore[index]
        source, moved = augment(
            self._source.voxels[source_at].float(), labels, settings, rng_of_step(seed, step, "augmentation of source")
        )
        target, _ = augment(
            self._target.voxels[target_at].float(), None, settings, rng_of_step(seed, step, "augmentation of target")
        )
        return Batch(source, labels if moved is None else moved, target)


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


def train(
    method: Method,
    batches: Batches,
    *,
    folder: RunFolder,
    recorder: Recorder,
    config: TrainingConfig,
    steps: tuple[int, int],
) -> None:
    """Run a method's steps, saving as the schedule says and at the end.

    Args:
        method: Built, and restored from a checkpoint when resuming.
        batches: Where each step's slices come from.
        folder: The run.
        recorder: Hears of progress and metrics; what it raises (a cancellation) ends the training after a checkpoint.
        config: The run's settings.
        steps: Those done before, and those of the whole run.

    Raises:
        TrainingDivergedError: A loss is not finite; the last checkpoint is from before.
        Cancelled: The user asked for it; a checkpoint of the last step was written.
    """
    first, last = steps
    schedule = config.schedule
    pace, told = _Pace(first, last, time.monotonic()), -math.inf
    step = saved = first
    try:
        for step in range(first, last):
            losses = method.step(batches.at(step), rng_of_step(config.seed, step, "method"))
            # one transfer from the device, not one for each loss
            values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
            done = step + 1
            _require_finite(values, done)
            if done % schedule.metrics_every == 0 or done == last:
                recorder.metrics(done, values)
            if done % schedule.preview_every == 0 or done in (1, last):
                recorder.preview(done, method.preview(batches.at(step)))
            if done % schedule.checkpoint_every == 0 or done == last:
                save_checkpoint(folder.checkpoints, method, step=done, keep=schedule.keep_checkpoints)
                saved = done
            if time.monotonic() - told > _PROGRESS_EVERY_S or done == last:
                told = time.monotonic()
                recorder.progress(pace.progress(done))
    except Cancelled:
        if step + 1 > saved:
            save_checkpoint(folder.checkpoints, method, step=step + 1, keep=schedule.keep_checkpoints)
        raise


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

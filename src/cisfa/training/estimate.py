"""What a training will take: time from a few real steps on random slices, memory and disk from them and from sizes."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cisfa.cases.check_report import CaseFacts, Estimate
from cisfa.config import TrainingConfig
from cisfa.events import Report
from cisfa.inference.device import describe_device
from cisfa.networks.segmenter import Segmenter
from cisfa.training.methods import method_named
from cisfa.training.sampling import held_out_cases
from cisfa.training.step_trial import Limits, Trial, along_line, try_steps
from cisfa.training.threads import fitting_threads
from cisfa.training.trainer import total_steps

_MIB = 2.0**20
# a validation costs about as much as this many steps
_STEPS_OF_A_VALIDATION = 10
# of a process before any network: on a CPU Python and all that it loads, on a card what CUDA takes for itself
_BASE_MIB = {"cpu": 600.0, "cuda": 500.0, "mps": 300.0}
# what a backward pass holds beside the tensors that were saved for it: their gradients, convolutions' work space
_BESIDE_SAVED = 1.6
# weights, their gradients, and Adam's two means
_COPIES_OF_WEIGHTS = 4
# of the free memory, for tensors saved in a trial
_TRIAL_PART = 0.4
# bytes: a picture of a preview as PNG a pixel; one measurement of some twenty values in all files that record it
_PREVIEW_PIXEL, _MEASUREMENT = 1.6, 4000
_PREVIEW_SLICES, _PREVIEW_COLUMNS = 4, 3


@dataclass(frozen=True)
class Workload:
    """What a run would learn from.

    Attributes:
        classes: Organs and background.
        source_slices: That are learned from.
        held_out_slices: Of the source, kept from training.
        target_slices: Of the target; none for a method without.
        few_slices: Target slices that were drawn and are learned from.
    """

    classes: int
    source_slices: int
    held_out_slices: int
    target_slices: int
    few_slices: int = 0

    @property
    def slices(self) -> int:
        """All that are kept in memory."""
        return self.source_slices + self.held_out_slices + self.target_slices


@dataclass(frozen=True)
class Room:
    """What is free for a run, in bytes; None where it is not known.

    Attributes:
        free_ram: Memory of the computer that is free.
        total_ram: All of it.
        run_folder: Where the run would be written, existing or not; None where no place is named.
    """

    free_ram: int | None = None
    total_ram: int | None = None
    run_folder: Path | None = None


def workload_of(facts: Sequence[CaseFacts], config: TrainingConfig, *, organs: int) -> Workload:
    """What a run with these cases would learn from; cases that cannot be read are passed over.

    Args:
        facts: Of all cases.
        config: Of the training.
        organs: How many are learned.
    """
    readable = [one for one in facts if one.problem is None]
    source = [one for one in readable if one.domain == "source"]
    target = [one for one in readable if one.domain == "target"] if method_named(config.method).has_target else []
    held_out = held_out_cases([one.fingerprint or "" for one in source], config.validation.held_out, seed=config.seed)
    held_out_slices = sum(source[case].slices for case in held_out)
    return Workload(
        classes=organs + 1,
        source_slices=sum(one.slices for one in source) - held_out_slices,
        held_out_slices=held_out_slices,
        target_slices=sum(one.slices for one in target),
        few_slices=sum(one.labelled_slices for one in target) if config.few_labels.weight > 0 else 0,
    )


def estimate_training(
    config: TrainingConfig, work: Workload, device: torch.device, room: Room, report: Report, *, budget_s: float = 20.0
) -> Estimate:
    """Find out what a training would take, by trying a few steps.

    Args:
        config: Of the training.
        work: What it learns from.
        device: Where it would run.
        room: What is free.
        report: Hears progress; what it raises ends the trial.
        budget_s: How long the trial may take, about.

    Raises:
        ConfigError: Settings cannot work together.
    """
    free, total = _memory_of(device, room)
    limits = Limits(budget_s, None if free is None else _TRIAL_PART * free)
    with fitting_threads(config, device):
        trial = try_steps(config, device, report, classes=work.classes, with_few=work.few_slices > 0, limits=limits)
    steps = total_steps(config, work.source_slices, work.target_slices)
    validated = 1 + _STEPS_OF_A_VALIDATION / config.validation.every
    return Estimate(
        device=describe_device(device),
        steps=steps,
        step_s=None if trial.step_s is None else trial.step_s * validated,
        time_basis=trial.time_basis,
        memory_mib=_memory_mib(trial, work, device),
        memory_basis="measured" if trial.size in trial.reserved_mib else "computed",
        free_memory_mib=free,
        total_memory_mib=total,
        disk_mib=(_disk_bytes(config, trial.state_mib * _MIB, steps) + _candidate_bytes(config, work, steps)) / _MIB,
        free_disk_mib=_free_disk_mib(room.run_folder),
    )


def _memory_mib(trial: Trial, work: Workload, device: torch.device) -> float:
    """On the device, with the slices of all cases."""
    labelled = work.source_slices + work.held_out_slices
    # on the CPU the larger domain is there twice for a moment, while it is read
    slices = work.slices + (max(labelled, work.target_slices) if device.type == "cpu" else 0)
    data = (2 * slices + labelled + work.few_slices) * trial.size**2 / _MIB
    base = _BASE_MIB.get(device.type, 0.0) + data
    if trial.reserved_mib:
        return base + along_line(trial.size, trial.reserved_mib)
    return base + _COPIES_OF_WEIGHTS * trial.weight_mib + _BESIDE_SAVED * along_line(trial.size, trial.saved_mib)


def _disk_bytes(config: TrainingConfig, state_bytes: float, steps: int) -> float:
    """What a run's folder grows to: checkpoints with one being written, pictures twice (TensorBoard), measurements."""
    schedule = config.schedule
    checkpoints = min(schedule.keep_checkpoints, steps // schedule.checkpoint_every + 1) + 1
    pixels = _PREVIEW_SLICES * _PREVIEW_COLUMNS * config.preprocessing.size**2
    previews = steps // schedule.preview_every + 2
    measurements = steps // schedule.metrics_every + 1
    return checkpoints * state_bytes + 2 * previews * _PREVIEW_PIXEL * pixels + measurements * _MEASUREMENT


def _candidate_bytes(config: TrainingConfig, work: Workload, steps: int) -> float:
    """What the weights take that a bundle may be made of, with one that is about to go."""
    with torch.device("meta"):  # only sizes are wanted
        segmenter = Segmenter(classes=work.classes, width=config.networks.segmenter_width)
    weights = sum(value.numel() * value.element_size() for value in segmenter.state_dict().values())
    validations = steps // config.validation.every + 1
    return min(config.selection.keep + 1, validations) * weights if config.selection.keep else 0.0


def _free_disk_mib(folder: Path | None) -> float | None:
    """Where a folder is or would be; None where that cannot be told."""
    if folder is None:
        return None
    there = next((place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free / _MIB
    except OSError:
        return None


def _memory_of(device: torch.device, room: Room) -> tuple[float | None, float | None]:
    """Free and total memory of a device in MiB."""
    free, total = room.free_ram, room.total_ram
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
    return None if free is None else free / _MIB, None if total is None else total / _MIB

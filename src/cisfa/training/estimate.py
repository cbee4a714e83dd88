"""What a training will take: time from a few real steps on random slices, memory and disk from them and from sizes.

A step's time and the memory of its activations grow with the number of pixels, and both have a part that does not (the
optimiser's). So where a whole slice would take too long, two smaller sizes are tried, and a line through them tells.
"""

import shutil
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cisfa.cases.check_report import CaseFacts, Estimate
from cisfa.config import TrainingConfig
from cisfa.events import Progress, Report
from cisfa.inference.device import describe_device
from cisfa.training.method import Method
from cisfa.training.methods import method_named
from cisfa.training.sampling import held_out_cases, rng_of_step
from cisfa.training.slice_dataset import DomainSlices, FewLabels
from cisfa.training.trainer import Batches, seed_everything, total_steps

_STAGE = "trying the settings"
_MIB = 2.0**20
# the smallest slices that all networks take, in pixels
_SMALLEST = 64
_STEP_PIXELS = 16
_MOST_STEPS = 4
# a validation costs about as much as this many steps
_STEPS_OF_A_VALIDATION = 7
# z-scores of random slices
_TARGET_RANGE = (-2.0, 4.0)
# of this process before any network: Python, torch and what else is loaded
_BASE_MIB = {"cpu": 450.0, "cuda": 500.0, "mps": 300.0}
# what a backward pass holds beside the tensors that were saved for it: their gradients, convolutions' work space
_BESIDE_SAVED = 1.6
# bytes: a picture of a preview as PNG a pixel; one measurement of some twenty values in all files that record it
_PREVIEW_PIXEL, _MEASUREMENT = 0.9, 4000
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
    trial = _Trial(config, work, device, report, budget_s)
    trial.run()
    free, total = _memory_of(device, room)
    steps = total_steps(config, work.source_slices, work.target_slices)
    validated = 1 + _STEPS_OF_A_VALIDATION / config.validation.every
    return Estimate(
        device=describe_device(device),
        steps=steps,
        step_s=None if trial.step_s is None else trial.step_s * validated,
        time_basis=trial.time_basis,
        memory_mib=trial.memory_mib,
        memory_basis="measured" if device.type == "cuda" and trial.time_basis == "measured" else "computed",
        free_memory_mib=free,
        total_memory_mib=total,
        disk_mib=_disk_bytes(config, trial.state_bytes, steps) / _MIB,
        free_disk_mib=_free_disk_mib(room.run_folder),
    )


@dataclass
class _Trial:
    """Steps of the real method on random slices of rising size.

    Attributes:
        seconds: Size of a slice to seconds of a step.
        saved_mib: Size of a slice to the most memory that tensors saved for backward passes took.
        peak_mib: Size of a slice to the most memory that was reserved on a graphics card.
    """

    config: TrainingConfig
    work: Workload
    device: torch.device
    report: Report
    budget_s: float
    seconds: dict[int, float] = field(default_factory=dict)
    saved_mib: dict[int, float] = field(default_factory=dict)
    peak_mib: dict[int, float] = field(default_factory=dict)
    state_bytes: int = 0
    weight_bytes: int = 0
    is_too_large: bool = False

    def run(self) -> None:
        """Try the smallest size, then as large a one as the time allows."""
        started, full = time.monotonic(), self.config.preprocessing.size
        self.report(Progress(_STAGE, 0.0))
        seed_everything(self.config.seed)
        method = method_named(self.config.method).build(
            self.config, classes=self.work.classes, target_range=_TARGET_RANGE, device=self.device
        )
        self.weight_bytes = sum(_bytes(parameter) for parameter in _parameters(method))
        smallest = min(_SMALLEST, full)
        self._try(method, smallest, until=started + self.budget_s / 3)
        self.state_bytes = _state_bytes(method)
        left = started + self.budget_s - time.monotonic()
        larger = self._largest_within(left / 2, smallest, full)
        if larger > smallest and not self.is_too_large:
            self._try(method, larger, until=started + self.budget_s)
        self.report(Progress(_STAGE, 1.0))

    @property
    def time_basis(self) -> Any:
        """How the time of a step is known."""
        if not self.seconds:
            return "unknown"
        return "measured" if self.config.preprocessing.size in self.seconds else "extrapolated"

    @property
    def step_s(self) -> float | None:
        """Seconds of one step."""
        return _at(self.config.preprocessing.size, self.seconds) if self.seconds else None

    @property
    def memory_mib(self) -> float:
        """On the device, with the slices of all cases."""
        size = self.config.preprocessing.size
        pixels = size * size
        # source and held out have labels; on the CPU the largest domain is there twice for a moment while it is read
        labelled, largest = self.work.source_slices + self.work.held_out_slices, self.work.target_slices
        slices = self.work.slices + (max(labelled, largest) if self.device.type == "cpu" else 0)
        data = (2 * slices + labelled + self.work.few_slices) * pixels / _MIB
        if self.peak_mib:
            return data + _at(size, self.peak_mib)
        # weights, their gradients, and Adam's two means
        weights = 4 * self.weight_bytes / _MIB
        return _BASE_MIB.get(self.device.type, 0.0) + data + weights + _BESIDE_SAVED * _at(size, self.saved_mib)

    def _largest_within(self, seconds: float, smallest: int, full: int) -> int:
        """The largest size of which a step takes no longer, as far as the smallest one tells."""
        taken = self.seconds.get(smallest)
        if taken is None or seconds <= 0:
            return smallest
        size = int(smallest * (seconds / taken) ** 0.5)
        return full if size >= full else max(smallest, size // _STEP_PIXELS * _STEP_PIXELS)

    def _try(self, method: Method, size: int, *, until: float) -> None:
        """Time steps at a size: the fastest, since the first one also prepares things."""
        batches = _random_batches(self.config, self.work, size, self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        for number in range(_MOST_STEPS):
            begun = time.monotonic()
            try:
                with _counting_saved(method) as saved:
                    losses = method.step(batches.at(number), rng_of_step(self.config.seed, number, "method"))
                    torch.stack(list(losses.values())).tolist()  # as training does: waits for the graphics card
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                self.is_too_large = True
                return
            taken = time.monotonic() - begun
            self.seconds[size] = min(taken, self.seconds.get(size, taken))
            self.saved_mib[size] = max(saved.most / _MIB, self.saved_mib.get(size, 0.0))
            self.report(Progress(_STAGE, 0.5 if size < self.config.preprocessing.size else 0.9))
            if time.monotonic() + taken > until:
                break
        if self.device.type == "cuda":
            self.peak_mib[size] = torch.cuda.max_memory_reserved(self.device) / _MIB + _BASE_MIB["cuda"]


def _at(size: int, known: Mapping[int, float]) -> float:
    """What is known of some sizes for another: a line through the largest two over the pixels, never falling."""
    if size in known:
        return known[size]
    sizes = sorted(known, reverse=True)[:2]
    if not sizes:
        return 0.0
    largest = sizes[0]
    if len(sizes) < 2:
        return known[largest] * (size / largest) ** 2
    slope = (known[largest] - known[sizes[1]]) / (largest**2 - sizes[1] ** 2)
    return known[largest] + max(0.0, slope) * (size**2 - largest**2)


@dataclass
class _Saved:
    """Bytes of tensors that are saved for a backward pass, now and at most."""

    weights: frozenset[int]
    now: int = 0
    most: int = 0
    holders: dict[int, int] = field(default_factory=dict)

    def take(self, tensor: Tensor) -> "_Held":
        """Count a tensor until nobody holds it; a storage counts once, and weights never."""
        held = _Held(tensor)
        place, size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
        if place not in self.weights:
            self.holders[place] = self.holders.get(place, 0) + 1
            if self.holders[place] == 1:
                self.now += size
                self.most = max(self.most, self.now)
            weakref.finalize(held, self._let_go, place, size)
        return held

    def _let_go(self, place: int, size: int) -> None:
        self.holders[place] -= 1
        if self.holders[place] == 0:
            self.now -= size


class _Held:
    """A saved tensor, to see when it is let go."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextmanager
def _counting_saved(method: Method) -> Iterator[_Saved]:
    saved = _Saved(frozenset(parameter.untyped_storage().data_ptr() for parameter in _parameters(method)))
    with torch.autograd.graph.saved_tensors_hooks(saved.take, lambda held: held.tensor):
        yield saved


def _random_batches(config: TrainingConfig, work: Workload, size: int, device: torch.device) -> Batches:
    """Batches of noise in place of slices: what a step costs does not depend on what is to be seen."""
    count = config.optimiser.batch_size
    generator = torch.Generator().manual_seed(config.seed)
    voxels = torch.randn((count, 1, size, size), generator=generator).half()
    labels = torch.randint(0, work.classes, (count, size, size), generator=generator, dtype=torch.uint8)
    source = DomainSlices(voxels, labels, "CT", ()).to(device)
    few = FewLabels(torch.arange(count), labels, ()) if work.few_slices else None
    return Batches(config, source, replace(DomainSlices(voxels, None, "CT", ()), few=few).to(device))


def _parameters(method: Method) -> list[torch.nn.Parameter]:
    return [parameter for network in method.networks.values() for parameter in network.parameters()]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _state_bytes(method: Method) -> int:
    """Size of a checkpoint, after a step at least."""
    networks = sum(_bytes(value) for network in method.networks.values() for value in network.state_dict().values())
    states = [state for optimiser in method.optimisers.values() for state in optimiser.state.values()]
    return networks + sum(_bytes(value) for state in states for value in state.values() if isinstance(value, Tensor))


def _disk_bytes(config: TrainingConfig, state_bytes: int, steps: int) -> float:
    """What a run's folder grows to: checkpoints with one being written, pictures twice (TensorBoard), measurements."""
    schedule = config.schedule
    checkpoints = min(schedule.keep_checkpoints, steps // schedule.checkpoint_every + 1) + 1
    pixels = _PREVIEW_SLICES * _PREVIEW_COLUMNS * config.preprocessing.size**2
    previews = steps // schedule.preview_every + 2
    measurements = steps // schedule.metrics_every + 1
    return checkpoints * state_bytes + 2 * previews * _PREVIEW_PIXEL * pixels + measurements * _MEASUREMENT


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


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)

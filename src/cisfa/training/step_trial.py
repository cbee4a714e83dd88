"""A few real steps on random slices, to find out how long they take and how much memory.

A step's time and the memory of its activations grow with the number of pixels, and both have a part that does not (the
optimiser's). So where a whole slice would take too long, two smaller sizes are tried, and a line through them tells.
"""

import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from cisfa.config import TrainingConfig
from cisfa.events import Progress, Report
from cisfa.training.method import Method
from cisfa.training.methods import method_named
from cisfa.training.sampling import rng_of_step
from cisfa.training.slice_dataset import DomainSlices, FewLabels
from cisfa.training.trainer import Batches, seed_everything

TimeBasis = Literal["measured", "extrapolated", "unknown"]

_STAGE = "trying the settings"
_MIB = 2.0**20
# rows and columns of the first try
_SMALLEST = 64
_MULTIPLE = 16
_MOST_STEPS = 4
# of a step's time, what grows with the pixels at least
_SURE_PART = 0.5
# z-scores of random slices
_TARGET_RANGE = (-2.0, 4.0)


@dataclass(frozen=True)
class Trial:
    """What a few steps told.

    Attributes:
        size: Rows and columns of the slices that training would take.
        seconds: Size that was tried to seconds of a step.
        saved_mib: Likewise, the most memory that tensors saved for backward passes took.
        reserved_mib: Likewise, the most memory that was reserved on a graphics card; empty on a CPU.
        weight_mib: Of all networks.
        state_mib: Of a checkpoint.
    """

    size: int
    seconds: Mapping[int, float]
    saved_mib: Mapping[int, float]
    reserved_mib: Mapping[int, float]
    weight_mib: float
    state_mib: float

    @property
    def time_basis(self) -> TimeBasis:
        """How the time of a step is known."""
        if not self.seconds:
            return "unknown"
        return "measured" if self.size in self.seconds else "extrapolated"

    @property
    def step_s(self) -> float | None:
        """Seconds of a step; None when not even a small one could be done."""
        if not self.seconds:
            return None
        largest = max(self.seconds)
        in_proportion = self.seconds[largest] * (self.size / largest) ** 2
        # on a computer that is busy with other things, a line through two sizes may point anywhere
        return max(along_line(self.size, self.seconds), _SURE_PART * in_proportion)


def try_steps(
    config: TrainingConfig,
    device: torch.device,
    report: Report,
    *,
    classes: int,
    with_few: bool,
    limits: "Limits",
) -> Trial:
    """Do a few steps of the real method on random slices: small ones, then as large ones as the limits allow.

    Args:
        config: Of the training.
        device: Where it would run.
        report: Hears progress; what it raises ends the trial.
        classes: Organs and background.
        with_few: Whether target slices that somebody drew are learned from.
        limits: Of time and memory.

    Raises:
        ConfigError: Settings cannot work together.
    """
    report(Progress(_STAGE, 0.0))
    began, full = time.monotonic(), config.preprocessing.size
    seed_everything(config.seed)
    # a teacher's steps are the dearest ones
    config = replace(config, teacher=replace(config.teacher, begin=0))
    smallest = min(_SMALLEST, full)
    trier = _Trier(config, _method_for(config, smallest, device, classes), device, report, with_few)
    trier.try_size(smallest, classes, until=began + limits.seconds / 3)
    state = _state_bytes(trier.method)
    left = began + limits.seconds - time.monotonic()
    larger = trier.largest_within(left / 2, limits.saved_mib, smallest)
    if larger > smallest:
        del trier.method  # before there is another one
        trier.method = _method_for(config, larger, device, classes)
        trier.try_size(larger, classes, until=began + limits.seconds)
    report(Progress(_STAGE, 1.0))
    weights = sum(_bytes(parameter) for parameter in _parameters(trier.method))
    return Trial(full, trier.seconds, trier.saved_mib, trier.reserved_mib, weights / _MIB, state / _MIB)


def _method_for(config: TrainingConfig, size: int, device: torch.device, classes: int) -> Method:
    """The method for slices of a size: CISFA+'s atlas has places, so it fits one size alone."""
    config = replace(config, preprocessing=replace(config.preprocessing, size=size))
    return method_named(config.method).build(config, classes=classes, target_range=_TARGET_RANGE, device=device)


@dataclass(frozen=True)
class Limits:
    """What a trial may take.

    Attributes:
        seconds: In all, about.
        saved_mib: Memory of tensors saved for backward passes; None for no limit.
    """

    seconds: float = 20.0
    saved_mib: float | None = None


@dataclass
class _Trier:
    config: TrainingConfig
    method: Method
    device: torch.device
    report: Report
    with_few: bool
    seconds: dict[int, float] = field(default_factory=dict)
    saved_mib: dict[int, float] = field(default_factory=dict)
    reserved_mib: dict[int, float] = field(default_factory=dict)

    def largest_within(self, seconds: float, saved_mib: float | None, smallest: int) -> int:
        """The largest size of which a step takes no more, as far as the smallest one tells."""
        full = self.config.preprocessing.size
        if smallest not in self.seconds or seconds <= 0:
            return smallest
        factors = [seconds / self.seconds[smallest]]
        if saved_mib is not None:
            factors.append(saved_mib / max(1e-3, self.saved_mib[smallest]))
        size = int(smallest * max(0.0, min(factors)) ** 0.5)
        return full if size >= full else max(smallest, size // _MULTIPLE * _MULTIPLE)

    def try_size(self, size: int, classes: int, *, until: float) -> None:
        """A first step for its memory, which also prepares things, then some for the time; nothing when out of memory.

        Where one step takes all the time there is, its own time has to do.
        """
        batches = _random_batches(self.config, size, self.device, classes=classes, with_few=self.with_few)
        is_card = self.device.type == "cuda"
        if is_card:
            torch.cuda.reset_peak_memory_stats(self.device)
        times = []
        for number in range(_MOST_STEPS):
            begun = time.monotonic()
            try:
                with nullcontext() if number else _counting_saved(self.method) as saved:
                    losses = self.method.step(batches.at(number), rng_of_step(self.config.seed, number, "method"))
                    torch.stack(list(losses.values())).tolist()  # as training does: waits for the graphics card
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                return
            times.append(time.monotonic() - begun)
            if saved is not None:
                self.saved_mib[size] = saved.most / _MIB
            self.report(Progress(_STAGE, 0.9 if size == self.config.preprocessing.size else 0.5))
            if time.monotonic() + times[-1] > until:
                break
        counted = times[1:] or times
        self.seconds[size] = sum(counted) / len(counted)
        if is_card:
            self.reserved_mib[size] = torch.cuda.max_memory_reserved(self.device) / _MIB


def along_line(size: int, known: Mapping[int, float]) -> float:
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


def _random_batches(
    config: TrainingConfig, size: int, device: torch.device, *, classes: int, with_few: bool
) -> Batches:
    """Batches of noise in place of slices: what a step costs does not depend on what is to be seen."""
    count = config.optimiser.batch_size
    generator = torch.Generator().manual_seed(config.seed)
    voxels = torch.randn((count, 1, size, size), generator=generator).half()
    labels = torch.randint(0, classes, (count, size, size), generator=generator, dtype=torch.uint8)
    source = DomainSlices(voxels, labels, "CT", ()).to(device)
    few = FewLabels(torch.arange(count), labels, ()) if with_few else None
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


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)

"""Which slices a step sees, and how they are changed; a function of the seed and the step alone.

So a resumed run goes on exactly as if it had never stopped, without saving any random state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cisfa.config import AugmentationConfig
from cisfa.inference.slice_changes import with_gamma

_STREAMS = {
    "source": 0, "target": 1, "augmentation of source": 2, "augmentation of target": 3, "method": 4,
    "held out": 5, "few labels": 6, "augmentation of few labels": 7,
}  # fmt: skip


FEWEST_CASES_TO_HOLD_OUT = 4
# places along an edge of which each moves on its own in elastic changes: a few to an organ
_BENDS = 6


@dataclass(frozen=True)
class Share:
    """The part of every batch that one of several processes works on.

    Attributes:
        index: Which of them, from 0.
        count: How many there are; batches can be divided by it.
    """

    index: int = 0
    count: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """The part of what has a row for each slice of the whole batch."""
        return batch if self.count == 1 else batch.chunk(self.count)[self.index]


class EndlessShuffle:
    """Passes over a domain's slices, each in a new random order, cut into batches without a gap.

    Each domain has its own, so pairs of source and target slices never repeat in a fixed way and no slice is left out.
    """

    def __init__(self, count: int, batch_size: int, *, seed: int, domain: str) -> None:
        """Args: number of slices; slices a step; the run's seed; "source", "target" or "few labels"."""
        self._count, self._batch_size = count, batch_size
        self._seed, self._domain = seed, domain
        self._orders: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}

    def at(self, step: int) -> Tensor:
        """Indices of the slices of a step (counted from 0), (batch,), int64."""
        places = range(step * self._batch_size, (step + 1) * self._batch_size)
        return torch.tensor([self._order(place // self._count)[place % self._count] for place in places])

    def _order(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        if epoch not in self._orders:
            generator = np.random.default_rng([self._seed, _STREAMS[self._domain], epoch])
            before = {number: order for number, order in self._orders.items() if number == epoch - 1}
            self._orders = {**before, epoch: generator.permutation(self._count)}
        return self._orders[epoch]


def rng_of_step(seed: int, step: int, purpose: str) -> torch.Generator:
    """A generator of its own for each step and purpose."""
    state = np.random.SeedSequence([seed, _STREAMS[purpose], step]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def held_out_cases(fingerprints: Sequence[str], part: float, *, seed: int) -> list[int]:
    """Which cases are kept from training, by their places in ascending order.

    A function of the seed and the cases' voxels, whatever the cases are called and in which order they come.

    Args:
        fingerprints: Of each case.
        part: Of all cases; at least one is held out, but none at all where part is 0 or there are fewer than four.
        seed: The run's.
    """
    if part == 0 or len(fingerprints) < FEWEST_CASES_TO_HOLD_OUT:
        return []
    by_voxels = sorted(range(len(fingerprints)), key=lambda case: fingerprints[case])
    order = np.random.default_rng([seed, _STREAMS["held out"]]).permutation(len(fingerprints))
    count = max(1, round(part * len(fingerprints)))
    return sorted(by_voxels[place] for place in order[:count])


def augment(
    slices: Tensor,
    labels: Tensor | None,
    config: AugmentationConfig,
    rng: torch.Generator,
    *,
    share: Share = Share(),
) -> tuple[Tensor, Tensor | None]:
    """Rotate, scale, shift, bend and change the contrast of each slice at random; labels follow by nearest neighbour.

    Args:
        slices: (batch, 1, rows, columns).
        labels: (batch, rows, columns), or None.
        config: Ranges; what is zero is left out.
        rng: On the CPU.
        share: Which part of the batch the slices are. Chance is drawn for the whole batch, so that a slice is changed
            in the same way whatever the number of processes.
    """
    whole = len(slices) * share.count
    if config.rotation_degrees or config.scaling or config.shift or config.elastic:
        matrices = share.of(_random_affine(whole, config, rng))
        grid = F.affine_grid(matrices, list(slices.shape), align_corners=False).to(slices.device)
        if config.elastic:
            coarse = share.of(2 * torch.rand((whole, 2, _BENDS, _BENDS), generator=rng) - 1).to(slices.device)
            grid = grid + 2 * config.elastic * smooth_field(coarse, slices.shape[2:]).movedim(1, -1)
        # outside a cropped body there is air: the border's own value, not zero, which is the mean of the body
        slices = F.grid_sample(slices, grid, mode="bilinear", padding_mode="border", align_corners=False)
        if labels is not None:
            as_slices = labels[:, None].float()
            moved = F.grid_sample(as_slices, grid, mode="nearest", padding_mode="zeros", align_corners=False)
            labels = moved[:, 0].to(labels.dtype)
    if config.gamma:
        exponents = (1 + config.gamma) ** (2 * torch.rand(whole, generator=rng) - 1)
        slices = with_gamma(slices, share.of(exponents))
    return slices, labels


def _random_affine(count: int, config: AugmentationConfig, rng: torch.Generator) -> Tensor:
    """Matrices (count, 2, 3) for affine_grid: from places in the new slice to the old one, both from -1 to 1."""
    angle, scale, shift_x, shift_y = 2 * torch.rand((4, count), generator=rng) - 1
    angle = angle * math.radians(config.rotation_degrees)
    factor = 1 / (1 + scale * config.scaling)
    rows = [
        torch.stack([factor * angle.cos(), -factor * angle.sin(), 2 * config.shift * shift_x], dim=1),
        torch.stack([factor * angle.sin(), factor * angle.cos(), 2 * config.shift * shift_y], dim=1),
    ]
    return torch.stack(rows, dim=1)


def smooth_field(coarse: Tensor, shape: Sequence[int]) -> Tensor:
    """Values (batch, channels, few, few) as a smooth field (batch, channels, rows, columns) through them."""
    return F.interpolate(coarse, list(shape), mode="bicubic", align_corners=True)

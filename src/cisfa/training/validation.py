"""Scores along the way that need no target label, always on the same slices and without any randomness.

They tell how training goes and one run from another. None of them is a Dice on the target, and none chooses anything:
the bundle is made of the last checkpoint.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.imaging.organs import Organ
from cisfa.training.method import Method
from cisfa.training.precision import autocast_for
from cisfa.training.sampling import with_gamma
from cisfa.training.slice_dataset import DomainSlices

MOST_HELD_OUT_SLICES = 128
MOST_TARGET_SLICES = 64
# degrees, factor, shifts along columns and rows as parts of the edge, gamma: what the slices are changed by, in turns;
# the same for every run, whatever its augmentation, so that runs can be compared
_CHANGES = (
    (5.0, 1.08, 0.03, 0.02, 0.8),
    (-5.0, 0.93, -0.02, 0.03, 1.25),
    (4.0, 0.95, 0.02, -0.03, 1.25),
    (-4.0, 1.06, -0.03, -0.02, 0.8),
)


class Validation:
    """Measures a method on held-out source slices and on target slices."""

    def __init__(
        self, held_out: DomainSlices | None, target: DomainSlices, *, organs: Sequence[Organ], config: TrainingConfig
    ) -> None:
        """Choose the slices.

        Args:
            held_out: Slices of source cases that are kept from training, on any device; None where there are none.
            target: On the training device.
            organs: Class i + 1 is organs[i].
            config: The run's settings.
        """
        device = target.voxels.device
        self._names = [organ.name for organ in organs]
        self._batch_size = config.optimiser.batch_size
        self._autocast = autocast_for(config.optimiser, device)
        self._held_out = None if held_out is None else held_out.spread(MOST_HELD_OUT_SLICES).to(device)
        self._target = target.spread(MOST_TARGET_SLICES).voxels

    def measure(self, method: Method) -> dict[str, float]:
        """Score the networks as they are; changes nothing, and draws no random number.

        Returns:
            "dice", "agreement" and "dice ORGAN" for each organ that the held-out slices show, from 0 to 1. Dice is
            that of the segmenter on translated held-out slices against their labels, summed over all of them before
            dividing; "dice" is the mean over organs. There is none where no case is held out.

            "agreement" is the Dice between the predictions on target slices and those on the same slices rotated,
            scaled, shifted and changed in contrast, moved back; summed over all slices, and the mean over organs. An
            organ that neither prediction finds anywhere counts as 0: a network that finds nothing agrees on nothing.
        """
        with torch.no_grad(), _evaluating(method.networks.values()):
            dice = self._dice_by_organ(method)
            agreement = self._agreement(method)
        scores = {"dice": sum(dice.values()) / len(dice)} if dice else {}
        return {**scores, "agreement": agreement, **{f"dice {name}": value for name, value in dice.items()}}

    def _dice_by_organ(self, method: Method) -> dict[str, float]:
        if self._held_out is None or self._held_out.labels is None:
            return {}
        overlap = _Overlap(len(self._names), self._target.device)
        shown = torch.zeros_like(overlap.shared, dtype=torch.bool)
        batches = zip(
            self._held_out.voxels.split(self._batch_size), self._held_out.labels.split(self._batch_size), strict=True
        )
        for voxels, labels in batches:
            translated = method.translate(voxels.float())
            overlap.add(self._segment(method, translated), labels)
            shown |= overlap.masks(labels).any(dim=1)
        values = zip(self._names, overlap.dice().tolist(), shown.tolist(), strict=True)
        return {name: value for name, value, is_shown in values if is_shown}

    def _agreement(self, method: Method) -> float:
        overlap = _Overlap(len(self._names), self._target.device)
        first = 0
        for voxels in self._target.split(self._batch_size):
            slices = voxels.float()
            changes = [_CHANGES[(first + place) % len(_CHANGES)] for place in range(len(slices))]
            first += len(slices)
            there, back = (matrices.to(slices.device) for matrices in _affine(changes))
            moved = _resample(slices, there, mode="bilinear")
            changed = with_gamma(moved, torch.tensor([gamma for *_, gamma in changes]))
            moved_back = _resample(self._segment(method, changed)[:, None].float(), back, mode="nearest")[:, 0]
            overlap.add(self._segment(method, slices) * _stays(slices, back), moved_back.round().long())
        return float(overlap.dice().mean())

    def _segment(self, method: Method, slices: Tensor) -> Tensor:
        """Class indices, (batch, rows, columns)."""
        with self._autocast():
            classes: Tensor = method.segmenter(slices).argmax(1)
        return classes


class _Overlap:
    """Pixels that two labellings share, by organ, over any number of slices."""

    def __init__(self, organs: int, device: torch.device) -> None:
        self._kinds = torch.arange(1, organs + 1, device=device)
        self.shared = torch.zeros(organs, dtype=torch.int64, device=device)
        self._both = torch.zeros_like(self.shared)

    def masks(self, classes: Tensor) -> Tensor:
        """(batch, rows, columns) to (organs, pixels)."""
        return classes.flatten()[None] == self._kinds[:, None]

    def add(self, ours: Tensor, theirs: Tensor) -> None:
        one, other = self.masks(ours), self.masks(theirs)
        self.shared += (one & other).sum(dim=1)
        self._both += one.sum(dim=1) + other.sum(dim=1)

    def dice(self) -> Tensor:
        """Of each organ; 0 for one that stands in neither."""
        return 2 * self.shared / self._both.clamp_min(1)


def _affine(changes: Sequence[tuple[float, float, float, float, float]]) -> tuple[Tensor, Tensor]:
    """Matrices (slices, 2, 3) for affine_grid, and those of the way back."""
    rows = []
    for degrees, factor, along_columns, along_rows, _ in changes:
        cosine, sine = math.cos(math.radians(degrees)) / factor, math.sin(math.radians(degrees)) / factor
        rows.append([[cosine, -sine, 2 * along_columns], [sine, cosine, 2 * along_rows], [0.0, 0.0, 1.0]])
    there = torch.tensor(rows)
    return there[:, :2], torch.linalg.inv(there)[:, :2]


def _resample(slices: Tensor, matrices: Tensor, *, mode: str) -> Tensor:
    """What augmentation does, but background comes in from outside of a prediction."""
    grid = F.affine_grid(matrices, list(slices.shape), align_corners=False)
    outside = "border" if mode == "bilinear" else "zeros"
    return F.grid_sample(slices, grid, mode=mode, padding_mode=outside, align_corners=False)


def _stays(slices: Tensor, back: Tensor) -> Tensor:
    """1 for pixels that stay in the slice, (batch, rows, columns): only there are two predictions to be compared."""
    return _resample(torch.ones_like(slices), back, mode="nearest")[:, 0].long()


@contextmanager
def _evaluating(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Networks in their mode for use; each module back in its own afterwards."""
    modules = {module: module.training for network in networks for module in network.modules()}
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, was_training in modules.items():
            module.training = was_training

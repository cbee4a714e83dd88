"""Scores along the way that need no target label, always on the same slices and without any randomness.

They tell how training goes and one run from another. Of a method that adapts to a target none of them is a
Dice on the target. Together they can choose the weights that a bundle is made of (:mod:`cisfa.runs.selection`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.imaging.organs import Organ
from cisfa.inference.slice_changes import SliceChange, changed, movements, resample
from cisfa.training.class_balance import class_balance, organ_shares
from cisfa.training.method import Method
from cisfa.training.plausibility import plausibility
from cisfa.training.precision import autocast_for
from cisfa.training.slice_dataset import DomainSlices

MOST_HELD_OUT_SLICES = 128
MOST_TARGET_SLICES = 64
# of whole target cases: so many cases, spread evenly, with so many slices together
MOST_WHOLE_CASES, MOST_WHOLE_SLICES = 4, 160
# what the slices are changed by, in turns; the same for every run, whatever its augmentation, so that runs can be
# compared, and apart from the changes that a result's quality is told by, whose values its calibration goes by
_CHANGES = (
    SliceChange(degrees=5.0, factor=1.08, along_columns=0.03, along_rows=0.02, gamma=0.8),
    SliceChange(degrees=-5.0, factor=0.93, along_columns=-0.02, along_rows=0.03, gamma=1.25),
    SliceChange(degrees=4.0, factor=0.95, along_columns=0.02, along_rows=-0.03, gamma=1.25),
    SliceChange(degrees=-4.0, factor=1.06, along_columns=-0.03, along_rows=-0.02, gamma=0.8),
)


class Validation:
    """Measures a method on held-out source slices and on target slices."""

    def __init__(
        self,
        held_out: DomainSlices | None,
        target: DomainSlices,
        *,
        organs: Sequence[Organ],
        config: TrainingConfig,
        source: DomainSlices | None = None,
    ) -> None:
        """Choose the slices.

        Args:
            held_out: Slices of source cases that are kept from training, on any device; None where there are none.
            target: On the training device.
            organs: Class i + 1 is organs[i].
            config: The run's settings.
            source: Slices of source cases with their labels, for the balance of the organs, on any device; None leaves
                the balance out.
        """
        device = target.voxels.device
        self._organs, self._plane = organs, config.preprocessing.plane
        self._names = [organ.name for organ in organs]
        self._batch_size = config.optimiser.batch_size
        self._autocast = autocast_for(config.optimiser, device)
        self._held_out = None if held_out is None else held_out.spread(MOST_HELD_OUT_SLICES).to(device)
        self._target = target.spread(MOST_TARGET_SLICES).voxels
        self._whole = _whole_cases(target)
        self._labelled_shares = None
        if source is not None and source.labels is not None:
            self._labelled_shares = organ_shares(source.labels.split(list(source.slices_of_cases)), len(organs))

    def measure(self, method: Method) -> dict[str, float]:
        """Score the networks as they are; changes nothing, and draws no random number.

        Returns:
            What can be measured of "dice", "agreement", "teacher agreement", "balance", "plausibility", and "dice
            ORGAN" for each organ that the held-out slices show, all from 0 to 1. Dice is that of the segmenter on
            translated held-out slices against their labels, summed over all of them before dividing; "dice" is the mean
            over organs. There is none where no case is held out.

            "agreement" is the Dice between the predictions on target slices and those on the same slices rotated,
            scaled, shifted and changed in contrast, moved back; summed over all slices, and the mean over organs. An
            organ that neither prediction finds anywhere counts as 0: a network that finds nothing agrees on nothing.
            "teacher agreement" is the same between the segmenter and its student on the slices as they are; there is
            none where the method has no student.

            "balance" (:func:`~cisfa.training.class_balance.class_balance`) and "plausibility"
            (:func:`~cisfa.training.plausibility.plausibility`) are of predictions on whole target cases, where it is
            known which slices are of which case.
        """
        with torch.no_grad(), _evaluating(method.networks.values()):
            dice = self._dice_by_organ(method)
            scores = {"dice": sum(dice.values()) / len(dice)} if dice else {}
            scores["agreement"] = self._agreement(method)
            if method.student is not None:
                scores["teacher agreement"] = self._teacher_agreement(method.segmenter, method.student)
            scores |= self._of_whole_cases(method)
        return {**scores, **{f"dice {name}": value for name, value in dice.items()}}

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
            overlap.add(self._segment(method.segmenter, translated), labels)
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
            moved_back, stays = _moved_back(self._segment(method.segmenter, changed(slices, changes)), changes)
            overlap.add(self._segment(method.segmenter, slices) * stays, moved_back)
        return float(overlap.dice().mean())

    def _teacher_agreement(self, teacher: nn.Module, student: nn.Module) -> float:
        overlap = _Overlap(len(self._names), self._target.device)
        for voxels in self._target.split(self._batch_size):
            slices = voxels.float()
            overlap.add(self._segment(teacher, slices), self._segment(student, slices))
        return float(overlap.dice().mean())

    def _of_whole_cases(self, method: Method) -> dict[str, float]:
        if not self._whole:
            return {}
        cases = [
            torch.cat([self._segment(method.segmenter, voxels.float()) for voxels in case.split(self._batch_size)])
            for case in self._whole
        ]
        # both scores count on the CPU, and a byte is enough for a class
        cases = [case.byte().cpu() for case in cases]
        scores = {}
        if self._labelled_shares is not None:
            scores["balance"] = class_balance(organ_shares(cases, len(self._organs)), self._labelled_shares)
        return {**scores, "plausibility": plausibility([case.numpy() for case in cases], self._organs, self._plane)}

    def _segment(self, segmenter: nn.Module, slices: Tensor) -> Tensor:
        """Class indices, (batch, rows, columns)."""
        with self._autocast():
            classes: Tensor = segmenter(slices).argmax(1)
        return classes


def _whole_cases(target: DomainSlices) -> list[Tensor]:
    """Slices of some whole cases, spread evenly over a case that has too many; none where cases are not told apart."""
    count = min(MOST_WHOLE_CASES, len(target.slices_of_cases))
    if count == 0:
        return []
    chosen = np.linspace(0, len(target.slices_of_cases) - 1, count).round().astype(int)
    return [target.of_cases([case]).spread(MOST_WHOLE_SLICES // count).voxels for case in chosen.tolist()]


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


def _moved_back(classes: Tensor, changes: Sequence[SliceChange]) -> tuple[Tensor, Tensor]:
    """Classes (batch, rows, columns) in their places before the changes, and 1 for pixels that stayed in the slice.

    Moves classes, not probabilities as :func:`cisfa.inference.slice_changes.moved_back` does, and lets background in
    from outside. The numbers differ a little; candidates are ranked by them, so a run that is resumed must go on with
    those that it began with.
    """
    _, back = movements(changes)
    masks = torch.stack([classes, torch.ones_like(classes)], dim=1).float()
    moved = resample(masks, back, mode="nearest", outside="zeros").round().long()
    return moved[:, 0], moved[:, 1]


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

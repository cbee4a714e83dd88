"""The Dice loss of eq (6)."""

from collections.abc import Callable

import torch
from torch import Tensor

_SMOOTH = 1e-5  # keeps an absent class finite


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    trusted: Tensor | None = None,
    over_all: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """1 - Dice, averaged over the classes that the batch's labels hold (background always among them).

    Overlaps are summed over the whole batch before dividing, so one slice with three voxels of spleen does not shout
    down the others; classes that are absent have no Dice and are left out instead of counting as 0 or NaN.

    Args:
        logits: (batch, classes, rows, columns).
        labels: Class indices, (batch, rows, columns).
        trusted: Pixels that count, (batch, rows, columns); None for all. Where none does, the loss is 0.
        over_all: Sums over all processes, with gradient, where each has only a share of the batch.
    """
    # MONAI's DiceLoss to the last bit (batch, softmax, to_onehot_y), but its sums can be taken over several processes
    probabilities = logits.softmax(1)
    truth = torch.zeros_like(probabilities, memory_format=torch.contiguous_format).scatter_(1, labels[:, None], 1.0)
    if trusted is not None:
        probabilities, truth = probabilities * trusted[:, None], truth * trusted[:, None]
    over = (0, *range(2, logits.ndim))
    sums = torch.stack([(probabilities * truth).sum(over), probabilities.sum(over), truth.sum(over)])
    overlap, found, there = sums if over_all is None else over_all(sums)
    wrong, missed = 0.5 * (found - overlap), 0.5 * (there - overlap)
    per_class = 1 - 2 * overlap / (2 * (overlap + wrong + missed) + _SMOOTH)
    present = there > 0
    loss: Tensor = (per_class * present).sum() / present.sum().clamp_min(1)
    return loss

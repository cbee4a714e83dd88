"""The Dice loss of eq (6)."""

import torch
from torch import Tensor


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - Dice, averaged over the classes that the batch's labels hold (background always among them).

    Overlaps are summed over the whole batch before dividing, so one slice with three voxels of spleen does not shout
    down the others; classes that are absent have no Dice and are left out instead of counting as 0 or NaN.

    Args:
        logits: (batch, classes, rows, columns).
        labels: Class indices, (batch, rows, columns).
    """
    from monai.losses.dice import DiceLoss

    per_class: Tensor = DiceLoss(
        softmax=True, to_onehot_y=True, batch=True, reduction="none", smooth_nr=0.0, smooth_dr=1e-5
    )(logits, labels[:, None]).flatten()
    # not bincount, for which a graphics card has to be waited for
    present = torch.stack([(labels == kind).any() for kind in range(logits.shape[1])])
    return (per_class * present).sum() / present.sum()

"""How much of each organ there is in the target's predictions, against the source's labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

# an organ that is predicted at less than this part of its share counts as lost, the more so the less there is of it
_COLLAPSED = 0.1


def organ_shares(cases: Sequence[Tensor], organs: int) -> Tensor:
    """The share of each organ in all that is organ: the mean over cases of the shares within a case.

    Shares within a case do not depend on its spacing or on how its slices were cut and resized, so cases of another
    scanner can be compared with them.

    Args:
        cases: Class indices of each case, (slices, rows, columns).
        organs: How many there are; class i + 1 is organ i.

    Returns:
        (organs,), float64, on the CPU; they sum to 1, but are all 0 where no case shows any organ.
    """
    total = torch.zeros(organs, dtype=torch.float64)
    for classes in cases:
        pixels = torch.bincount(classes.flatten(), minlength=organs + 1)[1:].cpu().double()
        total += pixels / pixels.sum().clamp_min(1)
    return total / total.sum().clamp_min(1e-12)


def class_balance(predicted: Tensor, labelled: Tensor) -> float:
    """How close the predicted shares of the organs are to those of labels, from 0 to 1.

    The sizes of organs relative to each other differ little between patients, whatever the scanner: Bateson et al.
    2022, "Source-free domain adaptation for image segmentation", train with such a prior; here it only judges. With
    shares p of the labels and q of the predictions, this is (1 - JSD(p, q)) · min_o min(1, q_o / (0.1 p_o)): the
    Jensen-Shannon divergence to base 2 (Lin 1991), in [0, 1], hardly notices a small organ, so a factor takes the
    score to 0 as any organ vanishes.

    Args:
        predicted: From :func:`organ_shares`, (organs,).
        labelled: Likewise.
    """
    expected = labelled > 0
    if not predicted.any() or not expected.any():
        return 0.0
    middle = (predicted + labelled) / 2
    divergence = (_divergence(predicted, middle) + _divergence(labelled, middle)) / 2
    found = float((predicted[expected] / (_COLLAPSED * labelled[expected])).clamp_max(1).min())
    return min(1.0, max(0.0, (1 - divergence) * found))


def _divergence(one: Tensor, other: Tensor) -> float:
    """Kullback and Leibler's, to base 2; where ``one`` is 0 there is nothing to add."""
    there = one > 0
    return float((one[there] * (one[there] / other[there]).log2()).sum())

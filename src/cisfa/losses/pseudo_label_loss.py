"""Learning from what a teacher says about slices that nobody labelled."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cisfa.losses.overlap_loss import dice_loss


def cross_entropy(logits: Tensor, labels: Tensor, trusted: Tensor | None = None) -> Tensor:
    """Mean over pixels, to which those that are not trusted add nothing; 0 where none is trusted.

    Args:
        logits: (batch, classes, rows, columns).
        labels: Class indices, (batch, rows, columns).
        trusted: True where a label may be learned from, (batch, rows, columns); None for everywhere.
    """
    per_pixel = F.cross_entropy(logits, labels, reduction="none")
    # divided by all pixels: a slice of which little is trusted then has little to say, and the loss stays a mean over
    # slices, as several processes need it
    return per_pixel.mean() if trusted is None else (per_pixel * trusted).mean()


def pseudo_label_loss(
    logits: Tensor, pseudo_labels: Tensor, trusted: Tensor, *, over_all: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Cross-entropy and Dice against a teacher's labels, over trusted pixels alone.

    Args:
        logits: Of the student, (batch, classes, rows, columns).
        pseudo_labels: Class indices that the teacher finds likeliest, (batch, rows, columns).
        trusted: Where the teacher may be believed, (batch, rows, columns).
        over_all: Sums over all processes, with gradient.
    """
    overlap = dice_loss(logits, pseudo_labels, trusted=trusted, over_all=over_all)
    loss: Tensor = cross_entropy(logits, pseudo_labels, trusted) + overlap
    return loss


def most_likely(logits: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """A teacher's labels, and where their probability is at least ``confidence``.

    Args:
        logits: (batch, classes, rows, columns).
        confidence: From 0 to 1.

    Returns:
        Class indices and a mask, both (batch, rows, columns).
    """
    probability, labels = torch.max(logits.softmax(1), dim=1)
    return labels, probability >= confidence

"""Small changes of slices, such as another patient or scanner could bring, and the way back for what was predicted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class SliceChange:
    """One small change of a slice.

    Attributes:
        degrees: Rotation in the plane.
        factor: What is shown is scaled by this.
        along_columns: Shift as a part of the edge.
        along_rows: Likewise.
        gamma: Contrast: intensities go through this power within the slice's range; below 1 brightens the middle.
    """

    degrees: float = 0.0
    factor: float = 1.0
    along_columns: float = 0.0
    along_rows: float = 0.0
    gamma: float = 1.0


def changed(slices: Tensor, changes: Sequence[SliceChange]) -> Tensor:
    """Change each slice in its own way.

    Args:
        slices: (batch, 1, rows, columns), zero mean and unit variance.
        changes: One for each slice.
    """
    there, _ = movements(changes)
    # outside a cropped body there is air: the border's own value, not zero, which is the mean of the body
    moved = resample(slices, there, mode="bilinear", outside="border")
    return with_gamma(moved, torch.tensor([change.gamma for change in changes]))


def moved_back(probabilities: Tensor, changes: Sequence[SliceChange]) -> tuple[Tensor, Tensor]:
    """Undo the changes' movements on what was predicted from changed slices.

    Args:
        probabilities: (batch, classes, rows, columns).
        changes: Those of the slices.

    Returns:
        The classes, (batch, rows, columns), and which pixels stayed in the slice, so that there are two predictions to
        be compared, likewise.
    """
    _, back = movements(changes)
    classes = resample(probabilities, back, mode="bilinear", outside="border").argmax(dim=1)
    stays = resample(torch.ones_like(probabilities[:, :1]), back, mode="nearest", outside="zeros")[:, 0] > 0
    return classes, stays


def movements(changes: Sequence[SliceChange]) -> tuple[Tensor, Tensor]:
    """How the changes move slices: matrices (slices, 2, 3) for affine_grid, and those of the way back."""
    rows = []
    for change in changes:
        angle = math.radians(change.degrees)
        cosine, sine = math.cos(angle) / change.factor, math.sin(angle) / change.factor
        rows.append([[cosine, -sine, 2 * change.along_columns], [sine, cosine, 2 * change.along_rows], [0.0, 0.0, 1.0]])
    there = torch.tensor(rows)
    return there[:, :2], torch.linalg.inv(there)[:, :2]


def resample(slices: Tensor, matrices: Tensor, *, mode: str, outside: str) -> Tensor:
    """Move slices.

    Args:
        slices: (batch, channels, rows, columns).
        matrices: Of :func:`movements`, on any device.
        mode: As for ``grid_sample``: "bilinear" or "nearest".
        outside: What lies outside of a slice, as for ``grid_sample``: "border" or "zeros".
    """
    grid = F.affine_grid(matrices.to(slices.device), list(slices.shape), align_corners=False)
    return F.grid_sample(slices, grid, mode=mode, padding_mode=outside, align_corners=False)


def with_gamma(slices: Tensor, exponents: Tensor) -> Tensor:
    """Change the contrast of slices, each within its own range of intensities.

    Args:
        slices: (batch, 1, rows, columns).
        exponents: Of each slice, (batch,); below 1 brightens what is in the middle.
    """
    low, high = slices.amin((1, 2, 3), keepdim=True), slices.amax((1, 2, 3), keepdim=True)
    spread = (high - low).clamp_min(1e-6)
    return ((slices - low) / spread) ** exponents.to(slices.device)[:, None, None, None] * spread + low

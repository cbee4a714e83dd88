"""What two slices of different contrast have in common: a descriptor of self-similarity, and its difference."""

import torch
import torch.nn.functional as F
from torch import Tensor

_NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))
_PATCH = 3
_SMALL = 1e-4  # of z-scored intensities; keeps air, where nothing varies, from dividing by nothing


def structure_loss(source: Tensor, synthetic: Tensor) -> Tensor:
    """Mean absolute difference of the slices' MIND descriptors; 0 where edges stand in the same places.

    A translation may change every intensity; edges it must not move. The patch-wise contrast asks for the same
    between features, this one between pixels (as in Yang et al. 2018, "Unpaired Brain MR-to-CT Synthesis using a
    Structure-Constrained CycleGAN").

    Args:
        source: (batch, 1, rows, columns), float32.
        synthetic: Its translation, likewise; the gradient goes here.
    """
    return (self_similarity(source.detach()) - self_similarity(synthetic)).abs().mean()


def self_similarity(slices: Tensor) -> Tensor:
    """MIND (Heinrich et al. 2012) in two dimensions with four neighbours.

    exp(-D_r(x) / V(x)), where D_r(x) is the mean squared difference of the 3x3 patches around x and its neighbour r,
    and V(x) the mean of D_r(x) over r; divided by its maximum over r.

    Args:
        slices: (batch, 1, rows, columns).

    Returns:
        (batch, 4, rows, columns), from 0 to 1.
    """
    padded = F.pad(slices, (1, 1, 1, 1), mode="replicate")
    rows, columns = slices.shape[2:]
    moved = torch.cat([padded[..., 1 + r : 1 + r + rows, 1 + c : 1 + c + columns] for r, c in _NEIGHBOURS], dim=1)
    distance = F.avg_pool2d((moved - slices).square(), _PATCH, stride=1, padding=_PATCH // 2, count_include_pad=False)
    variance = distance.mean(1, keepdim=True) + _SMALL
    similarity = torch.exp(-distance / variance)
    return similarity / similarity.amax(1, keepdim=True)

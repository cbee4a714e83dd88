"""Random looks for slices: whoever learns organs from many looks has to learn their shapes and places."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cisfa.config import AppearanceConfig
from cisfa.inference.slice_changes import with_gamma
from cisfa.training.sampling import Share, smooth_field

_LAYERS = 4
_CHANNELS = 2
_KERNELS = (1, 3)
_SLOPE = 0.2  # of the leaky ReLU
_COILS = 4  # places along an edge of which each has a brightness of its own
_SMALL = 1e-6
_ALL = Share()


def with_random_looks(slices: Tensor, config: AppearanceConfig, rng: torch.Generator, *, share: Share = _ALL) -> Tensor:
    """Change contrast, brightness and texture of each slice at random.

    Args:
        slices: (batch, 1, rows, columns), z-scored.
        config: Ranges; what is zero is left out.
        rng: On the CPU.
        share: Which part of the batch the slices are; chance is drawn for the whole batch.
    """
    whole = len(slices) * share.count
    if config.gamma:
        exponents = (1 + config.gamma) ** (2 * torch.rand(whole, generator=rng) - 1)
        slices = with_gamma(slices, share.of(exponents))
    if config.bias_field:
        coarse = config.bias_field * (2 * torch.rand((whole, 1, _COILS, _COILS), generator=rng) - 1)
        field = 1 + smooth_field(share.of(coarse).to(slices.device), slices.shape[2:])
        low = slices.amin((1, 2, 3), keepdim=True)
        slices = (slices - low) * field + low  # air stays dark
    if config.random_convolution:
        parts = share.of(config.random_convolution * torch.rand(whole, generator=rng)).to(slices.device)
        part = parts[:, None, None, None]
        slices = _with_norm_of(slices, part * _convolved(slices, rng, share) + (1 - part) * slices)
    return slices


def _convolved(slices: Tensor, rng: torch.Generator, share: Share) -> Tensor:
    """Each slice through a small network of its own with random weights.

    Global intensity non-linear augmentation (Ouyang et al. 2022, "Causality-inspired Single-source Domain
    Generalization for Medical Image Segmentation", section III-B), after Xu et al. 2021, "Robust and Generalizable
    Visual Representation Learning via Random Convolutions".
    """
    count, whole = len(slices), len(slices) * share.count
    features = slices.transpose(0, 1)  # a group of channels for each slice
    for layer in range(_LAYERS):
        size = _KERNELS[int(torch.randint(len(_KERNELS), (), generator=rng))]
        incoming = 1 if layer == 0 else _CHANNELS
        outgoing = 1 if layer == _LAYERS - 1 else _CHANNELS
        drawn = torch.randn((whole, outgoing, incoming, size, size), generator=rng)
        offsets = torch.randn((whole, outgoing), generator=rng)
        weights = share.of(drawn).flatten(0, 1).to(slices.device)
        features = F.conv2d(
            F.pad(features, (size // 2,) * 4, mode="replicate"),
            weights,
            share.of(offsets).flatten().to(slices.device),
            groups=count,
        )
        if layer < _LAYERS - 1:
            features = F.leaky_relu(features, _SLOPE)
    return _with_norm_of(slices, features.transpose(0, 1))


def _with_norm_of(slices: Tensor, changed: Tensor) -> Tensor:
    """The changed slices, scaled so that each has the Frobenius norm of the slice that it was."""
    before = slices.square().sum((1, 2, 3), keepdim=True).sqrt()
    now = changed.square().sum((1, 2, 3), keepdim=True).sqrt()
    return changed * (before / now.clamp_min(_SMALL))

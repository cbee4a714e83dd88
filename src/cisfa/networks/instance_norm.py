"""Instance normalisation that keeps the channels-last layout on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.Module):
    """Zero mean and unit variance of each channel of each slice, as ``torch.nn.InstanceNorm2d``.

    torch's own kernel works on channels-first memory only, so on a CPU every call would reorder the features twice.
    Batch norm of one slice at a time is the same function, and has a channels-last kernel: forward and backward of a
    3x3 convolution, norm and convolution take half the time (bfloat16, 64 channels, 192x192).
    """

    def __init__(self, channels: int, *, affine: bool = False) -> None:
        """Args: channels of the features; whether to learn a scale and an offset of each channel."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, features: Tensor) -> Tensor:
        """(b, c, h, w) to the same shape; h * w must be at least 2."""
        if features.device.type != "cpu":
            return F.instance_norm(features, weight=self.weight, bias=self.bias)
        normed = [F.batch_norm(one, None, None, self.weight, self.bias, training=True) for one in features.split(1)]
        return torch.cat(normed) if len(normed) > 1 else normed[0]

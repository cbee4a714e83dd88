"""Down- and upsampling behind a fixed low-pass filter, so that a shifted slice gives shifted features.

Source: Zhang, "Making Convolutional Networks Shift-Invariant Again" (ICML 2019).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_DOWN_TAPS = (1.0, 2.0, 1.0)
_UP_TAPS = (1.0, 3.0, 3.0, 1.0)


class BlurDown(nn.Module):
    """Halve rows and columns (rounding up) after a binomial blur of 3x3."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        """Args: channels of the features."""
        super().__init__()
        self.register_buffer("kernel", _kernel(_DOWN_TAPS, channels), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(b, c, h, w) to (b, c, ceil(h/2), ceil(w/2))."""
        padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.kernel.to(features.dtype), stride=2, groups=features.shape[1])


class BlurUp(nn.Module):
    """Double rows and columns, then blur with a binomial filter of 4x4."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        """Args: channels of the features."""
        super().__init__()
        # each new pixel sees a quarter of the taps, so their sum must be 4 to keep the mean
        self.register_buffer("kernel", 4 * _kernel(_UP_TAPS, channels), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(b, c, h, w) to (b, c, 2h, 2w)."""
        padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        kernel = self.kernel.to(features.dtype)
        doubled = F.conv_transpose2d(padded, kernel, stride=2, padding=3, groups=features.shape[1])
        return doubled


def _kernel(taps: tuple[float, ...], channels: int) -> Tensor:
    line = torch.tensor(taps) / sum(taps)
    return torch.outer(line, line).expand(channels, 1, -1, -1).contiguous()

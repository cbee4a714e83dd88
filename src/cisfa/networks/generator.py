"""The generator G: a ResNet that turns a source slice into a synthetic target slice."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cisfa.networks.blur_pool import BlurDown, BlurUp
from cisfa.networks.instance_norm import InstanceNorm


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        """Args: channels in and out."""
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels), InstanceNorm(channels), nn.ReLU(),
            _convolution(channels, channels), InstanceNorm(channels),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """(b, c, h, w) to the same shape."""
        return features + self.body(features)  # type: ignore[no-any-return]


class Generator(nn.Module):
    """ResNet generator with features tapped for the patch-wise contrastive loss (paper, section 4.2).

    A 7x7 convolution, two halvings, residual blocks, two doublings, a 7x7 convolution and Tanh; instance norm, reflect
    padding and blur-pool sampling throughout. Taps, as in the paper's "input image and four encoder layers": the
    slice itself, both halvings, the first residual block and the middle one.

    Tanh's range is stretched over the target's normalised intensities, since z-scored slices go well beyond 1.
    """

    output_centre: Tensor
    output_half_range: Tensor

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        """Args: channels after the first convolution, and number of residual blocks (11.4 M weights with 64 and 9)."""
        super().__init__()
        self.stem = nn.Sequential(_convolution(1, width, size=7), InstanceNorm(width), nn.ReLU())
        self.downs = nn.ModuleList(
            nn.Sequential(_convolution(c, 2 * c), InstanceNorm(2 * c), nn.ReLU(), BlurDown(2 * c))
            for c in (width, 2 * width)
        )
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(blocks))
        self.ups = nn.ModuleList(
            nn.Sequential(BlurUp(2 * c), _convolution(2 * c, c), InstanceNorm(c), nn.ReLU()) for c in (2 * width, width)
        )
        self.head = _convolution(width, 1, size=7)
        self.register_buffer("output_centre", torch.zeros(()))
        self.register_buffer("output_half_range", torch.ones(()))
        self.tapped_blocks = (0, math.ceil(blocks / 2) - 1)
        self.tap_channels = (1, 2 * width, 4 * width, *(4 * width for _ in set(self.tapped_blocks)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight, gain=0.02 if module is self.head else 1.0)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def set_output_range(self, low: float, high: float) -> None:
        """Say which normalised intensities the target has; synthetic slices stay within."""
        self.output_centre.fill_((low + high) / 2)
        self.output_half_range.fill_((high - low) / 2)

    def forward(self, source: Tensor) -> Tensor:
        """Translate source slices (b, 1, h, w); rows and columns must be at least 8."""
        return self.translate(source)[0]

    def translate(self, source: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Translate source slices and return the tapped features of the same pass."""
        features, taps = self._encode(source, to_block=len(self.blocks))
        for up in self.ups:
            features = up(features)
        features = features[..., : source.shape[-2], : source.shape[-1]]
        raw = torch.tanh(self.head(features).float())
        return raw * self.output_half_range + self.output_centre, taps

    def encode(self, slices: Tensor) -> list[Tensor]:
        """The tapped features (b, channels, h, w) of slices, computed no deeper than the last tap."""
        return self._encode(slices, to_block=self.tapped_blocks[-1] + 1)[1]

    def _encode(self, slices: Tensor, *, to_block: int) -> tuple[Tensor, list[Tensor]]:
        taps = [slices]
        # sizes that are no multiple of 4 would come back larger; the surplus is cut off after the last doubling
        features = self.stem(F.pad(slices, (0, -slices.shape[-1] % 4, 0, -slices.shape[-2] % 4), mode="replicate"))
        for down in self.downs:
            features = down(features)
            taps.append(features)
        for number, block in enumerate(self.blocks[:to_block]):
            features = block(features)
            if number in self.tapped_blocks:
                taps.append(features)
        return features, taps


def _convolution(channels: int, new_channels: int, *, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, new_channels, size, padding=size // 2, padding_mode="reflect")

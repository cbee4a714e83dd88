"""The segmenter Seg: a U-Net with four resolution stages and a centre."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cisfa.networks.instance_norm import InstanceNorm

_STAGES = 4


class Segmenter(nn.Module):
    """U-Net (Ronneberger et al. 2015) of widths w, 2w, 4w, 8w and 16w in the centre, instance norm throughout.

    Takes any size from 32x32: slices are padded inside to a multiple of 16 and the logits are cut back. MONAI's
    BasicUNet is the same network, but importing MONAI takes longer than segmenting a volume, and the centre's
    features are needed for the feature contrast.
    """

    def __init__(self, *, classes: int, width: int = 64, coordinates: bool = False) -> None:
        """Build it with Kaiming's initial weights.

        Args:
            classes: Organs and background.
            width: Channels of the first stage (31 M weights with 64).
            coordinates: Whether each pixel is told where in the slice it lies (CoordConv, Liu et al. 2018): slices are
                cut to the body, so that is where in the body. Left and right are learned sooner with them.
        """
        super().__init__()
        widths = [width * 2**stage for stage in range(_STAGES + 1)]
        self.classes, self.coordinates = classes, coordinates
        self.centre_channels = widths[-1]
        incoming = [3 if coordinates else 1, *widths[:-1]]
        self.encoder = nn.ModuleList(_double(a, b) for a, b in zip(incoming, widths, strict=True))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in widths[-2::-1])
        self.decoder = nn.ModuleList(_double(2 * c, c) for c in widths[-2::-1])
        self.head = nn.Conv2d(width, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, slices: Tensor) -> Tensor:
        """Logits (b, classes, h, w) of slices (b, 1, h, w)."""
        return self.segment(slices)[0]

    def segment(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the centre's features (b, 16w, h/16, w/16) of the same pass."""
        *skips, centre = self._encode(slices)
        features = centre
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            features = block(torch.cat([skip, up(features)], dim=1))
        return self.head(features)[..., : slices.shape[-2], : slices.shape[-1]], centre

    def encode(self, slices: Tensor) -> Tensor:
        """The centre's features (b, 16w, h/16, w/16): S_enc of eq (5)."""
        return self._encode(slices)[-1]

    def _encode(self, slices: Tensor) -> list[Tensor]:
        if self.coordinates:
            slices = torch.cat([slices, _coordinates(slices)], dim=1)
        step = 2**_STAGES
        features = F.pad(slices, (0, -slices.shape[-1] % step, 0, -slices.shape[-2] % step), mode="replicate")
        stages = []
        for stage, block in enumerate(self.encoder):
            features = block(F.max_pool2d(features, 2) if stage else features)
            stages.append(features)
        return stages


def _coordinates(slices: Tensor) -> Tensor:
    """Row and column of each pixel from -1 to 1, (b, 2, h, w)."""
    rows, columns = (torch.linspace(-1, 1, size, device=slices.device, dtype=slices.dtype) for size in slices.shape[2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return grid.expand(len(slices), -1, -1, -1)


def _double(channels: int, new_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with instance norm and ReLU; the norm makes a convolution's bias idle."""
    return nn.Sequential(
        nn.Conv2d(channels, new_channels, 3, padding=1, bias=False),
        InstanceNorm(new_channels, affine=True),
        nn.ReLU(),
        nn.Conv2d(new_channels, new_channels, 3, padding=1, bias=False),
        InstanceNorm(new_channels, affine=True),
        nn.ReLU(),
    )

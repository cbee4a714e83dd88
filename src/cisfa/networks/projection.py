"""Projection heads of the two contrastive losses."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING = 128  # c' of the paper, section 3.2


class PatchProjector(nn.Module):
    """F: one two-layer MLP for each tapped layer, trained with the generator."""

    def __init__(self, channels: Sequence[int]) -> None:
        """Args: channels of each tapped layer, ``Generator.tap_channels``."""
        super().__init__()
        self.heads = nn.ModuleList(_mlp(c, EMBEDDING) for c in channels)

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """Unit vectors (b, patches, 128) of each layer's sampled features (b, patches, channels)."""
        return [F.normalize(head(p).float(), dim=-1) for head, p in zip(self.heads, patches, strict=True)]


class FeatureHead(nn.Module):
    """The MLP behind the segmenter's centre, trained with the segmenter."""

    def __init__(self, channels: int) -> None:
        """Args: channels of the centre, ``Segmenter.centre_channels``."""
        super().__init__()
        self.head = _mlp(channels, channels)

    def forward(self, centre: Tensor) -> Tensor:
        """Unit vectors z (b, 128) of the centre's features (b, channels, h, w), averaged over their places."""
        return F.normalize(self.head(centre.mean(dim=(2, 3))).float(), dim=-1)


def _mlp(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, EMBEDDING))

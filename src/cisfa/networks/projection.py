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
    """The MLP behind the segmenter's centre, trained with the segmenter.

    Its hidden layer is normalised over the batch, as SimCLR's is (Chen et al. 2020). Means of features that instance
    norm has normalised differ between slices by a few per cent; without it, one large step is enough for the MLP to
    give all slices the same vector, from which no gradient leads back.
    """

    def __init__(self, channels: int) -> None:
        """Args: channels of the centre, ``Segmenter.centre_channels``."""
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.BatchNorm1d(channels, track_running_stats=False),
            nn.ReLU(),
            nn.Linear(channels, EMBEDDING),
        )

    def forward(self, means: Tensor) -> Tensor:
        """Make unit vectors z (b, 128) of the centre's features, averaged over their places (b, channels).

        Args:
            means: Of all slices of the batch and their translations, whichever process has them; at least two.
        """
        return F.normalize(self.head(means).float(), dim=-1)


def _mlp(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, EMBEDDING))

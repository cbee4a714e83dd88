"""The contrastive loss on global features, eq (5)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_contrast(source: Tensor, synthetic: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent (Chen et al. 2020): each slice and its translation attract, all other pairs of the batch repel.

    Args:
        source: z of the source slices, (t, channels), unit length.
        synthetic: z of their translations, in the same order.
        temperature: tau of eq (5).
    """
    z = torch.cat([source, synthetic])
    count = len(z)
    similarity = (z @ z.mT) / temperature
    similarity = similarity.masked_fill(torch.eye(count, dtype=torch.bool, device=z.device), -torch.inf)
    partner = torch.arange(count, device=z.device).roll(count // 2)
    return F.cross_entropy(similarity, partner)

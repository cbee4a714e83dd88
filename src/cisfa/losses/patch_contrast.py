"""The weighted patch-wise contrastive loss, eq (2)-(4)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_patch_contrast(
    queries: Tensor, keys: Tensor, in_organ: Tensor, *, organ_weight: float, temperature: float
) -> Tensor:
    """Pull every patch towards its own place in the other slice, organ patches harder: the mean of w_p(u) L_pcl(u).

    Negatives come from the same slice only.

    Args:
        queries: Features u of the synthetic slices, (batch, patches, channels), unit length.
        keys: Features of the source slices at the same places; they get no gradient.
        in_organ: True where the patch lies in an organ, (batch, patches).
        organ_weight: w of eq (3).
        temperature: tau of eq (2).
    """
    similarity = torch.bmm(queries, keys.detach().mT) / temperature
    own_place = torch.arange(queries.shape[1], device=queries.device).expand(queries.shape[:2])
    per_patch = F.cross_entropy(similarity.mT, own_place, reduction="none")
    return (per_patch * torch.where(in_organ, organ_weight, 1.0)).mean()


def sample_places(shape: tuple[int, int], patches: int, rng: torch.Generator) -> Tensor:
    """Draw places without replacement, as indices into rows x columns; all of them when there are fewer."""
    return torch.randperm(shape[0] * shape[1], generator=rng)[:patches]


def features_at(features: Tensor, places: Tensor) -> Tensor:
    """The features (batch, places, channels) of (batch, channels, rows, columns) at flat places (places,)."""
    return features.flatten(2)[..., places].mT


def organ_at(labels: Tensor, shape: tuple[int, int], places: Tensor) -> Tensor:
    """Whether a layer's places lie in any organ, (batch, places).

    Args:
        labels: (batch, rows, columns) of the slices, 0 for background.
        shape: Rows and columns of the layer, which a :class:`~cisfa.networks.generator.Generator` tapped.
        places: Flat places in the layer.
    """
    # a layer's feature i lies on pixel i * stride, since BlurDown keeps every second pixel from the first on
    rows, columns = labels.shape[1:]
    row = places.div(shape[1], rounding_mode="floor") * math.ceil(rows / shape[0])
    column = places % shape[1] * math.ceil(columns / shape[1])
    # the generator pads sizes that are no multiple of 4, so the last features may lie beyond the slice
    return labels[:, row.clamp_max(rows - 1), column.clamp_max(columns - 1)] > 0

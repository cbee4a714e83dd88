"""Least-squares adversaries: eq (1), (4), (6) and (7) with squares for logarithms (Mao et al. 2017)."""

from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """What a discriminator minimises: ((D(real) - 1)^2 + D(fake)^2) / 2, eq (1) and (7)."""
    return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2


def fooling_loss(logits: Tensor) -> Tensor:
    """What the fooling network minimises: (D(fake) - 1)^2, the first term of eq (4) and the last of eq (6)."""
    return (logits - 1).square().mean()

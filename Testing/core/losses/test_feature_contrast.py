import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cisfa.losses.feature_contrast import feature_contrast


def equation_5(source: Tensor, synthetic: Tensor, tau: float) -> float:
    """-1/2t sum_i log(exp(z_i z_j(i) / tau) / sum_{k != i} exp(z_i z_k / tau)), in loops."""
    z = [*source.double().numpy(), *synthetic.double().numpy()]
    t = len(source)
    total = 0.0
    for i in range(2 * t):
        j = i + t if i < t else i - t
        denominator = sum(math.exp(float(z[i] @ z[k]) / tau) for k in range(2 * t) if k != i)
        total += math.log(math.exp(float(z[i] @ z[j]) / tau) / denominator)
    return -total / (2 * t)


def unit_vectors(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize(("pairs", "tau"), [(1, 0.2), (2, 0.2), (4, 0.2), (4, 0.07), (7, 1.0)])
def test_it_is_equation_5(pairs: int, tau: float) -> None:
    source, synthetic = unit_vectors(pairs, 16, seed=0), unit_vectors(pairs, 16, seed=1)
    result = feature_contrast(source, synthetic, temperature=tau).item()
    np.testing.assert_allclose(result, equation_5(source, synthetic, tau), rtol=2e-5, atol=1e-6)


def test_a_slice_is_not_compared_with_itself() -> None:
    # with itself in the denominator, pairs that agree wholly and others not at all would still have a loss
    z = torch.eye(4)
    result = feature_contrast(z, z, temperature=0.05).item()
    assert result < 1e-7


def test_collapsed_features_have_the_loss_of_guessing() -> None:
    same = unit_vectors(1, 8, seed=2).expand(4, -1)
    np.testing.assert_allclose(feature_contrast(same, same, temperature=0.2).item(), math.log(7), rtol=1e-6)


def test_swapping_the_pairs_is_noticed() -> None:
    z = torch.eye(4)
    assert feature_contrast(z, z.roll(1, 0), temperature=0.2) > feature_contrast(z, z, temperature=0.2) + 1


def test_both_sides_learn() -> None:
    source = unit_vectors(3, 8, seed=3).requires_grad_()
    synthetic = unit_vectors(3, 8, seed=4).requires_grad_()
    feature_contrast(source, synthetic, temperature=0.2).backward()
    for side in (source, synthetic):
        assert side.grad is not None
        assert torch.isfinite(side.grad).all()
        assert (side.grad.norm(dim=1) > 0).all()

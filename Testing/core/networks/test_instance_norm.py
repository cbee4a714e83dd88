import pytest
import torch
from torch import Tensor, nn

from cisfa.networks.instance_norm import InstanceNorm


def both(layer: nn.Module, features: Tensor, upstream: Tensor) -> list[Tensor]:
    """What a layer gives, and its gradients."""
    features = features.clone().requires_grad_()
    normed = layer(features)
    normed.backward(upstream)
    weights = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
    assert features.grad is not None
    return [normed.detach(), features.grad, *weights]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"), [(torch.float64, 1e-9, 1e-10), (torch.float32, 1e-4, 1e-5), (torch.bfloat16, 2e-2, 4e-2)]
)
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_torchs_instance_norm_forward_and_backward(
    affine: bool, layout: torch.memory_format, dtype: torch.dtype, rtol: float, atol: float, batch: int
) -> None:
    rng = torch.Generator().manual_seed(0)
    features = 3 + 2 * torch.randn((batch, 5, 7, 12), generator=rng, dtype=torch.float64)
    upstream = torch.randn(features.shape, generator=rng, dtype=torch.float64)
    # bfloat16 numbers that the float64 reference sees too, so that only the computing differs
    features, upstream = features.to(dtype).double(), upstream.to(dtype).double()
    ours, reference = InstanceNorm(5, affine=affine), nn.InstanceNorm2d(5, affine=affine).double()
    if affine:
        with torch.no_grad():
            for one, other in zip(ours.parameters(), reference.parameters(), strict=True):
                other.copy_(torch.randn(5, generator=rng).bfloat16())
                one.copy_(other)
    if dtype is not torch.bfloat16:  # under autocast features are bfloat16 and weights stay float32
        ours.to(dtype)
    expected = both(reference, features, upstream)
    found = both(ours, features.to(dtype).contiguous(memory_format=layout), upstream.to(dtype))
    assert len(found) == len(expected) == (4 if affine else 2)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=rtol, atol=atol * max(1.0, other.abs().max().item()))


def test_slices_do_not_see_each_other() -> None:
    features = torch.randn(3, 4, 6, 6)
    changed = features.clone()
    changed[1] *= 7
    layer = InstanceNorm(4)
    torch.testing.assert_close(layer(changed)[[0, 2]], layer(features)[[0, 2]])


def test_training_and_evaluating_are_the_same() -> None:
    features, layer = torch.randn(2, 4, 6, 6), InstanceNorm(4, affine=True)
    assert torch.equal(layer.train()(features), layer.eval()(features))


def test_channels_last_stays_channels_last() -> None:
    features = torch.randn(2, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    assert InstanceNorm(4)(features).is_contiguous(memory_format=torch.channels_last)


def test_a_constant_channel_is_finite() -> None:
    features = torch.ones(2, 4, 6, 6, requires_grad=True)
    normed = InstanceNorm(4)(features)
    normed.sum().backward()
    assert (normed == 0).all()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()

import pytest
import torch
from torch import nn

from cisfa.networks.discriminator import Discriminator
from cisfa.networks.instance_norm import InstanceNorm


@pytest.mark.parametrize(
    ("channels", "size", "patches"), [(1, (192, 192), (22, 22)), (5, (192, 192), (22, 22)), (3, (61, 64), (5, 6))]
)
def test_it_judges_patches_in_logits(channels: int, size: tuple[int, int], patches: tuple[int, int]) -> None:
    judged = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    logits = Discriminator(channels=channels, width=2)(judged)
    assert logits.shape == (2, 1, *patches)
    assert logits.min() < 0 < logits.max()  # neither a sigmoid nor a ReLU at the end


def test_the_smallest_slices_can_be_judged() -> None:
    assert Discriminator(channels=1, width=2)(torch.randn(2, 1, 32, 32)).shape == (2, 1, 2, 2)


def test_at_full_width_it_has_nearly_3_million_weights() -> None:
    with torch.device("meta"):
        assert round(sum(p.numel() for p in Discriminator(channels=1).parameters()) / 1e6, 1) == 2.8


def test_it_normalises_slice_by_slice_so_that_real_and_fake_can_share_a_call() -> None:
    discriminator = Discriminator(channels=1, width=2)
    kinds = [type(module) for module in discriminator.modules()]
    assert kinds.count(InstanceNorm) == 3
    assert not any(issubclass(kind, nn.BatchNorm2d | nn.InstanceNorm2d) for kind in kinds)
    real, fake = torch.randn(2, 1, 48, 48), 5 + torch.randn(2, 1, 48, 48)
    together = discriminator(torch.cat([real, fake]))
    torch.testing.assert_close(together, torch.cat([discriminator(real), discriminator(fake)]), rtol=1e-4, atol=1e-5)


def test_a_patch_sees_70_pixels() -> None:
    slices = torch.zeros(1, 1, 192, 192, requires_grad=True)
    discriminator = Discriminator(channels=1, width=2)
    for module in list(discriminator.modules()):  # a norm would let every patch see the whole slice
        for name, child in list(module.named_children()):
            if isinstance(child, InstanceNorm):
                setattr(module, name, nn.Identity())
    discriminator(slices)[0, 0, 11, 11].backward()
    assert slices.grad is not None
    rows = slices.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert rows.max() - rows.min() + 1 == 70

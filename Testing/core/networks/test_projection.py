import pytest
import torch

from cisfa.networks.projection import EMBEDDING, FeatureHead, PatchProjector


def test_patches_become_unit_vectors_of_128_whatever_their_layer() -> None:
    channels = (1, 8, 16, 16)
    patches = [torch.randn(2, 7, c) for c in channels]
    projected = PatchProjector(channels)(patches)
    assert EMBEDDING == 128
    assert [tuple(vectors.shape) for vectors in projected] == [(2, 7, 128)] * 4
    for vectors in projected:
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2, 7))


def test_every_layer_has_a_projection_of_its_own() -> None:
    patches = [torch.ones(1, 3, 8)] * 2
    first, second = PatchProjector((8, 8))(patches)
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match="zip"):
        PatchProjector((8, 8))(patches[:1])


def test_the_means_of_a_slice_become_one_unit_vector_that_differs_from_those_of_other_slices() -> None:
    means = 0.4 + 0.01 * torch.randn(8, 16)  # as those of features behind an instance norm: nearly the same
    head = FeatureHead(16)
    z = head(means)
    assert z.shape == (8, 128)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(8))
    similarity = z @ z.T - 2 * torch.eye(8)
    assert similarity.max() < 0.9


def test_large_steps_do_not_make_all_slices_the_same_to_the_feature_head() -> None:
    head = FeatureHead(16)
    with torch.no_grad():
        head.head[0].weight.sub_(0.1)  # without the norm, the hidden layer were below zero for all slices
    means = 0.4 + 0.01 * torch.randn(8, 16)
    z = head(means)
    assert (z @ z.T - 2 * torch.eye(8)).max() < 0.95
    (z[:4] - z[4:]).square().sum().backward()
    assert head.head[0].weight.grad.abs().max() > 0


def test_unit_vectors_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert FeatureHead(16)(torch.randn(3, 16)).dtype == torch.float32
        assert PatchProjector((4,))([torch.randn(1, 5, 4)])[0].dtype == torch.float32


def test_a_vanishing_vector_has_a_finite_gradient() -> None:
    head = FeatureHead(4)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
    head(torch.zeros(2, 4)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())

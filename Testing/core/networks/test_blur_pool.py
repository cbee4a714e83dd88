import numpy as np
import pytest
import torch
from torch import Tensor

from cisfa.networks.blur_pool import BlurDown, BlurUp


def some_features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layer", [BlurDown(3), BlurUp(3)])
def test_a_constant_slice_stays_constant(layer: torch.nn.Module) -> None:
    blurred = layer(torch.full((2, 3, 10, 14), 1.7))
    torch.testing.assert_close(blurred, torch.full_like(blurred, 1.7), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("rows", "columns"), [(10, 14), (11, 14), (10, 13), (7, 9)])
def test_sizes_are_halved_rounding_up_and_doubled(rows: int, columns: int) -> None:
    features = some_features(2, 3, rows, columns)
    assert BlurDown(3)(features).shape == (2, 3, (rows + 1) // 2, (columns + 1) // 2)
    assert BlurUp(3)(features).shape == (2, 3, 2 * rows, 2 * columns)


def test_channels_do_not_mix() -> None:
    features = some_features(1, 3, 8, 8)
    features[:, 1] = 0
    for layer in (BlurDown(3), BlurUp(3)):
        blurred = layer(features)
        assert (blurred[:, 1] == 0).all()
        assert (blurred[:, 0] != 0).any()


def test_a_slice_shifted_by_two_pixels_gives_features_shifted_by_one() -> None:
    features = some_features(1, 1, 24, 32)
    inside = (..., slice(3, -3), slice(3, -3))
    shifted = BlurDown(1)(features.roll((2, -2), (2, 3)))
    torch.testing.assert_close(shifted[inside], BlurDown(1)(features).roll((1, -1), (2, 3))[inside])


def test_features_shifted_by_one_give_a_slice_shifted_by_two_pixels() -> None:
    features = some_features(1, 1, 12, 16)
    inside = (..., slice(4, -4), slice(4, -4))
    shifted = BlurUp(1)(features.roll((1, -1), (2, 3)))
    torch.testing.assert_close(shifted[inside], BlurUp(1)(features).roll((2, -2), (2, 3))[inside])


def test_what_alternates_from_pixel_to_pixel_is_filtered_out_before_halving() -> None:
    """Taking every second pixel would turn it into a constant."""
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    assert BlurDown(1)(stripes).abs().max() < 1e-6


def test_the_kernels_are_the_binomial_ones() -> None:
    spot = torch.zeros(1, 1, 9, 9)
    spot[0, 0, 4, 4] = 16.0
    np.testing.assert_allclose(BlurDown(1)(spot)[0, 0, 1:4, 1:4], [[0, 0, 0], [0, 4, 0], [0, 0, 0]], atol=1e-6)
    spot[0, 0, 4, 4], spot[0, 0, 5, 5] = 0, 16.0
    np.testing.assert_allclose(BlurDown(1)(spot)[0, 0, 1:4, 1:4], [[0, 0, 0], [0, 1, 1], [0, 1, 1]], atol=1e-6)
    doubled = BlurUp(1)(spot)[0, 0]
    assert doubled.sum() == pytest.approx(64.0)  # four times as many pixels, the same mean
    np.testing.assert_allclose(doubled[9:13, 9:13], np.outer([1, 3, 3, 1], [1, 3, 3, 1]), rtol=1e-6)


def test_the_kernels_are_no_weights_and_not_saved() -> None:
    for layer in (BlurDown(3), BlurUp(3)):
        assert list(layer.parameters()) == []
        assert layer.state_dict() == {}

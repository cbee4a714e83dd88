from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cisfa.config import AppearanceConfig
from cisfa.training.appearance import with_random_looks
from cisfa.training.sampling import Share

OFF = AppearanceConfig(random_convolution=0, gamma=0, bias_field=0)
LOOKS = {"random_convolution": 1.0, "gamma": 0.8, "bias_field": 0.4}


def body() -> Tensor:
    """Slices with air, a body and two organs, z-scored or nearly so."""
    slices = torch.full((6, 1, 40, 48), -1.5)
    slices[..., 5:35, 6:42] = 0.2
    slices[..., 10:20, 10:20], slices[..., 12:22, 26:38] = 1.4, 0.9
    return slices + 0.05 * torch.randn(slices.shape, generator=torch.Generator().manual_seed(0))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_with_all_at_zero_slices_stay_as_they_are() -> None:
    assert torch.equal(with_random_looks(body(), OFF, rng()), body())


@pytest.mark.parametrize("name", LOOKS)
def test_each_look_changes_every_slice_in_its_own_way(name: str) -> None:
    same = body()[:1].expand(6, -1, -1, -1)
    changed = with_random_looks(same, replace(OFF, **{name: LOOKS[name]}), rng())
    assert changed.shape == same.shape
    assert changed.isfinite().all()
    for number, one in enumerate(changed):
        assert not torch.allclose(one, same[0], atol=1e-3)
        assert all(not torch.allclose(one, other, atol=1e-3) for other in changed[:number])


def test_random_convolutions_turn_contrasts_round_and_leave_edges_where_they_are() -> None:
    slices = body()[:1].expand(200, -1, -1, -1)
    looks = with_random_looks(slices, replace(OFF, random_convolution=1.0), rng(3))[:, 0]
    organ, around = looks[:, 12:18, 12:18].mean((1, 2)), looks[:, 25:33, 12:38].mean((1, 2))
    darker = (organ < around).float().mean().item()
    assert 0.1 < darker < 0.9  # the organ is brighter than the body in the slice itself
    # what varies within an organ varies less than what lies between it and the body, in nearly all looks
    within = looks[:, 13:17, 13:17].flatten(1).std(1)
    assert ((organ - around).abs() > within).float().mean() > 0.8


def test_a_slice_keeps_its_norm_under_random_convolutions() -> None:
    looks = with_random_looks(body(), replace(OFF, random_convolution=1.0), rng())
    np.testing.assert_allclose(looks.flatten(1).norm(dim=1), body().flatten(1).norm(dim=1), rtol=1e-4)


def test_a_small_part_of_random_convolution_changes_little() -> None:
    def distance(part: float) -> float:
        return (with_random_looks(body(), replace(OFF, random_convolution=part), rng()) - body()).abs().mean().item()

    assert 0 < distance(0.05) < 0.3 * distance(1.0)


def test_a_bias_field_is_smooth_and_leaves_air_dark() -> None:
    slices = torch.ones(4, 1, 64, 64)
    slices[..., :4, :] = 0.0
    field = with_random_looks(slices, replace(OFF, bias_field=0.4), rng())
    assert not field[..., :4, :].any()
    assert field[..., 4:, :].std() > 0.05
    assert field[..., 4:, :].diff(dim=2).abs().max() < 0.1
    assert field.max() < 1.6


def test_looks_depend_on_their_generator_alone_whatever_the_number_of_processes() -> None:
    looks = with_random_looks(body(), AppearanceConfig(), rng(5))
    assert torch.equal(with_random_looks(body(), AppearanceConfig(), rng(5)), looks)
    shares = [
        with_random_looks(body()[3 * index : 3 * index + 3], AppearanceConfig(), rng(5), share=Share(index, 2))
        for index in (0, 1)
    ]
    torch.testing.assert_close(torch.cat(shares), looks)

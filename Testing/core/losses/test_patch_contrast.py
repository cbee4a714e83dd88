import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from cisfa.losses.patch_contrast import features_at, organ_at, sample_places, weighted_patch_contrast
from cisfa.networks.blur_pool import BlurDown
from cisfa.networks.generator import Generator


def equations_2_to_4(queries: Tensor, keys: Tensor, in_organ: Tensor, w: float, tau: float) -> float:
    """The mean of w_p(u) * -log(exp(u u+ / tau) / sum_v exp(u v / tau)), v from the same slice, in loops."""
    total, count = 0.0, 0
    for of_slice, other, organ in zip(queries.double().numpy(), keys.double().numpy(), in_organ.numpy(), strict=True):
        for place, u in enumerate(of_slice):
            denominator = sum(math.exp(float(u @ v) / tau) for v in other)
            contrast = -math.log(math.exp(float(u @ other[place]) / tau) / denominator)
            total += (w if organ[place] else 1.0) * contrast
            count += 1
    return total / count


def unit_vectors(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def patches() -> tuple[Tensor, Tensor, Tensor]:
    in_organ = torch.rand((3, 10), generator=torch.Generator().manual_seed(2)) < 0.3
    return unit_vectors(3, 10, 16, seed=0), unit_vectors(3, 10, 16, seed=1), in_organ


@pytest.mark.parametrize(("w", "tau"), [(1.0, 0.2), (2.0, 0.2), (2.0, 0.07), (0.5, 1.0)])
def test_it_is_equations_2_to_4(patches: tuple[Tensor, Tensor, Tensor], w: float, tau: float) -> None:
    result = weighted_patch_contrast(*patches, organ_weight=w, temperature=tau).item()
    np.testing.assert_allclose(result, equations_2_to_4(*patches, w, tau), rtol=2e-6)


def test_an_organ_weight_of_one_is_no_weight(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, keys, in_organ = patches
    weighted = weighted_patch_contrast(queries, keys, in_organ, organ_weight=1.0, temperature=0.2)
    unweighted = weighted_patch_contrast(queries, keys, in_organ & False, organ_weight=9.0, temperature=0.2)
    assert weighted.item() == unweighted.item()


def test_negatives_come_from_the_same_slice_only(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, keys, in_organ = patches
    together = weighted_patch_contrast(queries, keys, in_organ, organ_weight=2.0, temperature=0.2)
    alone = [
        weighted_patch_contrast(q[None], k[None], o[None], organ_weight=2.0, temperature=0.2)
        for q, k, o in zip(queries, keys, in_organ, strict=True)
    ]
    np.testing.assert_allclose(together.item(), torch.stack(alone).mean().item(), rtol=1e-6)


def test_keys_get_no_gradient(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, keys, in_organ = patches
    queries.requires_grad_()
    keys.requires_grad_()
    weighted_patch_contrast(queries, keys, in_organ, organ_weight=2.0, temperature=0.2).backward()
    assert queries.grad is not None
    assert (queries.grad.norm(dim=-1) > 0).all()
    assert keys.grad is None


def test_going_down_brings_a_patch_to_its_own_place() -> None:
    keys = torch.eye(6)[None]
    free = unit_vectors(1, 6, 6, seed=5).requires_grad_()
    optimiser = torch.optim.Adam([free], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        weighted_patch_contrast(
            normalize(free, dim=-1), keys, torch.zeros(1, 6).bool(), organ_weight=2.0, temperature=0.2
        ).backward()
        optimiser.step()
    assert free[0].argmax(1).tolist() == [0, 1, 2, 3, 4, 5]


def test_places_are_drawn_without_replacement_and_depend_on_the_generator_alone() -> None:
    torch.manual_seed(3)
    first = sample_places((12, 17), 50, torch.Generator().manual_seed(7))
    torch.manual_seed(4)
    again = sample_places((12, 17), 50, torch.Generator().manual_seed(7))
    assert first.tolist() == again.tolist()
    assert first.shape == (50,)
    assert len(set(first.tolist())) == 50
    assert first.min() >= 0
    assert first.max() < 12 * 17
    assert first.tolist() != sample_places((12, 17), 50, torch.Generator().manual_seed(8)).tolist()


def test_every_place_is_drawn_sooner_or_later_and_all_when_there_are_few() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = {place for _ in range(60) for place in sample_places((5, 7), 10, rng).tolist()}
    assert drawn == set(range(35))
    assert sorted(sample_places((5, 7), 256, rng).tolist()) == list(range(35))


def test_features_are_taken_row_by_row() -> None:
    features = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    taken = features_at(features, torch.tensor([0, 7, 19]))
    assert taken.shape == (2, 3, 3)
    assert taken[1, 1].tolist() == features[1, :, 1, 2].tolist()
    assert taken[0, 2].tolist() == features[0, :, 3, 4].tolist()


def test_labels_are_read_where_a_layers_features_lie() -> None:
    labels = torch.zeros(2, 8, 12, dtype=torch.int64)
    labels[0, 4, 8] = 3  # the pixel under feature (1, 2) of a layer of 2x3
    labels[1, 1:4, 1:4] = 1  # between the features of that layer
    everywhere = torch.arange(6)
    assert organ_at(labels, (2, 3), everywhere).tolist() == [[False] * 5 + [True], [False] * 6]
    every_second = torch.arange(24)
    found = organ_at(labels, (4, 6), every_second)
    assert [divmod(place, 6) for place in found[0].nonzero().flatten().tolist()] == [(2, 4)]
    assert [divmod(place, 6) for place in found[1].nonzero().flatten().tolist()] == [(1, 1)]
    every_pixel = organ_at(labels, (8, 12), torch.arange(96))
    assert torch.equal(every_pixel, (labels > 0).flatten(1))


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (61, 64), (33, 50), (196, 160), (39, 199)])
def test_labels_and_features_of_every_size_meet(rows: int, columns: int) -> None:
    """What a bright pixel sets alight in a layer is where its label is found."""
    padded = (-columns % 4, -rows % 4)
    down = BlurDown(1)
    for factor in (2, 4):
        row, column = factor * (rows // factor - 1), factor * (columns // factor // 2)
        slices = torch.zeros(1, 1, rows, columns)
        slices[0, 0, row, column] = 1.0
        features = pad(slices, (0, padded[0], 0, padded[1]), mode="replicate")
        for _ in range(factor // 2):
            features = down(features)
        shape = (features.shape[2], features.shape[3])
        found = organ_at((slices[:, 0] > 0).long(), shape, torch.arange(shape[0] * shape[1]))
        assert found.sum() == 1
        assert found.flatten().nonzero().item() == features.flatten().argmax().item()


def test_every_tap_of_the_generator_has_a_label_at_every_place() -> None:
    slices = torch.randn(1, 1, 45, 38)
    labels = torch.ones(1, 45, 38, dtype=torch.int64)
    for tap in Generator(2, 2).encode(slices):
        shape = (tap.shape[2], tap.shape[3])
        assert organ_at(labels, shape, torch.arange(shape[0] * shape[1])).all()

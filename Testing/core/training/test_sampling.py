import math
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from cisfa.config import AugmentationConfig
from cisfa.training.sampling import EndlessShuffle, augment, rng_of_step

OFF = AugmentationConfig(rotation_degrees=0, scaling=0, shift=0, gamma=0)


def seen(shuffle: EndlessShuffle, steps: range) -> list[int]:
    return [index for step in steps for index in shuffle.at(step).tolist()]


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (10, 4), (7, 4), (3, 8), (1, 2), (5, 1)])
def test_every_slice_is_seen_once_in_a_pass(count: int, batch: int) -> None:
    passes = 4 * batch
    order = seen(EndlessShuffle(count, batch, seed=3, domain="source"), range(passes * count // batch))
    assert len(order) == passes * count
    for start in range(0, len(order), count):
        assert sorted(order[start : start + count]) == list(range(count))


def test_every_pass_has_an_order_of_its_own() -> None:
    shuffle = EndlessShuffle(20, 4, seed=0, domain="source")
    orders = {tuple(seen(shuffle, range(5 * number, 5 * number + 5))) for number in range(6)}
    assert len(orders) == 6


def test_a_batch_depends_on_seed_domain_and_step_alone() -> None:
    forward = EndlessShuffle(11, 3, seed=5, domain="target")
    steps = [forward.at(step).tolist() for step in range(20)]
    for step in (17, 2, 9, 8, 19, 0):  # resumed anywhere, in any order
        assert EndlessShuffle(11, 3, seed=5, domain="target").at(step).tolist() == steps[step]
        assert forward.at(step).tolist() == steps[step]
    other_seed = EndlessShuffle(11, 3, seed=6, domain="target")
    other_domain = EndlessShuffle(11, 3, seed=5, domain="source")
    assert seen(other_seed, range(20)) != seen(forward, range(20)) != seen(other_domain, range(20))


def test_source_and_target_slices_are_paired_by_chance() -> None:
    """The authors' one list for both domains gave every source slice one target slice for ever."""
    source = EndlessShuffle(6, 2, seed=0, domain="source")
    target = EndlessShuffle(6, 2, seed=0, domain="target")
    pairs = Counter(zip(seen(source, range(600)), seen(target, range(600)), strict=True))
    assert len(pairs) == 36
    assert max(pairs.values()) < 3 * min(pairs.values())


def test_the_surplus_of_the_larger_domain_is_seen_too() -> None:
    steps = range(math.ceil(23 / 4))
    assert set(seen(EndlessShuffle(23, 4, seed=0, domain="source"), steps)) == set(range(23))


def test_each_step_and_purpose_has_randomness_of_its_own() -> None:
    def draw(seed: int, step: int, purpose: str) -> tuple[float, ...]:
        return tuple(torch.rand(3, generator=rng_of_step(seed, step, purpose)).tolist())

    purposes = ("augmentation of source", "augmentation of target", "method")
    drawn = [draw(seed, step, purpose) for seed in (0, 1) for step in (0, 1, 2**31) for purpose in purposes]
    assert len(set(drawn)) == len(drawn)
    assert draw(0, 1, "method") == draw(0, 1, "method")
    assert len(draw(2**63 - 1, 0, "method")) == 3


def square(size: int = 64) -> tuple[Tensor, Tensor]:
    """Slices with a bright rectangle that has a label, off centre so that turning it shows."""
    labels = torch.zeros(4, size, size, dtype=torch.int64)
    labels[:, 12:30, 20:50] = 2
    return torch.where(labels > 0, 3.0, -1.0)[:, None], labels


def test_with_all_at_zero_slices_stay_as_they_are() -> None:
    slices, labels = square()
    rng = torch.Generator().manual_seed(0)
    same, same_labels = augment(slices, labels, OFF, rng)
    assert same_labels is not None
    assert torch.equal(same, slices)
    assert torch.equal(same_labels, labels)
    assert augment(slices, None, OFF, rng)[1] is None


@pytest.mark.parametrize("name", ["rotation_degrees", "scaling", "shift", "elastic"])
def test_labels_follow_their_slices(name: str) -> None:
    slices, labels = square()
    config = replace(OFF, **{name: {"rotation_degrees": 20.0, "scaling": 0.3, "shift": 0.15, "elastic": 0.05}[name]})
    moved, moved_labels = augment(slices, labels, config, torch.Generator().manual_seed(1))
    assert moved_labels is not None
    assert moved_labels.dtype == labels.dtype
    assert set(moved_labels.unique().tolist()) == {0, 2}
    assert all(not torch.equal(one, other) for one, other in zip(moved_labels, labels, strict=True))
    bright = moved[:, 0] > 1  # halfway between the rectangle and its surroundings
    assert (bright == (moved_labels > 0)).float().mean() > 0.99


def test_elastic_changes_bend_and_do_not_tear() -> None:
    """A line through the slice is no line any more, and no two neighbours are far apart."""
    ramp = torch.arange(64.0).expand(8, 1, 64, 64).clone()  # each pixel says which column it came from
    bent, _ = augment(ramp, None, replace(OFF, elastic=0.03), torch.Generator().manual_seed(2))
    inside = bent[:, 0, 8:-8, 8:-8]
    away = inside - ramp[:, 0, 8:-8, 8:-8]
    assert 0.5 < away.abs().mean() < 0.03 * 64
    assert away.std(dim=1).mean() > 0.3  # a shift or a turn alone would leave columns straight
    assert (inside.diff(dim=2) > 0).float().mean() > 0.99


def test_each_slice_of_a_batch_is_moved_by_itself() -> None:
    slices, labels = square()
    moved, _ = augment(slices, labels, AugmentationConfig(), torch.Generator().manual_seed(0))
    assert all(not torch.equal(moved[0], other) for other in moved[1:])


def test_augmentation_depends_on_its_generator_alone() -> None:
    slices, labels = square()
    config = AugmentationConfig(gamma=0.5)
    torch.manual_seed(0)
    first = augment(slices, labels, config, torch.Generator().manual_seed(4))[0]
    torch.manual_seed(1)
    assert torch.equal(augment(slices, labels, config, torch.Generator().manual_seed(4))[0], first)
    assert not torch.equal(augment(slices, labels, config, torch.Generator().manual_seed(5))[0], first)


def test_left_and_right_are_never_swapped() -> None:
    """An L keeps its hand under turning, scaling and shifting, and loses it when mirrored."""
    labels = torch.zeros(64, 64, 64, dtype=torch.int64)
    labels[:, 16:48, 24:30] = 1
    labels[:, 42:48, 30:44] = 2  # the foot, right of the stem
    config = AugmentationConfig(rotation_degrees=30, scaling=0.3, shift=0.1, gamma=0.5)
    for seed in range(4):
        _, moved = augment(torch.zeros(64, 1, 64, 64), labels, config, torch.Generator().manual_seed(seed))
        assert moved is not None
        for one in moved.numpy():
            stem_row, stem_column = ndimage.center_of_mass(one == 1)
            foot_row, foot_column = ndimage.center_of_mass(one == 2)
            assert foot_column > stem_column
            assert foot_row > stem_row


def sizes_and_centres(config: AugmentationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Edge lengths, relative to before, and displacements in pixels, of a centred square in many slices."""
    slices = torch.zeros(200, 1, 96, 96)
    slices[:, :, 32:64, 32:64] = 1
    moved = augment(slices, None, config, torch.Generator().manual_seed(0))[0][:, 0].numpy()
    centres = np.array([ndimage.center_of_mass(one) for one in moved]) - 47.5
    return np.sqrt(moved.sum((1, 2))) / 32, centres


def test_scaling_is_from_one_minus_to_one_plus_its_setting() -> None:
    sizes, centres = sizes_and_centres(replace(OFF, scaling=0.25))
    assert 0.74 < sizes.min() < 0.78
    assert 1.22 < sizes.max() < 1.26
    np.testing.assert_allclose(centres, 0, atol=0.05)


def test_shifts_are_up_to_their_part_of_the_edge_in_all_directions() -> None:
    sizes, centres = sizes_and_centres(replace(OFF, shift=0.1))
    np.testing.assert_allclose(np.abs(centres).max(axis=0), 9.6, atol=0.4)
    np.testing.assert_allclose(centres.min(axis=0), -9.6, atol=0.4)
    np.testing.assert_allclose(sizes, 1, atol=0.01)


def test_rotation_is_up_to_its_degrees_both_ways() -> None:
    slices = torch.zeros(200, 1, 96, 96)
    slices[:, :, 46:50, 16:80] = 1  # a bar through the centre
    config = replace(OFF, rotation_degrees=12)
    moved = augment(slices, None, config, torch.Generator().manual_seed(0))[0][:, 0].numpy()
    angles = []
    for one in moved:
        rows, columns = np.nonzero(one > 0.5)
        angles.append(math.degrees(math.atan(np.polyfit(columns, rows, 1)[0])))
    assert 11 < max(angles) < 12.5
    assert -12.5 < min(angles) < -11


def test_gamma_keeps_order_and_range_of_intensities_and_leaves_labels_alone() -> None:
    slices = torch.randn((5, 1, 20, 20), generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (5, 20, 20))
    changed, same = augment(slices, labels, replace(OFF, gamma=1.0), torch.Generator().manual_seed(0))
    assert same is labels
    for one, other in zip(slices.flatten(1), changed.flatten(1), strict=True):
        assert torch.equal(one.argsort(), other.argsort())
        torch.testing.assert_close(torch.stack(other.aminmax()), torch.stack(one.aminmax()))
        assert not torch.allclose(one, other)
    assert augment(torch.ones(1, 1, 8, 8), None, replace(OFF, gamma=1.0), torch.Generator())[0].isfinite().all()


def test_what_comes_in_from_outside_is_the_edge_and_has_no_organ() -> None:
    slices = torch.full((8, 1, 32, 32), -1.5)
    labels = torch.ones(8, 32, 32, dtype=torch.int64)
    moved, moved_labels = augment(slices, labels, replace(OFF, shift=0.4), torch.Generator().manual_seed(0))
    assert moved_labels is not None
    torch.testing.assert_close(moved, slices)
    assert (moved_labels == 0).any()


def test_every_setting_of_augmentation_is_tested_here() -> None:
    assert {field.name for field in fields(AugmentationConfig)} == {
        "rotation_degrees", "scaling", "shift", "gamma", "elastic",
    }  # fmt: skip

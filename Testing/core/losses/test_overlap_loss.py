import numpy as np
import pytest
import torch
from torch import Tensor

from cisfa.losses.overlap_loss import dice_loss


def one_minus_dice(logits: Tensor, labels: Tensor) -> float:
    """Over the whole batch, the mean over the classes that it holds, in loops."""
    scores = logits.double().numpy()
    truth = labels.numpy()
    classes = scores.shape[1]
    overlap, volume, expert = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for slice_, row, column in np.ndindex(*truth.shape):
        exponentials = np.exp(scores[slice_, :, row, column])
        probabilities = exponentials / exponentials.sum()
        for kind in range(classes):
            is_it = float(truth[slice_, row, column] == kind)
            overlap[kind] += probabilities[kind] * is_it
            volume[kind] += probabilities[kind]
            expert[kind] += is_it
    present = [kind for kind in range(classes) if expert[kind]]
    return float(np.mean([1 - 2 * overlap[kind] / (volume[kind] + expert[kind]) for kind in present]))


def some_logits(*, classes: int = 4, seed: int = 0) -> Tensor:
    return 2 * torch.randn((3, classes, 6, 9), generator=torch.Generator().manual_seed(seed))


def some_labels(highest: int, *, seed: int = 1) -> Tensor:
    return torch.randint(0, highest + 1, (3, 6, 9), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("highest", [0, 1, 2, 3])
def test_it_is_one_minus_dice_over_the_classes_that_are_there(highest: int) -> None:
    logits, labels = some_logits(), some_labels(highest)
    np.testing.assert_allclose(dice_loss(logits, labels).item(), one_minus_dice(logits, labels), rtol=1e-5)


def test_a_class_in_one_slice_only_counts_once_for_the_batch() -> None:
    logits, labels = some_logits(), some_labels(2)
    labels[0, 2:4, 3:5] = 3
    np.testing.assert_allclose(dice_loss(logits, labels).item(), one_minus_dice(logits, labels), rtol=1e-5)


def test_only_trusted_pixels_count() -> None:
    logits, labels = some_logits(), some_labels(3)
    trusted = torch.rand(labels.shape, generator=torch.Generator().manual_seed(3)) < 0.6
    # the same as a batch that has those pixels and no others
    kept_logits, kept = logits.movedim(1, -1)[trusted].T[None, :, None], labels[trusted][None, None]
    expected = one_minus_dice(kept_logits, kept)
    np.testing.assert_allclose(dice_loss(logits, labels, trusted=trusted).item(), expected, rtol=1e-4)
    assert dice_loss(logits, labels, trusted=torch.zeros_like(trusted)).item() == 0


def test_a_batch_without_organs_has_a_finite_loss_and_gradient() -> None:
    logits = some_logits().requires_grad_()
    loss = dice_loss(logits, torch.zeros(3, 6, 9, dtype=torch.int64))
    loss.backward()
    assert 0 < loss.item() < 1
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    # more background is better: that much can be learned of such a batch
    assert (logits.grad[:, 0] <= 0).all()
    assert (logits.grad[:, 1:] >= 0).all()


@pytest.mark.parametrize("size", [40.0, 1e4])
def test_certainty_of_any_degree_is_finite(size: float) -> None:
    labels = some_labels(3)
    certain = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2) * size
    for logits in (certain, -certain):
        logits = logits.clone().requires_grad_()
        loss = dice_loss(logits, labels)
        loss.backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
    assert dice_loss(certain, labels).item() < 1e-6
    assert dice_loss(-certain, labels).item() > 0.9


def test_an_absent_class_costs_nothing_by_itself() -> None:
    logits, labels = some_logits(), some_labels(1)
    more = torch.cat([logits, torch.full((3, 1, 6, 9), -50.0)], dim=1)
    np.testing.assert_allclose(dice_loss(more, labels).item(), dice_loss(logits, labels).item(), rtol=1e-5)

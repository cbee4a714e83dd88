import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cisfa.losses.overlap_loss import dice_loss
from cisfa.losses.pseudo_label_loss import cross_entropy, most_likely, pseudo_label_loss


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Logits of three classes, labels, and pixels that are trusted."""
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn((2, 3, 5, 7), generator=rng)
    labels = torch.randint(0, 3, (2, 5, 7), generator=rng)
    return logits, labels, torch.rand((2, 5, 7), generator=rng) < 0.5


def surprise(logits: Tensor, labels: Tensor, slice_: int, row: int, column: int) -> float:
    scores = logits[slice_, :, row, column].double().tolist()
    return math.log(sum(math.exp(score) for score in scores)) - scores[int(labels[slice_, row, column])]


def test_cross_entropy_is_a_mean_over_all_pixels_to_which_only_trusted_ones_add() -> None:
    logits, labels, trusted = drawn()
    places = list(np.ndindex(*labels.shape))
    everywhere = sum(surprise(logits, labels, *place) for place in places) / len(places)
    believed = sum(surprise(logits, labels, *place) for place in places if trusted[place]) / len(places)
    assert cross_entropy(logits, labels).item() == pytest.approx(everywhere, rel=1e-5)
    assert cross_entropy(logits, labels, trusted).item() == pytest.approx(believed, rel=1e-5)


def test_pseudo_labels_count_with_cross_entropy_and_dice() -> None:
    logits, labels, trusted = drawn()
    expected = cross_entropy(logits, labels, trusted) + dice_loss(logits, labels, trusted=trusted)
    assert pseudo_label_loss(logits, labels, trusted).item() == pytest.approx(expected.item())


def test_pixels_that_are_not_trusted_teach_nothing() -> None:
    logits, labels, trusted = drawn()
    logits.requires_grad_()
    pseudo_label_loss(logits, labels, trusted).backward()
    assert logits.grad is not None
    taught = logits.grad.abs().sum(1) > 0
    assert torch.equal(taught, trusted)


def test_where_nothing_is_trusted_there_is_no_loss_and_no_gradient() -> None:
    logits, labels, trusted = drawn()
    logits.requires_grad_()
    loss = pseudo_label_loss(logits, labels, torch.zeros_like(trusted))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_teacher_is_believed_where_it_is_sure() -> None:
    probabilities = torch.tensor([[0.79, 0.2, 0.01], [0.1, 0.81, 0.09], [0.33, 0.33, 0.34]])
    labels, sure = most_likely(probabilities.log().T[None, :, None], 0.8)
    assert labels.flatten().tolist() == [0, 1, 2]
    assert sure.flatten().tolist() == [False, True, False]

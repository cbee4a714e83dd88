import pytest
import torch
from torch import nn

from cisfa.config import OptimiserConfig
from cisfa.training.optimisers import CoolingAdam, descend, frozen


def test_adam_is_set_as_configured_and_covers_all_modules() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    optimiser = CoolingAdam((first, second), OptimiserConfig(learning_rate=0.01, betas=(0.4, 0.95)))
    (group,) = optimiser.param_groups
    assert group["lr"] == 0.01
    assert group["betas"] == (0.4, 0.95)
    assert group["params"] == [*first.parameters(), *second.parameters()]


@pytest.mark.parametrize(
    ("cooldown", "rates"),
    [
        (0.0, [1.0, 1.0, 1.0, 1.0]),
        (1.0, [1.0, 0.75, 0.5, 0.25]),
        (0.5, [1.0, 1.0, 1.0, 0.5]),
        (0.25, [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_rate_falls_linearly_over_the_last_part_of_the_steps(cooldown: float, rates: list[float]) -> None:
    weights = nn.Linear(1, 1, bias=False)
    optimiser = CoolingAdam((weights,), OptimiserConfig(learning_rate=0.01, cooldown=cooldown, betas=(0.0, 0.0)))
    moved = []
    for done in range(4):
        before = weights.weight.item()
        optimiser.set_rate(done=done, steps=4)
        descend(weights.weight.sum(), optimiser)  # without memory, Adam goes by its rate
        moved.append((before - weights.weight.item()) / 0.01)
    assert moved == pytest.approx(rates, abs=1e-3)


def test_descending_lowers_the_loss_and_tells_the_gradients_norm() -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    norm = descend(weight.square().sum() / 2, optimiser)
    assert norm.item() == pytest.approx(5.0)
    torch.testing.assert_close(weight.data, torch.tensor([2.7, 3.6]))


def test_gradients_of_earlier_losses_are_forgotten() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimiser = torch.optim.SGD([weight], lr=0.0)
    (100 * weight).sum().backward()
    assert descend((2 * weight).sum(), optimiser).item() == pytest.approx(2.0)


def test_frozen_modules_let_gradients_through_but_get_none() -> None:
    before, after = nn.Linear(2, 2), nn.Linear(2, 1)
    with frozen(after):
        loss = after(before(torch.ones(1, 2))).sum()
    loss.backward()
    assert all(p.grad is not None for p in before.parameters())
    assert all(p.grad is None for p in after.parameters())


def test_freezing_is_undone_even_when_something_goes_wrong() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)  # what was frozen before stays so
    with pytest.raises(RuntimeError, match="shapes"), frozen(module):
        module(torch.ones(1, 7))
    assert module.weight.requires_grad
    assert not module.bias.requires_grad

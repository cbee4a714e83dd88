"""Adam as the paper sets it, and small things every method does with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cisfa.config import OptimiserConfig


def adam(modules: Iterable[nn.Module], config: OptimiserConfig) -> torch.optim.Adam:
    """One fused Adam over all weights of the modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return torch.optim.Adam(parameters, lr=config.learning_rate, betas=config.betas, fused=True)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
    """One update; returns the norm of the gradient over all of the optimiser's weights."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    optimiser.step()
    return norm.detach()


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Let gradients pass through modules without computing those of their weights."""
    learning = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)

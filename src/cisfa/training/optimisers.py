"""Adam as the paper sets it, and small things every method does with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cisfa.config import OptimiserConfig
from cisfa.training.processes import Processes


def adam(modules: Iterable[nn.Module], config: OptimiserConfig) -> torch.optim.Adam:
    """One fused Adam over all weights of the modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return torch.optim.Adam(parameters, lr=config.learning_rate, betas=config.betas, fused=True)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, processes: Processes | None = None) -> Tensor:
    """One update, the same in all processes; returns the norm of the gradient over all of the optimiser's weights.

    Args:
        loss: Of this process's share of the batch; see :mod:`cisfa.training.processes`.
        optimiser: Of the weights to update.
        processes: Those that train together; None where this one is alone.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    # Not DistributedDataParallel: it expects one backward pass through all of a module's weights for each forward pass
    # of that module. Here networks are frozen for one loss and learn from the next, run several times before one
    # backward pass, and are called by their parts, and the encoder has two optimisers. Averaging what this optimiser
    # is about to use is right whatever the passes were, and lets the norm be that of the whole batch.
    if processes is not None:
        processes.average(gradients)
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

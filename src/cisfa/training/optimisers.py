"""Adam as the paper sets it, and small things every method does with it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cisfa.config import OptimiserConfig
from cisfa.training.processes import Processes


class CoolingAdam(torch.optim.Adam):
    """Fused Adam whose learning rate falls linearly to zero in the last part of a run."""

    def __init__(self, modules: Iterable[nn.Module], config: OptimiserConfig) -> None:
        """Args: the modules whose weights it updates, all of them; the rate, its cooldown and the betas."""
        parameters = [parameter for module in modules for parameter in module.parameters()]
        super().__init__(parameters, lr=config.learning_rate, betas=config.betas, fused=True)
        self.config = config

    def set_rate(self, *, done: int, steps: int) -> None:
        """Set the rate of the next step.

        Args:
            done: Steps before it.
            steps: Those of the whole run.
        """
        cooldown = self.config.cooldown * steps
        left = min(1.0, (steps - done) / cooldown) if cooldown else 1.0
        for group in self.param_groups:
            group["lr"] = self.config.learning_rate * left


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


def set_rates(optimisers: Mapping[str, CoolingAdam], *, done: int, steps: int) -> None:
    """Set the rates of the next step; see :meth:`CoolingAdam.set_rate`."""
    for optimiser in optimisers.values():
        optimiser.set_rate(done=done, steps=steps)


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

"""Autocast of forward passes; weights, losses and optimisers stay in float32."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from cisfa.config import OptimiserConfig

Autocast = Callable[[], AbstractContextManager[object]]


def autocast_for(config: OptimiserConfig, device: torch.device) -> Autocast:
    """A factory of contexts in which networks run in the configured precision."""
    enabled = config.precision == "bfloat16"
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)

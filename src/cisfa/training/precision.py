"""Autocast of forward passes; weights, losses and optimisers stay in float32."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from cisfa.config import OptimiserConfig
from cisfa.inference.network import fast_precision

Autocast = Callable[[], AbstractContextManager[object]]


def autocast_for(config: OptimiserConfig, device: torch.device) -> Autocast:
    """A factory of contexts in which networks run in the configured precision.

    Where the hardware would only imitate bfloat16, many times slower, it is float32 all the same.
    """
    return nullcontext if config.precision == "float32" else lambda: fast_precision(device)

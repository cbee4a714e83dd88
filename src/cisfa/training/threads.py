"""How many threads a training on a CPU uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cisfa.config import TrainingConfig

# rows x columns x channels of the first layer; below it, waking a second thread takes longer than what it would do:
# a step of the preset "quick" took 0.4 s with one thread and 1.4 s with two, of "reduced" 0.9 s and 1.1 s
_WORTH_A_THREAD = 300_000


@contextmanager
def fitting_threads(config: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Use one thread where networks and slices are small; a function of the settings, so that resuming repeats it."""
    before = torch.get_num_threads()
    pixels = config.preprocessing.size**2
    width = max(config.networks.segmenter_width, config.networks.generator_width)
    if device.type == "cpu" and pixels * width < _WORTH_A_THREAD:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""What a training recipe must offer; the trainer knows nothing else of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from cisfa.networks.segmenter import Segmenter
from cisfa.training.optimisers import CoolingAdam


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step learns from; source and target are unrelated slices.

    Attributes:
        source: (batch, 1, rows, columns), float32, z-scored.
        labels: Class indices of the source slices, (batch, rows, columns), int64; 0 is background.
        target: Like source, without labels.
        few: Target slices that somebody drew, like source; None where few labels are not used.
        few_labels: Class indices of these, like labels.
    """

    source: Tensor
    labels: Tensor
    target: Tensor
    few: Tensor | None = None
    few_labels: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Preview:
    """Pictures of how far a method is.

    Attributes:
        columns: Title to slices (batch, rows, columns), z-scored.
        predictions: Title of a column to the class indices (batch, rows, columns) drawn over it.
    """

    columns: Mapping[str, Tensor]
    predictions: Mapping[str, Tensor]


class Method(Protocol):
    """A training recipe: its networks, its optimisers, and one step of all of them."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """By name; all that must be saved to go on later. "segmenter" is the one that goes into the bundle."""
        ...

    @property
    def optimisers(self) -> Mapping[str, CoolingAdam]:
        """By name; likewise."""
        ...

    @property
    def segmenter(self) -> Segmenter:
        """The network that goes into the bundle."""
        ...

    @property
    def student(self) -> Segmenter | None:
        """The network that learns, where the segmenter is its moving average; None where that itself learns."""
        ...

    def set_progress(self, *, done: int, steps: int) -> None:
        """Hear how far the run is, before each step.

        Args:
            done: Steps before it.
            steps: Those of the whole run.
        """
        ...

    def step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Update every network once.

        Args:
            batch: On the networks' device.
            rng: The only source of randomness, on the CPU, so that a run can be repeated.

        Returns:
            Name of each loss to its detached value, and the norm of each optimiser's gradient: where all are finite,
            so are the new weights.
        """
        ...

    def translate(self, source: Tensor) -> Tensor:
        """Source slices as the segmenter is taught to see them, without gradients.

        Args:
            source: (batch, 1, rows, columns), float32, z-scored.

        Returns:
            The same shape, in the target's style; as they are where the method translates nothing.
        """
        ...

    def preview(self, batch: Batch) -> Preview:
        """Show the batch as the method sees it now, without changing anything."""
        ...

"""The two rows beside CISFA: a segmenter trained on labelled slices and nothing else."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.losses.overlap_loss import dice_loss
from cisfa.networks.segmenter import Segmenter
from cisfa.training.method import Batch, Preview
from cisfa.training.optimisers import CoolingAdam, descend, set_rates
from cisfa.training.precision import autocast_for
from cisfa.training.processes import Alone, Processes


class SupervisedMethod:
    """Dice on labelled slices.

    On source cases it is "without adaptation" (``source-only``), the floor; on labelled cases of the target's own
    domain it is the ceiling (``supervised``). With few labels, source-only learns from the drawn target slices too.
    """

    student: Segmenter | None = None

    def __init__(
        self,
        config: TrainingConfig,
        *,
        classes: int,
        target_range: tuple[float, float],
        device: torch.device,
        processes: Processes | None = None,
    ) -> None:
        """Build the segmenter with the global torch seed; the arguments are those of every method."""
        del target_range  # nothing is synthesised
        self.processes = processes or Alone(device)
        self.autocast = autocast_for(config.optimiser, device)
        self.few_labels_weight = config.few_labels.weight
        self.segmenter = Segmenter(classes=classes, width=config.networks.segmenter_width)
        self.segmenter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks: dict[str, nn.Module] = {"segmenter": self.segmenter}
        self.optimisers: dict[str, CoolingAdam] = {"segmenter": CoolingAdam((self.segmenter,), config.optimiser)}

    def set_progress(self, *, done: int, steps: int) -> None:
        """Set the learning rates; see :class:`~cisfa.training.method.Method`."""
        set_rates(self.optimisers, done=done, steps=steps)

    def step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Update the segmenter once; see :class:`~cisfa.training.method.Method`."""
        del rng
        with self.autocast():
            logits = self.segmenter(batch.source)
        losses = {"dice": dice_loss(logits.float(), batch.labels, over_all=self.processes.sum)}
        loss = losses["dice"]
        if batch.few is not None and batch.few_labels is not None:
            with self.autocast():
                few_logits = self.segmenter(batch.few)
            losses["few labels dice"] = dice_loss(few_logits.float(), batch.few_labels, over_all=self.processes.sum)
            loss = loss + self.few_labels_weight * losses["few labels dice"]
        losses["gradient of segmenter"] = descend(loss, self.optimisers["segmenter"], self.processes)
        return {name: value.detach() for name, value in losses.items()}

    def translate(self, source: Tensor) -> Tensor:
        """The slices as they are, since nothing is synthesised."""
        return source

    def preview(self, batch: Batch) -> Preview:
        """Source with its labels, and source and target with the prediction on them."""
        with torch.no_grad(), self.autocast():
            on_source, on_target = self.segmenter(batch.source).argmax(1), self.segmenter(batch.target).argmax(1)
        source, target = batch.source[:, 0], batch.target[:, 0]
        return Preview(
            {"source": source, "source, predicted": source, "target": target},
            {"source": batch.labels, "source, predicted": on_source, "target": on_target},
        )

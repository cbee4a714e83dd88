"""CISFA: contrastive image synthesis and self-supervised feature adaptation, one step at a time (paper, section 3)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.errors import ConfigError
from cisfa.losses.adversarial import fooling_loss
from cisfa.losses.feature_contrast import feature_contrast
from cisfa.losses.overlap_loss import dice_loss
from cisfa.networks.discriminator import Discriminator
from cisfa.networks.projection import FeatureHead
from cisfa.networks.segmenter import Segmenter
from cisfa.training.method import Batch, Preview
from cisfa.training.optimisers import CoolingAdam, descend, frozen, set_rates
from cisfa.training.precision import autocast_for
from cisfa.training.processes import Alone, Processes
from cisfa.training.translation import Translation, detached, preview_of, update_discriminator


class CisfaMethod:
    """G, then Seg on fresh synthetic slices, then D_g and D_s on fresh predictions (section 3.4)."""

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
        """Build the networks with the global torch seed.

        Args:
            config: Widths, losses and optimiser.
            classes: Organs and background.
            target_range: Lowest and highest normalised intensity of the target's slices.
            device: Where to train.
            processes: Those that train together; None where this one is alone.

        Raises:
            ConfigError: The batch is too small for the feature contrast.
        """
        if config.feature_contrast.combination != "off" and config.optimiser.batch_size < 2:
            raise ConfigError(
                f"optimiser.batch_size is {config.optimiser.batch_size}; the feature contrast compares the slices of a"
                " batch with each other. Choose at least 2, or feature_contrast.combination=off."
            )
        self.config = config
        self.processes = processes or Alone(device)
        self.autocast = autocast_for(config.optimiser, device)
        self.translation = Translation(config, target_range=target_range, device=device, processes=self.processes)
        self.segmenter = Segmenter(classes=classes, width=config.networks.segmenter_width)
        self.feature_head = FeatureHead(self.segmenter.centre_channels)
        self.prediction_critic = Discriminator(channels=classes, width=config.networks.discriminator_width)
        own: dict[str, nn.Module] = {
            "segmenter": self.segmenter,
            "feature head": self.feature_head,
            "prediction discriminator": self.prediction_critic,
        }
        for network in own.values():
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks: dict[str, nn.Module] = {**self.translation.networks, **own}
        self.optimisers: dict[str, CoolingAdam] = {
            **self.translation.optimisers,
            "segmenter": CoolingAdam((self.segmenter, self.feature_head), config.optimiser),
            "prediction discriminator": CoolingAdam((self.prediction_critic,), config.optimiser),
        }
        if config.feature_contrast.combination == "sequential":
            self.optimisers["encoder"] = CoolingAdam((self.segmenter.encoder, self.feature_head), config.optimiser)

    def set_progress(self, *, done: int, steps: int) -> None:
        """Set the learning rates; see :class:`~cisfa.training.method.Method`."""
        set_rates(self.optimisers, done=done, steps=steps)

    def step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Update all networks once; see :class:`~cisfa.training.method.Method`."""
        losses, _ = self.translation.update_generator(batch, rng)
        synthetic = self.translation.translate(batch.source)
        if self.config.feature_contrast.combination == "sequential":
            losses |= self._update_encoder(batch, synthetic)
        losses |= self._update_segmenter(batch, synthetic)
        losses |= self._update_discriminators(batch, synthetic)
        return losses

    def translate(self, source: Tensor) -> Tensor:
        """G(x_a)."""
        return self.translation.translate(source).float()

    def preview(self, batch: Batch) -> Preview:
        """Source, its translation with the prediction on it, and the target with the prediction on it."""
        synthetic = self.translation.translate(batch.source)
        return preview_of(batch, synthetic, self.segmenter, self.autocast)

    def _update_encoder(self, batch: Batch, synthetic: Tensor) -> dict[str, Tensor]:
        """The "sequential" combination of the paper's table 3: eq (5) alone, before the segmenter's other losses."""
        with self.autocast():
            centre = self.segmenter.encode(torch.cat([batch.source, synthetic]))
        loss = self._feature_contrast(*centre.chunk(2))
        norm = descend(loss, self.optimisers["encoder"], self.processes)
        return detached({"feature contrast": loss, "gradient of encoder": norm})

    def _update_segmenter(self, batch: Batch, synthetic: Tensor) -> dict[str, Tensor]:
        """Minimise L_seg, eq (6), plus the Dice on target slices that somebody drew, where there are any."""
        settings = self.config.segmentation_adversary
        losses: dict[str, Tensor] = {}
        with self.autocast():
            logits, synthetic_centre = self.segmenter.segment(synthetic)
        losses["dice"] = dice_loss(logits.float(), batch.labels, over_all=self.processes.sum)
        loss = losses["dice"]
        if self.config.feature_contrast.combination == "sum":
            with self.autocast():
                source_centre = self.segmenter.encode(batch.source)
            losses["feature contrast"] = self._feature_contrast(source_centre, synthetic_centre)
            loss = loss + losses["feature contrast"]
        if settings.weight > 0:
            with frozen(self.prediction_critic), self.autocast():
                pushed = logits if settings.pushes == "synthetic" else self.segmenter(batch.target)
                realness = self.prediction_critic(pushed.float().softmax(1))
            losses["segmenter adversary"] = fooling_loss(realness.float())
            loss = loss + settings.weight * losses["segmenter adversary"]
        if batch.few is not None and batch.few_labels is not None:
            with self.autocast():
                few_logits = self.segmenter(batch.few)
            losses["few labels dice"] = dice_loss(few_logits.float(), batch.few_labels, over_all=self.processes.sum)
            loss = loss + self.config.few_labels.weight * losses["few labels dice"]
        losses["gradient of segmenter"] = descend(loss, self.optimisers["segmenter"], self.processes)
        return detached(losses)

    def _feature_contrast(self, source_centre: Tensor, synthetic_centre: Tensor) -> Tensor:
        """Eq (5), in float32: means of normalised features differ by a few per cent, which bfloat16 would round."""
        means = torch.stack([centre.float().mean(dim=(2, 3)) for centre in (source_centre, synthetic_centre)], dim=1)
        # every slice of the whole batch repels, whichever process has it
        z_source, z_synthetic = self.feature_head(torch.cat(self.processes.gather(means).unbind(dim=1))).chunk(2)
        return feature_contrast(z_source, z_synthetic, temperature=self.config.feature_contrast.temperature)

    def _update_discriminators(self, batch: Batch, synthetic: Tensor) -> dict[str, Tensor]:
        """Minimise eq (1) and eq (7), real and fake in one pass each."""
        losses = self.translation.update_critic(batch.target, synthetic)
        settings = self.config.segmentation_adversary
        if settings.weight > 0:
            pair = [batch.target, synthetic] if settings.pushes == "synthetic" else [synthetic, batch.target]
            with self.autocast():
                with torch.no_grad():
                    predictions = self.segmenter(torch.cat(pair)).float().softmax(1)
                real, fake = self.prediction_critic(predictions).float().chunk(2)
            losses |= update_discriminator("prediction discriminator", real, fake, self.optimisers, self.processes)
        return losses

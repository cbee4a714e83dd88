"""CISFA: contrastive image synthesis and self-supervised feature adaptation, one step at a time (paper, section 3)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.errors import ConfigError
from cisfa.losses.adversarial import discriminator_loss, fooling_loss
from cisfa.losses.feature_contrast import feature_contrast
from cisfa.losses.overlap_loss import dice_loss
from cisfa.losses.patch_contrast import features_at, organ_at, sample_places, weighted_patch_contrast
from cisfa.networks.discriminator import Discriminator
from cisfa.networks.generator import Generator
from cisfa.networks.projection import FeatureHead, PatchProjector
from cisfa.networks.segmenter import Segmenter
from cisfa.training.method import Batch, Preview
from cisfa.training.optimisers import adam, descend, frozen
from cisfa.training.precision import autocast_for
from cisfa.training.processes import Alone, Processes


class CisfaMethod:
    """G, then Seg on fresh synthetic slices, then D_g and D_s on fresh predictions (section 3.4)."""

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
        widths = config.networks
        self.config = config
        self.processes = processes or Alone(device)
        self.autocast = autocast_for(config.optimiser, device)
        self.generator = Generator(widths.generator_width, widths.generator_blocks)
        self.generator.set_output_range(*target_range)
        self.projector = PatchProjector(self.generator.tap_channels)
        self.segmenter = Segmenter(classes=classes, width=widths.segmenter_width)
        self.feature_head = FeatureHead(self.segmenter.centre_channels)
        self.slice_critic = Discriminator(channels=1, width=widths.discriminator_width)
        self.prediction_critic = Discriminator(channels=classes, width=widths.discriminator_width)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "patch projector": self.projector,
            "segmenter": self.segmenter,
            "feature head": self.feature_head,
            "slice discriminator": self.slice_critic,
            "prediction discriminator": self.prediction_critic,
        }
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "generator": adam((self.generator, self.projector), config.optimiser),
            "segmenter": adam((self.segmenter, self.feature_head), config.optimiser),
            "slice discriminator": adam((self.slice_critic,), config.optimiser),
            "prediction discriminator": adam((self.prediction_critic,), config.optimiser),
        }
        if config.feature_contrast.combination == "sequential":
            self.optimisers["encoder"] = adam((self.segmenter.encoder, self.feature_head), config.optimiser)

    def step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Update all networks once; see :class:`~cisfa.training.method.Method`."""
        losses = self._update_generator(batch, rng)
        with torch.no_grad(), self.autocast():
            synthetic = self.generator(batch.source)
        if self.config.feature_contrast.combination == "sequential":
            losses |= self._update_encoder(batch, synthetic)
        losses |= self._update_segmenter(batch, synthetic)
        losses |= self._update_discriminators(batch, synthetic)
        return losses

    def translate(self, source: Tensor) -> Tensor:
        """G(x_a)."""
        with torch.no_grad(), self.autocast():
            synthetic: Tensor = self.generator(source)
        return synthetic.float()

    def preview(self, batch: Batch) -> Preview:
        """Source, its translation with the prediction on it, and the target with the prediction on it."""
        with torch.no_grad(), self.autocast():
            synthetic = self.generator(batch.source)
            on_synthetic, on_target = self.segmenter(synthetic).argmax(1), self.segmenter(batch.target).argmax(1)
        columns = {"source": batch.source[:, 0], "synthetic": synthetic[:, 0], "target": batch.target[:, 0]}
        return Preview(columns, {"source": batch.labels, "synthetic": on_synthetic, "target": on_target})

    def _update_generator(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Minimise L_G, eq (4)."""
        with frozen(self.slice_critic), self.autocast():
            synthetic, source_taps = self.generator.translate(batch.source)
            realness = self.slice_critic(synthetic)
        adversary = fooling_loss(realness.float())
        losses = {"generator adversary": adversary}
        loss = adversary
        if self.config.patch_contrast.enabled:
            losses["patch contrast"] = self._patch_contrast(batch.labels, source_taps, synthetic, rng)
            loss = loss + losses["patch contrast"]
        losses["gradient of generator"] = descend(loss, self.optimisers["generator"], self.processes)
        return _detached(losses)

    def _patch_contrast(
        self, labels: Tensor, source_taps: list[Tensor], synthetic: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The second term of eq (4): the mean over layers of the weighted patch-wise contrast."""
        settings = self.config.patch_contrast
        with self.autocast():
            synthetic_taps = self.generator.encode(synthetic)
            shapes = [(tap.shape[2], tap.shape[3]) for tap in source_taps]
            places = [sample_places(shape, settings.patches, rng).to(labels.device) for shape in shapes]
            queries = self.projector([features_at(tap, at) for tap, at in zip(synthetic_taps, places, strict=True)])
            with torch.no_grad():
                keys = self.projector([features_at(tap, at) for tap, at in zip(source_taps, places, strict=True)])
        in_organ = [organ_at(labels, shape, at) for shape, at in zip(shapes, places, strict=True)]
        layers = [
            weighted_patch_contrast(
                query, key, inside, organ_weight=settings.organ_weight, temperature=settings.temperature
            )
            for query, key, inside in zip(queries, keys, in_organ, strict=True)
        ]
        return torch.stack(layers).mean()

    def _update_encoder(self, batch: Batch, synthetic: Tensor) -> dict[str, Tensor]:
        """The "sequential" combination of the paper's table 3: eq (5) alone, before the segmenter's other losses."""
        with self.autocast():
            centre = self.segmenter.encode(torch.cat([batch.source, synthetic]))
        loss = self._feature_contrast(*centre.chunk(2))
        norm = descend(loss, self.optimisers["encoder"], self.processes)
        return _detached({"feature contrast": loss, "gradient of encoder": norm})

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
        return _detached(losses)

    def _feature_contrast(self, source_centre: Tensor, synthetic_centre: Tensor) -> Tensor:
        """Eq (5), in float32: means of normalised features differ by a few per cent, which bfloat16 would round."""
        z_source, z_synthetic = self.feature_head(torch.cat([source_centre, synthetic_centre]).float()).chunk(2)
        # every slice of the whole batch repels, whichever process has it
        z_source, z_synthetic = self.processes.gather(torch.stack([z_source, z_synthetic], dim=1)).unbind(dim=1)
        return feature_contrast(z_source, z_synthetic, temperature=self.config.feature_contrast.temperature)

    def _update_discriminators(self, batch: Batch, synthetic: Tensor) -> dict[str, Tensor]:
        """Minimise eq (1) and eq (7), real and fake in one pass each."""
        losses: dict[str, Tensor] = {}
        with self.autocast():
            real, fake = self.slice_critic(torch.cat([batch.target, synthetic])).float().chunk(2)
        losses |= self._update_discriminator("slice discriminator", real, fake)
        settings = self.config.segmentation_adversary
        if settings.weight > 0:
            pair = [batch.target, synthetic] if settings.pushes == "synthetic" else [synthetic, batch.target]
            with self.autocast():
                with torch.no_grad():
                    predictions = self.segmenter(torch.cat(pair)).float().softmax(1)
                real, fake = self.prediction_critic(predictions).float().chunk(2)
            losses |= self._update_discriminator("prediction discriminator", real, fake)
        return losses

    def _update_discriminator(self, name: str, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        loss = discriminator_loss(real_logits, fake_logits)
        norm = descend(loss, self.optimisers[name], self.processes)
        return _detached({name: loss, f"gradient of {name}": norm})


def _detached(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: loss.detach() for name, loss in losses.items()}

"""Learning to translate source slices into the target's style: G against D_g, held by the patch-wise contrast."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.losses.adversarial import discriminator_loss, fooling_loss
from cisfa.losses.patch_contrast import features_at, organ_at, sample_places, weighted_patch_contrast
from cisfa.losses.structure import structure_loss
from cisfa.networks.discriminator import Discriminator
from cisfa.networks.generator import Generator
from cisfa.networks.projection import PatchProjector
from cisfa.networks.segmenter import Segmenter
from cisfa.training.method import Batch, Preview
from cisfa.training.optimisers import CoolingAdam, descend, frozen
from cisfa.training.precision import Autocast, autocast_for
from cisfa.training.processes import Processes


class Translation:
    """The generator, its patch projector and the discriminator of slices, with their updates, eq (1) to (4)."""

    def __init__(
        self,
        config: TrainingConfig,
        *,
        target_range: tuple[float, float],
        device: torch.device,
        processes: Processes,
        structure_weight: float = 0.0,
    ) -> None:
        """Build the networks with the global torch seed.

        Args:
            config: Widths, losses and optimiser.
            target_range: Lowest and highest normalised intensity of the target's slices.
            device: Where to train.
            processes: Those that train together.
            structure_weight: Of the structure loss beside eq (4), which the paper has not.
        """
        widths = config.networks
        self.structure_weight = structure_weight
        self.config, self.processes = config, processes
        self.autocast = autocast_for(config.optimiser, device)
        self.generator = Generator(widths.generator_width, widths.generator_blocks)
        self.generator.set_output_range(*target_range)
        self.projector = PatchProjector(self.generator.tap_channels)
        self.critic = Discriminator(channels=1, width=widths.discriminator_width)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "patch projector": self.projector,
            "slice discriminator": self.critic,
        }
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimisers: dict[str, CoolingAdam] = {
            "generator": CoolingAdam((self.generator, self.projector), config.optimiser),
            "slice discriminator": CoolingAdam((self.critic,), config.optimiser),
        }

    def translate(self, source: Tensor) -> Tensor:
        """G(x_a), without gradients, in the precision of the forward passes."""
        with torch.no_grad(), self.autocast():
            synthetic: Tensor = self.generator(source)
        return synthetic

    def update_generator(self, batch: Batch, rng: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Minimise L_G, eq (4), with the structure loss where it has a weight.

        Args:
            batch: Source slices and their labels.
            rng: Draws the patches.

        Returns:
            The losses, and G(x_a) as it was before the update; both detached.
        """
        settings = self.config.patch_contrast
        with frozen(self.critic), self.autocast():
            synthetic, source_taps = self.generator.translate(batch.source)
            realness = self.critic(synthetic)
        losses = {"generator adversary": fooling_loss(realness.float())}
        loss = losses["generator adversary"]
        if settings.enabled:
            losses["patch contrast"] = self._patch_contrast(batch.labels, source_taps, synthetic, rng)
            loss = loss + losses["patch contrast"]
        if self.structure_weight > 0:
            losses["structure"] = structure_loss(batch.source, synthetic.float())
            loss = loss + self.structure_weight * losses["structure"]
        losses["gradient of generator"] = descend(loss, self.optimisers["generator"], self.processes)
        return detached(losses), synthetic.detach()

    def update_critic(self, target: Tensor, synthetic: Tensor) -> dict[str, Tensor]:
        """Minimise eq (1), real and fake in one pass."""
        with self.autocast():
            real, fake = self.critic(torch.cat([target, synthetic])).float().chunk(2)
        return update_discriminator("slice discriminator", real, fake, self.optimisers, self.processes)

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


def preview_of(batch: Batch, synthetic: Tensor, segmenter: Segmenter, autocast: Autocast) -> Preview:
    """Source with its labels, its translation with the prediction on it, and the target with the prediction on it."""
    with torch.no_grad(), autocast():
        on_synthetic, on_target = segmenter(synthetic).argmax(1), segmenter(batch.target).argmax(1)
    columns = {"source": batch.source[:, 0], "synthetic": synthetic[:, 0], "target": batch.target[:, 0]}
    return Preview(columns, {"source": batch.labels, "synthetic": on_synthetic, "target": on_target})


def update_discriminator(
    name: str,
    real_logits: Tensor,
    fake_logits: Tensor,
    optimisers: Mapping[str, torch.optim.Optimizer],
    processes: Processes,
) -> dict[str, Tensor]:
    """One update of the discriminator of that name, eq (1) or (7)."""
    loss = discriminator_loss(real_logits, fake_logits)
    norm = descend(loss, optimisers[name], processes)
    return detached({name: loss, f"gradient of {name}": norm})


def detached(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Losses that hold on to no graph."""
    return {name: loss.detach() for name, loss in losses.items()}

"""CISFA+: CISFA's translation beside random looks, and a teacher that labels target slices."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.losses.overlap_loss import dice_loss
from cisfa.losses.pseudo_label_loss import cross_entropy, most_likely, pseudo_label_loss
from cisfa.networks.segmenter import Segmenter
from cisfa.training.appearance import with_random_looks
from cisfa.training.method import Batch, Preview
from cisfa.training.optimisers import CoolingAdam, descend, set_rates
from cisfa.training.organ_atlas import OrganAtlas
from cisfa.training.precision import autocast_for
from cisfa.training.processes import Alone, Processes
from cisfa.training.translation import Translation, detached, preview_of

_BETAS = (0.9, 0.999)  # Adam's own; the paper's 0.5 is for networks that play against each other
_RAMP_STEEPNESS = 5.0  # exp(-5 (1 - t)^2), as Tarvainen and Valpola 2017 have it


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What a teacher says of a batch of target slices.

    Attributes:
        labels: Class indices, (batch, rows, columns).
        trusted: Where they may be believed, likewise.
        weight: Of learning from them.
    """

    labels: Tensor
    trusted: Tensor
    weight: float


class CisfaPlusMethod:
    """A student learns organs from source slices with random looks, some of them translated, and from a teacher.

    The teacher is the moving average of the student (Tarvainen and Valpola 2017, "Mean teachers are better role
    models"); it labels target slices, and where it is sure and its labels look like those of the source, the student
    has to find them again in the same slice with another look. The teacher goes into the bundle.

    Every ingredient is a switch: ``translation.share``, ``translation.structure_weight``, ``teacher.weight``,
    ``teacher.filtered``, ``supervision.cross_entropy``, ``supervision.coordinates``,
    ``supervision.largest_component``, ``appearance.*`` and ``augmentation.*``. Without translation and teacher it is
    learning from the source alone, with strong augmentation.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        classes: int,
        target_range: tuple[float, float],
        device: torch.device,
        processes: Processes | None = None,
    ) -> None:
        """Build the networks with the global torch seed; the arguments are those of every method."""
        self.config = config
        self.processes = processes or Alone(device)
        self.progress = 0.0
        self.autocast = autocast_for(config.optimiser, device)
        self.learner = Segmenter(
            classes=classes, width=config.networks.segmenter_width, coordinates=config.supervision.coordinates
        )
        self.learner.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks: dict[str, nn.Module] = {"segmenter": self.learner}
        own = config.supervision
        rates = replace(config.optimiser, learning_rate=own.learning_rate, cooldown=own.cooldown, betas=_BETAS)
        self.optimisers: dict[str, CoolingAdam] = {"segmenter": CoolingAdam((self.learner,), rates)}
        self.teacher: Segmenter | None = None
        if config.teacher.weight > 0:
            self.teacher = copy.deepcopy(self.learner).requires_grad_(False)
            self.atlas = OrganAtlas(classes=classes, size=config.preprocessing.size).to(device)
            self.networks = {"segmenter": self.teacher, "student": self.learner, "organ atlas": self.atlas}
        self.translation: Translation | None = None
        if config.translation.share > 0:
            self.translation = Translation(
                config,
                target_range=target_range,
                device=device,
                processes=self.processes,
                structure_weight=config.translation.structure_weight,
            )
            self.networks |= self.translation.networks
            self.optimisers |= self.translation.optimisers

    @property
    def segmenter(self) -> Segmenter:
        """The teacher; the student itself where there is none."""
        return self.teacher or self.learner

    @property
    def student(self) -> Segmenter | None:
        """The network that learns, where the segmenter is its moving average."""
        return self.learner if self.teacher else None

    def set_progress(self, *, done: int, steps: int) -> None:
        """Set the learning rates and what the teacher weighs; see :class:`~cisfa.training.method.Method`."""
        set_rates(self.optimisers, done=done, steps=steps)
        self.progress = done / steps

    def step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Update all networks once; see :class:`~cisfa.training.method.Method`."""
        losses: dict[str, Tensor] = {}
        source, synthetic = batch.source, None
        if self.translation:
            losses, synthetic = self.translation.update_generator(batch, rng)
            source = self._some_translated(batch.source, synthetic.float(), rng)
        lesson = self._lesson(self.teacher, batch) if self.teacher else None
        on_source, on_target, on_few = self._segment_looks(source, batch.target if lesson else source[:0], batch, rng)
        if self.teacher:
            self.atlas.watch(on_source, batch.labels, self.processes)
        losses["dice"] = dice_loss(on_source, batch.labels, over_all=self.processes.sum)
        loss = losses["dice"]
        if self.config.supervision.cross_entropy > 0:
            losses["cross-entropy"] = cross_entropy(on_source, batch.labels)
            loss = loss + self.config.supervision.cross_entropy * losses["cross-entropy"]
        if self.teacher:
            losses |= self._heard(lesson, on_target)
        if lesson:
            loss = loss + lesson.weight * losses["teacher"]
        if batch.few_labels is not None:
            losses["few labels dice"] = dice_loss(on_few, batch.few_labels, over_all=self.processes.sum)
            loss = loss + self.config.few_labels.weight * losses["few labels dice"]
        losses["gradient of segmenter"] = descend(loss, self.optimisers["segmenter"], self.processes)
        if self.teacher:
            self._follow(self.teacher)
        if self.translation and synthetic is not None:
            losses |= self.translation.update_critic(batch.target, synthetic)
        return detached(losses)

    def translate(self, source: Tensor) -> Tensor:
        """G(x_a); the slices as they are where nothing is translated."""
        return self.translation.translate(source).float() if self.translation else source

    def preview(self, batch: Batch) -> Preview:
        """Source, its translation with the prediction on it, and the target with the prediction on it."""
        return preview_of(batch, self.translate(batch.source), self.segmenter, self.autocast)

    def _segment_looks(
        self, source: Tensor, target: Tensor, batch: Batch, rng: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The student's logits of source, target and drawn slices with random looks, in one pass; empty for none."""
        groups = [source, target, source[:0] if batch.few is None else batch.few]
        looks = [
            with_random_looks(group, self.config.appearance, rng, share=self.processes.share) if len(group) else group
            for group in groups
        ]
        with self.autocast():
            logits = self.learner(torch.cat(looks)).float()
        on_source, on_target, on_few = logits.split([len(group) for group in groups])
        return on_source, on_target, on_few

    def _some_translated(self, source: Tensor, synthetic: Tensor, rng: torch.Generator) -> Tensor:
        """Each slice as it is or translated, by chance."""
        drawn = torch.rand(len(source) * self.processes.share.count, generator=rng)
        is_translated = self.processes.share.of(drawn < self.config.translation.share).to(source.device)
        return torch.where(is_translated[:, None, None, None], synthetic, source)

    def _lesson(self, teacher: Segmenter, batch: Batch) -> _Lesson | None:
        """Learn from the batch what organs look like, then label its target slices; None before the teacher begins."""
        self.atlas.learn(batch.labels, self.processes)
        weight = self._teacher_weight()
        return _Lesson(*self._taught(teacher, batch.target), weight) if weight > 0 else None

    def _taught(self, teacher: Segmenter, target: Tensor) -> tuple[Tensor, Tensor]:
        """What the teacher finds in the target slices, and where it may be believed."""
        with torch.no_grad(), self.autocast():
            logits = teacher(target).float()
        labels, trusted = most_likely(logits, self.config.teacher.confidence)
        if self.config.teacher.filtered:
            trusted = trusted & self.atlas.trusted(labels, least_dice=self.config.teacher.least_dice)
        return labels, trusted

    def _heard(self, lesson: _Lesson | None, on_target: Tensor) -> dict[str, Tensor]:
        """The loss of what the teacher says, and how much of it is organs; 0 before it begins."""
        if lesson is None:
            return dict.fromkeys(("trusted", "teacher"), torch.zeros((), device=on_target.device))
        return {
            "trusted": (lesson.trusted & (lesson.labels > 0)).float().mean(),
            "teacher": pseudo_label_loss(on_target, lesson.labels, lesson.trusted, over_all=self.processes.sum),
        }

    def _teacher_weight(self) -> float:
        """The weight of what the teacher says, which grows from 0 where it begins."""
        settings = self.config.teacher
        since = self.progress - settings.begin
        if since < 0:
            return 0.0
        passed = min(1.0, since / settings.ramp_up) if settings.ramp_up else 1.0
        return settings.weight * math.exp(-_RAMP_STEEPNESS * (1 - passed) ** 2)

    def _follow(self, teacher: Segmenter) -> None:
        """Move the teacher a little towards the student."""
        steps = int(self.atlas.batches)
        # less in the first steps, or the random weights of the beginning would stay long
        decay = min(self.config.teacher.decay, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(teacher.parameters()), list(self.learner.parameters()), 1 - decay)


def supervised_plus(config: TrainingConfig, **arguments: Any) -> CisfaPlusMethod:
    """CISFA+'s segmenter, losses and looks on labelled slices and nothing else: its ceiling on labelled target cases.

    Args:
        config: Translation and teacher are left out, whatever it says of them.
        arguments: Those of every method.
    """
    translation, teacher = replace(config.translation, share=0.0), replace(config.teacher, weight=0.0)
    return CisfaPlusMethod(replace(config, translation=translation, teacher=teacher), **arguments)

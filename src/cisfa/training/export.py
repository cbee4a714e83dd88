"""From a run's weights to a model bundle."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from cisfa.bundle.bundle_folder import write_bundle
from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary, utc_now
from cisfa.config import TrainingConfig
from cisfa.errors import RunError
from cisfa.runs.run_data import RunData
from cisfa.runs.selection import ChosenWeights, choose_weights
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.environment import versions
from cisfa.training.methods import method_named
from cisfa.training.run_folder import RunFolder
from cisfa.training.trainer import total_steps

_ABDOMINAL = {"liver", "spleen", "right kidney", "left kidney", "pancreas", "stomach", "gallbladder"}
_CARDIAC = {"myocardium", "left ventricle", "right ventricle", "left atrium", "right atrium", "ascending aorta"}


def make_bundle(
    run: Path, output: Path, *, name: str | None, description: str | None, licence: str | None, overwrite: bool
) -> Path:
    """Write the bundle of a run, of the weights that its settings choose (``selection.by``).

    Where the method adapts to a target, never of the "best" by target labels.

    Args:
        run: The run's folder.
        output: A folder, or a file ending in ``.zip``.
        name: As for :func:`bundle_of`, likewise the others.
        description: Likewise.
        licence: Likewise.
        overwrite: Likewise.

    Raises:
        RunError: The run has no checkpoint yet, or is damaged.
        BundleError: The output cannot be written.
    """
    chosen = choose_weights(run)
    return bundle_of(chosen, output, name=name, description=description, licence=licence, overwrite=overwrite)


def bundle_of(
    chosen: ChosenWeights,
    output: Path,
    *,
    name: str | None = None,
    description: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the bundle of some weights of a run.

    Args:
        chosen: The run and which of its weights.
        output: A folder, or a file ending in ``.zip``.
        name: One line for people; None makes one of the organs and modalities.
        description: More for people; None says how it was trained. Either way a sentence follows that says which
            weights these are.
        licence: SPDX identifier; None says that none was given.
        overwrite: Whether what is there may be replaced.

    Raises:
        RunError: The run has no checkpoint yet, or is damaged.
        BundleError: The output cannot be written.
    """
    run, folder = chosen.run, RunFolder(chosen.run)
    config, data = folder.read_config(), folder.read_data()
    found = _read_weights(chosen)
    if data is None or found is None:
        raise RunError(f"{run} has no checkpoint yet: train for longer before making a bundle of it.")
    step, weights = found
    method = method_named(config.method)
    source, target = data.source_modality, data.target_modality
    organs = tuple(sorted(data.organs, key=lambda organ: organ.label))
    if organs != data.organs:
        raise RunError(f"{run / 'data.json'} lists the organs out of order; it was changed by hand.")
    region = _region({organ.name for organ in organs})
    way = f"{source} to {target}" if method.has_target else target
    manifest = Manifest(
        name=name or f"{(region or 'organs').capitalize()}, {way} ({config.method})",
        version="1.0",
        description=f"{description or _description(config)}\n{chosen.in_words(step, has_target=method.has_target)}",
        created=utc_now(),
        organs=organs,
        source=Domain(name=_domain(region, source), modality=source, cases=len(data.source_fingerprints)),
        target=Domain(name=_domain(region, target), modality=target, cases=len(data.target_fingerprints)),
        preprocessing=config.preprocessing,
        segmenter=SegmenterSpec(
            width=config.networks.segmenter_width,
            classes=len(organs) + 1,
            coordinates=method.is_plus and config.supervision.coordinates,
        ),
        method=config.method,
        training=_summary(folder, config, data, step),
        licence=licence or "not stated",
        versions=versions(),
        body_region=region,
        largest_component=method.is_plus and config.supervision.largest_component,
        reference=data.reference,
    )
    return write_bundle(manifest, weights, output, overwrite=overwrite)


def _read_weights(chosen: ChosenWeights) -> tuple[int, bytes] | None:
    """The step and the weights in safetensors format; None where there is no checkpoint."""
    if chosen.path is not None and chosen.step is not None:
        try:
            return chosen.step, chosen.path.read_bytes()
        except OSError as error:
            raise RunError(f"{chosen.path} cannot be read: {error.strerror}. Choose another checkpoint.") from error
    checkpoint = latest_checkpoint(RunFolder(chosen.run).checkpoints, device=torch.device("cpu"))
    if checkpoint is None:
        return None
    weights = {key: value.contiguous() for key, value in checkpoint.networks["segmenter"].items()}
    return checkpoint.step, safetensors.torch.save(weights)


def _description(config: TrainingConfig) -> str:
    return f"Trained by cisfa train with the method {config.method}, seed {config.seed}."


def _summary(folder: RunFolder, config: TrainingConfig, data: RunData, step: int) -> TrainingSummary:
    environment = folder.read_environment()
    epoch = total_steps(_one_epoch(config), data.source_slices, data.target_slices)
    return TrainingSummary(
        steps=step,
        epochs=step // epoch,
        seed=config.seed,
        batch_size=config.optimiser.batch_size,
        source_cases=len(data.source_fingerprints),
        target_cases=len(data.target_fingerprints),
        minutes=round(folder.trained_s() / 60, 1),
        hardware=str(environment["device"]),
        losses=_losses_until(folder, step),
    )


def _one_epoch(config: TrainingConfig) -> TrainingConfig:
    return replace(config, schedule=replace(config.schedule, epochs=1, steps=None))


def _losses_until(folder: RunFolder, step: int) -> dict[str, float]:
    """The last values that were written down up to a step."""
    if not folder.metrics.exists():
        return {}
    with folder.metrics.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    return {name: float(value) for name, value in rows[-1].items() if name != "step"} if rows else {}


def _domain(region: str | None, modality: str) -> str:
    adjective = {"abdomen": "abdominal", "heart": "cardiac"}.get(region or "", "")
    return f"{adjective} {modality}".strip()


def _region(organs: set[str]) -> str | None:
    if organs <= _ABDOMINAL:
        return "abdomen"
    return "heart" if organs <= _CARDIAC else None

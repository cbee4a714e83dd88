"""What a run learns from, without naming any of it (``data.json``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cisfa.config import Modality
from cisfa.config_files import from_json_values
from cisfa.errors import ConfigError, RunError
from cisfa.imaging.organs import Code, Organ
from cisfa.imaging.training_reference import TrainingReference
from cisfa.runs.run_files import DATA
from cisfa.runs.run_json import read_json


@dataclass(frozen=True)
class RunData:
    """What a run learns from, without naming any of it.

    Attributes:
        organs: Class i + 1 is organs[i].
        source_modality: How the source's intensities were read.
        target_modality: Likewise the target's.
        source_fingerprints: SHA-256 of each source case's voxels.
        target_fingerprints: Likewise the target's.
        source_slices: Number of source slices that are learned from.
        target_slices: Likewise the target's.
        target_range: Lowest and highest normalised intensity of the target's slices.
        source_label_fingerprints: SHA-256 of each source case's labels.
        held_out_cases: How many of the source cases are kept from training, for validation.
        few_label_fingerprints: SHA-256 of each target case's few labels, empty for a case without; none at all where
            they are not used.
        reference: What its cases are like, for its bundle; None in runs of before there was one.
    """

    organs: tuple[Organ, ...]
    source_modality: Modality
    target_modality: Modality
    source_fingerprints: tuple[str, ...]
    target_fingerprints: tuple[str, ...]
    source_slices: int
    target_slices: int
    target_range: tuple[float, float]
    source_label_fingerprints: tuple[str, ...] = ()
    held_out_cases: int = 0
    few_label_fingerprints: tuple[str, ...] = ()
    # follows from the cases, but for rounding: no reason to take two runs' data for different
    reference: TrainingReference | None = field(default=None, compare=False, repr=False)


def read_run_data(folder: Path) -> RunData | None:
    """What a run learns from; None when it was ended before its cases were read.

    Raises:
        RunError: The file is damaged.
    """
    if not (folder / DATA).is_file():
        return None
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in read_json(folder / DATA).items()
    }
    try:
        organs, reference = tuple(_organ(entry) for entry in values["organs"]), values.get("reference")
        if reference is not None:
            reference = from_json_values(TrainingReference, reference)
        return RunData(**{**values, "organs": organs, "reference": reference})
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise RunError(f"{folder / DATA} is damaged, or another version's ({error}). Start a new run.") from error


def _organ(values: Mapping[str, Any]) -> Organ:
    category, kind, side = (
        Code(**code) if (code := values[name]) else None for name in ("category", "type", "laterality")
    )
    red, green, blue = values["colour"]
    return Organ(values["name"], values["label"], (red, green, blue), category, kind, side)

"""``result.json``: what one part of a study (a row in a fold with a seed) scored, small enough for a repository.

One JSON object without a path, the same text for the same scores. Cases stand in it under their names. Dice runs from 0
to 1, distances are in mm, volumes in mL; a value that does not exist is null. The file outlives the run, the bundle and
the predictions that it was made of.

- ``format``: 1; ``cisfa_version``: what scored it; ``row``, ``method``, ``fold`` (from 1), ``seed``: which part it is.
- ``minutes`` (of training), ``steps``, ``hardware``: null or empty where that is not known. They are those of the whole
  run; ``chosen_step`` is the step of the weights that segmented the cases, and left out where that is not known.
- ``config``: all settings of the run.
- ``labels``: held-out case to the SHA-256 of its label map (:func:`digests_of_labels`), so that changed labels are
  noticed.
- ``scores``: an entry for each organ of each held-out case, as in ``scores.csv``, with seven significant digits.
"""

import codecs
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from cisfa.bundle.strict_json import parse
from cisfa.config import TrainingConfig
from cisfa.config_files import from_json_values, to_json_values
from cisfa.errors import ConfigError, RunError
from cisfa.evaluation.score_case import CaseScores, OrganScore, Remark
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume import LabelMap
from cisfa.whole_files import write_text

RESULT = "result.json"
FORMAT = 1
_DIGITS = 7  # so that scores.csv, with six decimals of a Dice, is the same with and without the predictions
_MEASURES = ("dice", "dice_organ_slices", "assd_mm", "hd95_mm", "predicted_ml", "true_ml")


@dataclass(frozen=True, kw_only=True)
class ScoreEntry:
    """How well one organ of one case was found; the fields are those of ``OrganScore``.

    Attributes:
        case: The case's name.
        organ: The organ's name.
        label: Its value in the label maps.
        dice: On all slices; None when both masks are empty.
        dice_organ_slices: On the slices that hold any organ in the truth; None when both masks are empty there.
        assd_mm: Average symmetric surface distance; None when a mask is empty.
        hd95_mm: 95 % Hausdorff distance; None when a mask is empty.
        predicted_ml: Volume of the prediction.
        true_ml: Volume of the truth.
        remark: Which mask is empty; the empty string when none is.
    """

    case: str
    organ: str
    label: int
    dice: float | None
    dice_organ_slices: float | None
    assd_mm: float | None
    hd95_mm: float | None
    predicted_ml: float
    true_ml: float
    remark: Remark


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """What the file holds.

    Attributes:
        cisfa_version: What scored it.
        row: Name of the row.
        method: Its training recipe.
        fold: Counted from 1.
        seed: Of the run.
        minutes: Spent training, the whole run; None when that is not known.
        steps: Optimiser updates of the whole run; None when that is not known.
        hardware: What it was trained on; empty when that is not known.
        config: All settings of the run.
        labels: Held-out case to the digest of its label map (:func:`digests_of_labels`).
        scores: An entry for each organ of each held-out case.
        chosen_step: Optimiser updates of the weights that were scored; None when that is not known.
    """

    cisfa_version: str
    row: str
    method: str
    fold: int
    seed: int
    minutes: float | None
    steps: int | None
    hardware: str
    config: TrainingConfig
    labels: Mapping[str, str]
    scores: tuple[ScoreEntry, ...]
    chosen_step: int | None = None

    def fits(self, labels: Mapping[str, Collection[str]], organs: Iterable[Organ]) -> bool:
        """True when these are the scores of these label maps and organs, each case and organ once.

        Args:
            labels: Held-out case to the digests that its label map may have (:func:`digests_of_labels`).
            organs: What is to be scored.
        """
        wanted = [(case, organ.name, organ.label) for organ in organs for case in labels]
        scored = [(entry.case, entry.organ, entry.label) for entry in self.scores]
        is_same = self.labels.keys() == labels.keys() and all(self.labels[case] in labels[case] for case in labels)
        return is_same and sorted(scored) == sorted(wanted)

    def case_scores(self, organs: Iterable[Organ]) -> tuple[CaseScores, ...]:
        """The scores of the cases.

        Args:
            organs: Those that were scored.
        """
        entries = {(entry.case, entry.label): entry for entry in self.scores}
        organs = tuple(organs)
        return tuple(
            CaseScores(case, tuple(_organ_score(entries[case, organ.label], organ) for organ in organs))
            for case in self.labels
        )


def _organ_score(entry: ScoreEntry, organ: Organ) -> OrganScore:
    return OrganScore(organ=organ, remark=entry.remark, **{name: getattr(entry, name) for name in _MEASURES})


def score_entries(scores: CaseScores) -> tuple[ScoreEntry, ...]:
    """A case's scores as they stand in the file, with seven significant digits."""
    return tuple(
        ScoreEntry(
            case=scores.case,
            organ=score.organ.name,
            label=score.organ.label,
            remark=score.remark,
            **{name: rounded(getattr(score, name)) for name in _MEASURES},
        )
        for score in scores.organs
    )


def rounded(value: float | None) -> Any:
    """A number as it stands in the file: None stays None."""
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def digests_of_labels(label_map: LabelMap) -> tuple[str, str]:
    """SHA-256 of a label map, however the file stores it; each 64 hexadecimal digits.

    Returns:
        That of shape, voxels and spacing in thousandths of a mm; and that of shape and voxels alone, which results hold
        that were written before the spacing counted.
    """
    digest = hashlib.sha256(repr(tuple(map(int, label_map.voxels.shape))).encode("ascii"))
    digest.update(np.ascontiguousarray(label_map.voxels, dtype="<u2").tobytes())
    without_spacing = digest.hexdigest()
    # a third instead of a half, so that no usual spacing, such as 0.9375, lies where the last bit of a float decides
    thousandths = [math.floor(1000 * length + 1 / 3) for length in label_map.geometry.spacing_mm]
    digest.update(repr(thousandths).encode("ascii"))
    return digest.hexdigest(), without_spacing


def write_result(result: PartResult, path: Path) -> None:
    """Write the file, whole or not at all; folders that are missing are made.

    Raises:
        VolumeFileError: It cannot be written.
    """
    values = {"format": FORMAT, **asdict(result), "config": to_json_values(result.config)}
    if result.chosen_step is None:
        del values["chosen_step"]  # a result that came without it stays the same text wherever it is copied to
    lines = [f"{_in_json(name)}: {_in_lines(value)}" for name, value in values.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_result(path: Path) -> PartResult:
    """Read the file.

    Raises:
        RunError: It cannot be read, is damaged, or was written by a newer version.
    """
    try:
        values: Any = parse(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}. See to it that it can be.") from error
    except ValueError as error:
        _refuse(path, f"it is not JSON ({error})", error)
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        _refuse(path, "it has no format", None)
    if values["format"] > FORMAT:
        raise RunError(
            f"{path} was written by a newer version of CISFA (format {values['format']}; this one knows {FORMAT})."
            " Update CISFA."
        )
    if values.pop("format") != FORMAT:
        _refuse(path, "its format is none that there ever was", None)
    try:
        return from_json_values(PartResult, values)
    except ConfigError as error:
        _refuse(path, str(error), error)


def _refuse(path: Path, reason: str, cause: Exception | None) -> NoReturn:
    raise RunError(
        f"{path} is no result of this version, or damaged: {reason}. Get it back from where it came, or delete it: then"
        " its part is scored again where the predictions are there, and trained again where they are not."
    ) from cause


def _in_lines(value: Any) -> str:
    """JSON with a line for each entry, so that differences between two files are readable."""
    if isinstance(value, Mapping) and value:
        return "{\n" + ",\n".join(f" {_in_json(key)}: {_in_json(entry)}" for key, entry in value.items()) + "\n}"
    if isinstance(value, list | tuple) and value:
        return "[\n" + ",\n".join(f" {_in_json(entry)}" for entry in value) + "\n]"
    return _in_json(value)


def _in_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

"""``scores.json``: how well a model did on labelled cases, for programs. Light, since 3D Slicer's own process reads it.

One JSON object. Dice runs from 0 to 1, distances are in mm; a value that does not exist is null, never left out.

- ``schema``: 1.
- ``cisfa_version``: what wrote it.
- ``model``: ``name``, ``version``, ``method`` and training ``steps`` as its manifest states them; ``weights_sha256``,
  the same for a run's checkpoint and for every bundle made of it; ``checksum``, the bundle's, null when a run was
  scored.
- ``cases``: one entry for each organ of each case: ``case``, ``organ``, ``label`` (the model's value),
  ``dice`` (all slices), ``dice_organ_slices`` (slices that hold any organ in the truth), ``assd_mm``, ``hd95_mm``, and
  ``remark``, which explains what is null or 0: "prediction empty" (the truth holds the organ, the model found nothing:
  Dice 0, no distance), "truth empty" (the other way round: Dice 0, no distance), "both empty" (nothing to find, nothing
  found: no Dice, no distance), "" (both masks hold voxels).
- ``organs``: one entry for each organ: ``organ``; ``dice``, ``dice_organ_slices``, ``assd_mm``, ``hd95_mm``, each an
  object of ``n`` (cases that have a value), ``mean``, ``sd`` (n - 1; null below two values) and ``median``;
  ``predictions_empty``, ``truths_empty`` and ``both_empty``, the numbers of cases with these remarks.
- ``over_organs``: likewise over all organs, each case averaged over its organs first.
- ``left_out``: cases that could not be scored: ``case`` and ``reason``, a sentence.
- ``remarks``: sentences about what the numbers mean ("Not scored, since the labels do not name it: stomach.").
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from cisfa.config_files import from_json_values
from cisfa.errors import CaseError, ConfigError
from cisfa.whole_files import write_text

SCHEMA = 1
SCORE_FILE = "scores.json"

Remark = Literal["", "prediction empty", "truth empty", "both empty"]


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """What was scored.

    Attributes:
        name: The model's name for people.
        version: Of the model, its maker's choice.
        method: The training recipe's name.
        steps: Optimiser updates of its training.
        weights_sha256: SHA-256 of its weights, 64 hexadecimal digits; names the model however it was packed.
        checksum: SHA-256 of the bundle's manifest; None when a run was scored, which has no bundle that lasts.
    """

    name: str
    version: str
    method: str
    steps: int
    weights_sha256: str
    checksum: str | None


@dataclass(frozen=True, kw_only=True)
class OrganOfCase:
    """How well one organ of one case was found.

    Attributes:
        case: The case's name.
        organ: The organ's name.
        label: Its value in the model's label maps.
        dice: Dice on all slices, 0 to 1; None when both masks are empty.
        dice_organ_slices: Dice on the slices that hold any organ in the truth; None when both masks are empty there.
        assd_mm: Average symmetric surface distance in mm; None when a mask is empty.
        hd95_mm: 95 % Hausdorff distance in mm; None when a mask is empty.
        remark: Which mask is empty; the empty string when none is.
    """

    case: str
    organ: str
    label: int
    dice: float | None
    dice_organ_slices: float | None
    assd_mm: float | None
    hd95_mm: float | None
    remark: Remark

    def __post_init__(self) -> None:
        _require_in_range("dice", self.dice, highest=1)
        _require_in_range("dice_organ_slices", self.dice_organ_slices, highest=1)
        _require_in_range("assd_mm", self.assd_mm)
        _require_in_range("hd95_mm", self.hd95_mm)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a measure is distributed over cases, in the measure's unit.

    Attributes:
        n: Cases that have a value.
        mean: None when no case has one.
        sd: Standard deviation of the sample (divided by n - 1); None with fewer than two values.
        median: None when no case has a value.
    """

    n: int
    mean: float | None
    sd: float | None
    median: float | None

    def __post_init__(self) -> None:
        for name in ("n", "mean", "sd", "median"):
            _require_in_range(name, getattr(self, name))
        if (self.n > 0) != (self.mean is not None) or (self.n > 0) != (self.median is not None):
            raise ConfigError(f"A measure has the mean {self.mean} and the median {self.median} of n = {self.n} cases.")


@dataclass(frozen=True, kw_only=True)
class OrganOverCases:
    """One organ over all cases, or all organs together.

    Attributes:
        organ: The organ's name, or "mean over organs".
        dice: Dice on all slices, 0 to 1.
        dice_organ_slices: Dice on the slices that hold any organ in the truth, 0 to 1.
        assd_mm: Average symmetric surface distance in mm.
        hd95_mm: 95 % Hausdorff distance in mm.
        predictions_empty: Cases in which the truth holds the organ and the prediction does not.
        truths_empty: Cases in which the prediction holds the organ and the truth does not.
        both_empty: Cases in which neither does.
    """

    organ: str
    dice: Spread
    dice_organ_slices: Spread
    assd_mm: Spread
    hd95_mm: Spread
    predictions_empty: int
    truths_empty: int
    both_empty: int


@dataclass(frozen=True)
class LeftOut:
    """A case that could not be scored.

    Attributes:
        case: The case's name.
        reason: Why, and what to do, in sentences.
    """

    case: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScoreFile:
    """All that ``scores.json`` holds.

    Attributes:
        cisfa_version: What wrote it.
        model: What was scored.
        cases: One entry for each organ of each case.
        organs: One entry for each organ.
        over_organs: All organs together, each case averaged over its organs first.
        left_out: Cases that could not be scored.
        remarks: Sentences about what the numbers mean.
    """

    cisfa_version: str
    model: ScoredModel
    cases: tuple[OrganOfCase, ...]
    organs: tuple[OrganOverCases, ...]
    over_organs: OrganOverCases
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]

    def __post_init__(self) -> None:
        entries = Counter((entry.case, entry.organ) for entry in self.cases)
        for (case, organ), count in entries.items():
            if count > 1:
                raise ConfigError(f"{organ} of {case} is there {count} times; it must be there once.")


def write_scores(scores: ScoreFile, path: Path) -> None:
    """Write the file, whole or not at all; folders that are missing are made.

    Raises:
        VolumeFileError: It cannot be written.
    """
    values = {"schema": SCHEMA, **asdict(scores)}
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_scores(path: Path) -> ScoreFile:
    """Read the file.

    Raises:
        CaseError: It cannot be read, is damaged, or was written by a newer version.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror or error}. Score the cases again.") from error
    except (ValueError, RecursionError) as error:
        raise CaseError(f"{path} is damaged: it is not JSON ({error}). Score the cases again.") from error
    if not isinstance(values, dict) or type(values.get("schema")) is not int:
        raise CaseError(f"{path} holds no scores: it has no schema. Choose the {SCORE_FILE} that cisfa score wrote.")
    if values["schema"] > SCHEMA:
        raise CaseError(
            f"{path} was written by a newer version of CISFA (schema {values['schema']}; this one knows {SCHEMA})."
            " Update CISFA."
        )
    if values.pop("schema") != SCHEMA:
        raise CaseError(f"{path} is damaged: its schema is none that there ever was. Score the cases again.")
    try:
        return from_json_values(ScoreFile, values)
    except ConfigError as error:
        raise CaseError(f"{path} is damaged. {error} Score the cases again.") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _require_in_range(name: str, value: float | None, *, highest: float | None = None) -> None:
    if value is None or (value >= 0 and (highest is None or value <= highest)):
        return
    expected = "at least 0" if highest is None else f"from 0 to {highest}"
    raise ConfigError(f"{name} is {value}; it must be {expected}.")

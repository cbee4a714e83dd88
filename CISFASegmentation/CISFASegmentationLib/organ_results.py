"""What is said of each organ beside its colour: how much of it there is, and what to doubt."""

import json
import math
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from cisfa.errors import CisfaError


class ReportError(CisfaError):
    """A job's report cannot be read."""


class Level(Enum):
    """How far an organ can be trusted, as far as the job can tell without knowing the truth.

    Attributes:
        GREEN: Nothing speaks against it.
        AMBER: To be checked.
        RED: Probably wrong.
    """

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Quality:
    """An estimate of how good an organ is. No diagnosis, and no measurement: the job knows no truth to compare with.

    Attributes:
        level: One of three.
        score: What the Dice with the truth is probably not above, from 0 to 1; it may be below.
        reasons: What speaks against the organ, and what could not be looked at, a sentence each.
    """

    level: Level
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrganResult:
    """One organ of a result, as the model drew it.

    Attributes:
        name: "right kidney".
        label: Its value in the label map.
        volume_ml: How much of it there is.
        mean_intensity: Of the volume inside the organ, HU for CT; None when nothing was found.
        components: Connected parts.
        touches_edge: True when it reaches the volume's border, so that a part may be missing.
        quality: None when it was not estimated, by an older version for instance.
        is_edited: True when somebody has changed it since, so that the other values are no longer true of it.
    """

    name: str
    label: int
    volume_ml: float
    mean_intensity: float | None
    components: int
    touches_edge: bool
    quality: Quality | None = None
    is_edited: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should doubt: the reasons of the quality, then what was counted and they do not tell."""
        reasons = self.quality.reasons if self.quality else ()
        return (*reasons, *(remark for remark, told in self._counted() if not any(map(told.search, reasons))))

    @property
    def is_doubtful(self) -> bool:
        """True when a reader should look twice. Where there is a quality, it has weighed what was counted already."""
        if self.is_edited:
            return False
        if self.quality is None:
            return bool(self.remarks)
        return self.quality.level is not Level.GREEN or self.components == 0

    def _counted(self) -> list[tuple[str, re.Pattern[str]]]:
        """Remarks of a few words each, with what tells that a sentence says the same."""
        if self.components == 0:
            return [("nothing found", re.compile(r"\bnothing\b|\bnot found\b", re.IGNORECASE))]
        found = []
        if self.components > 1:
            count = f"({self.components}|{self.components:,})"
            told = re.compile(rf"(?<![\d,]){count} (separate )?(pieces|parts|components)\b", re.IGNORECASE)
            found.append((f"{self.components} components", told))
        if self.touches_edge:
            found.append(("touches the volume's edge", re.compile(r"\b(edge|border)\b", re.IGNORECASE)))
        return found


@dataclass(frozen=True)
class JobReport:
    """What a job says about its result.

    Attributes:
        bundle_checksum: Of the model that made it.
        device: That it ran on, in words.
        organs: In the bundle's order.
    """

    bundle_checksum: str
    device: str
    organs: tuple[OrganResult, ...]


def read_report(path: Path) -> JobReport:
    """Read what ``cisfa segment --report`` wrote.

    Raises:
        ReportError: It is missing or not a report.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        organs = tuple(organ_from(organ) for organ in values["organs"])
        return JobReport(str(values["bundle"]["checksum"]), str(values["device"]), organs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError("The job left no usable report of its organs. Please report it with the log.") from error


def organ_from(values: dict[str, Any]) -> OrganResult:
    """An organ from its entry in a report.

    Raises:
        KeyError: A value is missing.
        TypeError: A value is of another kind.
        ValueError: A value is not a number.
    """
    mean = values["mean_intensity"]
    return OrganResult(
        name=str(values["name"]),
        label=int(values["label"]),
        volume_ml=float(values["volume_ml"]),
        mean_intensity=None if mean is None else float(mean),
        components=int(values["components"]),
        touches_edge=bool(values["touches_edge"]),
        quality=_quality_from(values.get("quality")),
    )


def organ_values(organ: OrganResult) -> dict[str, Any]:
    """An organ as its entry in a report, for :func:`organ_from`."""
    quality = organ.quality
    return {
        "name": organ.name,
        "label": organ.label,
        "volume_ml": organ.volume_ml,
        "mean_intensity": organ.mean_intensity,
        "components": organ.components,
        "touches_edge": organ.touches_edge,
        "quality": None
        if quality is None
        else {"level": quality.level.value, "score": quality.score, "reasons": list(quality.reasons)},
    }


def _quality_from(values: Any) -> Quality | None:
    """A quality that is understood; a level of a version to come must not cost the user the segmentation."""
    if not isinstance(values, dict):
        return None
    level, score, reasons = values.get("level"), values.get("score"), values.get("reasons")
    if level not in [each.value for each in Level] or not isinstance(reasons, list):
        return None
    if not isinstance(score, int | float) or not math.isfinite(score):
        return None
    return Quality(Level(level), float(score), tuple(str(reason) for reason in reasons))

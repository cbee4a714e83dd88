"""What is said of each organ beside its colour: how much of it there is, and what to doubt."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cisfa.errors import CisfaError


class ReportError(CisfaError):
    """A job's report cannot be read."""


@dataclass(frozen=True)
class OrganResult:
    """One organ of a result.

    Attributes:
        name: "right kidney".
        label: Its value in the label map.
        volume_ml: How much of it there is.
        mean_intensity: Of the volume inside the organ, HU for CT; None when nothing was found.
        components: Connected parts.
        touches_edge: True when it reaches the volume's border, so that a part may be missing.
    """

    name: str
    label: int
    volume_ml: float
    mean_intensity: float | None
    components: int
    touches_edge: bool

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should doubt, a few words each."""
        if self.components == 0:
            return ("nothing found",)
        parts = (f"{self.components} components",) if self.components > 1 else ()
        return (*parts, "touches the volume's edge") if self.touches_edge else parts


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
        organs = tuple(_organ(organ) for organ in values["organs"])
        return JobReport(str(values["bundle"]["checksum"]), str(values["device"]), organs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError("The job left no usable report of its organs. Please report it with the log.") from error


def _organ(values: dict[str, Any]) -> OrganResult:
    mean = values["mean_intensity"]
    return OrganResult(
        name=str(values["name"]),
        label=int(values["label"]),
        volume_ml=float(values["volume_ml"]),
        mean_intensity=None if mean is None else float(mean),
        components=int(values["components"]),
        touches_edge=bool(values["touches_edge"]),
    )

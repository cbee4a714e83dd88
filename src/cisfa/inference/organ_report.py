"""The report beside a label map: what was found, by which model, on what, for programs.

One JSON object: ``schema_version``, ``bundle`` (``name``, ``version``, ``checksum``), ``device``, ``seconds``, and
``organs``, one entry for each organ of the bundle in its order, with its ``quality`` (``level``; ``score``, which the
Dice is probably not above; ``reasons``), or null where that was not estimated. It names no file and no place, since
those may name a patient. Free of torch.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cisfa.bundle.bundle_folder import Bundle
from cisfa.evaluation.organ_measurements import OrganMeasurement
from cisfa.inference.quality import OrganQuality
from cisfa.whole_files import write_whole

SCHEMA_VERSION = 1
REPORT_SUFFIX = ".json"


@dataclass(frozen=True)
class ReportedOrgan:
    """What the report says of one organ.

    Attributes:
        measured: How much of it there is.
        quality: How far it can be trusted; None where that was not estimated.
    """

    measured: OrganMeasurement
    quality: OrganQuality | None = None


def with_qualities(
    measurements: Sequence[OrganMeasurement], qualities: Sequence[OrganQuality]
) -> tuple[ReportedOrgan, ...]:
    """Organs for the report: each with its quality, or all of them without any."""
    if not qualities:
        return tuple(map(ReportedOrgan, measurements))
    return tuple(map(ReportedOrgan, measurements, qualities))


def write_organ_report(
    path: Path, bundle: Bundle, organs: Sequence[ReportedOrgan], *, device: str, seconds: float
) -> None:
    """Write the report of one label map, whole or not at all.

    Args:
        path: Where to write it; folders that are missing are made.
        bundle: The model.
        organs: Every organ of the bundle.
        device: Where it ran, in words.
        seconds: How long it took to segment, without what was done to judge it.

    Raises:
        VolumeFileError: It cannot be written.
    """
    manifest = bundle.manifest
    values = {
        "schema_version": SCHEMA_VERSION,
        "bundle": {"name": manifest.name, "version": manifest.version, "checksum": bundle.checksum},
        "device": device,
        "seconds": round(seconds, 3),
        "organs": [_organ_values(organ) for organ in organs],
    }
    content = (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")

    def write(unfinished: Path) -> None:
        unfinished.write_bytes(content)

    write_whole(path, write)


def _organ_values(organ: ReportedOrgan) -> dict[str, Any]:
    measurement, quality = organ.measured, organ.quality
    return {
        "name": measurement.organ.name,
        "label": measurement.organ.label,
        "voxels": measurement.voxels,
        "volume_ml": measurement.volume_ml,
        "mean_intensity": measurement.mean_intensity,
        "components": measurement.components,
        "largest_component_fraction": measurement.largest_component_fraction,
        "touches_edge": measurement.touches_edge,
        "quality": None if quality is None else asdict(quality),
    }

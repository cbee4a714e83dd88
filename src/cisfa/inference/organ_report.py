"""The report beside a label map: what was found, by which model, on what, for programs.

One JSON object: ``schema_version``, ``bundle`` (``name``, ``version``, ``checksum``), ``device``, ``seconds``, and
``organs``, one entry for each organ of the bundle in its order. It names no file and no place, since those may name a
patient. Free of torch.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cisfa.bundle.bundle_folder import Bundle
from cisfa.evaluation.organ_measurements import OrganMeasurement
from cisfa.whole_files import write_whole

SCHEMA_VERSION = 1
REPORT_SUFFIX = ".json"


def write_organ_report(
    path: Path, bundle: Bundle, measurements: Sequence[OrganMeasurement], *, device: str, seconds: float
) -> None:
    """Write the report of one label map, whole or not at all.

    Args:
        path: Where to write it; folders that are missing are made.
        bundle: The model.
        measurements: Of every organ of the bundle.
        device: Where it ran, in words.
        seconds: How long it took to segment.

    Raises:
        VolumeFileError: It cannot be written.
    """
    manifest = bundle.manifest
    values = {
        "schema_version": SCHEMA_VERSION,
        "bundle": {"name": manifest.name, "version": manifest.version, "checksum": bundle.checksum},
        "device": device,
        "seconds": round(seconds, 3),
        "organs": [_organ_values(measurement) for measurement in measurements],
    }
    content = (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")

    def write(unfinished: Path) -> None:
        unfinished.write_bytes(content)

    write_whole(path, write)


def _organ_values(measurement: OrganMeasurement) -> dict[str, Any]:
    return {
        "name": measurement.organ.name,
        "label": measurement.organ.label,
        "voxels": measurement.voxels,
        "volume_ml": measurement.volume_ml,
        "mean_intensity": measurement.mean_intensity,
        "components": measurement.components,
        "largest_component_fraction": measurement.largest_component_fraction,
        "touches_edge": measurement.touches_edge,
    }

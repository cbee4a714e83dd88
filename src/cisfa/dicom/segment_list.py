"""What the values of a label map mean and who drew them, as a DICOM segmentation has to say it. Light.

As a JSON file, which 3D Slicer writes for ``cisfa export-seg --segments``: ``schema`` 1; ``algorithm`` (``name``,
``version``, ``checksum``) of the bundle, null where none took part; ``segments``, each with ``organ`` (``name``,
``label``, ``colour``, ``category``, ``type``, ``laterality``) and ``drawn`` (AUTOMATIC, SEMIAUTOMATIC or MANUAL).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cisfa.config_files import from_json_values
from cisfa.errors import ConfigError, ExportError
from cisfa.imaging.organs import Organ
from cisfa.whole_files import write_text

SCHEMA = 1

# Segment Algorithm Type (0062,0008)
Drawn = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]


@dataclass(frozen=True)
class Algorithm:
    """The bundle that segmented.

    Attributes:
        name: Of the bundle, one line.
        version: Of the bundle.
        checksum: SHA-256 of the bundle, 64 hexadecimal digits.
    """

    name: str
    version: str
    checksum: str


@dataclass(frozen=True)
class DescribedSegment:
    """One segment.

    Attributes:
        organ: Label value, name, colour and codes.
        drawn: Who drew it.
    """

    organ: Organ
    drawn: Drawn


@dataclass(frozen=True)
class SegmentList:
    """All segments of a label map.

    Attributes:
        segments: By rising label, each label once.
        algorithm: The bundle; None where every segment was drawn by hand.
    """

    segments: tuple[DescribedSegment, ...]
    algorithm: Algorithm | None = None


def segments_of_bundle(organs: Iterable[Organ], algorithm: Algorithm, drawn: Drawn = "AUTOMATIC") -> SegmentList:
    """What a bundle's label map says.

    Args:
        organs: Of the bundle's manifest, by rising label.
        algorithm: The bundle.
        drawn: SEMIAUTOMATIC where somebody has edited the label map since.
    """
    return SegmentList(tuple(DescribedSegment(organ, drawn) for organ in organs), algorithm)


def write_segment_list(described: SegmentList, path: Path) -> None:
    """Write the file.

    Raises:
        VolumeFileError: It cannot be written.
    """
    text = json.dumps({"schema": SCHEMA, **asdict(described)}, indent=2, ensure_ascii=False)
    write_text(path, text + "\n")


def read_segment_list(path: Path) -> SegmentList:
    """Read the file.

    Raises:
        ExportError: It cannot be read, is no such file, or a label is there twice.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path} is not JSON ({error}).") from error
    if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
        raise ExportError(f"{path} is no list of segments of schema {SCHEMA}. Export again with this version.")
    try:
        described = from_json_values(SegmentList, values)
    except ConfigError as error:
        raise ExportError(f"{path} is no list of segments: {error}") from error
    labels = [segment.organ.label for segment in described.segments]
    if labels != sorted(set(labels)) or not labels:
        raise ExportError(f"{path} must have its segments by rising label, each once, and has the labels {labels}.")
    return described

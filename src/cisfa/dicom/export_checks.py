"""What a DICOM segmentation cannot do without, looked at before any work is done. Light."""

import importlib.util
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cisfa.dicom.segment_list import Algorithm, SegmentList
from cisfa.errors import ExportError
from cisfa.imaging.dicom_values import text
from cisfa.imaging.organs import HIGHEST_LABEL, Code, Organ

if TYPE_CHECKING:
    from cisfa.imaging.dicom_series import DicomSeries

# value representation SH, and the letters that it may have
_CODE = re.compile(r"[^\\\x00-\x1f]{1,16}")
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
_LONGEST_UID = 64
# how many of a kind a sentence names
_NAMED = 8

_OF_SERIES = {
    "StudyInstanceUID": "Study Instance UID, by which a PACS files the segmentation with its study",
    "SeriesInstanceUID": "Series Instance UID, by which a viewer finds the images that were segmented",
    "FrameOfReferenceUID": "Frame of Reference UID, by which a viewer knows that both lie in one space",
}
_OF_FILE = {
    "SOPClassUID": "SOP Class UID, which says what kind of image was segmented",
    "SOPInstanceUID": "SOP Instance UID, by which each slice names its image",
}
_MEND = "Take the series as the scanner or the PACS sent it; one that was anonymised must get new UIDs, not blank ones."


def require_exportable(described: SegmentList) -> None:
    """Raise unless every segment has all that a DICOM segmentation has to say of it. Reads no file.

    Raises:
        ExportError: An organ has no category or type code, a code, colour, label or name that DICOM cannot hold, or was
            drawn by a bundle that is not named.
    """
    organs = [segment.organ for segment in described.segments]
    if not organs:
        raise ExportError("There is no segment to export. Add one, and paint it.")
    _require_labels(organs)
    _require_codes(organs)
    for organ in organs:
        if not organ.name.strip():
            raise ExportError(f"The segment with the label {organ.label} has no name. Name it, for instance liver.")
        if not all(0 <= part <= 255 for part in organ.colour):
            raise ExportError(f"The colour of {organ.name} is {organ.colour}; it must be three values from 0 to 255.")
    by_machine = [segment.organ.name for segment in described.segments if segment.drawn != "MANUAL"]
    if described.algorithm is not None:
        _require_algorithm(described.algorithm)
    elif by_machine:
        raise ExportError(
            f"{_named(by_machine)} were not drawn by hand, but no bundle is named that drew them. Name it, or mark them"
            " as MANUAL."
        )


def require_identified(series: "DicomSeries") -> None:
    """Raise unless a segmentation can refer to the series and each of its images.

    Args:
        series: Of which only the headers are looked at.

    Raises:
        ExportError: A UID is blank, none, not the same in all files, or not one for each file.
    """
    for keyword, meaning in {**_OF_SERIES, **_OF_FILE}.items():
        found = [text(header, keyword) for header in series.headers]
        wrong = next((uid for uid in found if not _is_uid(uid)), None)
        if wrong is not None:
            state = f"is {wrong[:80]!r}, which is no UID" if wrong else "is missing or blank"
            raise ExportError(
                f"{series.name} cannot be referred to: its {meaning}, {state}{_in_how_many(found)}. {_MEND}"
            )
        if keyword in _OF_SERIES and len(set(found)) > 1:
            raise ExportError(
                f"{series.name} is not one series: its files have {len(set(found))} different values of the {meaning}."
                f" {_MEND}"
            )
    instances = {text(header, "SOPInstanceUID") for header in series.headers}
    if len(instances) < len(series.headers):
        raise ExportError(
            f"{series.name} has {len(series.headers)} files, but only {len(instances)} different SOP Instance UIDs, so"
            f" slices cannot name their images. {_MEND}"
        )


def require_highdicom() -> None:
    """Raise unless the library that writes segmentations is installed; it is not imported.

    Raises:
        ExportError: It is not.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise ExportError("Writing DICOM segmentations needs highdicom, which is not installed: pip install highdicom")


def _require_labels(organs: list[Organ]) -> None:
    labels = [organ.label for organ in organs]
    if labels != sorted(set(labels)) or labels[0] < 1 or labels[-1] > HIGHEST_LABEL:
        raise ExportError(
            f"The segments have the labels {labels[:20]}; they must rise from 1 to {HIGHEST_LABEL}, each once."
        )


def _require_codes(organs: list[Organ]) -> None:
    without = [organ.name for organ in organs if organ.category is None or organ.type is None]
    if without:
        raise ExportError(
            f"{_named(without)} cannot be exported: a DICOM segmentation needs a SNOMED CT code for each segment, and"
            " none is known here. Use names of the organ catalogue (liver, right kidney) when the model is trained, or"
            " choose a terminology for the segment in 3D Slicer's Segment Editor."
        )
    for organ in organs:
        for code in (organ.category, organ.type, organ.laterality):
            if code is not None:
                _require_code(code, organ.name)


def _require_code(code: Code, organ: str) -> None:
    for part, written in (("scheme", code.scheme), ("value", code.value)):
        if not _CODE.fullmatch(written.strip()):
            raise ExportError(
                f"The code of {organ} has the {part} {written!r}; DICOM holds 1 to 16 characters without a backslash."
                " Choose its terminology anew."
            )
    if not code.meaning.strip():
        raise ExportError(
            f"The code {code.scheme} {code.value} of {organ} has no meaning. Choose its terminology anew."
        )


def _require_algorithm(algorithm: Algorithm) -> None:
    if not (algorithm.name.strip() and algorithm.version.strip() and _CHECKSUM.fullmatch(algorithm.checksum)):
        raise ExportError(
            f"The bundle that segmented must be named with its version and its SHA-256, but is {algorithm.name!r},"
            f" {algorithm.version!r}, {algorithm.checksum[:80]!r}. Segment again with a bundle."
        )


def _is_uid(text: str) -> bool:
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def _in_how_many(found: list[str]) -> str:
    wrong = sum(not _is_uid(uid) for uid in found)
    return "" if len(found) == 1 else f" in {wrong} of {len(found)} files"


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more

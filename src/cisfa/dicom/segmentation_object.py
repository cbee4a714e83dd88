"""A label map as a DICOM Segmentation (PS3.3 A.51) that belongs to the series it was made from."""

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any, Literal

import numpy as np
from highdicom.seg import Segmentation
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

import cisfa
from cisfa.dicom.derived_uids import UidSource
from cisfa.dicom.export_checks import require_exportable, require_identified
from cisfa.dicom.grid_match import voxels_on_grid
from cisfa.dicom.segment_descriptions import describe_segments, line, texts_of
from cisfa.dicom.segment_list import SegmentList
from cisfa.dicom.source_headers import source_images
from cisfa.dicom.source_references import refer_to_sources
from cisfa.errors import CisfaError, ExportError
from cisfa.imaging.dicom_series import DicomSeries
from cisfa.imaging.dicom_values import patient_reading, text
from cisfa.imaging.volume import LabelMap
from cisfa.whole_files import reason_of, write_whole

Kind = Literal["binary", "labelmap"]
KINDS: tuple[Kind, ...] = ("binary", "labelmap")

_MANUFACTURER, _MODEL = "SlicerCISFA", "CISFA"
_DESCRIPTION = "Segmentation: "
_CONTENT_LABEL = "SEGMENTATION"
_BELONGS_TO = ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# series of a segmentation stand behind the scanner's own
_SERIES_NUMBER_OFFSET, _HIGHEST_SERIES_NUMBER = 1000, 2**31 - 1


def write_segmentation(
    label_map: LabelMap,
    series: DicomSeries,
    described: SegmentList,
    path: Path,
    *,
    kind: Kind = "binary",
    on_progress: Callable[[float], None] = lambda _: None,
) -> Path:
    """Write a label map as a DICOM segmentation, whole or not at all.

    Args:
        label_map: Lies on the series' grid; its axes may run in another order or direction.
        series: That was segmented.
        described: What the values of the label map mean.
        path: Of the file; one that is there is replaced.
        kind: As for :func:`make_segmentation`.
        on_progress: Is told what share is done, 0 to 1.

    Returns:
        The path.

    Raises:
        ExportError: As :func:`make_segmentation`.
        VolumeFileError: It cannot be written.
    """
    on_progress(0.0)
    segmentation = make_segmentation(label_map, series, described, kind=kind)
    on_progress(0.5)

    def write(unfinished: Path) -> None:
        with patient_reading():
            segmentation.save_as(unfinished, enforce_file_format=True)

    try:
        write_whole(path, write)
    except (CisfaError, MemoryError):
        raise
    except Exception as error:
        raise _cannot_be_made(error) from error
    on_progress(1.0)
    return path


def make_segmentation(
    label_map: LabelMap, series: DicomSeries, described: SegmentList, *, kind: Kind = "binary"
) -> Dataset:
    """A label map as a DICOM segmentation.

    Frames where a segment has no voxel are left out; a segment without any keeps its description. A label map that is
    empty altogether gives one empty frame (of each segment, where they have frames of their own), since DICOM knows no
    image without a frame.

    The UIDs of the object, its series and what is tracked follow from the patient, images, voxels, segments, bundle,
    kind and version of CISFA: the same export twice gives one object, of which a PACS keeps one copy, and whatever
    differs gives another one. Only the dates of creation differ between two that are the same.

    Args:
        label_map: Lies on the series' grid; its axes may run in another order or direction.
        series: That was segmented.
        described: What the values of the label map mean.
        kind: "binary", which every reader knows: frames of single bits for each segment, whose numbers run from 1;
            "labelmap", of the standard since 2024: frames of labels, compressed (RLE), numbers as in the label map.

    Returns:
        The data set with its file meta information, ready to be saved.

    Raises:
        ExportError: The label map belongs to another series or frame of reference, holds a label that is not described,
            a segment has no codes, the series has no UIDs, or the library refuses.
    """
    require_exportable(described)
    require_identified(series)
    _require_same_space(label_map, series)
    voxels = voxels_on_grid(label_map, series.geometry, series=series.name)
    filled = _filled_slices(voxels, described, label_map.name)
    try:
        with patient_reading():
            return _Making(series, described, kind).segmentation(voxels, filled)
    except (CisfaError, MemoryError):
        raise
    except Exception as error:  # highdicom and pydicom raise what their checks happen to be: TypeError, KeyError, ...
        raise _cannot_be_made(error) from error


class _Making:
    """What the parts of one segmentation have in common."""

    def __init__(self, series: DicomSeries, described: SegmentList, kind: Kind) -> None:
        self._series = series
        self._described = described
        self._kind = kind
        self._labels = [segment.organ.label for segment in described.segments]
        is_binary = kind == "binary"
        self._numbers = list(range(1, len(self._labels) + 1)) if is_binary else self._labels
        self._dtype = np.uint8 if max(self._labels) <= np.iinfo(np.uint8).max else np.uint16

    def segmentation(self, voxels: NDArray[Any], filled: list[int]) -> Dataset:
        """The object.

        Args:
            voxels: (slices, rows, columns) of the series' grid, holding described labels alone.
            filled: The slices that hold any.
        """
        uids = self._uids(voxels, filled)
        shown = filled or [0]
        items = describe_segments(self._described, self._numbers, uids)
        names = ", ".join(item.SegmentLabel for item in items)
        description = line(_DESCRIPTION + names)
        algorithm = self._described.algorithm
        images = source_images(self._series, shown, texts=texts_of(self._described))
        made = Segmentation(
            source_images=images,
            pixel_array=self._planes(voxels, shown),
            segmentation_type=self._kind.upper(),
            segment_descriptions=items,
            series_instance_uid=uids.uid("series"),
            series_number=_series_number(self._series),
            sop_instance_uid=uids.uid("instance"),
            instance_number=1,
            manufacturer=_MANUFACTURER,
            manufacturer_model_name=_MODEL,
            software_versions=cisfa.__version__,
            device_serial_number=algorithm.checksum if algorithm else cisfa.__version__,
            content_description=description,
            content_label=_CONTENT_LABEL,
            series_description=description,
            transfer_syntax_uid=ExplicitVRLittleEndian if self._kind == "binary" else RLELossless,
            omit_empty_frames=bool(filled),
        )
        # highdicom takes it over from the images since 0.28
        made.SpecificCharacterSet = images[0].SpecificCharacterSet
        refer_to_sources(made, self._series, shown)
        _replace_dimension_uid(made, uids.uid("dimensions"))
        return made

    def _planes(self, voxels: NDArray[Any], shown: list[int]) -> NDArray[Any]:
        """The slices, numbered as the segments are."""
        planes = np.ascontiguousarray(voxels[shown], dtype=self._dtype)
        if self._numbers == self._labels:
            return planes
        is_short = len(self._labels) <= np.iinfo(np.uint8).max
        number_of = np.zeros(max(self._labels) + 1, dtype=np.uint8 if is_short else np.uint16)
        number_of[self._labels] = self._numbers
        numbered: NDArray[Any] = number_of[planes]
        return numbered

    def _uids(self, voxels: NDArray[Any], filled: list[int]) -> UidSource:
        headers = self._series.headers
        images = [f"{text(headers[frame.file], 'SOPInstanceUID')} {frame.number}" for frame in self._series.frames]
        # one who anonymises may leave the images' UIDs as they are, but not whose they are
        whose = [text(headers[0], keyword) for keyword in _BELONGS_TO]
        uids = UidSource([cisfa.__version__, self._kind, *whose, *images, repr(astuple(self._described))])
        uids.feed_voxels(voxels, filled, dtype=self._dtype)
        return uids


def _filled_slices(voxels: NDArray[Any], described: SegmentList, name: str) -> list[int]:
    """The slices that hold a label; raises where one is not described."""
    is_there = np.zeros(np.iinfo(np.uint16).max + 1, dtype=bool)
    filled = []
    for index, plane in enumerate(voxels):
        labels = plane[plane > 0]
        if labels.size:
            filled.append(index)
            is_there[labels] = True
    is_there[[segment.organ.label for segment in described.segments]] = False
    unknown = np.flatnonzero(is_there).tolist()
    if unknown:
        listed = ", ".join(map(str, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        known = ", ".join(f"{segment.organ.label} ({segment.organ.name})" for segment in described.segments[:8])
        raise ExportError(
            f"{name} holds the labels {listed}, which no segment describes; described are {known}. Choose the bundle"
            " that made it, or describe them too."
        )
    return filled


def _require_same_space(label_map: LabelMap, series: DicomSeries) -> None:
    ours, theirs = label_map.frame_of_reference_uid, text(series.headers[0], "FrameOfReferenceUID")
    if ours and ours != theirs:
        raise ExportError(
            f"{label_map.name} belongs to another frame of reference ({ours}) than {series.name} ({theirs}), so their"
            " coordinates mean different places in the patient. Choose the series that was segmented."
        )


def _series_number(series: DicomSeries) -> int:
    try:
        number = int(series.headers[0].get("SeriesNumber") or 0) + _SERIES_NUMBER_OFFSET
    except (TypeError, ValueError):
        return _SERIES_NUMBER_OFFSET
    return number if 0 < number <= _HIGHEST_SERIES_NUMBER else _SERIES_NUMBER_OFFSET


def _replace_dimension_uid(made: Dataset, uid: str) -> None:
    """Highdicom draws it at random."""
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _cannot_be_made(error: Exception) -> ExportError:
    return ExportError(
        f"The segmentation cannot be made of this series: {reason_of(error)} ({type(error).__name__}). Check the series"
        " with a DICOM validator, and export the label map as NRRD meanwhile."
    )

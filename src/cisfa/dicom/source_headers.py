"""The slices of a series as highdicom takes them: a header for each, mended, with the geometry of the series."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from cisfa.dicom.header_repair import mended_header
from cisfa.dicom.source_references import PROVISIONAL_CLASS, provisional_uid
from cisfa.imaging.dicom_series import DicomSeries
from cisfa.imaging.dicom_values import items, text

# of a slice's distance to the next: further off than that, and readers take the slices for no volume
_IRREGULAR = 0.01
_SAME_DIRECTION = 1e-4


def source_images(series: DicomSeries, indices: list[int], *, texts: Iterable[str] = ()) -> list[Dataset]:
    """One mended header for each frame, of which the first alone tells of the patient and the study.

    Args:
        series: Has been found identified.
        indices: Of the frames, from 0.
        texts: What the segmentation will say besides.

    Returns:
        Headers as of single CT images with provisional UIDs, in the order of the indices.
    """
    positions = _positions(series)
    shared = _shared(series)
    # files of one series do not always agree on what they have
    telling = next((header for header in series.headers if text(header, "PatientID")), series.headers[0])
    first = mended_header(telling, texts=texts)
    images = [first, *(Dataset() for _ in indices[1:])]
    for image, index in zip(images, indices, strict=True):
        image.update(shared)
        image.SOPInstanceUID = provisional_uid(index)
        image.ImagePositionPatient = [format_number_as_ds(float(part)) for part in positions[index]]
    return images


def _shared(series: DicomSeries) -> Dataset:
    """What all frames have in common."""
    header, shared = series.headers[series.frames[0].file], Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(shared, keyword, text(header, keyword))
    shared.SOPClassUID = PROVISIONAL_CLASS
    shared.Rows, shared.Columns = series.geometry.shape[1:]
    shared.ImageOrientationPatient = _orientation(series)
    between, rows, columns = (format_number_as_ds(spacing) for spacing in series.geometry.spacing_mm)
    shared.PixelSpacing, shared.SpacingBetweenSlices = [rows, columns], between
    thickness = _numbers(header, "SliceThickness")
    is_stated = thickness is not None and thickness.shape == (1,) and thickness[0] > 0
    shared.SliceThickness = format_number_as_ds(float(thickness[0])) if thickness is not None and is_stated else between
    return shared


def _positions(series: DicomSeries) -> NDArray[np.float64]:
    """LPS mm of each frame's first voxel, (frames, 3): as its header states it, where the grid has it there too."""
    on_grid = series.geometry.to_lps([[index, 0, 0] for index in range(len(series.frames))])
    stated = []
    for frame in series.frames:
        header = series.headers[frame.file]
        numbers = _of_frame(header, frame.number, "PlanePositionSequence", "ImagePositionPatient")
        if numbers is None or numbers.shape != (3,):
            return on_grid
        stated.append(numbers)
    apart_mm = np.linalg.norm(np.array(stated) - on_grid, axis=1).max()
    return np.array(stated) if apart_mm <= _IRREGULAR * series.geometry.spacing_mm[0] else on_grid


def _orientation(series: DicomSeries) -> list[str]:
    """Image Orientation (Patient): as the header states it, where the grid has it so too."""
    on_grid = np.concatenate([series.geometry.axes_lps[2], series.geometry.axes_lps[1]])
    header, number = series.headers[series.frames[0].file], series.frames[0].number
    stated = _of_frame(header, number, "PlaneOrientationSequence", "ImageOrientationPatient")
    if stated is None or stated.shape != on_grid.shape or np.abs(stated - on_grid).max() > _SAME_DIRECTION:
        stated = on_grid
    return [format_number_as_ds(float(part)) for part in stated]


def _of_frame(header: Dataset, number: int, group: str, keyword: str) -> NDArray[np.float64] | None:
    """Numbers of a frame: of its own functional groups, of the shared ones, or of the header itself."""
    own = items(header, "PerFrameFunctionalGroupsSequence")[number : number + 1]
    for groups in (*own, *items(header, "SharedFunctionalGroupsSequence")[:1]):
        found = items(groups, group)
        if found:
            return _numbers(found[0], keyword)
    return _numbers(header, keyword)


def _numbers(holder: Dataset, keyword: str) -> NDArray[np.float64] | None:
    """What may be an attribute's numbers; None for what are none."""
    parts = text(holder, keyword).split("\\")
    try:
        numbers = np.array([float(part) for part in parts])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None

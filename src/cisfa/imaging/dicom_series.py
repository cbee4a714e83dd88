"""Image series in DICOM: found, understood and checked by their headers, then read as one volume."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_files import find_series
from cisfa.imaging.dicom_frames import FrameHeader, frames_of
from cisfa.imaging.dicom_pixels import layout_of, read_stored
from cisfa.imaging.dicom_stack import common_frame_of_reference, stack_of
from cisfa.imaging.dicom_values import patient_reading, text
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import SeriesFacts, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice of a series.

    Attributes:
        file: Index into :attr:`DicomSeries.files`.
        number: Which frame of the file, from 0.
        slope: What a stored value is multiplied by.
        intercept: What is added then.
    """

    file: int
    number: int
    slope: float
    intercept: float


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """One image series whose slices make a volume.

    Attributes:
        files: Its files; each holds one frame or more.
        headers: What each file says, without its pixels.
        frames: By position along the slices' normal (row direction x column direction).
        geometry: Of the volume: slice k is frames[k].
        facts: What it says about itself.
        name: What to call it in messages.
    """

    files: tuple[Path, ...]
    headers: "tuple[Dataset, ...]"
    frames: tuple[Frame, ...]
    geometry: Geometry
    facts: SeriesFacts
    name: str


def open_series(place: Path | Iterable[Path], *, is_one: bool = False) -> DicomSeries:
    """Read and check the headers of a series.

    Args:
        place: A folder with one image series; a file, which stands for its series in its folder; or the series' files.
        is_one: The files that are given are known to be one series, whatever UIDs an anonymiser gave each of them: of
            the series, and of the frame of reference, which is then left out.

    Raises:
        VolumeFileError: There is none or more than one, or its slices make no volume; the message says why.
    """
    with patient_reading():
        found = find_series(place, is_one=is_one)
        for image in found.images:
            layout_of(image.header, str(image.path))
        frames = [frame for index, image in enumerate(found.images) for frame in frames_of(image, index)]
        stack = stack_of(frames, found.where)
        return DicomSeries(
            files=tuple(image.path for image in found.images),
            headers=tuple(image.header for image in found.images),
            frames=tuple(Frame(frame.file, frame.number, *frame.rescale) for frame in stack.frames),
            geometry=stack.geometry,
            facts=_facts(stack.frames[0], "" if is_one else common_frame_of_reference(frames, found.where)),
            name=found.name,
        )


def read_voxels(series: DicomSeries) -> NDArray[Any]:
    """The series' values, rescaled, (slices, rows, columns).

    Returns:
        int16, or int32 where they need it, when all slopes and intercepts are whole; else float32.

    Raises:
        VolumeFileError: A file is damaged, or its pixels are of no kind that is known.
    """
    try:
        return _rescaled_voxels(series)
    except MemoryError as error:
        raise VolumeFileError(
            f"{series.name} has {'x'.join(map(str, series.geometry.shape))} voxels, more than fit into this computer's"
            " memory. Close other programs, or name fewer slices."
        ) from error


def read_series(place: Path | Iterable[Path]) -> Volume:
    """Read a series as a volume.

    Raises:
        VolumeFileError: As :func:`open_series` and :func:`read_voxels`.
    """
    series = open_series(place)
    return Volume(np.asarray(read_voxels(series)), series.geometry, series.name, series.facts)


def _rescaled_voxels(series: DicomSeries) -> NDArray[Any]:
    with patient_reading():
        voxels = _stored(series)
    dtype = _dtype_for(series, voxels)
    # in place, slice by slice, where it fits: then two volumes are never in memory
    rescaled = voxels.view(dtype) if dtype.itemsize == voxels.itemsize else np.empty(voxels.shape, dtype)
    for index, frame in enumerate(series.frames):
        rescaled[index] = _rescaled(voxels[index], frame, dtype)
        if dtype.kind == "f" and not np.isfinite(rescaled[index]).all():
            raise VolumeFileError(
                f"{series.files[frame.file]} is damaged: its values overflow when they are rescaled by the slope"
                f" {frame.slope:g} and the intercept {frame.intercept:g}. Export the series again."
            )
    return rescaled


def _stored(series: DicomSeries) -> NDArray[Any]:
    """Stored values by slice, (slices, rows, columns)."""
    layouts = [layout_of(header, str(path)) for header, path in zip(series.headers, series.files, strict=True)]
    kinds = {layout.dtype for layout in layouts}
    voxels = np.empty(series.geometry.shape, np.result_type(*kinds))
    slices_of_files: dict[int, list[tuple[int, int]]] = {}
    for index, frame in enumerate(series.frames):
        slices_of_files.setdefault(frame.file, []).append((index, frame.number))
    for file, slices in slices_of_files.items():
        stored = read_stored(series.files[file])
        for index, number in slices:
            voxels[index] = stored[number]
    return voxels


def _dtype_for(series: DicomSeries, voxels: NDArray[Any]) -> np.dtype[Any]:
    factors = [factor for frame in series.frames for factor in (frame.slope, frame.intercept)]
    if not all(factor.is_integer() and abs(factor) <= np.iinfo(np.int32).max for factor in factors):
        return np.dtype(np.float32)
    ends = [
        int(end) * int(frame.slope) + int(frame.intercept)
        for frame, plane in zip(series.frames, voxels, strict=True)
        for end in (plane.min(), plane.max())
    ]
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= min(ends) and max(ends) <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float32)


def _rescaled(plane: NDArray[Any], frame: Frame, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "i":
        return (plane.astype(np.int64) * int(frame.slope) + int(frame.intercept)).astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return (plane.astype(np.float64) * frame.slope + frame.intercept).astype(dtype)


def _facts(frame: FrameHeader, frame_of_reference_uid: str) -> SeriesFacts:
    header = frame.image.header
    identifying = (
        ("DICOM.PatientID", text(header, "PatientID")),
        ("DICOM.StudyInstanceUID", text(header, "StudyInstanceUID")),
        ("DICOM.FrameOfReferenceUID", frame_of_reference_uid),
    )
    return SeriesFacts(
        modality=text(header, "Modality").upper(),
        laterality=_laterality(frame),
        body_part=text(header, "BodyPartExamined"),
        frame_of_reference_uid=frame_of_reference_uid,
        study_uid=text(header, "StudyInstanceUID"),
        series_uid=text(header, "SeriesInstanceUID"),
        # as CISFA Training digests what 3D Slicer's scene says of a patient, so that both know each other's cases
        patient_keys=tuple(
            hashlib.sha256(f"{tag}:{value}".encode()).hexdigest() for tag, value in identifying if value
        ),
    )


def _laterality(frame: FrameHeader) -> str:
    header = frame.image.header
    said = (
        text(header, "ImageLaterality"),
        text(header, "Laterality"),
        text(frame.group("FrameAnatomySequence"), "FrameLaterality"),
    )
    return next((side.upper() for side in said if side.upper() in ("L", "R")), "")

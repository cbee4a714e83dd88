"""What each frame of a DICOM series says: where it lies, how it is rescaled; of classic and enhanced objects alike.

A classic object has one frame, and its header says everything; of an enhanced one, functional groups say it, for all
frames (shared) or for each (PS3.3 C.7.6.16).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_files import ImageFile
from cisfa.imaging.dicom_values import first_item, items, name_of, number, numbers, text, texts, whole_number

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# attributes that tell images at one place apart: in enhanced objects, the group that holds each, and its name there
TELLING: dict[str, tuple[str, str]] = {
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
    "TriggerTime": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "ImageType": ("MRImageFrameTypeSequence", "FrameType"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
}
_MOST_ROWS = 65535


@dataclass(frozen=True, eq=False)
class FrameHeader:
    """One frame.

    Attributes:
        image: Its file.
        file: Index of that file in the series.
        number: Which frame of the file, from 0.
        group: Gives the data set in which an attribute stands, by the name of its functional group.
    """

    image: ImageFile
    file: int
    number: int
    group: "Callable[[str], Dataset]"

    @property
    def where(self) -> str:
        """The file, and the frame where it has several, for messages."""
        has_several = text(self.image.header, "NumberOfFrames") not in ("", "1")
        return f"{self.image.path} (frame {self.number + 1})" if has_several else str(self.image.path)

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and columns.

        Raises:
            VolumeFileError: They are missing, none, or more than 16 bits count.
        """
        rows, columns = (whole_number(self.image.header, name, self.where, 0) for name in ("Rows", "Columns"))
        if not (1 <= rows <= _MOST_ROWS and 1 <= columns <= _MOST_ROWS):
            raise VolumeFileError(
                f"{self.where} has {rows} rows and {columns} columns, and DICOM allows 1 to {_MOST_ROWS}. Export it"
                " again."
            )
        return rows, columns

    @property
    def position_mm(self) -> tuple[float, ...]:
        """Image Position (Patient): the centre of the first pixel, LPS.

        Raises:
            VolumeFileError: It is missing or malformed.
        """
        return self._required("PlanePositionSequence", "ImagePositionPatient", 3)

    @property
    def orientation(self) -> tuple[float, ...]:
        """Image Orientation (Patient): along a row, then along a column.

        Raises:
            VolumeFileError: It is missing or malformed.
        """
        return self._required("PlaneOrientationSequence", "ImageOrientationPatient", 6)

    @property
    def pixel_spacing_mm(self) -> tuple[float, ...]:
        """Pixel Spacing: between rows, then between columns.

        Raises:
            VolumeFileError: It is missing, malformed, zero or negative.
        """
        found = self._required("PixelMeasuresSequence", "PixelSpacing", 2)
        if min(found) <= 0:
            raise VolumeFileError(
                f"{self.where} has the pixel spacing {found[0]:g} x {found[1]:g} mm, and it must be more than 0. Export"
                " the series again."
            )
        return found

    @property
    def slice_spacing_mm(self) -> float | None:
        """Spacing Between Slices, else Slice Thickness; None where neither is positive.

        Raises:
            VolumeFileError: One is malformed.
        """
        measures = self.group("PixelMeasuresSequence")
        found = (number(measures, name, self.where) for name in ("SpacingBetweenSlices", "SliceThickness"))
        return next((spacing for spacing in found if spacing is not None and spacing > 0), None)

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept; 1 and 0 where they are missing.

        Raises:
            VolumeFileError: They are malformed, or the slope is 0, or only a table says what the values mean.
        """
        values = self.group("PixelValueTransformationSequence")
        slope = number(values, "RescaleSlope", self.where)
        intercept = number(values, "RescaleIntercept", self.where)
        if slope == 0:
            raise VolumeFileError(
                f"{self.where} has the rescale slope 0, which makes all its values the same. Export the series again."
            )
        if slope is None and items(self.image.header, "ModalityLUTSequence"):
            raise VolumeFileError(
                f"{self.where} gives its values by a table (Modality LUT), which is not supported. Export the series"
                " with a rescale slope and intercept."
            )
        return (1.0 if slope is None else slope), (0.0 if intercept is None else intercept)

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID; empty where there is none."""
        return text(self.image.header, "FrameOfReferenceUID")

    def says(self, keyword: str) -> str:
        """The text of an attribute of :data:`TELLING`; empty where it says nothing."""
        group, name = TELLING[keyword]
        return text(self.group(group), name) or text(self.image.header, keyword)

    def _required(self, group: str, keyword: str, count: int) -> tuple[float, ...]:
        found = numbers(self.group(group), keyword, count, self.where)
        if found is None:
            raise VolumeFileError(
                f"{self.where} has no {name_of(keyword)}, so its place in the patient is unknown. Export the series"
                " again, from the scanner's original images."
            )
        return found


def frames_of(image: ImageFile, file: int) -> Iterator[FrameHeader]:
    """The frames of a file, in its order.

    Raises:
        VolumeFileError: It has several frames and does not say where each lies, or several slices in one frame.
    """
    header = image.header
    count = whole_number(header, "NumberOfFrames", str(image.path), 1)
    of_frames = items(header, "PerFrameFunctionalGroupsSequence")
    if count < 1 or len(of_frames) not in ((0, 1) if count == 1 else (count,)):
        raise VolumeFileError(
            f"{image.path} has {count} frames and says of {len(of_frames)} where they lie. Export the series again, or"
            " as single images."
        )
    if not of_frames and "MOSAIC" in texts(header, "ImageType"):
        raise VolumeFileError(
            f"{image.path} is a mosaic: all slices of a volume side by side in one image, which is not supported."
            " Export the series as single slices, or convert it to NIfTI (dcm2niix does so)."
        )
    shared = first_item(header, "SharedFunctionalGroupsSequence")
    for number_of_frame in range(count):
        own = of_frames[number_of_frame] if of_frames else None
        yield FrameHeader(image, file, number_of_frame, _groups(header, shared, own))


def _groups(header: "Dataset", shared: "Dataset | None", own: "Dataset | None") -> "Callable[[str], Dataset]":
    def group(name: str) -> "Dataset":
        for groups in (own, shared):
            found = first_item(groups, name)
            if found is not None:
                return found
        return header

    return group

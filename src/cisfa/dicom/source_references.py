"""What says which images a segmentation was made from: the series, its files, and the frame behind each frame."""

from collections import Counter

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cisfa.imaging.dicom_series import DicomSeries
from cisfa.imaging.dicom_values import text

# highdicom derives from one multi-frame file, or from single-frame files of the kinds that it knows. So every frame of
# a series, however its files are made, is shown to it as a single CT image with a provisional UID.
PROVISIONAL_CLASS = "1.2.840.10008.5.1.4.1.1.2"


def provisional_uid(index: int) -> str:
    """What a frame is called until :func:`refer_to_sources`.

    Args:
        index: Of the frame in the series, from 0.
    """
    return f"2.25.{index + 1}"


def refer_to_sources(segmentation: Dataset, series: DicomSeries, indices: list[int]) -> None:
    """Name the true files and frames instead of the provisional ones, and all files of the series as what was used.

    Args:
        segmentation: Made from provisional images; is changed.
        series: That was segmented.
        indices: Of the frames that the segmentation was made from.
    """
    files = [_reference(header) for header in series.headers]
    segmentation.SourceImageSequence = Sequence(files)
    of_series = Dataset()
    of_series.SeriesInstanceUID = text(series.headers[0], "SeriesInstanceUID")
    of_series.ReferencedInstanceSequence = Sequence(files)
    segmentation.ReferencedSeriesSequence = Sequence([of_series])
    frame_of = {provisional_uid(index): series.frames[index] for index in indices}
    frames_in = Counter(frame.file for frame in series.frames)
    named: set[int] = set()
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in groups.DerivationImageSequence:
            for source in derivation.SourceImageSequence:
                if id(source) in named:  # segments share the items of a slice
                    continue
                named.add(id(source))
                frame = frame_of[source.ReferencedSOPInstanceUID]
                header = series.headers[frame.file]
                source.ReferencedSOPClassUID = text(header, "SOPClassUID")
                source.ReferencedSOPInstanceUID = text(header, "SOPInstanceUID")
                if frames_in[frame.file] > 1 or "NumberOfFrames" in header:
                    source.ReferencedFrameNumber = frame.number + 1


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = text(header, "SOPClassUID")
    reference.ReferencedSOPInstanceUID = text(header, "SOPInstanceUID")
    return reference

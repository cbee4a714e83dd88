"""Who drew a segment: whether the voxels of a result are still those of the model, told by a digest kept beside them.

The digest does not depend on how Slicer keeps the voxels: not on the extent of the label map, its layers and the values
in it, all of which editing changes for segments that nobody touched. A segment that is brought back to what the model
made, with Undo for instance, is the model's again. One without a digest, of an older scene, counts as edited, since
nobody knows.
"""

import struct
import zlib
from collections.abc import Generator

import numpy as np
import slicer

from cisfa_slicer.segmentation_export import first_voxel, kept_voxels, tag_of

ALGORITHM_TYPE_TAG = "DICOM.SegmentAlgorithmType"
ALGORITHM_NAME_TAG = "DICOM.SegmentAlgorithmName"
DIGEST_TAG = "CISFA.Voxels"
ALGORITHM = "CISFA"
AUTOMATIC, SEMIAUTOMATIC = "AUTOMATIC", "SEMIAUTOMATIC"


def is_ours(segment: slicer.vtkSegment) -> bool:
    """True for a segment that a model of CISFA made, edited or not."""
    return tag_of(segment, ALGORITHM_NAME_TAG).startswith(ALGORITHM)


def our_segments(segmentation: slicer.vtkSegmentation) -> list[slicer.vtkSegment]:
    """The segments that models of CISFA made."""
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    return [segment for segment in segments if is_ours(segment)]


def record_voxels(segmentation: slicer.vtkSegmentation) -> None:
    """Remember the voxels of a result as what the model made."""
    for segment in our_segments(segmentation):
        segment.SetTag(DIGEST_TAG, _finished(_digest(segment)))


def doubt_voxels(segmentation: slicer.vtkSegmentation) -> None:
    """Something was changed, nobody knows what: nothing counts as untouched until :func:`compare_voxels` has looked."""
    for segment in our_segments(segmentation):
        _set_type(segment, SEMIAUTOMATIC)


def compare_voxels(segmentation: slicer.vtkSegmentation) -> Generator[None, None, None]:
    """Find out which segments are as the model made them, a slice at a time, and say so in their tags."""
    for segment in our_segments(segmentation):
        now = yield from _digest(segment)
        _set_type(segment, AUTOMATIC if now == tag_of(segment, DIGEST_TAG) else SEMIAUTOMATIC)


def compare_voxels_now(segmentation: slicer.vtkSegmentation) -> None:
    """The same in one go: some tenths of a second for a large volume."""
    for _ in compare_voxels(segmentation):
        pass


def is_drawn(segment: slicer.vtkSegment) -> bool:
    """True when a segment has voxels."""
    return any((plane == segment.GetLabelValue()).any() for plane in kept_voxels(segment))


def _set_type(segment: slicer.vtkSegment, drawn: str) -> None:
    """Only from one of ours to the other; what else somebody has said of the segment on purpose stays."""
    before = tag_of(segment, ALGORITHM_TYPE_TAG)
    if before != drawn and before in (AUTOMATIC, SEMIAUTOMATIC):
        segment.SetTag(ALGORITHM_TYPE_TAG, drawn)


def _finished(work: Generator[None, None, str]) -> str:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return str(end.value)


def _digest(segment: slicer.vtkSegment) -> Generator[None, None, str]:
    """Number of voxels, and a checksum of where they are in the grid; yields after each slice."""
    count, checksum, voxels = 0, 0, kept_voxels(segment)
    first = first_voxel(segment)
    for index, plane in enumerate(voxels):
        mask = plane == segment.GetLabelValue()
        rows = np.flatnonzero(mask.any(axis=1))
        if len(rows):
            mask = mask[rows[0] : rows[-1] + 1]
            columns = np.flatnonzero(mask.any(axis=0))
            mask = mask[:, columns[0] : columns[-1] + 1]
            place = (first[0] + index, first[1] + rows[0], first[2] + columns[0], *mask.shape)
            checksum = zlib.crc32(struct.pack("<5q", *map(int, place)) + np.packbits(mask).tobytes(), checksum)
            count += int(np.count_nonzero(mask))
        yield
    return f"{count}-{checksum:08x}"

"""Whether a segmentation of the scene can become a DICOM segmentation, and what it needs for that."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

from cisfa.dicom.segment_list import Algorithm, DescribedSegment, Drawn
from cisfa.imaging.organs import Organ
from cisfa.imaging.segmentation_header import codes_with_category
from cisfa_slicer.segmentation_export import exact_label_voxels, place_on, tag_of, terminology_of, write_labels
from cisfa_slicer.volume_export import SceneError, grid_of
from CISFASegmentationLib.segmentation_import import BUNDLE, BUNDLE_CHECKSUM, BUNDLE_NAME, BUNDLE_VERSION
from CISFASegmentationLib.voxel_digest import (
    ALGORITHM_NAME_TAG,
    ALGORITHM_TYPE_TAG,
    compare_voxels_now,
    is_drawn,
    is_ours,
)

MANUAL = "MANUAL"
_DRAWN = ("AUTOMATIC", "SEMIAUTOMATIC", MANUAL)


class ExportRefusedError(SceneError):
    """A segmentation cannot become a DICOM segmentation as it is."""


@dataclass(frozen=True, eq=False)
class Exportable:
    """A segmentation that can be exported.

    Attributes:
        segmentation: The node.
        volume: That it was drawn on, from DICOM.
        segments: Those that have voxels, with the labels 1, 2, 3 …
        places: Where they stand among all of the segmentation's segments, from 0.
        algorithm: That made them; None when all are drawn by hand.
        files: The volume's DICOM files.
    """

    segmentation: vtkMRMLSegmentationNode
    volume: vtkMRMLScalarVolumeNode
    segments: tuple[DescribedSegment, ...]
    places: tuple[int, ...]
    algorithm: Algorithm | None
    files: tuple[Path, ...]


def require_exportable(segmentation: vtkMRMLSegmentationNode | None) -> Exportable:
    """Look for all that a DICOM segmentation needs; tags of segments are brought up to date meanwhile.

    Raises:
        SceneError: Something is missing; the message says what, and what to do.
    """
    inner = None if segmentation is None else segmentation.GetSegmentation()
    if segmentation is None or inner is None or not inner.GetNumberOfSegments():
        raise ExportRefusedError("There is no segmentation to export. Segment a volume, or choose another one.")
    volume = _require_volume(segmentation)
    files = _require_files(volume)
    _require_same_transform(segmentation, volume)
    segments = [inner.GetNthSegment(index) for index in range(inner.GetNumberOfSegments())]
    _require_same_voxels(segmentation, volume, segments)
    compare_voxels_now(inner)
    places = [place for place, segment in enumerate(segments) if is_drawn(segment)]
    if not places:
        raise ExportRefusedError(f"All segments of {segmentation.GetName()} are empty. Choose another segmentation.")
    found = [segments[place] for place in places]
    _require_codes(segmentation, found)
    if inner.GetNumberOfLayers() > 1:  # one layer holds nothing that overlaps
        exact_label_voxels(volume, dict(enumerate(found, 1)))
    return Exportable(
        segmentation, volume,
        tuple(DescribedSegment(_organ(segment, label), drawn_of(segment)) for label, segment in enumerate(found, 1)),
        tuple(places), _algorithm(segmentation, found), files,
    )  # fmt: skip


def write_label_map(exportable: Exportable, path: Path) -> None:
    """Write the labels on the volume's own grid: where the scanner saw it, whatever transform the scene shows it under.

    Raises:
        SceneError: Segments overlap or reach beyond the volume, or the file cannot be written.
    """
    inner, matrix = exportable.segmentation.GetSegmentation(), vtk.vtkMatrix4x4()
    exportable.volume.GetIJKToRASMatrix(matrix)
    labels = {place: inner.GetNthSegment(index) for place, index in enumerate(exportable.places, 1)}
    write_labels(exact_label_voxels(exportable.volume, labels), matrix, path, is_temporary=True)


def drawn_of(segment: slicer.vtkSegment) -> Drawn:
    """Who drew a segment, as its tag says; by hand when it says nothing."""
    drawn = tag_of(segment, ALGORITHM_TYPE_TAG)
    return cast(Drawn, drawn if drawn in _DRAWN else MANUAL)


def dicom_database() -> Any:
    """Slicer's DICOM database.

    Raises:
        ExportRefusedError: There is none, or it is not open.
    """
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        raise ExportRefusedError("Slicer's DICOM database is not open. Open the module DICOM once, then try again.")
    return database


def _require_volume(segmentation: vtkMRMLSegmentationNode) -> vtkMRMLScalarVolumeNode:
    name = segmentation.GetName()
    volume = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    if volume is None or not volume.IsA("vtkMRMLScalarVolumeNode") or volume.GetImageData() is None:
        raise ExportRefusedError(
            f"{name} says not on which volume it was drawn. Set its source geometry (Segment Editor, beside the source"
            " volume) to the volume that was loaded from DICOM."
        )
    return volume


def _require_files(volume: vtkMRMLScalarVolumeNode) -> tuple[Path, ...]:
    name, instances = volume.GetName(), (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    if not instances:
        raise ExportRefusedError(
            f"{name} was not loaded from DICOM, so there is no series that a DICOM segmentation could refer to. Load"
            " the series with the module DICOM, then segment it again."
        )
    database = dicom_database()
    paths = [str(database.fileForInstance(instance) or "") for instance in instances]
    unknown = sum(not path for path in paths)
    if unknown:
        raise ExportRefusedError(
            f"Slicer's DICOM database does not know {unknown} of the {len(paths)} images of {name}. Import the series"
            " again (module DICOM)."
        )
    gone = [path for path in paths if not Path(path).is_file()]
    if gone:
        raise ExportRefusedError(
            f"{len(gone)} of the {len(paths)} DICOM files of {name} are gone, the first of them {gone[0]}. Connect the"
            " drive that they lie on, or import the series again (module DICOM)."
        )
    return tuple(Path(path) for path in dict.fromkeys(paths))  # one file may hold all slices


def _require_same_transform(segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode) -> None:
    transform = volume.GetParentTransformNode()
    if segmentation.GetParentTransformNode() is not transform:
        raise ExportRefusedError(
            f"{segmentation.GetName()} and {volume.GetName()} are under different transforms, so nobody knows where the"
            " segments lie on the images. Put both under the same transform, or under none (module Transforms)."
        )
    if transform is not None and not transform.IsTransformToWorldLinear():
        raise ExportRefusedError(
            f"{volume.GetName()} is under the non-linear transform {transform.GetName()}. Take the volume and"
            f" {segmentation.GetName()} out of it (module Transforms), then export again."
        )


def _require_same_voxels(
    segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode, segments: list[slicer.vtkSegment]
) -> None:
    """A part of the volume's grid, or one that reaches beyond it, is as good as the volume's own."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation.GetSegmentation().GetSourceRepresentationName() != name:
        raise ExportRefusedError(
            f"{segmentation.GetName()} is kept as surfaces and not as voxels. Make Binary labelmap its source (module"
            " Segmentations, Representations), then export again."
        )
    grid = grid_of(volume)
    for segment in segments:
        place_on(volume, grid, segment)


def _require_codes(segmentation: vtkMRMLSegmentationNode, segments: list[slicer.vtkSegment]) -> None:
    codes = {segment.GetName(): codes_with_category(terminology_of(segment)) for segment in segments}
    bare = [name for name, (category, kind, _) in codes.items() if category is None or kind is None]
    if bare:
        raise ExportRefusedError(
            f"{', '.join(bare)} of {segmentation.GetName()} cannot be exported without a code for what it is. Choose"
            " one for each (double-click its colour in the Segment Editor or in the module Segmentations)."
        )


def _organ(segment: slicer.vtkSegment, label: int) -> Organ:
    red, green, blue = (round(255 * part) for part in segment.GetColor())
    return Organ(segment.GetName(), label, (red, green, blue), *codes_with_category(terminology_of(segment)))


def _algorithm(segmentation: vtkMRMLSegmentationNode, segments: list[slicer.vtkSegment]) -> Algorithm | None:
    """The bundle that made a segmentation; a file that names it for another program's segments would be wrong."""
    made = [segment for segment in segments if drawn_of(segment) != MANUAL]
    if not made:
        return None
    strangers = [segment for segment in made if not is_ours(segment)]
    checksum = segmentation.GetAttribute(BUNDLE_CHECKSUM) or ""
    if strangers or not checksum:
        names = ", ".join(segment.GetName() for segment in strangers or made)
        maker = tag_of((strangers or made)[0], ALGORITHM_NAME_TAG) or "another program"
        raise ExportRefusedError(
            f"{names} of {segmentation.GetName()} was made by {maker}, and only results of CISFA's own models can be"
            " described here. Export it with the module DICOM, or with the program that made it."
        )
    name, _, version = (segmentation.GetAttribute(BUNDLE) or "").rpartition(" ")
    return Algorithm(
        segmentation.GetAttribute(BUNDLE_NAME) or name, segmentation.GetAttribute(BUNDLE_VERSION) or version, checksum
    )

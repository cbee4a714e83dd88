"""What stands in the way of a DICOM segmentation, in sentences; and what it is told of each segment."""

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk

from cisfa.imaging.volume_files import read_label_map
from cisfa_slicer.volume_export import SceneError
from CISFASegmentationLib.dicom_export import require_exportable, write_label_map
from CISFASegmentationLib.segmentation_import import BUNDLE_CHECKSUM, BUNDLE_NAME, BUNDLE_VERSION
from CISFASegmentationLib.voxel_digest import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG
from dicom_scene import SHAPE, Database, labels, load_from_dicom, make_result, oriented, paint, set_voxels
from scenes import add_transform, snapshot

TISSUE = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^85756007^Tissue"
TISSUE += "~^^~Anatomic codes - DICOM master list~^^~^^"
KIDNEY = TISSUE.replace(
    "SCT^85756007^Tissue~SCT^85756007^Tissue~^^",
    "SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^24028007^Right",
)
BLOCK = np.zeros(SHAPE, bool)
BLOCK[0:2, 15:18, 1:4] = True


@pytest.fixture
def volume(database: Database, tmp_path: Path):
    return load_from_dicom(database, tmp_path / "Müller, Anna" / "series")


@pytest.fixture
def node(volume):
    return make_result(volume)


def add_segment(node, volume, name: str, mask: np.ndarray, entry: str = KIDNEY):
    identity = node.AddSegmentFromBinaryLabelmapRepresentation(oriented(volume, mask), name, [0.5, 0.25, 1.0])
    segment = node.GetSegmentation().GetSegment(identity)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry)
    return segment


def refusal(node) -> str:
    before = snapshot()
    with pytest.raises(SceneError) as refused:
        require_exportable(node)
    assert snapshot() == before
    return str(refused.value)


def test_a_result_on_a_dicom_volume_can_be_exported(node, volume, database: Database) -> None:
    found = require_exportable(node)
    assert found.volume is volume
    assert [(each.organ.name, each.organ.label, each.drawn) for each in found.segments] == [
        ("liver", 1, "AUTOMATIC"),
        ("spleen", 2, "AUTOMATIC"),
    ]
    assert found.segments[0].organ.category.value == "123037004"
    assert found.segments[0].organ.type.meaning == "Liver"
    assert (found.algorithm.name, found.algorithm.version) == ("Abdomen of phantoms, CT to MR", "1.0")
    assert found.algorithm.checksum == node.GetAttribute(BUNDLE_CHECKSUM)
    assert [str(file) for file in found.files] == list(database.files.values())


def test_who_drew_what_is_found_out_at_once_and_without_a_watch(node, volume) -> None:
    set_voxels(node, "spleen", volume, BLOCK)
    add_segment(node, volume, "mine", np.roll(BLOCK, 6, axis=2))
    found = {each.organ.name: (each.drawn, each.organ.laterality) for each in require_exportable(node).segments}
    assert found["liver"] == ("AUTOMATIC", None)
    assert found["spleen"] == ("SEMIAUTOMATIC", None)
    assert (found["mine"][0], found["mine"][1].meaning) == ("MANUAL", "Right")


def test_a_segmentation_drawn_by_hand_names_no_algorithm(volume) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    add_segment(node, volume, "kidney", BLOCK)
    found = require_exportable(node)
    assert found.algorithm is None
    assert [(each.drawn, each.organ.colour) for each in found.segments] == [("MANUAL", (128, 64, 255))]


def test_an_older_scene_names_its_model_all_the_same(node) -> None:
    node.RemoveAttribute(BUNDLE_NAME)
    node.RemoveAttribute(BUNDLE_VERSION)
    algorithm = require_exportable(node).algorithm
    assert (algorithm.name, algorithm.version) == ("Abdomen of phantoms, CT to MR", "1.0")


def test_the_label_map_lies_on_the_scanners_grid_whatever_transform_is_above(node, volume, tmp_path: Path) -> None:
    transform = add_transform()
    write_label_map(require_exportable(node), tmp_path / "plain.nrrd")
    for each in (node, volume):
        each.SetAndObserveTransformNodeID(transform.GetID())
    write_label_map(require_exportable(node), tmp_path / "moved.nrrd")
    plain, moved = read_label_map(tmp_path / "plain.nrrd"), read_label_map(tmp_path / "moved.nrrd")
    np.testing.assert_array_equal(moved.voxels, np.array([0, 1, 0, 0, 2])[labels()])
    np.testing.assert_allclose(moved.geometry.index_to_lps, plain.geometry.index_to_lps, atol=1e-4)
    np.testing.assert_allclose(moved.geometry.origin_lps_mm, (-20, 11, 40), atol=1e-3)


def test_segments_on_layers_with_extents_of_their_own_are_put_together(node, volume, tmp_path: Path) -> None:
    add_segment(node, volume, "mine", BLOCK)
    node.GetSegmentation().SeparateSegmentLabelmap("liver")
    image = node.GetSegmentation().GetSegment("liver").GetRepresentation("Binary labelmap")
    assert image.GetExtent() != (0, 29, 0, 19, 0, 5) or node.GetSegmentation().GetNumberOfLayers() > 1
    write_label_map(require_exportable(node), tmp_path / "labels.nrrd")
    expected = np.array([0, 1, 0, 0, 2])[labels()]
    expected[BLOCK] = 3
    np.testing.assert_array_equal(read_label_map(tmp_path / "labels.nrrd").voxels, expected)


# what is refused


def test_no_segmentation(host) -> None:
    assert "There is no segmentation" in refusal(None)
    assert "There is no segmentation" in refusal(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "new"))


def test_no_reference_volume(node, volume) -> None:
    slicer.mrmlScene.RemoveNode(volume)
    assert "says not on which volume" in refusal(node)


def test_a_volume_that_is_not_from_dicom(node, volume) -> None:
    volume.RemoveAttribute("DICOM.instanceUIDs")
    assert "2: T2 fs was not loaded from DICOM" in refusal(node)


@pytest.mark.parametrize("how", ["closed", "missing"])
def test_no_database(how: str, node, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "closed":
        database.isOpen = False
    else:
        monkeypatch.delattr(slicer, "dicomDatabase")
    assert "DICOM database is not open" in refusal(node)


def test_images_that_the_database_no_longer_knows(node, database: Database) -> None:
    for instance in list(database.files)[:2]:
        del database.files[instance]
    assert "does not know 2 of the 6 images of 2: T2 fs" in refusal(node)


def test_files_that_are_gone(node, database: Database) -> None:
    gone = Path(list(database.files.values())[3])
    gone.unlink()
    sentence = refusal(node)
    assert "1 of the 6 DICOM files of 2: T2 fs are gone" in sentence
    assert str(gone) in sentence


def test_different_transforms(node, volume) -> None:
    volume.SetAndObserveTransformNodeID(add_transform().GetID())
    assert "under different transforms" in refusal(node)


def test_a_transform_that_bends(node, volume) -> None:
    bend = add_transform(is_linear=False)
    for each in (node, volume):
        each.SetAndObserveTransformNodeID(bend.GetID())
    assert "non-linear transform bend" in refusal(node)


def test_another_grid(node, volume) -> None:
    volume.SetSpacing(0.35, 0.9, 3.1)
    assert "The voxels of liver are not those of 2: T2 fs" in refusal(node)


def test_half_a_voxel_is_another_grid(node, volume) -> None:
    image, matrix = vtk.vtkImageData(), vtk.vtkMatrix4x4()
    assert image is not None
    volume.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 3, matrix.GetElement(0, 3) + 0.35)
    volume.SetIJKToRASMatrix(matrix)
    assert "resampling would change the segment" in refusal(node)


def test_voxels_beyond_the_volume(node, volume) -> None:
    """A volume that was cropped, say, keeps its grid."""
    crop = vtk.vtkExtractVOI()
    crop.SetInputData(volume.GetImageData())
    crop.SetVOI(0, 22, 0, 19, 0, 5)
    crop.Update()
    volume.SetAndObserveImageData(crop.GetOutput())
    with pytest.raises(SceneError, match=r"4 voxels of spleen lie beyond 2: T2 fs\. Cut them off"):
        write_label_map(require_exportable(node), Path("never"))


def test_surfaces_instead_of_voxels(node) -> None:
    node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    assert "is kept as surfaces and not as voxels" in refusal(node)


def test_nothing_but_empty_segments(node, volume) -> None:
    for organ in ("liver", "spleen"):
        set_voxels(node, organ, volume, np.zeros(SHAPE, bool))
    assert "All segments of 2: T2 fs segmentation are empty" in refusal(node)


@pytest.mark.parametrize("entry", ["", TISSUE, KIDNEY.replace("SCT^123037004^Anatomical Structure", "^^")])
def test_segments_without_codes(entry: str, node, volume) -> None:
    add_segment(node, volume, "mine", BLOCK, entry)
    assert "mine of 2: T2 fs segmentation cannot be exported without a code" in refusal(node)


def test_an_empty_segment_needs_no_code(node) -> None:
    node.GetSegmentation().AddEmptySegment("new", "new")
    assert len(require_exportable(node).segments) == 2


def test_segments_that_overlap(node, volume) -> None:
    paint(node, "liver", volume, labels() == 4)
    assert "liver and spleen overlap" in refusal(node)


def test_what_another_program_segmented(node, volume) -> None:
    segment = add_segment(node, volume, "kidney", BLOCK)
    segment.SetTag(ALGORITHM_TYPE_TAG, "AUTOMATIC")
    segment.SetTag(ALGORITHM_NAME_TAG, "Other 1.0")
    assert "kidney of 2: T2 fs segmentation was made by Other 1.0" in refusal(node)


def test_segments_that_were_copied_from_a_result_name_no_model(node, volume) -> None:
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "copies")
    other.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    other.GetSegmentation().CopySegmentFromSegmentation(node.GetSegmentation(), "liver")
    assert "liver of copies was made by CISFA" in refusal(other)

from pathlib import Path

import numpy as np
import pytest
import slicer

from cisfa.bundle.manifest import Manifest
from cisfa.bundle.manifest_file import read_manifest
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_volume, write_label_map
from cisfa_slicer.volume_export import SceneError, grid_of, require_same_grid, write_volume
from CISFASegmentationLib.segmentation_import import (
    make_segmentation,
    place_in_scene,
    read_label_map,
    show_in_3d,
    terminology_entry,
)
from scenes import add_transform, add_volume, segment_arrays

CHECKSUM = "c" * 64


@pytest.fixture
def manifest(root: Path) -> Manifest:
    return read_manifest(root / "CISFASegmentation" / "Resources" / "CISFASegmentationDemoBundle.zip")


def labelled(volume, folder: Path) -> tuple[Path, np.ndarray]:
    """What a job does: reads the volume's file, and writes a label map on its grid. Organ 2 is not found."""
    write_volume(volume, folder / "volume.nrrd")
    read = read_volume(folder / "volume.nrrd")
    labels = np.zeros(read.voxels.shape, np.uint8)
    labels[1:3, 10:20, 5:30] = 1
    labels[3:5, 3:8, 5:9] = 3
    labels[4, 25:39, 20:36] = 4
    path = folder / "labels.nrrd"
    write_label_map(LabelMap(labels, read.geometry, path.name), path)
    return path, labels


def imported(volume, manifest: Manifest, folder: Path, replaced=None):
    path, labels = labelled(volume, folder)
    segmentation = make_segmentation(read_label_map(path, grid_of(volume)), manifest)
    return place_in_scene(segmentation, volume, manifest, CHECKSUM, replaced), labels


@pytest.mark.parametrize("is_transformed", [False, True])
def test_every_voxel_comes_back_to_its_place(host, is_transformed: bool, manifest: Manifest, tmp_path: Path) -> None:
    volume = add_volume(transform=add_transform() if is_transformed else None)
    node, labels = imported(volume, manifest, tmp_path)
    masks = segment_arrays(node)
    assert list(masks) == ["liver", "right kidney", "left kidney", "spleen"]
    for label, mask in enumerate(masks.values(), 1):
        np.testing.assert_array_equal(mask, labels == label)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()
    # and by Slicer's own way, which resamples onto the volume in the world
    for organ, label in (("liver", 1), ("spleen", 4)):
        identity = node.GetSegmentation().GetSegmentIdBySegmentName(organ)
        ours = slicer.util.arrayFromSegmentBinaryLabelmap(node, identity, volume)
        np.testing.assert_array_equal(ours > 0, labels == label)


def test_the_bundle_gives_names_colours_codes_and_algorithm(host, manifest: Manifest, tmp_path: Path) -> None:
    node, _ = imported(add_volume(), manifest, tmp_path)
    import vtk

    for index, organ in enumerate(manifest.organs):
        segment = node.GetSegmentation().GetNthSegment(index)
        assert segment.GetName() == organ.name
        assert segment.GetColor() == pytest.approx([part / 255 for part in organ.colour])
        found = {}
        for tag in ("DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName", "TerminologyEntry"):
            value = vtk.reference("")
            assert segment.GetTag(tag, value)
            found[tag] = str(value)
        assert found["DICOM.SegmentAlgorithmType"] == "AUTOMATIC"
        assert manifest.name in found["DICOM.SegmentAlgorithmName"]
        assert f"SCT^{organ.type.value}^{organ.type.meaning}" in found["TerminologyEntry"]
    assert node.GetAttribute("CISFA.BundleChecksum") == CHECKSUM


def test_slicers_terminologies_read_the_codes(host, manifest: Manifest) -> None:
    kidney = manifest.organs[1]
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.modules.terminologies.logic()
    assert logic.DeserializeTerminologyEntry(terminology_entry(kidney), entry)
    read = [entry.GetCategoryObject(), entry.GetTypeObject(), entry.GetTypeModifierObject()]
    assert [term.GetCodeValue() for term in read] == ["123037004", "64033007", "24028007"]
    assert [term.GetCodingSchemeDesignator() for term in read] == ["SCT"] * 3
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Right"
    assert entry.GetTerminologyContextName() == "Segmentation category and type - 3D Slicer General Anatomy list"


def test_it_lies_under_the_volumes_study_with_the_volume_as_reference(host, manifest: Manifest, tmp_path: Path) -> None:
    volume = add_volume()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
    node, _ = imported(volume, manifest, tmp_path)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume


def test_a_result_replaces_only_what_was_chosen(host, manifest: Manifest, tmp_path: Path) -> None:
    volume = add_volume()
    first, _ = imported(volume, manifest, tmp_path)
    second, _ = imported(volume, manifest, tmp_path)
    assert first.GetName() != second.GetName()
    first.GetSegmentation().RemoveAllSegments()
    again, labels = imported(volume, manifest, tmp_path, replaced=first)
    assert again is first
    assert segment_arrays(first)["liver"].sum() == (labels == 1).sum()
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 2


def test_surfaces_come_and_go(host, manifest: Manifest, tmp_path: Path) -> None:
    node, _ = imported(add_volume(), manifest, tmp_path)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    show_in_3d(node, True)
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert node.GetDisplayNode().GetVisibility3D()
    show_in_3d(node, False)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_a_volume_whose_grid_was_changed_is_noticed(host) -> None:
    for change in (
        lambda volume: volume.SetSpacing(1, 1, 1),
        lambda volume: volume.SetOrigin(0, 0, 0),
        lambda volume: volume.SetAndObserveImageData(add_volume(shape=(6, 40, 38)).GetImageData()),
        lambda volume: volume.SetAndObserveImageData(None),
    ):
        volume = add_volume("moved")
        grid = grid_of(volume)
        require_same_grid(volume, grid)
        change(volume)
        with pytest.raises(SceneError, match="moved was changed while it was being segmented"):
            require_same_grid(volume, grid)


def test_a_volume_that_a_transform_moved_meanwhile_still_gets_its_result(
    host, manifest: Manifest, tmp_path: Path
) -> None:
    """The voxels moved together, and so does the segmentation."""
    volume = add_volume()
    path, labels = labelled(volume, tmp_path)
    grid = grid_of(volume)
    volume.SetAndObserveTransformNodeID(add_transform().GetID())
    require_same_grid(volume, grid)
    segmentation = make_segmentation(read_label_map(path, grid), manifest)
    node = place_in_scene(segmentation, volume, manifest, CHECKSUM, None)
    identity = node.GetSegmentation().GetSegmentIdBySegmentName("liver")
    ours = slicer.util.arrayFromSegmentBinaryLabelmap(node, identity, volume)
    np.testing.assert_array_equal(ours > 0, labels == 1)


def test_a_label_map_that_lies_elsewhere_is_refused(host, tmp_path: Path) -> None:
    path, _ = labelled(add_volume(), tmp_path)
    elsewhere = add_volume()
    elsewhere.SetOrigin(0, 0, 0)
    for grid in (grid_of(elsewhere), grid_of(add_volume(shape=(7, 40, 37)))):
        with pytest.raises(SceneError, match="does not lie on its volume"):
            read_label_map(path, grid)


def test_a_broken_label_map_is_a_sentence(host, tmp_path: Path) -> None:
    path = tmp_path / "labels.nrrd"
    path.write_bytes(b"NRRD0004\nnonsense")
    with pytest.raises(SceneError, match="label map cannot be read"):
        read_label_map(path, grid_of(add_volume()))

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk

from cisfa.imaging.roi import parse_roi
from cisfa.imaging.volume_files import read_volume
from cisfa_slicer.volume_export import (
    SceneError,
    body_part_of,
    ijk_to_world,
    matrix_array,
    modality_of,
    require_usable,
    write_roi,
    write_volume,
)
from scenes import SPACING_MM, add_transform, add_volume, image_of, matrix_of, snapshot

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize("is_transformed", [False, True])
def test_a_volume_is_written_where_the_user_sees_it(host, is_transformed: bool, tmp_path: Path) -> None:
    node = add_volume(transform=add_transform() if is_transformed else None)
    before = snapshot()
    path = tmp_path / "vólume ä.nrrd"
    write_volume(node, path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, slicer.util.arrayFromVolume(node))
    assert volume.geometry.spacing_mm == pytest.approx(SPACING_MM[::-1])
    corner_ijk, corner_kji = np.array([36.0, 39.0, 5.0, 1.0]), np.array([5.0, 39.0, 36.0])
    expected = TO_LPS @ matrix_array(ijk_to_world(node)) @ corner_ijk
    np.testing.assert_allclose(volume.geometry.to_lps(corner_kji), expected[:3], atol=1e-4)
    assert snapshot() == before


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_every_kind_of_voxel_arrives(host, dtype: type, tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).integers(0, 200, (3, 5, 7)).astype(dtype)
    write_volume(add_volume(voxels=voxels), tmp_path / "volume.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / "volume.nrrd").voxels, voxels)


def test_no_volume_is_a_sentence(host) -> None:
    with pytest.raises(SceneError, match="There is no volume"):
        require_usable(None)


def test_an_empty_volume_is_a_sentence(host) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    with pytest.raises(SceneError, match="nothing is empty"):
        require_usable(node)
    node.SetAndObserveImageData(vtk.vtkImageData())
    with pytest.raises(SceneError, match="nothing is empty"):
        require_usable(node)


def test_a_colour_volume_is_a_sentence(host) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    node.SetAndObserveImageData(image_of(np.zeros((2, 3, 4, 3), np.uint8)))
    with pytest.raises(SceneError, match="photo has 3 values per voxel"):
        require_usable(node)


def test_a_label_map_is_a_sentence(host) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "truth")
    node.SetAndObserveImageData(image_of(np.zeros((2, 3, 4), np.uint8)))
    with pytest.raises(SceneError, match="truth is a label map"):
        require_usable(node)


def test_a_non_linear_transform_is_a_sentence(host) -> None:
    node = add_volume("bent", transform=add_transform(is_linear=False))
    with pytest.raises(SceneError, match=r"bent is under the non-linear transform bend\. Harden"):
        require_usable(node)


def test_a_sheared_volume_is_a_sentence(host) -> None:
    node, transform = add_volume("sheared"), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix_of([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]], (0, 0, 0)))
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(SceneError, match="sheared has a sheared grid"):
        require_usable(node)


@pytest.mark.parametrize("kind", [vtk.VTK_SIGNED_CHAR, vtk.VTK_LONG_LONG, vtk.VTK_ID_TYPE])
def test_voxels_that_no_file_can_hold_are_a_sentence(host, kind: int) -> None:
    node, image = add_volume("odd"), vtk.vtkImageData()
    image.SetDimensions(3, 4, 5)
    image.AllocateScalars(kind, 1)
    node.SetAndObserveImageData(image)
    with pytest.raises(SceneError, match=r"odd has voxels of the type .* which no volume file can have"):
        require_usable(node)


def test_an_extent_that_does_not_begin_at_zero_is_a_sentence(host) -> None:
    node, image = add_volume("cut"), vtk.vtkImageData()
    image.SetExtent(2, 5, 0, 4, 0, 5)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    node.SetAndObserveImageData(image)
    with pytest.raises(SceneError, match=r"cut has voxels .* and the extent"):
        require_usable(node)


@pytest.mark.parametrize("shape", [(40, 256, 256), (48, 256, 256)])
def test_panel_and_job_judge_the_modality_alike(host, shape: tuple[int, int, int]) -> None:
    """Every so manieth voxel may be a column of air; the job's own function knows."""
    from cisfa.imaging.intensity import guess_modality

    voxels = np.zeros(shape, np.int16)
    voxels[:, :, ::16] = -1000
    voxels[:, :, 1:] = 100
    assert modality_of(add_volume(voxels=voxels)) == guess_modality(voxels)


def test_a_folder_that_cannot_be_written_is_a_sentence(host, tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("", encoding="utf-8")
    with pytest.raises(SceneError, match="cannot be written to the temporary folder"):
        write_volume(add_volume(), tmp_path / "no folder" / "volume.nrrd")


def test_a_region_keeps_its_place_under_transforms(host, tmp_path: Path) -> None:
    roi, transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box"), add_transform()
    roi.SetCenter(1, 2, 3)
    roi.SetSize(10, 20, 30)
    roi.SetAndObserveTransformNodeID(transform.GetID())
    path = tmp_path / "roi.mrk.json"
    write_roi(roi, path)
    corners = parse_roi(str(path)).corners_lps_mm
    to_world = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(to_world)
    local = np.array([[x, y, z, 1.0] for x in (-4, 6) for y in (-8, 12) for z in (-12, 18)])
    expected = (TO_LPS @ matrix_array(to_world) @ local.T)[:3].T
    np.testing.assert_allclose(sorted(corners.tolist()), sorted(expected.tolist()), atol=1e-6)


def test_a_region_that_was_not_placed_is_a_sentence(host, tmp_path: Path) -> None:
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    with pytest.raises(SceneError, match="box has not been placed yet"):
        write_roi(roi, tmp_path / "roi.mrk.json")
    roi.SetAndObserveTransformNodeID(add_transform(is_linear=False).GetID())
    with pytest.raises(SceneError, match="non-linear"):
        write_roi(roi, tmp_path / "roi.mrk.json")


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_the_modality_is_seen_in_the_intensities(host, modality: str) -> None:
    assert modality_of(add_volume(modality=modality)) == modality


def test_dicom_knows_better_than_the_intensities(host) -> None:
    node = add_volume(modality="CT")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(node), "DICOM.Modality", "PT")
    assert modality_of(node) == "PT"


def test_the_body_part_comes_from_the_dicom_database(host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Database:
        def instanceValue(self, instance: str, tag: str) -> str:
            return {("1.2.3", "0018,0015"): "HEAD"}[instance, tag]

    node = add_volume()
    assert body_part_of(node) == ""
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert body_part_of(node) == ""  # no database
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    assert body_part_of(node) == "HEAD"

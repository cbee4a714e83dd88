"""Cases from the scene: files that hold what the user sees, and a scene that stays as it was."""

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk

from cisfa.cases.case_list import CaseList
from cisfa.cases.organ_mapping import match_organs
from cisfa.imaging.volume_files import read_label_map, read_volume
from CISFATrainingLib.scene_cases import Pair, SceneCaseError, case_folder, pairs_in_scene, patient_keys, write_case
from scenes import add_transform, add_volume, image_of, snapshot

LIVER = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
LIVER += "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
KIDNEY = LIVER.replace("10200004^Liver~^^", "64033007^Kidney~SCT^24028007^Right")
SHAPE = (6, 40, 37)


@pytest.fixture(autouse=True)
def own_case_folder(host, tmp_path: Path) -> Path:
    folder = tmp_path / "Fälle 1"
    host.app.userSettings().setValue("CISFA/CaseFolder", str(folder))
    return folder


def block(*corners: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(*corner) for corner in corners)] = 1
    return mask


FIRST, SECOND = block((1, 3), (2, 9), (3, 11)), block((3, 5), (12, 30), (3, 11))


def add_segmentation(volume, masks: dict[str, np.ndarray], terms: dict[str, str] | None = None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    for name, mask in masks.items():
        labels = slicer.vtkOrientedImageData()
        labels.ShallowCopy(image_of(mask))
        labels.SetGeometryFromImageToWorldMatrix(matrix)
        identity = node.AddSegmentFromBinaryLabelmapRepresentation(labels, name, [1.0, 0.0, 0.0])
        if terms and name in terms:
            segment = node.GetSegmentation().GetSegment(identity)
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terms[name])
    return node


def test_a_pair_becomes_files_with_voxels_where_the_user_sees_them(host) -> None:
    volume = add_volume(transform=add_transform())
    node = add_segmentation(volume, {"Leber": FIRST, "Niere": SECOND})
    before = snapshot()
    case = write_case(Pair(volume, node), is_source=True)
    assert snapshot() == before
    written, labels = read_volume(case.volume), read_label_map(case.labels)
    np.testing.assert_array_equal(written.voxels, slicer.util.arrayFromVolume(volume))
    np.testing.assert_array_equal(labels.voxels, FIRST + 2 * SECOND)
    labels.geometry.require_same_grid(written.geometry, ours="labels", theirs="volume")
    # the corner voxel lies where its transform puts it, LPS
    to_world = vtk.vtkMatrix4x4()
    volume.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
    world = to_world.MultiplyPoint((*volume.GetOrigin(), 1.0))
    np.testing.assert_allclose(written.geometry.origin_lps_mm, [-world[0], -world[1], world[2]], atol=1e-3)
    assert [(segment.value, segment.name) for segment in case.segments] == [(1, "Leber"), (2, "Niere")]


def test_codes_and_sides_of_the_segments_are_understood(host) -> None:
    volume = add_volume()
    node = add_segmentation(volume, {"A": FIRST, "B": SECOND}, {"A": LIVER, "B": KIDNEY})
    case = write_case(Pair(volume, node), is_source=True)
    assert [organ.name for organ in match_organs(CaseList(source=(case,))).organs] == ["liver", "right kidney"]


def test_the_code_that_slicer_gives_every_new_segment_says_nothing(host) -> None:
    volume = add_volume()
    tissue = LIVER.replace("10200004^Liver", "85756007^Tissue")
    node = add_segmentation(volume, {"Leber": FIRST, "Milz": SECOND}, {"Leber": tissue, "Milz": tissue})
    assert [segment.type for segment in write_case(Pair(volume, node), is_source=True).segments] == [None, None]


def test_what_is_drawn_on_a_target_case_is_few_labels_and_never_labels(host) -> None:
    volume = add_volume()
    case = write_case(Pair(volume, add_segmentation(volume, {"liver": FIRST})), is_source=False)
    assert case.labels is None
    np.testing.assert_array_equal(read_label_map(case.few_labels).voxels, FIRST)
    plain = write_case(Pair(volume, None), is_source=False)
    assert (plain.labels, plain.few_labels, plain.segments) == (None, None, ())


def test_segments_that_overlap_are_refused_with_their_names(host) -> None:
    volume = add_volume()
    node = add_segmentation(volume, {"liver": FIRST, "spleen": FIRST})
    with pytest.raises(SceneCaseError, match="spleen and liver of drawn overlap"):
        write_case(Pair(volume, node), is_source=True)


def test_a_segmentation_elsewhere_is_refused(host) -> None:
    volume, other = add_volume(), add_volume("other")
    other.SetOrigin(5000, 0, 0)
    node = add_segmentation(other, {"liver": FIRST})
    with pytest.raises(SceneCaseError, match="Nothing of drawn lies on"):
        write_case(Pair(volume, node), is_source=True)


def test_a_source_case_needs_a_segmentation(host) -> None:
    with pytest.raises(SceneCaseError, match="has no segmentation"):
        write_case(Pair(add_volume(), None), is_source=True)
    assert not case_folder().exists()


def test_a_volume_is_paired_with_what_was_drawn_on_it(host) -> None:
    first, second = add_volume("first"), add_volume("second")
    node = add_segmentation(second, {"liver": FIRST})
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "no volume")
    assert {pair.volume.GetName(): pair.segmentation for pair in pairs_in_scene()} == {"first": None, "second": node}
    assert first is not None


def test_a_patient_is_known_by_digests_alone(host) -> None:
    volume = add_volume()
    assert patient_keys(volume) == ()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Müller")
    study = hierarchy.CreateStudyItem(patient, "CT")
    hierarchy.SetItemAttribute(patient, "DICOM.PatientID", "4711")
    hierarchy.SetItemAttribute(study, "DICOM.StudyInstanceUID", "1.2.3")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
    keys = patient_keys(volume)
    assert len(keys) == 2
    assert "4711" not in "".join(keys)


def test_a_folder_that_cannot_be_written_is_a_sentence(host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    host.app.userSettings().setValue("CISFA/CaseFolder", str(tmp_path / "file"))
    with pytest.raises(SceneCaseError, match="cannot be written to"):
        write_case(Pair(add_volume(), None), is_source=False)

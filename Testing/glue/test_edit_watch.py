"""Who drew what: tags that follow the voxels, whoever changes them, also in a scene that was saved and loaded."""

import gc
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk

from cisfa_slicer.segmentation_export import tag_of
from CISFASegmentationLib.edit_watch import EditWatch, install_edit_watch
from CISFASegmentationLib.segmentation_import import show_in_3d
from CISFASegmentationLib.voxel_digest import (
    ALGORITHM_TYPE_TAG,
    DIGEST_TAG,
    compare_voxels_now,
    doubt_voxels,
    our_segments,
    record_voxels,
)
from dicom_scene import SHAPE, labels, make_result, mask_of, paint, set_voxels
from scenes import add_volume, label_like_volume

ORGANS = ("liver", "right kidney", "left kidney", "spleen")
UNTOUCHED = dict.fromkeys(ORGANS, "AUTOMATIC")


@pytest.fixture
def watch(host) -> EditWatch:
    return install_edit_watch()


@pytest.fixture
def volume(host, watch: EditWatch):
    return label_like_volume()[0]


@pytest.fixture
def node(volume):
    return make_result(volume)


@pytest.fixture
def drawn(host, watch: EditWatch, node):
    """Says who drew what, once the hand has rested."""

    def read(of=node) -> dict[str, str]:
        host.spin_until(lambda: watch.is_settled, "the tags to be settled")
        return tags_of(of)

    return read


def tags_of(node) -> dict[str, str]:
    return {each.GetName(): tag_of(each, ALGORITHM_TYPE_TAG) for each in our_segments(node.GetSegmentation())}


def block(*corners: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*corner) for corner in corners)] = True
    return mask


AWAY = block((0, 1), (15, 18), (1, 4))


def test_a_result_is_the_models(drawn) -> None:
    assert drawn() == UNTOUCHED


def test_a_stroke_makes_one_segment_edited(node, volume, drawn) -> None:
    paint(node, "liver", volume, AWAY)
    assert drawn() == {**UNTOUCHED, "liver": "SEMIAUTOMATIC"}


def test_nothing_claims_to_be_untouched_before_it_was_looked_at(node, volume, drawn) -> None:
    """Somebody may save, or export with Slicer, in this moment."""
    paint(node, "liver", volume, AWAY)
    assert tags_of(node)["liver"] == "SEMIAUTOMATIC"


def test_a_segment_that_lost_voxels_to_its_neighbour_is_edited_too(node, volume, drawn) -> None:
    paint(node, "liver", volume, block((4, 5), (10, 11), (18, 22)), over=("spleen",))
    assert drawn() == {**UNTOUCHED, "liver": "SEMIAUTOMATIC", "spleen": "SEMIAUTOMATIC"}


def test_a_stroke_that_may_not_take_voxels_leaves_the_neighbour_alone(node, volume, drawn) -> None:
    """Slicer then moves segments to layers of their own, which is no edit."""
    paint(node, "liver", volume, block((4, 5), (10, 11), (18, 22)))
    assert node.GetSegmentation().GetNumberOfLayers() > 1
    assert drawn() == {**UNTOUCHED, "liver": "SEMIAUTOMATIC"}


def test_an_organ_that_was_not_found_and_is_drawn_is_edited(node, volume, drawn) -> None:
    set_voxels(node, "left kidney", volume, AWAY)
    assert drawn() == {**UNTOUCHED, "left kidney": "SEMIAUTOMATIC"}


def test_going_back_to_what_the_model_made_is_no_edit(node, volume, drawn) -> None:
    set_voxels(node, "liver", volume, AWAY)
    assert drawn()["liver"] == "SEMIAUTOMATIC"
    set_voxels(node, "liver", volume, labels() == 1)
    assert drawn() == UNTOUCHED


def test_undo_in_the_segment_editor_gives_the_segment_back_to_the_model(node, volume, drawn) -> None:
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(node.GetSegmentation())
    history.SaveState()
    paint(node, "liver", volume, block((4, 5), (10, 11), (18, 22)), over=("spleen",))
    assert drawn()["liver"] == "SEMIAUTOMATIC"
    history.SaveState()
    history.RestorePreviousState()
    compare_voxels_now(node.GetSegmentation())
    assert drawn() == UNTOUCHED
    np.testing.assert_array_equal(mask_of(node, "liver", volume), labels() == 1)


def test_voxels_that_are_written_in_place_are_noticed(node, drawn) -> None:
    segment = node.GetSegmentation().GetSegment("liver")
    image = segment.GetRepresentation("Binary labelmap")
    voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    voxels[np.flatnonzero(voxels == 1)[0]] = 0
    image.Modified()
    assert drawn() == {**UNTOUCHED, "liver": "SEMIAUTOMATIC"}


def test_names_colours_codes_order_and_surfaces_are_no_edit(node, drawn) -> None:
    inner = node.GetSegmentation()
    segment = inner.GetSegment("liver")
    segment.SetName("Leber")
    segment.SetColor(0, 1, 0)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), "a~b")
    show_in_3d(node, True)
    show_in_3d(node, False)
    inner.SetSegmentIndex("liver", 2)
    inner.RemoveSegment("spleen")
    inner.CollapseBinaryLabelmaps(True)
    assert set(drawn().values()) == {"AUTOMATIC"}


def test_a_result_that_is_moved_to_another_extent_is_the_models(node, drawn) -> None:
    image = node.GetSegmentation().GetSegment("liver").GetRepresentation("Binary labelmap")
    padded = vtk.vtkImageConstantPad()
    padded.SetInputData(image)
    padded.SetOutputWholeExtent(-3, 33, -2, 25, 0, 7)
    padded.Update()
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    image.DeepCopy(padded.GetOutput())
    image.SetGeometryFromImageToWorldMatrix(matrix)
    image.Modified()
    assert drawn() == UNTOUCHED


def test_other_peoples_segments_are_left_alone(node, volume, drawn) -> None:
    identity = node.GetSegmentation().AddEmptySegment("mine", "mine")
    set_voxels(node, "mine", volume, AWAY)
    assert drawn() == UNTOUCHED
    assert tag_of(node.GetSegmentation().GetSegment(identity), ALGORITHM_TYPE_TAG) == ""


def test_what_somebody_said_of_a_segment_on_purpose_stays(node, volume, drawn) -> None:
    node.GetSegmentation().GetSegment("liver").SetTag(ALGORITHM_TYPE_TAG, "MANUAL")
    set_voxels(node, "liver", volume, AWAY)
    assert drawn()["liver"] == "MANUAL"


def test_without_a_digest_nobody_knows_and_nothing_is_claimed(node) -> None:
    """A result of an older scene."""
    node.GetSegmentation().GetSegment("spleen").RemoveTag(DIGEST_TAG)
    compare_voxels_now(node.GetSegmentation())
    assert tags_of(node) == {**UNTOUCHED, "spleen": "SEMIAUTOMATIC"}


def test_a_segmentation_that_was_saved_and_loaded_knows_its_voxels(
    host, node, volume, drawn, watch: EditWatch, tmp_path: Path
) -> None:
    paint(node, "liver", volume, AWAY)
    drawn()
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "result.seg.nrrd"))
    assert storage.WriteData(node)
    host.close_scene()
    loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "loaded")
    assert storage.ReadData(loaded)
    doubt_voxels(loaded.GetSegmentation())
    watch._on_loaded(None, None)
    assert drawn(loaded) == {**UNTOUCHED, "liver": "SEMIAUTOMATIC"}


def test_a_scene_that_was_saved_in_the_middle_of_a_stroke_is_put_right_when_it_is_loaded(
    host, node, volume, watch: EditWatch, tmp_path: Path
) -> None:
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(tmp_path / "result.seg.nrrd"))
    paint(node, "liver", volume, AWAY)
    assert node.GetStorageNode().WriteData(node)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.SetRootDirectory(str(tmp_path))
    assert slicer.mrmlScene.Commit()
    host.close_scene()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    (loaded,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    host.spin_until(lambda: watch.is_settled)
    assert tags_of(loaded) == {**UNTOUCHED, "liver": "SEMIAUTOMATIC"}


def test_a_replaced_result_is_watched_on(node, volume, drawn) -> None:
    make_result(volume, replaced=node)
    assert drawn() == UNTOUCHED
    paint(node, "spleen", volume, AWAY)
    assert drawn() == {**UNTOUCHED, "spleen": "SEMIAUTOMATIC"}


def test_no_node_is_kept_alive(host, watch: EditWatch) -> None:
    gone = []

    def make() -> None:
        node = make_result(label_like_volume()[0])
        node.AddObserver(vtk.vtkCommand.DeleteEvent, lambda caller, event: gone.append(True))
        paint(node, "liver", node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()), AWAY)
        slicer.mrmlScene.RemoveNode(node)

    make()
    gc.collect()
    assert gone == [True]
    host.spin_until(lambda: watch.is_settled)


def test_a_node_whose_python_object_is_gone_is_watched_on(host, watch: EditWatch, volume) -> None:
    identity = make_result(volume).GetID()
    gc.collect()
    paint(slicer.mrmlScene.GetNodeByID(identity), "liver", volume, AWAY)
    gc.collect()
    host.spin_until(lambda: watch.is_settled)
    assert tags_of(slicer.mrmlScene.GetNodeByID(identity)) == {**UNTOUCHED, "liver": "SEMIAUTOMATIC"}


def test_there_is_one_watch_and_a_new_one_after_a_reload(host, watch: EditWatch, node, monkeypatch) -> None:
    assert install_edit_watch() is watch
    monkeypatch.setattr("CISFASegmentationLib.edit_watch.EditWatch", type("EditWatch", (EditWatch,), {}))
    again = install_edit_watch()
    assert again is not watch
    assert (watch._tags, watch._scene_tags) == ({}, [])
    assert node.GetID() in again._tags


def test_the_module_watches_before_it_is_opened(host, root: Path) -> None:
    host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
    assert "cisfa_edit_watch" in vars(slicer.mrmlScene)


def test_a_stroke_in_a_large_volume_waits_for_nothing(host, watch: EditWatch) -> None:
    """What the watch itself costs in a stroke, and at a time afterwards."""
    voxels = np.zeros((120, 256, 256), np.uint8)
    voxels[10:100, 50:200, 60:220] = 1
    voxels[60:110, 210:240, 60:220] = 4
    node = make_result(add_volume("large", voxels=voxels), voxels=voxels)
    host.spin_until(lambda: watch.is_settled)
    started = time.perf_counter()
    node.GetSegmentation().GetSegment("liver").GetRepresentation("Binary labelmap").Modified()
    stroke_s, longest_s = time.perf_counter() - started, 0.0
    while not watch.is_settled:
        started = time.perf_counter()
        watch._go_on()
        longest_s = max(longest_s, time.perf_counter() - started)
    assert tags_of(node) == UNTOUCHED
    assert stroke_s < 0.05
    assert longest_s < 0.1  # 5 ms and a slice; the rest is other people's processes


def test_digests_tell_places_and_not_only_numbers(host, volume, node) -> None:
    first = tag_of(node.GetSegmentation().GetSegment("liver"), DIGEST_TAG)
    moved = np.roll(labels() == 1, 1, axis=2)
    set_voxels(node, "liver", volume, moved)
    record_voxels(node.GetSegmentation())
    second = tag_of(node.GetSegmentation().GetSegment("liver"), DIGEST_TAG)
    assert first != second
    assert first.partition("-")[0] == second.partition("-")[0] == str(moved.sum())

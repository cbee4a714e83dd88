"""What is known of organs goes with their segments: through files, with edits, out of a DICOM segmentation."""

from pathlib import Path

import numpy as np
import pytest
import slicer

from CISFASegmentationLib.dicom_export import require_exportable, write_label_map
from CISFASegmentationLib.organ_results import Level, OrganResult, Quality
from CISFASegmentationLib.organ_tags import ORGAN_TAG, keep_organs, organs_of
from dicom_scene import Database, load_from_dicom, make_result, paint
from scenes import label_like_volume

NASTY = 'In 3 pieces | "the" largest: 61 %; <b>größer</b> \\ 肝\nas usual.'
LIVER = OrganResult("liver", 1, 1534.25, 80.5, 1, False, Quality(Level.RED, 0.25, (NASTY, "Nothing else.")))
SPLEEN = OrganResult("spleen", 4, 0.0, None, 0, True)


@pytest.fixture
def node(host):
    made = make_result(label_like_volume()[0])
    keep_organs(made.GetSegmentation(), (LIVER, SPLEEN))
    return made


def test_what_is_kept_is_known_again_in_the_order_of_the_segments(node) -> None:
    keep_organs(node.GetSegmentation(), (SPLEEN, LIVER))
    assert organs_of(node) == (LIVER, SPLEEN)


def test_a_segmentations_file_keeps_it(node, tmp_path: Path) -> None:
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "größe 肝.seg.nrrd"))
    assert storage.WriteData(node)
    loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "loaded")
    assert storage.ReadData(loaded)
    assert organs_of(loaded) == (LIVER, SPLEEN)


def test_it_goes_with_its_segment_and_has_its_name(node) -> None:
    node.GetSegmentation().GetSegment("liver").SetName("Leber")
    node.GetSegmentation().RemoveSegment("spleen")
    assert [organ.name for organ in organs_of(node)] == ["Leber"]


def test_an_edit_is_known_at_once_and_undone_with_it(node) -> None:
    volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    mask = np.zeros((6, 20, 30), bool)
    mask[5, 15:18, 20:25] = True
    before = slicer.vtkSegment()
    before.DeepCopy(node.GetSegmentation().GetSegment("spleen"))
    paint(node, "spleen", volume, mask)
    assert [organ.is_edited for organ in organs_of(node)] == [False, True]
    node.GetSegmentation().GetSegment("spleen").DeepCopy(before)
    node.GetSegmentation().Modified()
    assert [organ.is_edited for organ in organs_of(node)] == [False, False]


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"name": "liver"}'])
def test_a_tag_that_cannot_be_read_is_as_good_as_none(node, content: str) -> None:
    node.GetSegmentation().GetSegment("liver").SetTag(ORGAN_TAG, content)
    assert organs_of(node) == (SPLEEN,)


def test_of_a_result_of_an_older_version_nothing_is_known(host) -> None:
    assert organs_of(make_result(label_like_volume()[0])) == ()
    assert organs_of(None) == ()
    assert organs_of(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")) == ()


def test_an_organ_without_a_segment_is_left_out(node) -> None:
    keep_organs(node.GetSegmentation(), (OrganResult("tail", 9, 1.0, None, 1, False),))
    assert organs_of(node) == (LIVER, SPLEEN)


def test_a_dicom_segmentation_is_the_same_with_it(host, database: Database, tmp_path: Path) -> None:
    node = make_result(load_from_dicom(database, tmp_path / "series"))

    def exported(name: str) -> tuple[object, ...]:
        found = require_exportable(node)
        write_label_map(found, tmp_path / name)
        return found.segments, found.places, found.algorithm, found.files, (tmp_path / name).read_bytes()

    without = exported("without.nrrd")
    keep_organs(node.GetSegmentation(), (LIVER, SPLEEN))
    assert organs_of(node) == (LIVER, SPLEEN)
    assert exported("with.nrrd") == without

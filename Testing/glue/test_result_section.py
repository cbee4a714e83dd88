"""The table of organs in the panel: what it says of quality, whose result it tells of, and what a scene remembers."""

from pathlib import Path

import numpy as np
import pytest
import qt
import slicer

from dicom_scene import paint
from panel_driving import finish, segmentations, table
from scenes import add_volume, label_like_volume
from stand_ins import GOOD, good_with

ORGANS = ["liver", "right kidney", "left kidney", "spleen"]
AGREEMENT = "Small changes of the image change this organ: agreement 52 %."
PIECES = "In 3 pieces; the largest holds 61 %."


def quality(level: str, *reasons: str) -> dict[str, object]:
    return {"level": level, "score": 0.5, "reasons": list(reasons)}


JUDGED = good_with(
    {
        "liver": {"quality": quality("green")},
        "right kidney": {"quality": quality("amber", AGREEMENT)},
        "left kidney": {"quality": quality("red", AGREEMENT, PIECES), "components": 3, "touches_edge": True},
        "spleen": {"quality": None},
    }
)
VERDICT = "1 of 4 organs is doubtful: look at it before you use it. Check 1 more."


def segment(host, ui, name: str = "volume"):
    volume = label_like_volume(name)[0]
    ui.inputSelector.setCurrentNode(volume)
    ui.segmentButton.click()
    finish(host, ui)
    return segmentations()[-1]


def reload_scene(host, widget, folder: Path) -> None:
    """Save the scene, close it, and load it."""
    for number, node in enumerate(segmentations()):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(folder / f"result {number}.seg.nrrd"))
        assert node.GetStorageNode().WriteData(node)
    slicer.mrmlScene.SetURL(str(folder / "scene.mrml"))
    slicer.mrmlScene.SetRootDirectory(str(folder))
    assert slicer.mrmlScene.Commit()
    host.close_scene()
    assert (table(widget.ui), widget.ui.verdictLabel.text) == ([], "")
    slicer.mrmlScene.SetURL(str(folder / "scene.mrml"))
    slicer.mrmlScene.Import()
    host.process_events()


def paint_liver(node) -> None:
    volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    mask = np.zeros((6, 20, 30), bool)
    mask[5, 15:18, 20:25] = True
    paint(node, "liver", volume, mask)


# what it says


def test_each_organ_has_a_sign_a_word_and_its_reasons(host, ui, job_does) -> None:
    job_does(JUDGED)
    segment(host, ui)
    rows = table(ui)
    assert [row[3] for row in rows] == ["Plausible", "Check", "Doubtful", "Not estimated"]
    assert [row[4] for row in rows] == ["", AGREEMENT, f"{AGREEMENT}\n{PIECES}\nTouches the volume's edge.", ""]
    signs = [ui.organTable.item(row, 3).icon() for row in range(4)]
    assert [sign.isNull() for sign in signs] == [False, False, False, True]
    assert ui.organTable.horizontalHeaderItem(3).text() == "Quality"
    assert "no diagnosis" in ui.organTable.horizontalHeaderItem(3).toolTip()


def test_the_whole_reason_and_the_caution_are_in_the_tool_tips(host, ui, job_does) -> None:
    job_does(good_with({"liver": {"quality": quality("red", "Less than <5 mL>.")}}))
    segment(host, ui)
    for column in (3, 4):
        tip = ui.organTable.item(0, column).toolTip()
        assert "Less than &lt;5 mL&gt;." in tip
        assert "no diagnosis" in tip
        assert "Score 0.50: " in tip


def test_a_line_says_how_many_organs_are_doubtful(host, ui, job_does) -> None:
    job_does(JUDGED)
    segment(host, ui)
    assert ui.verdictLabel.text == VERDICT
    assert not ui.verdictLabel.isHidden()
    assert "bold" in ui.verdictLabel.styleSheet
    job_does(good_with({organ: {"quality": quality("green")} for organ in ORGANS}))
    segment(host, ui, "another")
    assert ui.verdictLabel.text == ""
    assert ui.verdictLabel.isHidden()


def test_what_holds_for_all_organs_is_said_below_the_table(host, ui, job_does) -> None:
    note = "Not measured against training: its sizes are not in the bundle."
    job_does(good_with({organ: {"quality": quality("green", note)} for organ in ORGANS}))
    segment(host, ui)
    assert [row[4] for row in table(ui)] == [""] * 4
    assert note in ui.organTable.item(0, 3).toolTip()
    assert ui.noteLabel.text == f"All organs: {note}"
    assert not ui.noteLabel.isHidden()
    ui.resultSelector.setCurrentNode(None)
    assert ui.noteLabel.isHidden()


def test_the_message_names_the_organs_and_the_log_says_why(host, ui, job_does) -> None:
    job_does(JUDGED)
    segment(host, ui, "T2 fs")
    looks = "Look twice at: right kidney (check), left kidney (doubtful)."
    assert ui.messageLabel.text == f"Done: T2 fs segmentation. {looks}"
    assert "right kidney (check: Small changes of the image change this organ: agreement 52 %)" in ui.logText.plainText
    assert "In 3 pieces; the largest holds 61 %; Touches the volume's edge" in ui.logText.plainText


def test_a_report_without_quality_says_that_it_was_not_estimated(host, ui, job_does) -> None:
    job_does(GOOD)
    segment(host, ui)
    assert [row[3] for row in table(ui)] == ["Not estimated"] * 4
    assert ui.verdictLabel.text == ""


@pytest.mark.parametrize("width", [400, 500, 700])
def test_no_text_is_cut_off_at_any_usual_width(host, widget, ui, job_does, width: int, tmp_path: Path) -> None:
    job_does(JUDGED)
    segment(host, ui)
    for _ in range(2):  # the table's own height changes the panel's
        host.render(widget, tmp_path / "panel.png", width)
    shown = ui.organTable._native
    assert not shown.horizontalScrollBar().isVisibleTo(shown)
    assert shown.horizontalHeader().length() <= shown.viewport().width()
    for row in range(4):
        assert shown.rowHeight(row) >= shown.sizeHintForRow(row)
    for column in (1, 2, 3):
        assert shown.columnWidth(column) >= shown.sizeHintForColumn(column)
    for column, word, icon in ((0, "kidney", 16), (4, "agreement", 0)):  # no word is broken
        assert shown.columnWidth(column) - icon > shown.fontMetrics().horizontalAdvance(word)


def test_rows_follow_the_tables_width(host, widget, ui, job_does, tmp_path: Path) -> None:
    job_does(JUDGED)
    segment(host, ui)
    heights = []
    for width in (700, 400, 700):
        host.render(widget, tmp_path / "panel.png", width)
        heights.append(ui.organTable.rowHeight(2))
    assert heights[1] > heights[0] == heights[2]


# whose result it is


def test_several_volumes_the_log_says_which_are_doubtful_and_each_can_be_looked_at(
    host, ui, job_does, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    script = JUDGED.replace("changed = ", f"once = Path({str(once)!r})\nchanged = {{}} if once.exists() else ")
    job_does(script + "once.touch()\n")
    volumes = [add_volume("DOE^JANE", modality="CT"), *(label_like_volume(name)[0] for name in ("Müller", "Meier"))]
    volumes[0].SetAndObserveImageData(None)  # fails, and is the first of three all the same
    for volume in volumes:
        ui.batchSelector.setCheckState(volume, qt.Qt.Checked)
    ui.batchButton.click()
    finish(host, ui)
    assert ui.messageLabel.text.endswith("Look twice at: Müller.")
    assert "Of 3 volumes, look twice at: 2." in ui.logText.plainText
    assert "Müller" not in ui.logText.plainText
    assert [row[3] for row in table(ui)] == ["Not estimated"] * 4
    ui.resultSelector.setCurrentNode(segmentations()[0])
    assert [row[3] for row in table(ui)] == ["Plausible", "Check", "Doubtful", "Not estimated"]
    assert ui.verdictLabel.text == VERDICT


def test_of_somebody_elses_segmentation_it_says_that_nothing_is_known(host, ui, job_does) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    node.GetSegmentation().AddEmptySegment("liver", "liver")
    ui.resultSelector.setCurrentNode(node)
    assert table(ui) == []
    assert "Nothing is known of its organs" in ui.verdictLabel.text


def test_an_old_result_is_gone_when_the_next_one_begins(host, ui, job_does) -> None:
    job_does(JUDGED)
    segment(host, ui)
    job_does('say("failed", message="no"); sys.exit(2)')
    ui.segmentButton.click()
    finish(host, ui)
    assert (table(ui), ui.verdictLabel.text, ui.resultSelector.currentNode()) == ([], "", None)


def test_a_result_that_came_while_another_module_was_open_is_shown_on_return(host, widget, ui, job_does) -> None:
    job_does("time.sleep(0.3)\n" + JUDGED)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    host.leave(widget)
    host.spin_until(segmentations)
    host.enter(widget)
    finish(host, ui)
    assert ui.resultSelector.currentNode() is segmentations()[0]
    assert ui.verdictLabel.text == VERDICT


def test_an_organ_that_was_edited_says_so_in_place_of_values_that_are_no_longer_true(
    host, widget, ui, job_does
) -> None:
    job_does(good_with({"liver": {"quality": quality("red", PIECES)}}))
    node = segment(host, ui)
    assert "doubtful" in ui.verdictLabel.text
    host.leave(widget)  # for the Segment Editor
    paint_liver(node)
    host.enter(widget)
    liver, *others = table(ui)
    assert liver[:4] == ["liver", "", "", "Edited"]
    assert "changed by hand" in liver[4]
    assert ui.organTable.item(0, 3).icon().isNull()
    assert ui.verdictLabel.text == ""
    assert [row[1] for row in others] == ["1.5"] * 3


# what a scene remembers


def test_a_saved_scene_shows_its_result_again(host, widget, ui, job_does, tmp_path: Path) -> None:
    job_does(JUDGED)
    segment(host, ui, "first")
    before = table(ui)
    reload_scene(host, widget, tmp_path)
    assert table(ui) == before
    assert ui.verdictLabel.text == VERDICT
    assert ui.resultSelector.currentNode().GetName() == "first segmentation"


def test_a_scene_of_an_older_version_loads(host, widget, ui, job_does, tmp_path: Path) -> None:
    """Without the parameter, without what is kept of organs, without the modality."""
    job_does(JUDGED)
    node = segment(host, ui, "old")
    parameters = widget.logic.getParameterNode().parameterNode
    parameters.RemoveNodeReferenceIDs("result")
    for organ in ORGANS:
        node.GetSegmentation().GetSegment(organ).RemoveTag("CISFA.Organ")
    node.RemoveAttribute("CISFA.Modality")
    reload_scene(host, widget, tmp_path)
    assert ui.resultSelector.currentNode() is None
    ui.resultSelector.setCurrentNode(segmentations()[0])
    assert table(ui) == []
    assert "an older version of CISFA" in ui.verdictLabel.text
    job_does(JUDGED)
    segment(host, ui, "new")
    assert ui.verdictLabel.text == VERDICT


def test_hounsfield_units_are_shown_for_ct_alone(host, widget, ui, job_does) -> None:
    job_does(good_with({"liver": {"mean_intensity": 79.6}}))
    node = segment(host, ui)
    assert ui.organTable.horizontalHeaderItem(2).text() == "Mean\nsignal"
    node.SetAttribute("CISFA.Modality", "CT")
    host.leave(widget)
    host.enter(widget)
    assert ui.organTable.horizontalHeaderItem(2).text() == "Mean\n(HU)"
    assert table(ui)[0][2] == "80"


def test_python_gets_at_quality_with_its_reasons(host, widget, job_does) -> None:
    from CISFASegmentationLib.organ_results import Level, Quality

    job_does(JUDGED)
    node = widget.logic.segment(label_like_volume()[0])
    kidney = widget.logic.organs(node)[2]
    assert (kidney.name, kidney.quality) == ("left kidney", Quality(Level.RED, 0.5, (AGREEMENT, PIECES)))
    assert widget.logic.organs(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")) == ()

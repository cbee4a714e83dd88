"""What the panel's controls do."""

import json
from pathlib import Path

import pytest
import slicer

from panel_driving import finish, refused, segmentations, table
from scenes import add_transform, add_volume, label_like_volume
from stand_ins import GOOD

# what the controls do


def test_every_choice_is_remembered_by_the_scene(host, widget, ui) -> None:
    volume = add_volume()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "old")
    ui.inputSelector.setCurrentNode(volume)
    ui.roiSelector.setCurrentNode(roi)
    ui.outputSelector.setCurrentNode(node)
    ui.show3DCheckBox.checked = True
    ui.deviceSelector.currentText = "cpu"
    ui.batchSizeSpinBox.value = 3
    ui.largestComponentCheckBox.checked = True
    parameters = widget.logic.getParameterNode()
    assert parameters.input_volume is volume
    assert parameters.roi is roi
    assert parameters.output_segmentation is node
    assert (parameters.show_3d, parameters.device) == (True, "cpu")
    assert (parameters.batch_size, parameters.largest_component) == (3, True)
    parameters.batch_size = 5
    assert ui.batchSizeSpinBox.value == 5


def test_the_choices_reach_the_job(host, ui, job_does, tmp_path: Path) -> None:
    job_does(f"Path({str(tmp_path / 'words.json')!r}).write_text(json.dumps(sys.argv))\n" + GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetCenter(0, 0, 0)
    roi.SetSize(9, 9, 9)
    ui.roiSelector.setCurrentNode(roi)
    ui.deviceSelector.currentText = "cpu"
    ui.batchSizeSpinBox.value = 2
    ui.largestComponentCheckBox.checked = True
    ui.segmentButton.click()
    finish(host, ui)
    words = json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))
    assert words[words.index("--device") + 1] == "cpu"
    assert words[words.index("--batch-size") + 1] == "2"
    assert {"--largest-component", "--roi"} <= set(words)


def test_a_new_segmentation_by_default_and_a_replaced_one_when_chosen(host, ui, job_does) -> None:
    job_does(GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    for _ in range(2):
        ui.segmentButton.click()
        finish(host, ui)
    first, second = segmentations()
    assert first.GetName() != second.GetName()
    ui.outputSelector.setCurrentNode(first)
    ui.segmentButton.click()
    finish(host, ui)
    assert segmentations() == [first, second]


def test_surfaces_when_asked_and_afterwards(host, ui, job_does) -> None:
    job_does(GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    finish(host, ui)
    segmentation = segmentations()[0].GetSegmentation()
    assert not segmentation.ContainsRepresentation("Closed surface")
    ui.show3DCheckBox.checked = True
    assert segmentation.ContainsRepresentation("Closed surface")
    ui.show3DCheckBox.checked = False
    assert not segmentation.ContainsRepresentation("Closed surface")
    ui.show3DCheckBox.checked = True
    ui.segmentButton.click()
    finish(host, ui)
    assert segmentations()[1].GetSegmentation().ContainsRepresentation("Closed surface")


def test_remarks_are_in_the_table_and_in_the_sentence(host, ui, job_does) -> None:
    doubtful = GOOD.replace('"components": 1, "touches_edge": False}', '"components": l - 1, "touches_edge": l == 4}')
    job_does(doubtful)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    finish(host, ui)
    assert [row[4] for row in table(ui)] == [
        "nothing found",
        "",
        "2 components",
        "3 components\ntouches the volume's edge",
    ]
    assert "liver (nothing found)" in ui.messageLabel.text


def test_the_log_can_be_copied_and_names_no_volume(host, ui, job_does) -> None:
    import qt

    job_does("print('a line of the job about Müller, Anna')\n" + GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume("Müller, Anna")[0])
    ui.segmentButton.click()
    finish(host, ui)
    ui.copyLogButton.click()
    copied = qt.QApplication.clipboard().text()
    assert "a line of the job" in copied
    assert "Segmented on CPU." in copied
    assert "Müller" not in copied


def test_several_volumes_one_after_another(host, ui, job_does) -> None:
    job_does(GOOD)
    import qt

    volumes = [label_like_volume(name)[0] for name in ("eins", "zwei", "drei")]
    volumes.insert(1, add_volume("bent", transform=add_transform(is_linear=False)))
    for volume in volumes:
        ui.batchSelector.setCheckState(volume, qt.Qt.Checked)
    ui.batchButton.click()
    host.spin_until(lambda: "eins" in ui.stageLabel.text)
    finish(host, ui)
    assert ui.messageLabel.text == "3 of 4 volumes segmented. Failed: bent; the log says why."
    assert [node.GetName() for node in segmentations()] == [f"{name} segmentation" for name in ("eins", "zwei", "drei")]
    assert "Harden the transform" in ui.logText.plainText


def test_cancelling_several_keeps_what_is_done(host, ui, job_does, tmp_path: Path) -> None:
    import qt

    once = tmp_path / "once"
    job_does(
        f"if Path({str(once)!r}).exists():\n    wait_for_stdin_to_close(); sys.exit(3)\n"
        f"Path({str(once)!r}).touch()\n" + GOOD
    )
    for name in ("eins", "zwei", "drei"):
        ui.batchSelector.setCheckState(label_like_volume(name)[0], qt.Qt.Checked)
    ui.batchButton.click()
    host.spin_until(lambda: "zwei" in ui.stageLabel.text)
    ui.segmentButton.click()
    finish(host, ui)
    assert ui.messageLabel.text == "Stopped. 1 of 3 volumes segmented."
    assert len(segmentations()) == 1


def test_no_chosen_volumes_is_a_sentence(ui) -> None:
    ui.batchButton.click()
    refused(ui, "No volume is chosen")


def test_this_computer_can_be_checked(host, ui) -> None:
    """The real doctor."""
    ui.doctorButton.click()
    finish(host, ui)
    assert "Everything that is needed is there" in ui.messageLabel.text
    assert "devices" in ui.logText.plainText


def own_work(ui, volume):
    """A segmentation of a volume's with a segment that somebody drew."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "corrected")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("mine", "mine")
    ui.outputSelector.setCurrentNode(node)
    return node


def test_somebodys_own_work_is_replaced_only_after_asking(host, ui, job_does) -> None:
    job_does(GOOD)
    volume = label_like_volume()[0]
    ui.inputSelector.setCurrentNode(volume)
    node = own_work(ui, volume)
    host.dialogs.answer_next("No")
    ui.segmentButton.click()
    refused(ui, "corrected holds segments that CISFA did not make: mine")
    assert node.GetSegmentation().GetSegment("mine") is not None
    host.dialogs.answer_next("Yes")
    ui.segmentButton.click()
    finish(host, ui)
    assert node.GetSegmentation().GetSegment("mine") is None
    assert ui.outputSelector.currentNode() is None


def test_another_patients_segmentation_is_replaced_only_after_asking(host, ui, job_does) -> None:
    job_does(GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume("one")[0])
    own_work(ui, label_like_volume("another")[0])
    host.dialogs.answer_next("No")
    ui.segmentButton.click()
    refused(ui, "corrected belongs to another volume than one")


def test_a_hidden_segmentation_is_shown_when_it_was_replaced(host, ui, job_does) -> None:
    job_does(GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    finish(host, ui)
    (node,) = segmentations()
    node.GetDisplayNode().SetVisibility(False)
    node.GetDisplayNode().SetSegmentVisibility("liver", False)
    ui.outputSelector.setCurrentNode(node)
    ui.segmentButton.click()
    finish(host, ui)
    assert node.GetDisplayNode().GetVisibility()
    assert node.GetDisplayNode().GetSegmentVisibility("liver")


def test_what_should_be_doubted_is_not_lost_among_several(host, ui, job_does, tmp_path: Path) -> None:
    import qt

    once = tmp_path / "once"
    components = '"components": 0 if l == 4 and not once.exists() else 1'
    script = f"once = Path({str(once)!r})\n" + GOOD.replace('"components": 1', components) + "once.touch()\n"
    job_does(script)
    for name in ("eins", "zwei"):
        ui.batchSelector.setCheckState(label_like_volume(name)[0], qt.Qt.Checked)
    ui.batchButton.click()
    finish(host, ui)
    assert ui.messageLabel.text == "2 of 2 volumes segmented. Look twice at: eins."
    assert "Look twice at: spleen (nothing found)." in ui.logText.plainText
    assert ui.resultSelector.currentNode().GetName() == "zwei segmentation"


def test_the_region_holds_for_several_volumes_too(host, ui, job_does, tmp_path: Path) -> None:
    import qt

    job_does(f"Path({str(tmp_path / 'words.json')!r}).write_text(json.dumps(sys.argv))\n" + GOOD)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetCenter(0, 0, 0)
    roi.SetSize(9, 9, 9)
    ui.roiSelector.setCurrentNode(roi)
    ui.batchSelector.setCheckState(label_like_volume()[0], qt.Qt.Checked)
    ui.batchButton.click()
    finish(host, ui)
    assert "--roi" in json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))


def test_a_bug_at_one_of_several_does_not_cost_the_others(host, ui, job_does, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt

    import CISFASegmentationLib.segmentation_run as module

    original = module.write_volume

    def fail_once(volume, path: Path) -> None:
        if volume.GetName() == "eins":
            raise MemoryError
        original(volume, path)

    monkeypatch.setattr(module, "write_volume", fail_once)
    job_does(GOOD)
    for name in ("eins", "zwei"):
        ui.batchSelector.setCheckState(label_like_volume(name)[0], qt.Qt.Checked)
    ui.batchButton.click()
    finish(host, ui)
    assert ui.messageLabel.text == "1 of 2 volumes segmented. Failed: eins; the log says why."
    assert "Internal error (MemoryError" in ui.logText.plainText


def test_the_log_forgets_no_name_that_must_not_be_in_it(host, ui, job_does) -> None:
    import qt

    job_does("time.sleep(0.3)\n" + GOOD)
    volumes = [label_like_volume(name)[0] for name in ("Li", "DOE^JANE")]
    for volume in volumes:
        ui.batchSelector.setCheckState(volume, qt.Qt.Checked)
    ui.batchButton.click()
    host.spin_until(lambda: "Li" in ui.stageLabel.text)
    slicer.mrmlScene.RemoveNode(volumes[1])
    finish(host, ui)
    assert "Failed: DOE^JANE" in ui.messageLabel.text
    assert "DOE" not in ui.logText.plainText
    assert "Li " not in ui.logText.plainText.replace("Linux", "")


def test_the_table_goes_with_its_segmentation(host, ui, job_does) -> None:
    job_does(GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    finish(host, ui)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")
    slicer.mrmlScene.RemoveNode(other)
    assert len(table(ui)) == 4
    slicer.mrmlScene.RemoveNode(segmentations()[0])
    assert table(ui) == []
    assert ui.resultSelector.currentNode() is None

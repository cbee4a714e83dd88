"""The window behind "Export DICOM SEG…", as its user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from pydicom import dcmread

from dicom_scene import Database, labels, load_from_dicom, make_result, oriented, paint
from panel_driving import leftovers
from scenes import add_volume
from stand_ins import EXPORTED, WAITS


@pytest.fixture
def volume(database: Database, tmp_path: Path, widget):
    return load_from_dicom(database, tmp_path / "series")


@pytest.fixture
def node(volume):
    return make_result(volume)


def open_dialog(widget):
    """Click the button in the panel."""
    widget.ui.exportSegButton.click()
    return widget.panel._export


@pytest.fixture
def dialog(widget, node):
    return open_dialog(widget)


def finish(host, dialog) -> str:
    host.spin_until(lambda: dialog.ui.exportButton.text == "Export", timeout_s=60)
    assert leftovers() == []
    return dialog.ui.exportMessageLabel.text


def cells(dialog) -> list[list[str]]:
    table = dialog.ui.segmentTable
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]


def test_the_button_waits_for_a_segmentation(host, widget, ui) -> None:
    assert not ui.exportSegButton.enabled
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "new")
    assert ui.exportSegButton.enabled
    slicer.mrmlScene.RemoveNode(made)
    assert not ui.exportSegButton.enabled
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "new")
    host.close_scene()
    assert not ui.exportSegButton.enabled


def test_it_shows_what_will_be_said_of_each_segment(host, dialog, node, volume) -> None:
    assert dialog.window.visible
    assert dialog.ui.segmentationSelector.currentNode() is node
    paint(node, "spleen", volume, np.roll(labels() == 4, 1, axis=2))
    dialog.ui.checkButton.click()
    assert cells(dialog) == [
        ["liver", "Liver (SCT 10200004)", "by the model (AUTOMATIC)"],
        ["right kidney", "Kidney, Right (SCT 64033007)", "empty, left out"],
        ["left kidney", "Kidney, Left (SCT 64033007)", "empty, left out"],
        ["spleen", "Spleen (SCT 78961009)", "by the model, edited (SEMIAUTOMATIC)"],
    ]
    assert dialog.ui.exportButton.enabled
    assert dialog.ui.problemLabel.isHidden()


def test_a_problem_is_shown_before_the_click_and_gone_when_it_is_mended(host, dialog, node, volume) -> None:
    mine = node.AddSegmentFromBinaryLabelmapRepresentation(
        oriented(volume, np.roll(labels() == 4, 8, axis=1)), "mine", [1.0, 0.5, 0.0]
    )
    dialog.ui.checkButton.click()
    assert "mine of 2: T2 fs segmentation cannot be exported without a code" in dialog.ui.problemLabel.text
    assert not dialog.ui.exportButton.enabled
    assert cells(dialog)[-1] == ["mine", "none", "by hand (MANUAL)"]
    node.GetSegmentation().RemoveSegment(mine)
    dialog.ui.checkButton.click()
    assert dialog.ui.problemLabel.isHidden()
    assert dialog.ui.exportButton.enabled


def test_a_problem_that_came_since_is_found_by_the_click(host, dialog, node, volume, tmp_path: Path) -> None:
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    volume.RemoveAttribute("DICOM.instanceUIDs")
    dialog.ui.exportButton.click()
    assert "was not loaded from DICOM" in dialog.ui.problemLabel.text
    assert dialog.ui.exportButton.text == "Export"


def test_another_segmentation_is_looked_at_when_it_is_chosen(host, dialog, node) -> None:
    other = make_result(add_volume("no DICOM", voxels=labels()))
    dialog.ui.segmentationSelector.setCurrentNode(other)
    assert "no DICOM was not loaded from DICOM" in dialog.ui.problemLabel.text
    dialog.ui.segmentationSelector.setCurrentNode(node)
    assert dialog.ui.problemLabel.isHidden()


def test_a_click_writes_a_file(host, dialog, widget, ui, tmp_path: Path) -> None:
    out = tmp_path / "Ausgang ä"
    out.mkdir()
    dialog.ui.folderEdit.currentPath = str(out)
    dialog.ui.exportButton.click()
    assert dialog.ui.exportButton.text == "Cancel"
    assert not dialog.ui.destinationBox.enabled
    stages: set[str] = set()
    dialog._run.progress.connect(lambda event: stages.add(event.stage))
    message = finish(host, dialog)
    (file,) = out.iterdir()
    assert {"reading", "writing"} <= stages
    assert str(file) in message
    assert dcmread(file).Modality == "SEG"
    assert dialog.ui.destinationBox.enabled
    # the next window has the folder already
    assert host.app.userSettings().value("CISFA/ExportFolder") == str(out)


def test_a_click_fills_the_database(host, dialog, database: Database) -> None:
    before = set(database.files)
    dialog.ui.databaseRadio.checked = True
    dialog.ui.kindSelector.currentIndex = 1
    dialog.ui.exportButton.click()
    assert "is in Slicer's DICOM database" in finish(host, dialog)
    (new,) = set(database.files) - before
    assert dcmread(database.files[new]).SegmentationType == "LABELMAP"


def test_every_destination_has_its_fields(host, dialog) -> None:
    ui = dialog.ui
    pages = [
        (ui.folderRadio, ui.folderPage),
        (ui.databaseRadio, ui.databasePage),
        (ui.dicomWebRadio, ui.dicomWebPage),
        (ui.dimseRadio, ui.dimsePage),
    ]
    for radio, page in pages:
        radio.checked = True
        assert ui.destinationStack.currentWidget() == page


@pytest.mark.parametrize(
    ("radio", "complaint"),
    [
        ("folderRadio", "No folder is chosen"),
        ("dicomWebRadio", "Write it like https://"),
        ("dimseRadio", "no name of a computer"),
    ],
)
def test_an_incomplete_destination_is_a_sentence(radio: str, complaint: str, host, dialog) -> None:
    getattr(dialog.ui, radio).checked = True
    dialog.ui.exportButton.click()
    assert complaint in dialog.ui.exportMessageLabel.text
    assert dialog.ui.exportButton.text == "Export"


def test_a_password_is_nowhere_but_in_the_jobs_environment(
    host, dialog, widget, ui, node, job_does, kept, tmp_path: Path
) -> None:
    job_does("sys.stderr.write(' '.join(sys.argv) + chr(10))\n" + EXPORTED)
    dialog.ui.dicomWebRadio.checked = True
    dialog.ui.addressEdit.text = "https://pacs.example.org/dicom-web"
    dialog.ui.userEdit.text, dialog.ui.passwordEdit.text = "anna-m", "geheim 7"
    dialog.ui.exportButton.click()
    assert "was sent to dicomweb://pacs.example.org/dicom-web" in finish(host, dialog)
    sent = kept("send")
    assert sent["variables"]["CISFA_DICOMWEB_PASSWORD"] == "geheim 7"
    settings = host.app.userSettings()
    remembered = {key: str(settings.value(key)) for key in settings.allKeys()}
    assert remembered["CISFA/DICOMwebAddress"] == "https://pacs.example.org/dicom-web"
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.SetRootDirectory(str(tmp_path))
    assert slicer.mrmlScene.Commit()
    scene = (tmp_path / "scene.mrml").read_text(encoding="utf-8")
    places = [json.dumps(remembered), ui.logText.plainText, scene, json.dumps(sent["words"])]
    for secret in ("geheim", "anna-m"):
        assert not any(secret in place for place in places)
    assert int(dialog.ui.passwordEdit.echoMode) == int(qt.QLineEdit.Password)
    dialog.ui.closeButton.click()
    assert (dialog.ui.userEdit.text, dialog.ui.passwordEdit.text) == ("", "")


def test_the_next_window_remembers_all_but_credentials(host, dialog, widget, job_does, kept) -> None:
    job_does(EXPORTED)
    dialog.ui.dimseRadio.checked = True
    dialog.ui.hostEdit.text, dialog.ui.portSpinBox.value = "pacs.example.org", 11112
    dialog.ui.calledEdit.text, dialog.ui.callingEdit.text = "ARCHIVE", "SLICER"
    dialog.ui.kindSelector.currentIndex = 1
    dialog.ui.exportButton.click()
    finish(host, dialog)
    words = kept("send")["words"]
    assert "dimse://pacs.example.org:11112/ARCHIVE?calling=SLICER" in words
    dialog.end_now()
    widget.panel._export = None
    again = open_dialog(widget).ui
    assert again.dimseRadio.checked
    assert (again.hostEdit.text, again.portSpinBox.value) == ("pacs.example.org", 11112)
    assert (again.calledEdit.text, again.callingEdit.text, again.kindSelector.currentIndex) == ("ARCHIVE", "SLICER", 1)


def test_cancelling(host, dialog, job_does, tmp_path: Path) -> None:
    job_does(WAITS)
    out = tmp_path / "out"
    out.mkdir()
    dialog.ui.folderEdit.currentPath = str(out)
    dialog.ui.exportButton.click()
    host.spin_until(lambda: dialog.ui.exportStageLabel.text == "segmenting")
    dialog.ui.exportButton.click()
    assert dialog.ui.exportStageLabel.text == "Stopping …"
    assert not dialog.ui.exportButton.enabled
    assert finish(host, dialog) == "Stopped on request."
    assert list(out.iterdir()) == []


def test_what_is_deleted_meanwhile_is_written_and_offered_no_more(host, dialog, node, tmp_path: Path) -> None:
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    dialog.ui.exportButton.click()
    slicer.mrmlScene.RemoveNode(node)
    assert "was written to" in finish(host, dialog)
    assert cells(dialog) == []
    assert "There is no segmentation to export" in dialog.ui.problemLabel.text
    assert not dialog.ui.exportButton.enabled


def test_a_failure_is_shown_and_logged_without_names(host, dialog, ui, job_does, tmp_path: Path) -> None:
    job_does("say('failed', message=sys.argv[2] + ' is odd.'); sys.exit(2)")
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    dialog.ui.exportButton.click()
    assert finish(host, dialog) == "2: T2 fs segmentation is odd."
    assert "is odd." in ui.logText.plainText
    assert "T2 fs" not in ui.logText.plainText


def test_the_log_does_not_say_where_the_series_lies(
    host, dialog, ui, job_does, database: Database, tmp_path: Path
) -> None:
    file = Path(next(iter(database.files.values())))
    said = f"{file} is damaged, labels.nrrd does not belong to {file.parent.name}."
    job_does(f"sys.stderr.write({said!r} + chr(10)); say('failed', message={said!r}); sys.exit(2)")
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    dialog.ui.exportButton.click()
    assert str(file) in finish(host, dialog)
    log = ui.logText.plainText
    assert "is damaged" in log
    assert not any(place in log for place in (str(file.parent), file.name, "belong to series"))


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_what_is_missing_is_installed_after_asking(
    answer: str, host, dialog, job_does, kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cisfa_slicer.requirements import Requirement

    job_does(EXPORTED)
    lacking = [Requirement("highdicom", "0.27")]
    for module in ("cisfa_slicer.requirements", "CISFASegmentationLib.export_dialog"):
        monkeypatch.setattr(f"{module}.missing_requirements", lambda file: tuple(lacking))
    asked: list[object] = []
    monkeypatch.setattr(slicer.util, "pip_install", lambda wanted: asked.append(wanted) or lacking.clear())
    host.dialogs.answer_next(answer)
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    dialog.ui.exportButton.click()
    assert "highdicom" in host.dialogs.texts[-1]
    message = finish(host, dialog)
    assert asked == ([["highdicom>=0.27"]] if answer == "Yes" else [])
    assert ("Done" if answer == "Yes" else "Nothing was installed") in message


def test_a_scene_that_closes_closes_the_window(host, dialog, job_does, tmp_path: Path) -> None:
    job_does(WAITS)
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    dialog.ui.exportButton.click()
    host.close_scene()
    assert not dialog.window.visible
    finish(host, dialog)


def test_quitting_with_an_open_window_ends_all(host, dialog, widget, job_does, tmp_path: Path) -> None:
    job_does(WAITS)
    dialog.ui.folderEdit.currentPath = str(tmp_path)
    dialog.ui.exportButton.click()
    host.process_events()
    host.quit(widget)
    assert leftovers() == []


def test_the_tab_key_goes_through_the_fields_in_their_order(host, dialog) -> None:
    dialog.ui.dicomWebRadio.checked = True
    order = ["addressEdit", "userEdit", "passwordEdit", "kindSelector", "exportButton", "closeButton"]
    first = each = dialog.ui.addressEdit._native
    found = []
    while not found or each is not first:
        if each.objectName() in order:
            found.append(each.objectName())
        each = each.nextInFocusChain()
    assert found == order


@pytest.mark.parametrize("page", ["folder", "dicomWeb", "dimse", "problem"])
def test_nothing_is_cut_off(page: str, host, dialog, node, volume, tmp_path: Path) -> None:
    """And a picture of each page."""
    if page == "problem":
        volume.RemoveAttribute("DICOM.instanceUIDs")
        dialog.ui.checkButton.click()
    else:
        getattr(dialog.ui, f"{page}Radio").checked = True
    picture = host.render(dialog.window, tmp_path / f"export-{page}.png", 640)
    assert picture.stat().st_size > 10_000
    from PySide6 import QtWidgets

    for kind in (QtWidgets.QLabel, QtWidgets.QAbstractButton):
        for each in dialog.window._native.findChildren(kind):
            if each.isVisibleTo(dialog.window._native) and each.objectName():
                needed = each.minimumSizeHint() if not each.property("wordWrap") else each.minimumSize()
                assert each.width() >= needed.width(), each.objectName()

"""The tab of the cases: every way in, and what a look at them adds."""

import json
from pathlib import Path

import pytest
import qt
import slicer

from cisfa.cases.case_list import read_case_list
from panel_steps import check_that_finds, rows, select_row, touch
from scenes import add_volume
from test_scene_cases import FIRST, SECOND, add_segmentation


@pytest.fixture(autouse=True)
def quick_look(job_does) -> None:
    job_does(check_that_finds())


@pytest.fixture
def looked(host, training):
    """Waits until the cases were looked at."""

    def wait() -> None:
        host.spin_until(lambda: not training.panel._inspection.is_running, "a look at the cases")

    return wait


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    folder = tmp_path / "Bauch ä" / "ct"
    touch(folder / "images" / "a.nii.gz", folder / "images" / "b.nii.gz")
    touch(folder / "labels" / "a.nii.gz", folder / "labels" / "b.nii.gz")
    description = {"labels": {"background": 0, "liver": 1, "spleen": 4}}
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def test_a_folder_fills_the_table_and_a_look_completes_it(host, tabs, layout: Path, looked) -> None:
    host.dialogs.answer_next(str(layout))
    tabs.addSourceFolderButton.click()
    assert [row[0] for row in rows(tabs.sourceTable)] == ["a", "b"]
    assert tabs.casesMessageLabel.text == "2 source cases added."
    assert tabs.sourceBox.title == "Source: annotated cases (2)"
    looked()
    assert rows(tabs.sourceTable)[0] == ["a", "180 × 192 × 36", "1.5 × 1.25 × 3", "liver, spleen"]
    assert [row[3] for row in rows(tabs.segmentTable)] == ["liver", "spleen"]


def test_files_find_their_label_maps_beside_them(host, tabs, tmp_path: Path, looked) -> None:
    touch(tmp_path / "x" / "p1.nrrd", tmp_path / "x" / "p1_seg.nrrd")
    host.dialogs.answer_next([str(tmp_path / "x" / "p1.nrrd")])
    tabs.addSourceFilesButton.click()
    looked()
    assert read_case_list(working_list()).source[0].labels == tmp_path / "x" / "p1_seg.nrrd"


def test_files_that_are_dropped_become_cases(host, tabs, layout: Path, looked) -> None:
    data = qt.QMimeData()
    data.setUrls([qt.QUrl.fromLocalFile(str(layout))])
    assert drop(tabs.targetTable, data)
    host.spin_until(lambda: tabs.targetTable.rowCount == 2, "the drop")
    looked()
    # their label maps lie beside them and are nobody's business
    assert [case.labels for case in read_case_list(working_list()).target] == [None, None]


def test_text_that_is_dropped_is_left_alone(host, tabs) -> None:
    data = qt.QMimeData()
    assert not drop(tabs.targetTable, data)
    host.process_events()
    assert tabs.targetTable.rowCount == 0


def test_a_volume_of_the_scene_with_its_segmentation_becomes_a_case(host, tabs, looked) -> None:
    volume = add_volume("Müller, Anna")
    node = add_segmentation(volume, {"liver": FIRST, "spleen": SECOND})
    tabs.sceneVolumeSelector.setCurrentNode(volume)
    # what was drawn on it is chosen by itself
    assert tabs.sceneSegmentationSelector.currentNode() is node
    tabs.addSceneSourceButton.click()
    looked()
    assert rows(tabs.sourceTable)[0][0] == "Müller, Anna"
    case = read_case_list(working_list()).source[0]
    assert case.volume.is_file()
    assert case.labels.is_file()
    slicer.mrmlScene.Clear()
    assert rows(tabs.sourceTable)[0][0] == "Müller, Anna"  # and stays when the scene goes


def test_all_of_the_scene_is_sorted_by_whether_it_was_drawn_on(host, tabs, looked) -> None:
    add_segmentation(add_volume("ct"), {"liver": FIRST})
    add_volume("mr")
    tabs.addAllSceneButton.click()
    host.spin_until(lambda: tabs.targetTable.rowCount == 1, "the second one")
    looked()
    assert [row[0] for row in rows(tabs.sourceTable)] == ["ct"]
    assert [row[0] for row in rows(tabs.targetTable)] == ["mr"]


def test_nothing_in_the_scene_is_a_sentence(tabs) -> None:
    tabs.addAllSceneButton.click()
    assert "The scene has no volume" in tabs.casesMessageLabel.text
    tabs.addSceneSourceButton.click()
    assert "There is no volume" in tabs.casesMessageLabel.text


def test_cases_are_removed_and_files_that_nobody_needs_with_them(host, tabs, looked, folders: Path) -> None:
    tabs.sceneVolumeSelector.setCurrentNode(add_volume("one"))
    tabs.addSceneTargetButton.click()
    tabs.sceneVolumeSelector.setCurrentNode(add_volume("two"))
    tabs.addSceneTargetButton.click()
    looked()
    kept = read_case_list(working_list()).target[1].volume
    select_row(tabs.targetTable, 0)
    tabs.removeTargetButton.click()
    assert [row[0] for row in rows(tabs.targetTable)] == ["two"]
    assert list((folders / "Fälle").glob("*/volume.nrrd")) == [kept]


def test_files_that_a_run_needs_stay(host, tabs, looked, folders: Path) -> None:
    tabs.sceneVolumeSelector.setCurrentNode(add_volume("one"))
    tabs.addSceneTargetButton.click()
    looked()
    companion = folders / "Läufe" / "a run.local"
    companion.mkdir(parents=True)
    (companion / "cases.json").write_bytes(working_list().read_bytes())
    text = (companion / "cases.json").read_text(encoding="utf-8")
    volume = read_case_list(working_list()).target[0].volume
    (companion / "cases.json").write_text(
        text.replace(f'"{volume.relative_to(working_list().parent).as_posix()}"', json.dumps(str(volume))),
        encoding="utf-8",
    )
    select_row(tabs.targetTable, 0)
    tabs.removeTargetButton.click()
    assert tabs.targetTable.rowCount == 0
    assert volume.is_file()


def test_files_that_a_run_needs_stay_when_runs_are_kept_elsewhere_by_now(
    host, tabs, looked, folders: Path, tmp_path: Path
) -> None:
    from CISFATrainingLib.case_files import note_use

    tabs.sceneVolumeSelector.setCurrentNode(add_volume("one"))
    tabs.addSceneTargetButton.click()
    looked()
    cases, companion = read_case_list(working_list()), folders / "Läufe" / "a run.local"
    touch(companion / "cases.json")
    note_use(cases, companion)
    host.app.userSettings().setValue("CISFA/RunFolder", str(tmp_path / "others"))
    select_row(tabs.targetTable, 0)
    tabs.removeTargetButton.click()
    assert cases.target[0].volume.is_file()


def test_a_volume_that_cannot_be_used_costs_no_other_and_leaves_no_files(host, tabs, looked, folders: Path) -> None:
    add_volume("good")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    tabs.addAllSceneButton.click()
    host.spin_until(lambda: "empty is empty" in tabs.casesMessageLabel.text, "the second one")
    looked()
    assert [row[0] for row in rows(tabs.targetTable)] == ["good"]
    assert len(list((folders / "Fälle").glob("*/volume.nrrd"))) == len(list((folders / "Fälle").glob("*/"))) == 1


def test_a_list_that_cannot_be_read_is_told(host, root: Path, folders: Path) -> None:
    path = folders / "Fälle" / "present list.json"
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    widget = host.load_module(root / "CISFATraining" / "CISFATraining.py")
    assert "It is kept as present list, not readable.json" in widget.ui.casesMessageLabel.text
    host.quit(widget)


def test_removing_without_a_choice_says_what_to_do(tabs) -> None:
    tabs.removeSourceButton.click()
    assert "Select the cases" in tabs.casesMessageLabel.text


def test_slices_that_were_drawn_are_given_to_a_case(host, tabs, tmp_path: Path, looked) -> None:
    touch(tmp_path / "m.nrrd", tmp_path / "drawn.nrrd")
    host.dialogs.answer_next([str(tmp_path / "m.nrrd")], str(tmp_path / "drawn.nrrd"))
    tabs.addTargetFilesButton.click()
    tabs.fewLabelsButton.click()
    assert "Select the one target case" in tabs.casesMessageLabel.text
    assert not tabs.fewLabelsCheckBox.enabled
    select_row(tabs.targetTable, 0)
    tabs.fewLabelsButton.click()
    assert read_case_list(working_list()).target[0].few_labels == tmp_path / "drawn.nrrd"
    # and are off until somebody wants them
    assert tabs.fewLabelsCheckBox.enabled
    assert not tabs.fewLabelsCheckBox.checked
    looked()
    # whoever chooses nothing changes nothing
    host.dialogs.answer_next("No", "")
    tabs.fewLabelsButton.click()
    assert read_case_list(working_list()).target[0].few_labels == tmp_path / "drawn.nrrd"
    host.dialogs.answer_next("Yes")
    tabs.fewLabelsButton.click()
    assert read_case_list(working_list()).target[0].few_labels is None
    looked()


def test_drawn_slices_have_the_names_of_a_dataset_json_beside_them(
    host, tabs, layout: Path, tmp_path: Path, looked
) -> None:
    touch(tmp_path / "m.nrrd")
    host.dialogs.answer_next([str(tmp_path / "m.nrrd")], str(layout / "labels" / "a.nii.gz"))
    tabs.addTargetFilesButton.click()
    select_row(tabs.targetTable, 0)
    tabs.fewLabelsButton.click()
    assert [segment.name for segment in read_case_list(working_list()).target[0].segments] == ["liver", "spleen"]
    looked()


def test_source_cases_without_label_map_are_pointed_out(host, tabs, tmp_path: Path, looked) -> None:
    touch(tmp_path / "x" / "p1.nrrd")
    host.dialogs.answer_next([str(tmp_path / "x" / "p1.nrrd")])
    tabs.addSourceFilesButton.click()
    looked()
    assert tabs.casesMessageLabel.text == "1 of 1 cases cannot be used as they are: p1. The table says why."
    assert rows(tabs.sourceTable)[0][3] == "no label map, which source cases need"


def test_cases_of_the_last_sitting_are_looked_at_when_the_module_is_opened(
    host, root: Path, folders: Path, layout: Path
) -> None:
    from cisfa.cases.discovery import discover
    from CISFATrainingLib.case_store import CaseStore

    CaseStore(folders / "Fälle" / "present list.json").add("source", discover([layout]))
    widget = host.load_module(root / "CISFATraining" / "CISFATraining.py")
    assert rows(widget.ui.sourceTable)[0][1] == ""
    host.enter(widget)
    host.spin_until(lambda: rows(widget.ui.sourceTable)[0][1] == "180 × 192 × 36", "a look")
    host.spin_until(lambda: not widget.panel._inspection.is_running, "its end")
    host.quit(widget)


def test_the_list_is_saved_loaded_and_cleared(host, tabs, layout: Path, tmp_path: Path, looked) -> None:
    host.dialogs.answer_next(str(layout), str(tmp_path / "saved"), "Yes", str(tmp_path / "saved.json"))
    tabs.addSourceFolderButton.click()
    tabs.saveListButton.click()
    tabs.clearListButton.click()
    assert tabs.sourceTable.rowCount == 0
    tabs.loadListButton.click()
    assert [row[0] for row in rows(tabs.sourceTable)] == ["a", "b"]
    looked()


def test_a_file_that_is_no_list_is_a_sentence_and_the_tables_stay(host, tabs, layout: Path, looked) -> None:
    host.dialogs.answer_next(str(layout), str(layout / "dataset.json"))
    tabs.addSourceFolderButton.click()
    tabs.loadListButton.click()
    assert "is no list of cases" in tabs.casesMessageLabel.text
    assert tabs.sourceTable.rowCount == 2
    looked()


def test_an_empty_folder_is_a_sentence(host, tabs, tmp_path: Path) -> None:
    host.dialogs.answer_next(str(tmp_path))
    tabs.addSourceFolderButton.click()
    assert "There is no case in" in tabs.casesMessageLabel.text


def test_what_a_look_cannot_do_is_said(host, tabs, job_does, layout: Path, looked) -> None:
    job_does('say("failed", message="nibabel is missing")\nsys.exit(2)')
    host.dialogs.answer_next(str(layout))
    tabs.addSourceFolderButton.click()
    looked()
    assert tabs.casesMessageLabel.text == "nibabel is missing"


def test_cases_that_come_during_a_look_are_looked_at_after_it(host, tabs, layout: Path, tmp_path: Path, looked) -> None:
    touch(tmp_path / "m.nrrd")
    host.dialogs.answer_next(str(layout), [str(tmp_path / "m.nrrd")])
    tabs.addSourceFolderButton.click()
    tabs.addTargetFilesButton.click()
    looked()
    assert rows(tabs.targetTable)[0][1] == "180 × 192 × 36"


def drop(table, data) -> bool:
    """Drag onto a table and let go; True when the table takes it."""
    more = (qt.Qt.CopyAction, data, qt.Qt.LeftButton, qt.Qt.NoModifier)
    enter, let_go = qt.QDragEnterEvent(qt.QPoint(3, 3), *more), qt.QDropEvent(qt.QPointF(3, 3), *more)
    qt.QApplication.sendEvent(table.viewport(), enter)
    qt.QApplication.sendEvent(table.viewport(), let_go)
    return enter.isAccepted()


def working_list() -> Path:
    from CISFATrainingLib.scene_cases import case_folder

    return case_folder() / "present list.json"


def test_the_log_that_can_be_sent_names_no_case(host, tabs, job_does, tmp_path: Path, looked) -> None:
    touch(tmp_path / "Müller Anna" / "ct_4711.nrrd", tmp_path / "Müller Anna" / "ct_4711_seg.nrrd")
    volume = tmp_path / "Müller Anna" / "ct_4711.nrrd"
    job_does(f'say("failed", message="{volume.as_posix()} of ct_4711 is damaged")\nsys.exit(2)')
    host.dialogs.answer_next([str(volume)])
    tabs.addSourceFilesButton.click()
    looked()
    assert "ct_4711 is damaged" in tabs.casesMessageLabel.text
    assert "is damaged" in tabs.logText.plainText
    assert not any(word in tabs.logText.plainText for word in ("Müller", "4711"))

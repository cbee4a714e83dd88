"""The panel as its user meets it: the real .ui file, real widgets, real MRML, real child processes."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import slicer

from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.requirements import Requirement
from scenes import add_transform, add_volume, segment_arrays, snapshot
from stand_ins import python_that_does
from test_segmentation_run import GOOD, WAITS, label_like_volume, leftovers


@pytest.fixture
def resources(root: Path) -> Path:
    return root / "CISFASegmentation" / "Resources"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The user's model folder."""
    folder = tmp_path / "Modelle ä"
    slicer.app.userSettings().setValue("CISFA/ModelFolder", str(folder))
    return folder


@pytest.fixture
def widget(host, root: Path, models: Path):
    made = host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
    host.enter(made)
    yield made
    host.quit(widget)


@pytest.fixture
def ui(widget):
    return widget.ui


@pytest.fixture
def job_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let jobs run a script instead of the real command."""

    def use(script: str) -> None:
        python = python_that_does(script, tmp_path)
        for module in ("segmentation_run", "model_section", "settings_section"):
            monkeypatch.setattr(f"CISFASegmentationLib.{module}.find_interpreter", lambda external="": python)

    return use


def is_idle(ui) -> bool:
    return ui.segmentButton.text == "Segment" and ui.segmentButton.enabled


def finish(host, ui) -> None:
    host.spin_until(lambda: is_idle(ui), timeout_s=120)
    assert leftovers() == []


def table(ui) -> list[list[str]]:
    return [[ui.organTable.item(row, column).text() for column in range(4)] for row in range(ui.organTable.rowCount)]


def segmentations() -> list:
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def refused(ui, *sentences: str) -> None:
    """A sentence in the panel and in the log, the button back, nothing left."""
    for sentence in sentences:
        assert sentence in ui.messageLabel.text
    assert is_idle(ui)
    assert ui.logText.plainText.strip()
    assert leftovers() == []


# the story


def test_load_a_volume_click_segment_get_a_segmentation(host, widget, ui, resources: Path) -> None:
    """The first click, with the real command and the real model."""
    from CISFASegmentationLib.sample_data import load_sample

    volume = load_sample(resources)
    ui.inputSelector.setCurrentNode(volume)
    assert ui.modelSelector.currentText == "Abdomen of phantoms, CT to MR"
    ui.segmentButton.click()
    assert ui.segmentButton.text == "Cancel"
    assert not ui.progressBar.isHidden()
    stages = set()
    host.spin_until(lambda: stages.add(ui.stageLabel.text.split(",")[0]) or is_idle(ui), timeout_s=120)
    finish(host, ui)
    assert {"Starting", "loading the model", "segmenting"} <= stages
    (node,) = segmentations()
    assert "Done" in ui.messageLabel.text
    assert ui.progressBar.isHidden()
    assert all(mask.sum() > 500 for mask in segment_arrays(node).values())
    rows = table(ui)
    assert [row[0] for row in rows] == ["liver", "right kidney", "left kidney", "spleen"]
    assert 300 < float(rows[0][1]) < 4000
    assert float(rows[0][2]) > 0
    assert ui.outputSelector.currentNode() is None  # the next click makes another new one
    assert "cisfa" in ui.logText.plainText.lower()


def test_the_picture_for_the_readme(host, widget, ui, resources: Path, tmp_path: Path) -> None:
    from CISFASegmentationLib.sample_data import load_sample

    ui.inputSelector.setCurrentNode(load_sample(resources))
    ui.segmentButton.click()
    finish(host, ui)
    picture = tmp_path / "panel.png"
    host.render(widget, picture, 560)
    assert picture.stat().st_size > 20_000


def test_spaces_and_accents_in_every_path(
    host, widget, ui, models: Path, resources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real command again, with another Python, too."""
    from CISFASegmentationLib.sample_data import load_sample

    place = tmp_path / "Vorläufiges & Ünnützes"
    monkeypatch.setattr("cisfa_slicer.job_folder.temporary_folder", lambda: place)
    models.mkdir()
    shutil.copy(resources / "CISFASegmentationDemoBundle.zip", models / "Leber ü 肝.zip")
    widget.panel._models.refresh()
    ui.modelSelector.setCurrentIndex(1)
    volume = load_sample(resources)
    volume.SetName("Müller & Söhne/肝")
    ui.inputSelector.setCurrentNode(volume)
    if sys.platform != "win32":  # there, a link to python.exe does not find its folder
        python = tmp_path / "ein Python ä"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        ui.externalPythonEdit.currentPath = str(python)
    ui.segmentButton.click()
    host.spin_until(lambda: is_idle(ui), timeout_s=120)
    ui.externalPythonEdit.currentPath = ""
    assert "Done: Müller & Söhne/肝 segmentation" in ui.messageLabel.text
    assert list(place.iterdir()) == []


def test_the_sample_volume_is_offered(host, widget, resources: Path) -> None:
    import hashlib

    sample = host.samples[-1]
    file = resources / sample["fileNames"]
    assert sample["uris"] == file.as_uri()
    assert sample["checksums"] == f"SHA256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert Path(sample["thumbnailFileName"]).is_file()


# what a click says when it cannot


def test_without_a_volume(ui) -> None:
    ui.segmentButton.click()
    refused(ui, "There is no volume")


def test_with_a_volume_under_a_non_linear_transform(ui) -> None:
    ui.inputSelector.setCurrentNode(add_volume(transform=add_transform(is_linear=False)))
    before = snapshot()
    ui.segmentButton.click()
    refused(ui, "Harden the transform")
    assert snapshot() == before


def test_with_an_empty_volume(ui) -> None:
    ui.inputSelector.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "leer"))
    ui.segmentButton.click()
    refused(ui, "leer is empty")
    assert "leer" not in ui.logText.plainText  # a node's name may be a patient's


def test_with_a_broken_bundle(host, ui, widget, models: Path) -> None:
    models.mkdir()
    (models / "broken.zip").write_bytes(b"PK")
    widget.panel._models.refresh()
    ui.modelSelector.setCurrentIndex(1)
    assert "cannot be used" in ui.modelCard.text
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    refused(ui, "broken.zip")


def test_with_a_bundle_that_is_gone(ui, widget, models: Path, resources: Path) -> None:
    models.mkdir()
    shutil.copy(resources / "CISFASegmentationDemoBundle.zip", models / "soon gone.zip")
    widget.panel._models.refresh()
    ui.modelSelector.setCurrentIndex(1)
    (models / "soon gone.zip").unlink()
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    refused(ui, "soon gone.zip")


def test_without_torch_nothing_is_installed_against_the_users_will(host, ui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cisfa_slicer.requirements.missing_requirements", lambda file: (Requirement("torch", "2.8"),))
    monkeypatch.setattr("cisfa_slicer.requirements._require_space", lambda needs_torch: None)
    ui.inputSelector.setCurrentNode(add_volume())
    host.dialogs.answer_next("No")
    ui.segmentButton.click()
    refused(ui, "cannot work without torch")


def test_with_another_python_that_is_none(ui, tmp_path: Path) -> None:
    ui.externalPythonEdit.currentPath = str(tmp_path / "python ä")
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    refused(ui, "is no Python that can be started")
    ui.externalPythonEdit.currentPath = ""


def test_with_a_temporary_folder_that_cannot_be_written(ui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "no folder"
    blocked.write_text("", encoding="utf-8")
    ui.inputSelector.setCurrentNode(add_volume())
    with monkeypatch.context() as patched:
        patched.setattr("cisfa_slicer.job_folder.temporary_folder", lambda: blocked / "below")
        ui.segmentButton.click()
    refused(ui, "cannot be written to")


def test_on_a_full_disk(ui, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(prefix: str, dir: Path) -> str:
        raise OSError(28, "No space left on device")

    ui.inputSelector.setCurrentNode(add_volume())
    monkeypatch.setattr("tempfile.mkdtemp", full)
    ui.segmentButton.click()
    refused(ui, "No space left on device", "free some space")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('say("failed", message="The job says why."); sys.exit(2)', "The job says why."),
        ("print('garbage'); os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), 9)", "memory (RAM) ran out"),
        ("say('finished', outputs=[])", "no usable report"),
    ],
)
def test_when_the_job_fails(script: str, sentence: str, host, ui, job_does) -> None:
    job_does(script)
    ui.inputSelector.setCurrentNode(add_volume())
    before = snapshot()
    ui.segmentButton.click()
    finish(host, ui)
    refused(ui, sentence)
    assert snapshot() == before
    assert table(ui) == []


def test_a_bug_of_ours_is_told_too(ui, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("CISFASegmentationLib.panel.modality_of", lambda volume: 1 / 0)
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    refused(ui, "Internal error (ZeroDivisionError")
    assert "ZeroDivisionError" in caplog.text


# a model that may not fit


def test_a_ct_for_an_mr_model_warns_first(host, ui, job_does) -> None:
    job_does(GOOD)
    ui.inputSelector.setCurrentNode(add_volume(modality="CT"))
    host.dialogs.answer_next("No")
    ui.segmentButton.click()
    refused(ui, "is for MR, but this volume looks like CT", "Nothing was segmented")
    assert "Segment all the same?" in host.dialogs.texts[-1]


def test_who_goes_on_all_the_same_is_not_refused_by_the_job(host, ui, job_does, tmp_path: Path) -> None:
    job_does(f"Path({str(tmp_path / 'words.json')!r}).write_text(json.dumps(sys.argv))\n" + GOOD)
    ui.inputSelector.setCurrentNode(add_volume(modality="CT"))
    host.dialogs.answer_next("Yes")
    ui.segmentButton.click()
    finish(host, ui)
    words = json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))
    assert words[words.index("--modality") + 1] == "MR"


# cancelling, closing, quitting


def test_segment_becomes_cancel_and_comes_back(host, ui, job_does) -> None:
    job_does(WAITS)
    ui.inputSelector.setCurrentNode(add_volume())
    before = snapshot()
    ui.segmentButton.click()
    host.spin_until(lambda: ui.stageLabel.text.startswith("segmenting"))
    assert ui.segmentButton.text == "Cancel"
    assert not ui.batchButton.enabled
    ui.segmentButton.click()
    assert not ui.segmentButton.enabled
    finish(host, ui)
    assert ui.messageLabel.text == "Stopped on request."
    assert ui.batchButton.enabled
    assert snapshot() == before


def test_closing_the_scene_ends_the_job_and_brings_nothing_into_the_new_one(host, widget, ui, job_does) -> None:
    job_does(WAITS)
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    host.spin_until(lambda: ui.stageLabel.text.startswith("segmenting"))
    host.close_scene()
    finish(host, ui)
    assert segmentations() == []
    ui.inputSelector.setCurrentNode(add_volume())  # and the panel works on
    job_does(GOOD)
    ui.segmentButton.click()
    finish(host, ui)
    assert len(segmentations()) == 1


def test_a_volume_that_is_deleted_meanwhile(host, ui, job_does) -> None:
    job_does("time.sleep(0.5)\n" + GOOD)
    volume = label_like_volume()[0]
    ui.inputSelector.setCurrentNode(volume)
    ui.segmentButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    finish(host, ui)
    refused(ui, "was deleted while it was being segmented")


def test_leaving_the_module_lets_the_job_go_on(host, widget, ui, job_does) -> None:
    job_does("time.sleep(0.3)\n" + GOOD)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    host.leave(widget)
    host.spin_until(segmentations)
    host.enter(widget)
    finish(host, ui)
    assert len(table(ui)) == 4


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
    assert [row[3] for row in table(ui)] == [
        "nothing found",
        "",
        "2 components",
        "3 components, touches the volume's edge",
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


# models


def test_a_model_is_added_shown_and_removed(host, ui, widget, models: Path, resources: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "Leber ü.zip"
    shutil.copy(resources / "CISFASegmentationDemoBundle.zip", bundle)
    host.dialogs.answer_next(str(bundle))
    ui.addModelButton.click()
    assert (models / bundle.name).read_bytes() == bundle.read_bytes()
    assert ui.modelSelector.currentIndex == 1
    assert widget.logic.getParameterNode().model == bundle.name
    assert "phantoms only" not in ui.modelCard.text
    host.dialogs.answer_next(str(bundle))
    ui.addModelButton.click()
    refused(ui, "There is a model called Leber ü.zip already")
    host.dialogs.answer_next("No")
    ui.removeModelButton.click()
    assert (models / bundle.name).exists()
    host.dialogs.answer_next("Yes")
    ui.removeModelButton.click()
    assert not (models / bundle.name).exists()
    assert ui.modelSelector.count == 1


def test_the_demo_model_stays(host, ui) -> None:
    ui.removeModelButton.click()
    refused(ui, "The demo model belongs to the extension")
    for words in ("liver", "abdominal CT", "abdominal MR", "cisfa", "Apache-2.0", "MB", "not scored", "phantoms only"):
        assert words in ui.modelCard.text


def test_what_is_no_bundle_is_not_added(host, ui, models: Path, tmp_path: Path) -> None:
    fake = tmp_path / "holiday.zip"
    fake.write_bytes(b"PK")
    host.dialogs.answer_next(str(fake))
    ui.addModelButton.click()
    refused(ui, "holiday.zip")
    assert not models.exists() or list(models.iterdir()) == []


def test_nothing_happens_when_no_file_is_chosen(host, ui, models: Path) -> None:
    host.dialogs.answer_next("")
    ui.addModelButton.click()
    assert ui.modelSelector.count == 1
    assert not models.exists()


def test_a_model_of_the_catalogue_is_downloaded_and_chosen(
    host, ui, models: Path, resources: Path, tmp_path: Path
) -> None:
    """The real download, from a folder."""
    import hashlib

    bundle = resources / "CISFASegmentationDemoBundle.zip"
    content = bundle.read_bytes()
    entry = {
        "name": "Abdomen",
        "description": "CT to MR",
        "file_name": "abdomen.zip",
        "url": bundle.as_uri(),
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    catalogue = tmp_path / "Katalog.json"
    catalogue.write_text(json.dumps({"schema_version": 1, "models": [entry]}), encoding="utf-8")
    ui.catalogueEdit.currentPath = str(catalogue)
    host.dialogs.answer_next("Choose a model")  # what Qt returns when the user cancels
    ui.downloadModelButton.click()
    assert is_idle(ui)
    assert not models.exists()
    host.dialogs.answer_next(f"Abdomen ({len(content) / 1e6:.0f} MB): CT to MR")
    ui.downloadModelButton.click()
    host.spin_until(lambda: is_idle(ui), timeout_s=60)
    assert ui.messageLabel.text == "Abdomen of phantoms, CT to MR was added."
    assert (models / "abdomen.zip").read_bytes() == content
    assert ui.modelSelector.currentIndex == 1
    ui.downloadModelButton.click()
    assert "offers no model that is not here already" in ui.messageLabel.text


def test_a_bad_catalogue_is_a_sentence(ui, tmp_path: Path) -> None:
    catalogue = tmp_path / "bad.json"
    catalogue.write_text("{", encoding="utf-8")
    ui.catalogueEdit.currentPath = str(catalogue)
    ui.downloadModelButton.click()
    refused(ui, "is not JSON")


def test_a_strangers_bundle_cannot_write_into_the_card(
    host, ui, widget, models: Path, resources: Path, tmp_path: Path
) -> None:
    import zipfile

    models.mkdir()
    with (
        zipfile.ZipFile(resources / "CISFASegmentationDemoBundle.zip") as old,
        zipfile.ZipFile(models / "evil.zip", "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = content.replace(b'"licence": "Apache-2.0"', b'"licence": "<img src=x>"')
            new.writestr(name, content)
    widget.panel._models.refresh()
    ui.modelSelector.setCurrentIndex(1)
    assert "&lt;img src=x&gt;" in ui.modelCard.text
    assert "<img" not in ui.modelCard.text


def test_the_model_folder_is_remembered_between_sessions(host, ui, root: Path, tmp_path: Path, resources: Path) -> None:
    folder = tmp_path / "another"
    folder.mkdir()
    shutil.copy(resources / "CISFASegmentationDemoBundle.zip", folder / "x.zip")
    ui.modelFolderEdit.currentPath = str(folder)
    assert ui.modelSelector.count == 2
    library = ModelLibrary(resources / "CISFASegmentationDemoBundle.zip", resources / "CISFASegmentationCatalogue.json")
    assert [model.key for model in library.models()] == ["demo", "x.zip"]
    ui.modelFolderEdit.currentPath = ""
    assert slicer.app.userSettings().value("CISFA/ModelFolder") is None


def test_a_scene_that_remembers_a_model_which_is_gone_takes_the_demo(host, widget, ui) -> None:
    widget.logic.getParameterNode().model = "gone.zip"
    host.leave(widget)
    host.enter(widget)
    assert ui.modelSelector.currentIndex == 0
    assert "phantoms only" in ui.modelCard.text


# Slicer's conventions


def test_the_first_volume_is_chosen_when_the_module_is_entered(host, widget, ui) -> None:
    host.leave(widget)
    host.close_scene()
    volume = add_volume()
    host.enter(widget)
    assert ui.inputSelector.currentNode() is volume


def test_reloading_builds_a_panel_that_works(host, widget, ui, root: Path, job_does) -> None:
    from cisfa_slicer.reload import forget_packages

    job_does(WAITS)
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    host.spin_until(lambda: ui.stageLabel.text.startswith("segmenting"))
    host.unload(widget)
    assert leftovers() == []
    kept = {name: sys.modules[name] for name in sys.modules if name.partition(".")[0] == "CISFASegmentationLib"}
    forget_packages(["CISFASegmentationLib"])
    try:
        again = host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
        host.enter(again)
        again.ui.segmentButton.click()
        assert again.ui.segmentButton.text == "Cancel"
        again.panel.end_now()
    finally:
        sys.modules.update(kept)


def test_quitting_ends_what_runs(host, widget, ui, job_does) -> None:
    job_does(WAITS)
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    host.spin_until(lambda: ui.stageLabel.text.startswith("segmenting"))
    host.quit(widget)
    assert leftovers() == []


def test_loading_the_module_loads_no_torch(root: Path) -> None:
    import subprocess

    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "from slicer_host.installation import install; host = install(); host.start();"
        "from pathlib import Path; widget = host.load_module(Path(sys.argv[1]) / 'CISFASegmentation.py');"
        "sys.exit('torch' in sys.modules)"
    )
    folders = [root / "CISFASegmentation", root / "src", root / "Testing" / "glue" / "host"]
    subprocess.run([sys.executable, "-c", code, *map(str, folders)], check=True, timeout=120)

"""Choosing, adding, removing and downloading models in the panel."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import slicer

from cisfa_slicer.model_library import ModelLibrary
from panel_driving import is_idle, refused
from scenes import add_volume

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


def test_a_model_that_is_gone_is_not_replaced_by_another_one(host, widget, ui) -> None:
    """The demo would segment a patient's MR without a word."""
    widget.logic.getParameterNode().model = "gone.zip"
    host.leave(widget)
    host.enter(widget)
    assert ui.modelSelector.currentIndex == -1
    assert "The model gone.zip is not in the model folder" in ui.modelCard.text
    ui.inputSelector.setCurrentNode(add_volume())
    ui.segmentButton.click()
    refused(ui, "The model gone.zip is not in the model folder")
    assert widget.logic.getParameterNode().model == "gone.zip"


def test_a_scene_keeps_the_model_that_it_remembers(host, widget, ui, models: Path, resources: Path) -> None:
    models.mkdir()
    for name in ("a.zip", "b.zip"):
        shutil.copy(resources / "CISFASegmentationDemoBundle.zip", models / name)
    widget.panel._models.refresh()
    ui.modelSelector.setCurrentIndex(1)
    parameters = widget.logic.getParameterNode()
    assert parameters.model == "a.zip"
    parameters.model = "b.zip"  # as a scene that is loaded has it
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndImportEvent)
    assert parameters.model == "b.zip"
    assert ui.modelSelector.currentIndex == 2


def test_a_model_folder_that_cannot_be_read_leaves_the_demo(
    host, ui, widget, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive that is gone, a folder of somebody else's."""

    def refuse(folder: Path):
        raise PermissionError(13, "Permission denied")

    models.mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    host.leave(widget)
    host.enter(widget)
    refused(ui, "cannot be read: Permission denied", "Choose another one under Advanced")
    assert ui.modelSelector.count == 1
    assert "phantoms only" in ui.modelCard.text


def test_closing_the_scene_leaves_a_download_alone(host, ui, job_does, models: Path, tmp_path: Path) -> None:
    goes_on = tmp_path / "go on"
    job_does(f"while not Path({str(goes_on)!r}).exists(): time.sleep(0.01)\nsay('failed', message='gone'); sys.exit(2)")
    entry = {"name": "A", "description": "B", "file_name": "a.zip", "url": "https://example.org/a.zip", "size_bytes": 1}
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"schema_version": 1, "models": [{**entry, "sha256": "a" * 64}]}), encoding="utf-8")
    ui.catalogueEdit.currentPath = str(catalogue)
    host.dialogs.answer_next("A (0 MB): B")
    ui.downloadModelButton.click()
    host.process_events()
    host.close_scene()
    assert ui.segmentButton.text == "Cancel"
    assert ui.segmentButton.enabled
    goes_on.touch()
    host.spin_until(lambda: is_idle(ui))
    assert ui.messageLabel.text == "gone"

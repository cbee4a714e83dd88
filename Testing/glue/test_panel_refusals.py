"""What a click says when it cannot: a sentence in the panel and the log, the button back, the scene untouched."""

import json
import shutil
from pathlib import Path

import pytest
import slicer

from cisfa_slicer.requirements import Requirement
from panel_driving import finish, refused, segmentations, table
from scenes import add_transform, add_volume, label_like_volume, snapshot
from stand_ins import GOOD

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
    for place in ("cisfa_slicer.requirements", "CISFASegmentationLib.panel"):
        monkeypatch.setattr(f"{place}.missing_requirements", lambda file=None: (Requirement("torch", "2.8"),))
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


def test_a_second_click_while_packages_are_installed_starts_nothing(
    host, ui, job_does, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's output is shown as it comes, and with it other events come through."""
    job_does(GOOD)
    installed = []

    def install(question, wheel_folder: str, file: Path) -> None:
        assert question("Install?")
        assert ui.stageLabel.text == "Installing what is missing"
        assert not ui.segmentButton.enabled
        ui.segmentButton.click()
        ui.batchButton.click()
        host.process_events()
        installed.append(True)

    monkeypatch.setattr("CISFASegmentationLib.panel.missing_requirements", lambda: not installed)
    monkeypatch.setattr("CISFASegmentationLib.segmentation_logic.ensure_requirements", install)
    host.dialogs.answer_next("Yes")
    ui.inputSelector.setCurrentNode(label_like_volume()[0])
    ui.segmentButton.click()
    finish(host, ui)
    assert installed == [True]
    assert len(segmentations()) == 1

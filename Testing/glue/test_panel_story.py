"""The panel as its user meets it: the real .ui file, real widgets, real MRML, real child processes."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import slicer

from panel_driving import finish, is_idle, leftovers, refused, segmentations, table
from scenes import add_volume, label_like_volume, segment_arrays, snapshot
from stand_ins import GOOD, WAITS

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

    sample = host.samples[-1]
    file = resources / sample["fileNames"]
    assert sample["uris"] == file.as_uri()
    assert sample["checksums"] == f"SHA256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert Path(sample["thumbnailFileName"]).is_file()


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
    volume = label_like_volume("DOE^JANE")[0]
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

    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "from slicer_host.installation import install; host = install(); host.start();"
        "from pathlib import Path; widget = host.load_module(Path(sys.argv[1]) / 'CISFASegmentation.py');"
        "sys.exit('torch' in sys.modules)"
    )
    folders = [root / "CISFASegmentation", root / "src", root / "Testing" / "glue" / "host"]
    subprocess.run([sys.executable, "-c", code, *map(str, folders)], check=True, timeout=120)


def test_an_older_slicer_is_told_in_a_sentence(host, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ast

    import qt

    path = root / "CISFASegmentation" / "CISFASegmentation.py"
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    monkeypatch.setattr(sys, "version_info", (3, 9, 10, "final", 0))
    widget = host.load_module(path)
    host.enter(widget)
    host.leave(widget)
    host.close_scene()
    assert any("needs Slicer 5.10 or newer" in label.text for label in widget.parent.findChildren(qt.QLabel))
    host.quit(widget)

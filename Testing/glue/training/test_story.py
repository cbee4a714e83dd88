"""The whole story with real jobs: fill the tables, check, start, watch, kill, resume, make a model, segment with it."""

from pathlib import Path

import pytest
import slicer

from cisfa.cli.main import main
from cisfa.config_files import compose
from cisfa.runs.run_state import Status
from cisfa_slicer.process_tree import kill_process_tree
from cisfa_slicer.run_companion import RunCompanion
from panel_driving import finish, segmentations
from panel_steps import rows
from scenes import segment_arrays

ORGANS = ["liver", "right kidney", "left kidney", "spleen"]
# learns next to nothing, in some seconds
SMALL = (
    "preprocessing.size=48", "networks.generator_width=4", "networks.generator_blocks=1", "patch_contrast.patches=32",
    "networks.segmenter_width=4", "networks.discriminator_width=4", "schedule.steps=120", "schedule.checkpoint_every=5",
    "schedule.metrics_every=2", "schedule.preview_every=20", "validation.every=20",
)  # fmt: skip


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    folder = tmp_path / "cas d'école ä"
    assert main(["phantom", str(folder), "--domain", "both", "--cases", "4", "--seed", "3", "--size", "small"]) == 0
    return folder


@pytest.mark.timeout(600)
def test_from_two_folders_to_a_segmentation(host, root: Path, training, tabs, cases: Path, folders: Path) -> None:
    logic = training.logic.training

    # fill the tables
    host.dialogs.answer_next(str(cases / "ct"), str(cases / "mr"))
    tabs.addSourceFolderButton.click()
    tabs.addTargetFolderButton.click()
    host.spin_until(lambda: not training.panel._inspection.is_running, "a look at the cases", timeout_s=60)
    assert [row[3] for row in rows(tabs.sourceTable)] == [", ".join(ORGANS)] * 4
    assert all(row[1] and row[2] and not row[3] for row in rows(tabs.targetTable))
    assert not tabs.sourceTable.item(0, 0).icon().isNull()
    assert [row[3] for row in rows(tabs.segmentTable)][:4] == ORGANS

    # check and start
    training.panel.start.take(compose(preset="quick", assignments=SMALL), None)
    tabs.deviceSelector.setCurrentText("cpu")
    tabs.nameEdit.text = "Läufe, CT to MR"
    tabs.startButton.click()
    host.spin_until(lambda: tabs.tabs.currentIndex == 3, "the start", timeout_s=120)
    assert "Error" not in tabs.findingsBrowser.plainText
    assert "Steps" in tabs.findingsBrowser.plainText

    # watch
    (run,) = logic.runs.runs()
    assert run.path.name == "Läufe, CT to MR"
    host.spin_until(lambda: logic.look_at(run.path).state.step >= 30, "thirty steps", timeout_s=120)
    host.spin_until(lambda: "training" in tabs.runStateLabel.text.lower(), "the state")
    host.spin_until(lambda: not tabs.curveLabel.pixmap.isNull(), "curves")

    # kill and resume
    kill_process_tree(RunCompanion(run.path).read_launch().process_id)
    host.spin_until(lambda: logic.look_at(run.path).state.status is Status.INTERRUPTED, "the end")
    host.spin_until(lambda: tabs.resumeRunButton.enabled, "the button")
    tabs.resumeRunButton.click()
    host.spin_until(lambda: logic.look_at(run.path).state.status.is_active, "the process", timeout_s=60)
    # the panel, the module and the scene may go meanwhile
    host.close_scene()
    host.leave(training)
    host.enter(training)
    host.spin_until(lambda: logic.look_at(run.path).state.status is Status.DONE, "the end of the run", timeout_s=200)
    done = logic.look_at(run.path)
    assert done.state.step == 120
    assert done.summary.best_dice is not None
    host.spin_until(lambda: "120" in tabs.runStateLabel.text + tabs.runFiguresLabel.text, "what the panel says of it")
    host.spin_until(lambda: not tabs.previewLabel.pixmap.isNull(), "a preview")

    # make a model of it
    host.dialogs.answer_next("Phantoms, CT to MR")
    tabs.useModelButton.click()
    host.spin_until(lambda: logic.models.find("Phantoms, CT to MR.zip") is not None, "the model", timeout_s=60)
    host.spin_until(lambda: tabs.runJobBox.isHidden(), "the job's end")
    assert logic.models.find("Phantoms, CT to MR.zip").require_manifest().name == "Phantoms, CT to MR"

    # segment with it
    segmentation = host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
    host.enter(segmentation)
    volume = load_volume(next(iter(sorted((cases / "mr" / "images").iterdir()))))
    ui = segmentation.ui
    ui.inputSelector.setCurrentNode(volume)
    ui.modelSelector.setCurrentIndex(ui.modelSelector.findText("Phantoms, CT to MR"))
    ui.segmentButton.click()
    finish(host, ui)
    (node,) = segmentations()
    assert list(segment_arrays(node)) == ORGANS
    assert node.GetAttribute("CISFA.Bundle") == "Phantoms, CT to MR 1.0"
    host.quit(segmentation)


def load_volume(path: Path):
    """As Slicer's own reader does."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "new patient")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node

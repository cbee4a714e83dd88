"""CISFA Training in the real application: what Slicer's ctest runs, and whoever starts it by hand.

    Slicer --testing --no-splash --additional-module-paths CISFASegmentation CISFATraining \
        --python-script Testing/in_slicer/test_cisfa_training.py

Jobs and trainings run in the Python that the variable CISFA_TEST_PYTHON names, or in Slicer's own, which must have what
training needs then. With CISFA_TEST_PICTURES, pictures of the window are left in that folder.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from pathlib import Path

import qt
import slicer

TIMEOUT_S = 180
SETTINGS = ("RunFolder", "CaseFolder", "ModelFolder", "ExternalPython")
# learns next to nothing, in some seconds
SMALL = [
    "preprocessing.size=48",
    "networks.generator_width=4",
    "networks.generator_blocks=1",
    "networks.segmenter_width=4",
    "networks.discriminator_width=4",
    "patch_contrast.patches=32",
    "schedule.steps=120",
    "schedule.checkpoint_every=5",
    "schedule.metrics_every=2",
    "schedule.preview_every=20",
    "validation.every=20",
]


class CISFATrainingInSlicer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from cisfa_slicer.requirements import TRAINING_FILE, missing_requirements

        external = os.environ.get("CISFA_TEST_PYTHON", "")
        if not external and missing_requirements(TRAINING_FILE):
            raise unittest.SkipTest("Slicer's Python lacks what training needs, and CISFA_TEST_PYTHON names no other")
        cls.folder = Path(tempfile.mkdtemp(prefix="cisfa training ä "))
        cls.settings = slicer.app.userSettings()
        cls.before = {name: cls.settings.value(f"CISFA/{name}") for name in SETTINGS}
        for name, value in zip(SETTINGS, ("runs", "cases", "models"), strict=False):
            cls.settings.setValue(f"CISFA/{name}", str(cls.folder / value))
        if external:
            cls.settings.setValue("CISFA/ExternalPython", external)
        cls.make_phantoms(cls.folder / "phantoms")
        started = time.monotonic()
        slicer.modules.cisfatraining.widgetRepresentation()
        print(json.dumps({"building the panel, s": round(time.monotonic() - started, 3)}))

    @classmethod
    def tearDownClass(cls):
        for name, value in cls.before.items():
            if value is None:
                cls.settings.remove(f"CISFA/{name}")
            else:
                cls.settings.setValue(f"CISFA/{name}", value)
        shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def make_phantoms(cls, folder):
        from cisfa_slicer.run_launcher import interpreter_of_settings

        python = interpreter_of_settings()
        words = ["phantom", str(folder), "--domain", "both", "--cases", "4", "--seed", "3", "--size", "small"]
        command = [str(python.program), *python.arguments(words)]
        subprocess.run(command, env=python.environment(), check=True, timeout=TIMEOUT_S)

    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("CISFATraining")
        self.widget = slicer.modules.CISFATrainingWidget
        self.ui, self.training = self.widget.ui, self.widget.logic.training
        self.training.store.clear()

    def test_from_two_folders_to_a_model_with_a_kill_on_the_way(self):
        from cisfa.config_files import compose
        from cisfa.runs.run_state import Status
        from cisfa_slicer.process_tree import kill_process_tree
        from cisfa_slicer.run_companion import RunCompanion

        self.fill()
        self.take_picture("cases")
        self.ui.tabs.setCurrentIndex(1)
        self.take_picture("organs")
        self.widget.panel.start.take(compose(preset="quick", assignments=SMALL), None)
        self.ui.deviceSelector.setCurrentText("cpu")
        self.ui.nameEdit.text = "Läufe, CT to MR"
        self.ui.tabs.setCurrentIndex(2)
        self.ui.startButton.click()
        self.wait(lambda: self.ui.tabs.currentIndex == 3)
        (run,) = self.training.runs.runs()
        self.wait(lambda: self.training.look_at(run.path).state.step >= 30)
        self.take_picture("training")
        if sys.platform != "win32":
            self.assertNotEqual(os.getsid(RunCompanion(run.path).read_launch().process_id), os.getsid(0))
        kill_process_tree(RunCompanion(run.path).read_launch().process_id)
        self.wait(lambda: self.training.look_at(run.path).state.status is Status.INTERRUPTED)
        self.wait(lambda: self.ui.resumeRunButton.enabled)
        self.ui.resumeRunButton.click()
        slicer.util.selectModule("Data")
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("CISFATraining")
        self.wait(lambda: self.training.look_at(run.path).state.status is Status.DONE)
        self.assertIsNotNone(self.training.look_at(run.path).summary.best_dice)
        self.wait(lambda: self.ui.runTable.rowCount == 1)
        time.sleep(0.1)
        self.wait(lambda: not self.ui.previewLabel.pixmap.isNull())
        self.ui.tabs.setCurrentIndex(2)
        self.take_picture("train")
        self.ui.tabs.setCurrentIndex(3)
        self.take_picture("runs")
        self.assertNotIn("torch", sys.modules)

    def test_a_paused_run_is_resumed(self):
        from cisfa.config_files import compose
        from cisfa.runs.run_lock import is_locked
        from cisfa.runs.run_state import Status
        from cisfa_slicer.run_launcher import RunPlan

        self.fill()
        config = compose(preset="quick", assignments=[*SMALL, "schedule.steps=2000"])
        folder = self.training.start(RunPlan("pause", self.training.store.cases, config, device="cpu"))
        self.wait(lambda: self.training.look_at(folder).state.step > 5)
        self.training.launcher.pause(folder)
        self.wait(lambda: self.training.look_at(folder).state.status is Status.PAUSED)
        self.training.launcher.resume(folder)
        self.wait(lambda: self.training.look_at(folder).state.status is Status.TRAINING)
        self.training.launcher.stop(folder)
        self.wait(lambda: self.training.look_at(folder).state.status is Status.STOPPED)
        self.wait(lambda: not is_locked(folder))
        self.training.runs.remove(folder)

    def test_a_pair_of_the_scene_becomes_a_case(self):
        volume = slicer.util.loadVolume(str(next((self.folder / "phantoms" / "ct" / "images").glob("*.nii.gz"))))
        labels = slicer.util.loadLabelVolume(str(next((self.folder / "phantoms" / "ct" / "labels").glob("*.nii.gz"))))
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, segmentation)
        nodes = slicer.mrmlScene.GetNumberOfNodes()
        self.ui.sceneVolumeSelector.setCurrentNode(volume)
        self.assertEqual(self.ui.sceneSegmentationSelector.currentNode(), segmentation)
        self.ui.addSceneSourceButton.click()
        self.wait(lambda: not self.widget.panel._inspection.is_running)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), nodes)
        (case,) = self.training.store.of("source")
        facts = self.training.store.facts_of("source", case)
        self.assertIsNone(facts.problem)
        self.assertEqual(len([found for found in facts.segments if found.voxels]), len(case.segments))

    def test_files_are_dropped_onto_a_table(self):
        data = qt.QMimeData()
        data.setUrls([qt.QUrl.fromLocalFile(str(self.folder / "phantoms" / "mr"))])
        more = (qt.Qt.CopyAction, data, qt.Qt.LeftButton, qt.Qt.NoModifier)
        viewport = self.ui.targetTable.viewport()
        qt.QApplication.sendEvent(viewport, qt.QDragEnterEvent(qt.QPoint(3, 3), *more))
        qt.QApplication.sendEvent(viewport, qt.QDropEvent(qt.QPointF(3, 3), *more))
        self.wait(lambda: self.ui.targetTable.rowCount == 4)
        self.wait(lambda: not self.widget.panel._inspection.is_running)

    def test_reloading_the_module_finds_everything_again(self):
        self.fill()
        slicer.util.reloadScriptedModule("CISFATraining")
        slicer.util.selectModule("CISFATraining")
        ui = slicer.modules.CISFATrainingWidget.ui
        self.assertEqual((ui.sourceTable.rowCount, ui.targetTable.rowCount), (4, 4))
        self.wait(lambda: not slicer.modules.CISFATrainingWidget.panel._inspection.is_running)

    def fill(self):
        self.widget.panel.cases.add_paths("source", [self.folder / "phantoms" / "ct"])
        self.widget.panel.cases.add_paths("target", [self.folder / "phantoms" / "mr"])
        self.wait(lambda: not self.widget.panel._inspection.is_running)
        self.assertEqual((self.ui.sourceTable.rowCount, self.ui.targetTable.rowCount), (4, 4))
        self.assertFalse(self.training.store.unknown, self.ui.casesMessageLabel.text)

    def wait(self, is_so):
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so():
            slicer.app.processEvents()
            time.sleep(0.01)
            said = [self.ui.casesMessageLabel.text, self.ui.startMessageLabel.text, self.ui.runStateLabel.text]
            self.assertLess(time.monotonic(), deadline, "\n".join([*said, self.ui.logText.plainText]))

    def take_picture(self, name):
        folder = os.environ.get("CISFA_TEST_PICTURES")
        if not folder or not slicer.util.mainWindow():
            return
        slicer.util.mainWindow().resize(1500, 1000)
        for _ in range(5):
            slicer.app.processEvents()
            time.sleep(0.1)
        slicer.util.mainWindow().grab().save(str(Path(folder) / f"{name}.png"))


def run_and_quit():
    """Run everything, and end Slicer with 0 when all of it passed."""
    code = 1
    try:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(CISFATrainingInSlicer)
        code = 0 if unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite).wasSuccessful() else 1
    except Exception:
        traceback.print_exc()
    slicer.util.exit(code)


if __name__ == "__main__":
    run_and_quit()

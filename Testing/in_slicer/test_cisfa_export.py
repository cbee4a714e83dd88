"""Correcting a result and exporting it as DICOM SEG in the real application; started like test_cisfa_segmentation."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk

TIMEOUT_S = 120
ORGANS = ["liver", "right kidney", "left kidney", "spleen"]
SERIES_WRITER = Path(__file__).resolve().parents[1] / "dicom"
# run in the jobs' Python, since Slicer may lack the command line module that writes series
WRITE_SERIES = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from cisfa.phantom.case import make_case
from series_writer import write_series
volume, _ = make_case("mr", seed=2026, index=0, severity=0.25, size="small")
write_series(Path(sys.argv[3]), volume, modality="MR")
"""


class ExportInSlicer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        slicer.modules.cisfasegmentation.widgetRepresentation()  # with what makes the packages known
        from cisfa_slicer.requirements import DICOM_FILE, missing_requirements

        cls.external = os.environ.get("CISFA_TEST_PYTHON", "")
        if not cls.external and (missing_requirements() or missing_requirements(DICOM_FILE)):
            raise unittest.SkipTest("Slicer's Python lacks what jobs need, and CISFA_TEST_PYTHON names no other one")
        if getattr(slicer, "dicomDatabase", None) is None:
            raise unittest.SkipTest("this Slicer has no DICOM database")
        cls.temporary_path = slicer.app.temporaryPath
        slicer.app.temporaryPath = tempfile.mkdtemp(prefix="cisfa in Slicer ")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(slicer.app.temporaryPath, ignore_errors=True)
        slicer.app.temporaryPath = cls.temporary_path

    def setUp(self):
        from DICOMLib import DICOMUtils

        slicer.mrmlScene.Clear()
        slicer.util.selectModule("CISFASegmentation")
        self.widget = slicer.modules.CISFASegmentationWidget
        self.ui = self.widget.ui
        before = self.ui.externalPythonEdit.currentPath
        self.ui.externalPythonEdit.currentPath = self.external
        self.addCleanup(lambda: setattr(self.ui.externalPythonEdit, "currentPath", before))
        self.folder = Path(tempfile.mkdtemp(prefix="cisfa DICOM ä "))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # the user's own is left alone
        database = DICOMUtils.TemporaryDICOMDatabase(str(self.folder / "database"))
        database.__enter__()
        self.addCleanup(database.__exit__, None, None, None)

    def test_a_corrected_result_goes_into_a_folder_and_the_database(self):
        from pydicom import dcmread

        from CISFASegmentation import CISFASegmentationLogic

        node, database, logic = self.segment(), slicer.dicomDatabase, CISFASegmentationLogic()
        volume = node.GetNodeReference("referenceImageGeometryRef")
        identity = node.GetSegmentation().GetNthSegmentID(0)
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, identity, volume)
        voxels[0, :3, :3] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, identity, volume)
        written = logic.export_dicom_seg(node, self.folder, external_python=self.external)
        header = dcmread(written.place, stop_before_pixels=True)
        drawn = [segment.SegmentAlgorithmType for segment in header.SegmentSequence]
        self.assertEqual((header.Modality, drawn), ("SEG", ["SEMIAUTOMATIC", *["AUTOMATIC"] * 3]))
        kept = logic.export_dicom_seg(node, "database", external_python=self.external)
        self.assertEqual(Path(database.fileForInstance(str(header.SOPInstanceUID))), Path(kept.place))
        self.assertEqual(kept.description, header.SeriesDescription)

    def test_the_window_fills_the_database(self):
        node = self.segment()
        self.ui.exportSegButton.click()
        dialog = self.widget.panel._export
        self.assertIs(dialog.ui.segmentationSelector.currentNode(), node)
        self.assertEqual(dialog.ui.segmentTable.rowCount, len(ORGANS))
        dialog.ui.databaseRadio.checked = True
        self.take_picture("export", dialog.window)
        dialog.ui.exportButton.click()
        self.assertEqual(dialog.ui.exportButton.text, "Cancel", dialog.ui.exportMessageLabel.text)
        self.wait(lambda: dialog.ui.exportButton.text == "Export")
        self.assertIn("is in Slicer's DICOM database", dialog.ui.exportMessageLabel.text)
        slicer.mrmlScene.RemoveNode(node)
        self.assertFalse(dialog.ui.exportButton.enabled)
        dialog.ui.closeButton.click()
        self.assertEqual(list(Path(slicer.app.temporaryPath).glob("cisfa-job-*")), [])

    def test_a_stroke_of_the_segment_editor_is_noticed_and_so_is_its_undoing(self):
        node = self.segment()
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(node)
        editor.setSourceVolumeNode(node.GetNodeReference("referenceImageGeometryRef"))
        self.settle()
        self.assertEqual(self.drawn(node), ["AUTOMATIC"] * 4)
        editor.setCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(2))
        editor.setActiveEffectByName("Paint")
        editor.activeEffect().setParameter("BrushDiameterIsRelative", "0")
        editor.activeEffect().setParameter("BrushAbsoluteDiameter", "30")
        self.click_into(node, 0)
        self.assertEqual(self.drawn(node), ["SEMIAUTOMATIC"] * 4)  # until it is known which
        self.settle()
        painted = ["SEMIAUTOMATIC", "AUTOMATIC", "SEMIAUTOMATIC", "AUTOMATIC"]
        self.assertEqual(self.drawn(node), painted)
        scene = str(self.folder / "scene.mrb")
        self.assertTrue(slicer.util.saveScene(scene))
        editor.undo()
        self.settle()
        self.assertEqual(self.drawn(node), ["AUTOMATIC"] * 4)
        editor.setActiveEffect(None)
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(scene)
        self.settle()
        self.assertEqual(self.drawn(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]), painted)

    def segment(self):
        from DICOMLib import DICOMUtils
        from pydicom import dcmread

        from cisfa_slicer.interpreter import find_interpreter
        from CISFASegmentation import CISFASegmentationLogic
        from CISFASegmentationLib.segmentation_run import Options

        python, series = find_interpreter(self.external), self.folder / "series"
        folders = [str(python.packages), str(SERIES_WRITER), str(series)]
        environment = python.environment()
        environment.pop("ITK_AUTOLOAD_PATH", None)
        subprocess.run([str(python.program), "-c", WRITE_SERIES, *folders], env=environment, check=True)
        self.assertTrue(DICOMUtils.importDicom(str(series)))
        first = dcmread(next(series.iterdir()), stop_before_pixels=True)
        (identity,) = DICOMUtils.loadSeriesByUID([str(first.SeriesInstanceUID)])
        volume = slicer.mrmlScene.GetNodeByID(identity)
        return CISFASegmentationLogic().segment(volume, options=Options(external_python=self.external))

    def drawn(self, node):
        from CISFASegmentationLib.dicom_export import drawn_of

        inner = node.GetSegmentation()
        segments = [inner.GetNthSegment(index) for index in range(inner.GetNumberOfSegments())]
        self.assertEqual([segment.GetName() for segment in segments], ORGANS)
        return [drawn_of(segment) for segment in segments]

    def click_into(self, node, place):
        """A short stroke in the red view, in the middle of a segment."""
        volume = node.GetNodeReference("referenceImageGeometryRef")
        identity = node.GetSegmentation().GetNthSegmentID(place)
        inside = np.argwhere(slicer.util.arrayFromSegmentBinaryLabelmap(node, identity, volume) > 0)
        to_ras, to_view = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(to_ras)
        middle = to_ras.MultiplyPoint([*map(float, inside[len(inside) // 2][::-1]), 1.0])
        view = slicer.app.layoutManager().sliceWidget("Red")
        view.mrmlSliceNode().JumpSliceByOffsetting(*middle[:3])
        slicer.app.processEvents()
        vtk.vtkMatrix4x4.Invert(view.mrmlSliceNode().GetXYToRAS(), to_view)
        column, row = map(int, to_view.MultiplyPoint(middle)[:2])
        interactor = view.sliceView().interactor()
        interactor.SetEventInformation(column, row)
        for event in ("EnterEvent", "MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            interactor.InvokeEvent(event)

    def settle(self):
        from CISFASegmentationLib.edit_watch import install_edit_watch

        self.wait(lambda: install_edit_watch().is_settled)

    def wait(self, is_so):
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so():
            self.assertLess(time.monotonic(), deadline, self.ui.logText.plainText)
            slicer.app.processEvents()
            time.sleep(0.005)

    def take_picture(self, name, window):
        """A window in front of Slicer's own."""
        folder, behind = os.environ.get("CISFA_TEST_PICTURES"), slicer.util.mainWindow()
        if not folder or not behind:
            return
        slicer.app.processEvents()
        picture, front = behind.grab(), window.grab()
        painter = qt.QPainter(picture)
        painter.drawPixmap(picture.width() - front.width() - 20, picture.height() - front.height() - 20, front)
        painter.end()
        picture.save(str(Path(folder) / f"{name}.png"))


def run_and_quit():
    """Run everything, and end Slicer with 0 when all of it passed."""
    code = 1
    try:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(ExportInSlicer)
        code = 0 if unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite).wasSuccessful() else 1
    except Exception:
        traceback.print_exc()
    slicer.util.exit(code)


if __name__ == "__main__":
    run_and_quit()

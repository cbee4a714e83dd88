"""The window behind "Export DICOM SEG…": what is exported, where to, what is in the way, and what became of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa.events import Progress
from cisfa_slicer.error_display import ShownErrors, failure_style
from cisfa_slicer.job import Outcome
from cisfa_slicer.requirements import missing_requirements, require_installed
from cisfa_slicer.setting_fields import bind_path_field
from cisfa_slicer.settings import EXPORT_FOLDER
from cisfa_slicer.volume_export import SceneError
from CISFASegmentationLib.dicom_export import require_exportable
from CISFASegmentationLib.export_fields import ExportFields
from CISFASegmentationLib.export_run import ExportEnd, ExportRun, without_places
from CISFASegmentationLib.export_targets import Target
from CISFASegmentationLib.segment_table import show_segments
from CISFASegmentationLib.segmentation_logic import SegmentationLogic, requirements_file

_FILE = Path(__file__).parents[1] / "Resources" / "UI" / "CISFASegmentationExport.ui"
_WIDTH, _HEIGHT = 700, 560


class ExportDialog:
    """One window, which can stay open beside Slicer's own; there is one export at a time."""

    def __init__(
        self, logic: SegmentationLogic, log: Callable[[str], object], external_python: Callable[[], str]
    ) -> None:
        """Build the window, without showing it.

        Args:
            logic: Does the work.
            log: Takes lines.
            external_python: Says in which Python to run; empty for Slicer's own.
        """
        self._logic, self._log, self._external_python = logic, log, external_python
        self._run: ExportRun | None = None
        self._problem = ""
        content = slicer.util.loadUI(str(_FILE))
        self.ui = slicer.util.childWidgetVariables(content)
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setWindowTitle(_("Export DICOM SEG"))
        layout = qt.QVBoxLayout(self.window)
        layout.setContentsMargins(0, 0, 0, 0)  # the content has its own
        layout.addWidget(content)
        self.window.resize(_WIDTH, _HEIGHT)
        content.setMRMLScene(slicer.mrmlScene)
        bind_path_field(self.ui.folderEdit, EXPORT_FOLDER)
        self._fields = ExportFields(self.ui)
        self.ui.segmentationSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._look())
        self.ui.checkButton.connect("clicked(bool)", lambda checked: self._look())
        self.ui.exportButton.connect("clicked(bool)", lambda checked: self._on_export())
        self.ui.closeButton.connect("clicked(bool)", lambda checked: self.window.close())
        self.window.connect("finished(int)", lambda result: self._fields.forget_credentials())
        self._show_idle()

    def open(self, segmentation: Any) -> None:
        """Show the window for a segmentation; when it is None, for the one of the last time, or the newest."""
        if self._run is None:
            nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
            chosen = segmentation or self.ui.segmentationSelector.currentNode() or (nodes or [None])[-1]
            self.ui.segmentationSelector.setCurrentNode(chosen)
            self._show_message("")
            self._look()
        self.window.show()
        self.window.activateWindow()

    def scene_closes(self) -> None:
        """What is being exported belongs to a scene that goes away."""
        if self._run is not None:
            self._run.cancel()
        self.window.close()

    def end_now(self) -> None:
        """Stop and go away: for when Slicer quits or the module is reloaded."""
        if self._run is not None:
            self._run.end_now()
        self._fields.forget_credentials()
        self.window.close()
        self.window.deleteLater()

    def _look(self) -> None:
        """What would be exported, and what is in the way."""
        if self._run is not None:
            return
        node, exportable = self.ui.segmentationSelector.currentNode(), None
        self._problem = ""
        with ShownErrors(self._take_problem):
            exportable = require_exportable(node)
        show_segments(self.ui.segmentTable, node, exportable)
        self.ui.problemLabel.text = self._problem
        self.ui.problemLabel.styleSheet = failure_style(self.window)
        self.ui.problemLabel.visible = self.ui.checkButton.visible = bool(self._problem)
        self.ui.exportButton.enabled = not self._problem

    def _take_problem(self, problem: str) -> None:
        self._problem = problem

    def _on_export(self) -> None:
        if self._run is not None:
            self.ui.exportButton.enabled = False
            self.ui.exportStageLabel.text = _("Stopping …")
            self._run.cancel()
            return
        self._show_message("")
        with ShownErrors(lambda message: self._show_message(message, is_failure=True)):
            self._start()

    def _start(self) -> None:
        target = self._fields.target()
        self._require_installed(target)
        node = self.ui.segmentationSelector.currentNode()
        try:
            run = self._logic.start_export(
                node, target, kind=self._fields.kind, external_python=self._external_python()
            )
        except SceneError:
            self._look()  # something was changed while the window was open
            if self._problem:
                return
            raise
        show_segments(self.ui.segmentTable, node, run.exportable)
        run.progress.connect(self._show_progress)
        run.log.connect(self._log)
        run.ended.connect(lambda end: self._on_end(end, run))
        self._run = run
        self._fields.remember()
        self._show_busy(_("Starting"), can_cancel=True)

    def _on_end(self, end: ExportEnd, run: ExportRun) -> None:
        self._run = None
        self._look()  # what was exported may be deleted by now
        self._show_idle()
        is_failure = end.outcome is Outcome.FAILED
        self._show_message(end.message, is_failure=is_failure)
        message = without_places(end.message, run.exportable) if run.exportable is not None else end.message
        self._log(message if is_failure else f"Export: {end.outcome.value}.")

    def _require_installed(self, target: Target) -> None:
        file = requirements_file(target)
        if self._external_python() or not missing_requirements(file):
            return
        if slicer.app.testingEnabled():  # Slicer answers yes to every question then
            require_installed(file, "install_export_requirements()")
        # installing lets clicks through, which must not start anything meanwhile
        self._show_busy(_("Installing what is missing"), can_cancel=False)
        try:
            self._logic.install_export_requirements(slicer.util.confirmYesNoDisplay, file)
        finally:
            self._show_idle()

    def _show_busy(self, what: str, *, can_cancel: bool) -> None:
        self.ui.exportButton.text, self.ui.exportButton.enabled = _("Cancel"), can_cancel
        self.ui.exportProgressBar.setRange(0, 0)  # busy, while nobody knows for how long
        self.ui.exportStageLabel.text = what
        self._set_busy(True)

    def _show_idle(self) -> None:
        self.ui.exportButton.text, self.ui.exportButton.enabled = _("Export"), not self._problem
        self._set_busy(False)

    def _set_busy(self, is_busy: bool) -> None:
        self.ui.exportProgressBar.visible = self.ui.exportStageLabel.visible = is_busy
        for widget in (self.ui.segmentationSelector, self.ui.destinationBox, self.ui.kindSelector):
            widget.enabled = not is_busy

    def _show_progress(self, event: Progress) -> None:
        if self.ui.exportButton.enabled:  # nobody has cancelled it
            self.ui.exportProgressBar.setRange(0, 100)
            self.ui.exportProgressBar.setValue(round(100 * event.fraction))
            self.ui.exportStageLabel.text = event.stage

    def _show_message(self, message: str, *, is_failure: bool = False) -> None:
        self.ui.exportMessageLabel.text = message
        self.ui.exportMessageLabel.visible = bool(message)
        self.ui.exportMessageLabel.styleSheet = failure_style(self.window) if is_failure else ""

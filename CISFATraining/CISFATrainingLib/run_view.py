"""The chosen run: what it does, how far it is, its curves, pictures and log, and the buttons that hold it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.runs.run_state import Request, Status, read_request
from cisfa_slicer.error_display import failure_style
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_launcher import RunLauncher
from cisfa_slicer.run_library import Run
from CISFATrainingLib.curve_view import CurveView, CurveWidgets, Guard
from CISFATrainingLib.preview_view import PreviewView
from CISFATrainingLib.run_plots import RunCurves, plots_of_run
from CISFATrainingLib.run_words import figures, fraction, percent, state_sentence

_RESUMABLE = (Status.NEW, Status.PAUSED, Status.STOPPED, Status.FAILED, Status.INTERRUPTED)
_USUAL_STYLE = "font-weight: bold;"


class RunView:
    """Shows one run, again and again while it goes on."""

    def __init__(self, ui: Any, launcher: RunLauncher, guarded: Guard) -> None:
        """Connect the widgets.

        Args:
            ui: The widgets of CISFATrainingRuns.ui by name.
            launcher: Pauses, stops and resumes.
            guarded: Calls an action and shows what goes wrong in it.
        """
        self._ui, self._launcher, self._guarded = ui, launcher, guarded
        self._run: Run | None = None
        self._curves: RunCurves | None = None
        self._shown_log = ""
        self.on_acting: Callable[[], object] = lambda: None
        self.on_changed: Callable[[], object] = lambda: None
        self._curve_view = CurveView(
            CurveWidgets(
                ui.curveLabel, ui.curveSelector, ui.curveLogCheckBox, ui.curveSmoothingSlider, ui.saveCurveButton
            ),
            guarded,
        )
        self._previews = PreviewView(ui)
        for button, action in (
            (ui.pauseRunButton, launcher.pause),
            (ui.resumeRunButton, launcher.resume),
            (ui.stopRunButton, launcher.stop),
        ):
            button.connect("clicked(bool)", self._doing(action))
        ui.runLogSection.connect("contentsCollapsed(bool)", lambda collapsed: self._show_log())
        ui.copyRunLogButton.connect("clicked(bool)", lambda checked: self._copy_log())

    def show(self, run: Run | None) -> None:
        """Show a run as it is now; None when not exactly one is chosen."""
        is_other = run is None or self._run is None or run.path != self._run.path
        self._run = run
        for widget in (self._ui.runBox, self._ui.curveSection, self._ui.previewSection, self._ui.runLogSection):
            widget.visible = run is not None
        if run is None:
            self._curves = None
            return
        if is_other:
            self._curves = RunCurves(run.path)
            self._shown_log = ""
            self._ui.runLogText.setPlainText("")
        self._show_state(run)
        self._show_curves(is_other)
        self._previews.show(run)
        self._show_log()

    def _show_state(self, run: Run) -> None:
        ui, state = self._ui, run.state
        request = read_request(run.path)
        ui.runBox.title = run.summary.name
        ui.runStateLabel.text = state_sentence(run, request)
        is_bad = bool(run.summary.problem) or state.status in (Status.FAILED, Status.INTERRUPTED)
        ui.runStateLabel.styleSheet = failure_style(ui.runStateLabel) if is_bad else _USUAL_STYLE
        is_starting = state.status is Status.STARTING
        ui.runProgressBar.visible = not run.summary.problem and (is_starting or bool(state.steps or state.fraction))
        ui.runProgressBar.setRange(0, 0 if is_starting else 1000)
        ui.runProgressBar.setValue(round(1000 * fraction(state)))
        ui.runProgressBar.format = percent(state)
        ui.runFiguresLabel.text = figures(state)
        ui.runFiguresLabel.visible = bool(ui.runFiguresLabel.text)
        self._enable_buttons(run, request)

    def _enable_buttons(self, run: Run, request: Request | None) -> None:
        ui, status = self._ui, run.state.status
        # who copied a run has not its process
        can_be_asked = run.is_local and status in (Status.READING, Status.TRAINING)
        ui.pauseRunButton.enabled = can_be_asked and request is None
        ui.stopRunButton.enabled = can_be_asked and request != "stop"
        ui.resumeRunButton.enabled = (
            status in _RESUMABLE and not run.summary.problem and RunCompanion(run.path).cases.is_file()
        )
        ui.resumeRunButton.text = _("Try again") if status is Status.FAILED else _("Resume")
        ui.useModelButton.enabled = run.summary.has_checkpoint and not run.summary.problem

    def _show_curves(self, is_other: bool) -> None:
        if self._curves is not None and (self._curves.read() or is_other):
            self._curve_view.show(plots_of_run(self._curves))
        else:
            self._curve_view.repaint_when_resized()

    def _show_log(self) -> None:
        """Show the log's end, if anybody looks at it; who scrolled up is not torn away."""
        if self._run is None or self._ui.runLogSection.collapsed:
            return
        text = RunCompanion(self._run.path).log_tail().rstrip("\n") or _("There is no log of it on this computer.")
        if text == self._shown_log:
            return
        edit = self._ui.runLogText
        if self._shown_log and text.startswith(f"{self._shown_log}\n"):
            edit.appendPlainText(text[len(self._shown_log) + 1 :])  # scrolls only where the end was in view
        else:
            edit.setPlainText(text)
            edit.moveCursor(qt.QTextCursor.End)
        self._shown_log = text

    def _copy_log(self) -> None:
        qt.QApplication.clipboard().setText(self._ui.runLogText.plainText)

    def _doing(self, action: Callable[[Path], object]) -> Callable[[bool], None]:
        def on_clicked(checked: bool) -> None:
            if self._run is not None:
                path = self._run.path
                self.on_acting()
                self._guarded(lambda: action(path))
                self.on_changed()

        return on_clicked

"""The tab of runs: all trainings of this computer, what can be done with them, and watching one live.

Trainings are processes of their own that write into their folders. This tab looks at these folders now and then, and
starts short jobs.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.cases.case_list import CaseList
from cisfa.config import TrainingConfig
from cisfa_slicer.error_display import ShownErrors, failure_style
from cisfa_slicer.run_library import Run
from CISFATrainingLib.log_privacy import PrivateLog
from CISFATrainingLib.run_actions import RunActions
from CISFATrainingLib.run_comparison import RunComparison
from CISFATrainingLib.run_job_view import RunJobView
from CISFATrainingLib.run_services import RunServices, RunTab
from CISFATrainingLib.run_table import RunTable
from CISFATrainingLib.run_view import RunView
from CISFATrainingLib.score_view import ScoreView

__all__ = ["RunSection", "RunServices"]

POLL_MS = 1000
POLLS_A_LIST = 5  # the chosen run each second, all of them less often


class RunSection:
    """Binds the widgets of CISFATrainingRuns.ui."""

    def __init__(self, ui: Any, services: RunServices) -> None:
        """Show nothing yet; :meth:`enter` looks at the runs.

        Args:
            ui: The widgets by name.
            services: What to work with.
        """
        self._log = PrivateLog(services.log)
        services = replace(services, log=self._log)
        self._ui, self._services = ui, services
        tab = RunTab(
            lambda: self._table.selected, self._guarded, self._guarded_on_screen, self._say, lambda: self.refresh()
        )
        self._table = RunTable(ui.runTable)
        self._jobs = RunJobView(ui, services.log)
        self._view = RunView(ui, services.launcher, self._guarded)
        self._scores = ScoreView(ui, services, tab, self._jobs)
        self._comparison = RunComparison(ui, self._guarded)
        self._actions = RunActions(ui, services, tab, self._jobs)
        self._table.on_selected = self._on_selected
        self._view.on_changed = self.refresh
        self._view.on_acting = self._actions.forget_end
        self._actions.on_added = self._on_added
        self._polls, self._wants_none, self._is_read = 0, False, False
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.poll)
        self._say("")
        self._show_selected()

    @property
    def on_duplicate(self) -> Callable[[TrainingConfig, CaseList | None], object]:
        """Called with a run's settings, and its cases where they are known, for a new run."""
        return self._actions.on_duplicate

    @on_duplicate.setter
    def on_duplicate(self, function: Callable[[TrainingConfig, CaseList | None], object]) -> None:
        self._actions.on_duplicate = function

    def enter(self) -> None:
        """The module is opened: look at the runs now, and again and again."""
        self.refresh()
        self._timer.start()

    def exit(self) -> None:
        """Another module is opened; whatever is training goes on."""
        self._timer.stop()

    def end_now(self) -> None:
        """Stop what belongs to the tab: for when Slicer quits. Trainings go on."""
        self._timer.stop()
        self._jobs.end_now()

    def refresh(self) -> None:
        """Look at all runs."""
        self._polls = 0
        self._guarded(self._read_list)
        if self._show_selected():  # it went on between the two looks
            self._guarded(self._read_list)

    def select(self, path: Path) -> None:
        """Choose a run by its folder; it has to be in the list, which :meth:`refresh` renews."""
        self._table.select([path])

    def poll(self) -> None:
        """Look at what may have changed: the chosen runs, and every few times all of them."""
        self._polls += 1
        if self._polls >= POLLS_A_LIST or self._show_selected():
            self.refresh()

    def _read_list(self) -> None:
        self._is_read = False
        runs = self._services.library.runs()
        self._is_read = True
        self._log.add_runs(run.path for run in runs)
        self._table.show(runs)
        if runs and not self._table.selected and not self._wants_none:
            self._table.select([runs[0].path])

    def _on_selected(self) -> None:
        self._wants_none = not self._table.selected
        self._actions.forget_end()
        self._show_selected()

    def _show_selected(self) -> bool:
        """Show the chosen runs; True when one began or ended something of which the list does not know."""
        runs = self._table.selected
        self._actions.enable_buttons()
        one = self._look_again(runs[0]) if len(runs) == 1 else None
        self._guarded(lambda: self._view.show(one))
        self._guarded(lambda: self._scores.show(one))
        self._guarded(lambda: self._comparison.show(runs))
        self._ui.runHintLabel.visible = not runs and (self._is_read or bool(self._ui.runTable.rowCount))
        self._ui.runHintLabel.text = (
            _("Choose a training above to see how it goes.")
            if self._ui.runTable.rowCount
            else _("No training yet. Start one in the tab Train, or add a folder that was brought back from elsewhere.")
        )
        return one is not None and one.state.status is not runs[0].state.status

    def _look_again(self, run: Run) -> Run:
        """The run as it is this second; one that is finished changes no more between two looks at the list."""
        return self._services.library.look_at(run.path) if run.state.status.is_active else run

    def _on_added(self, path: Path) -> None:
        self.refresh()
        self.select(path)

    def _guarded(self, action: Callable[[], object]) -> None:
        with ShownErrors(self._show_failure):
            action()

    def _guarded_on_screen(self, action: Callable[[], object]) -> None:
        with ShownErrors(lambda message: self._say(message, is_failure=True)):
            action()

    def _show_failure(self, message: str) -> None:
        if message != self._ui.runMessageLabel.text:  # not every second again
            self._services.log(message)
        self._say(message, is_failure=True)

    def _say(self, message: str, *, is_failure: bool = False) -> None:
        label = self._ui.runMessageLabel
        label.text = message
        label.visible = bool(message)
        label.styleSheet = failure_style(label) if is_failure else ""

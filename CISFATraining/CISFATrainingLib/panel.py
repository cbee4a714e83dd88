"""The panel: four tabs from cases to runs. It binds them together and decides nothing."""

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from cisfa.cases.case_list import CaseList
from cisfa.config import TrainingConfig
from cisfa_slicer.log_view import LogView, node_names
from cisfa_slicer.run_launcher import interpreter_of_settings
from cisfa_slicer.setting_fields import bind_path_field
from cisfa_slicer.settings import CASE_FOLDER, EXTERNAL_PYTHON, RUN_FOLDER, WHEEL_FOLDER
from CISFATrainingLib.case_inspection import CaseInspection
from CISFATrainingLib.case_section import CaseSection
from CISFATrainingLib.organ_section import OrganSection
from CISFATrainingLib.run_section import RunSection
from CISFATrainingLib.run_services import RunServices
from CISFATrainingLib.start_section import StartSection, StartServices
from CISFATrainingLib.training_logic import TrainingLogic

CASES, ORGANS, START, RUNS = range(4)


class TrainingPanel:
    """What happens on clicks; Slicer's own conventions (enter, exit) stay in the widget class."""

    def __init__(self, ui: Any, logic: TrainingLogic) -> None:
        """Connect the widgets.

        Args:
            ui: Those of all the .ui files by name.
            logic: The cases, the runs and what works on them.
        """
        self._ui, self._logic = ui, logic
        store = logic.store
        self._log = LogView(ui.logText, lambda: node_names() | store.names())
        self._inspection = CaseInspection(store, interpreter_of_settings)
        self.cases = CaseSection(ui, store, self._inspection, self._log.add)
        self.organs = OrganSection(ui, store, self._log.add)
        self.start = StartSection(
            ui,
            store,
            StartServices(
                logic.runs, logic.launcher, self._log.add, self._require_installed, self._on_started, self.cases.look
            ),
        )
        self.runs = RunSection(
            ui, RunServices(logic.runs, logic.launcher, logic.models, self._log.add, self._require_installed)
        )
        self.runs.on_duplicate = self._duplicate
        bind_path_field(ui.runFolderEdit, RUN_FOLDER, self.runs.refresh)
        for field, name in (
            (ui.caseFolderEdit, CASE_FOLDER),
            (ui.externalPythonEdit, EXTERNAL_PYTHON),
            (ui.wheelFolderEdit, WHEEL_FOLDER),
        ):
            bind_path_field(field, name)
        ui.copyLogButton.connect("clicked(bool)", lambda checked: self._log.copy())
        if trouble := store.restore():
            self.cases.say_trouble(trouble)
        self._was_entered = False

    def enter(self) -> None:
        """The module is opened: runs that went on meanwhile are found again."""
        self.runs.enter()
        if not self._was_entered:  # what was there in the last sitting; nobody waits for it before the module is open
            self._was_entered = True
            self.cases.look()

    def exit(self) -> None:
        """Another module is opened."""
        self.runs.exit()

    def end_now(self) -> None:
        """Stop what belongs to the panel: for when Slicer quits. Trainings go on."""
        self._inspection.end_now()
        self.start.end_now()
        self.runs.end_now()

    def _on_started(self, folder: Path) -> None:
        self._ui.tabs.setCurrentIndex(RUNS)
        self.runs.refresh()
        self.runs.select(folder)

    def _duplicate(self, config: TrainingConfig, cases: CaseList | None) -> None:
        self.start.take(config, cases)
        self._ui.tabs.setCurrentIndex(START)

    def _require_installed(self) -> None:
        if slicer.app.testingEnabled():  # Slicer answers yes to every question then
            self._logic.require_installed()
        else:
            self._logic.install_requirements(
                lambda question: bool(slicer.util.confirmYesNoDisplay(question, windowTitle=_("Install")))
            )

"""The tab of the start: method, preset and settings, the check, and the button that starts a training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa.cases.case_list import CaseList
from cisfa.config import TrainingConfig
from cisfa.config_files import compose, presets
from cisfa.errors import CisfaError
from cisfa.events import Event, Progress
from cisfa_slicer.error_display import ShownErrors, failure_style, is_dark
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_launcher import RunLauncher, RunPlan, interpreter_of_settings
from cisfa_slicer.run_library import RunLibrary
from CISFATrainingLib.case_files import note_use
from CISFATrainingLib.case_store import CaseStore
from CISFATrainingLib.check_run import CheckEnd, CheckRun
from CISFATrainingLib.cluster_export import ClusterExport
from CISFATrainingLib.findings_view import findings_as_html
from CISFATrainingLib.methods import method_choices
from CISFATrainingLib.settings_tree import SettingsTree

_DEVICES = ("auto", "cuda", "mps", "cpu")
_FEW_LABELS_WEIGHT = 1.0


class StartError(CisfaError):
    """Something must be chosen before a training can be started."""


@dataclass(frozen=True)
class StartServices:
    """What the section works with.

    Attributes:
        library: Where runs are kept.
        launcher: Starts them.
        log: Takes lines.
        require_installed: Sees to it that everything is installed; asks, and raises when the user says no.
        on_started: Called with the folder of a run that was started.
        look_at_cases: Looks at cases that nobody has looked at.
    """

    library: RunLibrary
    launcher: RunLauncher
    log: Callable[[str], object]
    require_installed: Callable[[], object]
    on_started: Callable[[Path], object]
    look_at_cases: Callable[[], object]


class StartSection:
    """Puts a run together and starts it."""

    def __init__(self, ui: Any, store: CaseStore, services: StartServices) -> None:
        """Args: the widgets of CISFATrainingStart.ui by name; the cases; what to work with."""
        self._ui, self._store, self._services = ui, store, services
        self._check: CheckRun | None = None
        self._export: ClusterExport | None = None
        self._is_starting = False
        self._changes = 0  # of cases and settings, so that a check counts for what it checked
        self._few_labels_weight = _FEW_LABELS_WEIGHT
        self._methods = method_choices()
        self._presets = [preset for name in _ORDER for preset in presets() if preset.name == name]
        for method in self._methods:
            ui.methodSelector.addItem(method.title, method.name)
        for preset in self._presets:
            ui.presetSelector.addItem(preset.title, preset.name)
        ui.deviceSelector.addItems(list(_DEVICES))
        ui.nameEdit.placeholderText = self._usual_name()
        self._settings = SettingsTree(ui.settingsTree)
        self._settings.on_refused = self._show_failure
        self._settings.on_changed = self._forget_findings
        ui.presetSelector.connect("currentIndexChanged(int)", self._on_preset)
        ui.methodSelector.connect("currentIndexChanged(int)", lambda index: self._on_method())
        ui.fewLabelsCheckBox.connect("toggled(bool)", lambda checked: self._forget_findings())
        ui.resetSettingsButton.connect("clicked(bool)", lambda checked: self._settings.reset())
        ui.checkButton.connect("clicked(bool)", lambda checked: self._on_check_clicked())
        ui.startButton.connect("clicked(bool)", lambda checked: self._guarded(self._start))
        ui.slurmButton.connect("clicked(bool)", lambda checked: self._on_cluster_clicked())
        store.changed.connect(self._on_cases_changed)
        self._on_preset(0)
        self._on_method()
        self._on_cases_changed()

    @property
    def config(self) -> TrainingConfig:
        """The settings as they are chosen."""
        weight = self._few_labels_weight if self._ui.fewLabelsCheckBox.checked else 0.0
        config = self._settings.config
        organs = {str(organ.label): organ.name for organ in self._store.cases.organs}
        method = self._methods[self._ui.methodSelector.currentIndex].name
        few_labels = replace(config.few_labels, weight=weight)
        return replace(config, method=method, organs=organs or config.organs, few_labels=few_labels)

    def take(self, config: TrainingConfig, cases: CaseList | None) -> None:
        """Show the settings of another run, and its cases where they are known.

        Args:
            config: Its settings.
            cases: Its cases; None leaves those that are there.
        """
        preset = self._presets[max(self._ui.presetSelector.currentIndex, 0)]
        self._settings.set_config(config, compose(preset=preset.name))
        names = [method.name for method in self._methods]
        self._ui.methodSelector.setCurrentIndex(names.index(config.method) if config.method in names else 0)
        if cases is not None:
            self._store.replace(cases)
            self._guarded(self._services.look_at_cases)
        self._few_labels_weight = config.few_labels.weight or _FEW_LABELS_WEIGHT
        self._ui.fewLabelsCheckBox.checked = config.few_labels.weight > 0 and self._ui.fewLabelsCheckBox.enabled
        self._say(_("The settings were taken over. Change what you like, then start."))

    def end_now(self) -> None:
        """Stop a check: for when Slicer quits. A training goes on."""
        if self._check is not None:
            self._check.end_now()
        if self._export is not None:
            self._export.end_now()

    def _guarded(self, action: Callable[[], object]) -> None:
        with ShownErrors(self._show_failure):
            action()

    def _on_preset(self, index: int) -> None:
        preset = self._presets[max(index, 0)]
        self._ui.presetAboutLabel.text = preset.about
        self._few_labels_weight = _FEW_LABELS_WEIGHT
        self._settings.set_config(compose(preset=preset.name))
        self._forget_findings()

    def _on_method(self) -> None:
        method = self._methods[self._ui.methodSelector.currentIndex]
        self._ui.methodSelector.toolTip = method.about
        self._ui.nameEdit.placeholderText = self._usual_name()
        self._forget_findings()

    def _on_cases_changed(self) -> None:
        has_few = any(case.few_labels is not None for case in self._store.cases.target)
        self._ui.fewLabelsCheckBox.enabled = has_few
        if not has_few:
            self._ui.fewLabelsCheckBox.checked = False
        self._forget_findings()

    def _forget_findings(self) -> None:
        """What was found belongs to other cases or settings."""
        self._changes += 1
        self._ui.findingsBrowser.clear()
        self._say("")

    def _plan(self) -> RunPlan:
        cases = self._store.cases
        method = self._methods[self._ui.methodSelector.currentIndex]
        if not cases.source:
            raise StartError("There are no source cases. Add annotated cases in the tab Cases.")
        if method.has_target and not cases.target:
            raise StartError("There are no target cases. Add cases of the kind to adapt to in the tab Cases.")
        name = self._ui.nameEdit.text.strip() or self._usual_name()
        processes = "all" if self._ui.allCardsCheckBox.checked else "1"
        return RunPlan(name, cases, self.config, str(self._ui.deviceSelector.currentText), processes)

    def _usual_name(self) -> str:
        method = self._methods[max(self._ui.methodSelector.currentIndex, 0)]
        return f"{method.name} {qt.QDate.currentDate().toString('yyyy-MM-dd')}"

    def _on_check_clicked(self) -> None:
        if self._check is not None:
            self._is_starting = False
            self._check.cancel()
        else:
            self._guarded(self._begin_check)

    def _start(self) -> None:
        self._begin_check()
        self._is_starting = True

    def _begin_check(self) -> None:
        plan = self._plan()
        self._services.require_installed()
        self._say("")
        check = CheckRun(interpreter_of_settings(), self._services.log)
        check.event.connect(self._show_event)
        changes = self._changes
        check.ended.connect(lambda end: self._on_checked(plan, end, is_of_now=changes == self._changes))
        check.start(plan, self._services.library.new_folder(plan.name))
        self._check, self._is_starting = check, False
        self._ui.checkButton.text = _("Cancel")
        self._ui.startButton.enabled = False
        self._ui.startProgressBar.visible = True
        self._ui.startProgressBar.setRange(0, 0)

    def _on_checked(self, plan: RunPlan, end: CheckEnd, *, is_of_now: bool) -> None:
        wants_start, self._is_starting, self._check = self._is_starting, False, None
        self._ui.checkButton.text = _("Check")
        self._ui.startButton.enabled = True
        self._ui.startProgressBar.visible = False
        if end.report is None:
            self._show_failure(end.message)
            return
        if not is_of_now:
            self._show_failure(_("Cases or settings were changed during the check. Check, or start, again."))
            return
        self._store.take(end.report, plan.cases)
        self._ui.findingsBrowser.setHtml(findings_as_html(end.report, is_dark=is_dark(self._ui.findingsBrowser)))
        if end.report.errors:
            self._show_failure(_("This cannot be trained yet; see below what to change."))
        elif wants_start:
            self._guarded(lambda: self._launch(plan))
        else:
            self._say(_("Ready to start."))

    def _launch(self, plan: RunPlan) -> None:
        folder = self._services.launcher.start(plan)
        note_use(plan.cases, RunCompanion(folder).path)
        self._say(_("{name} was started; it goes on when Slicer is closed.").format(name=folder.name))
        self._services.log(f"Started a training with {plan.config.method}.")
        self._services.on_started(folder)

    def _on_cluster_clicked(self) -> None:
        if self._export is not None:
            self._export.cancel()
        else:
            self._guarded(self._write_for_cluster)

    def _write_for_cluster(self) -> None:
        plan = self._plan()
        place = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder to write"), qt.QDir.homePath())
        if not place:
            return
        export = ClusterExport(plan, Path(place))
        export.progress.connect(self._show_event)
        export.ended.connect(self._on_exported)
        export.start()
        self._export = export
        self._ui.slurmButton.text = _("Cancel")
        self._ui.startProgressBar.visible = True

    def _on_exported(self, message: str, is_failure: bool) -> None:
        self._export = None
        self._ui.slurmButton.text = _("For a cluster…")
        self._ui.startProgressBar.visible = False
        if is_failure:
            self._show_failure(message)
        else:
            self._say(message)

    def _show_event(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._ui.startProgressBar.setRange(0, 100)
            self._ui.startProgressBar.setValue(round(100 * event.fraction))
            self._ui.startProgressBar.setFormat(event.stage)

    def _say(self, message: str) -> None:
        self._ui.startMessageLabel.text = message
        self._ui.startMessageLabel.styleSheet = ""

    def _show_failure(self, message: str) -> None:
        self._services.log(message)
        self._ui.startMessageLabel.text = message
        self._ui.startMessageLabel.styleSheet = failure_style(self._ui.startMessageLabel)


# from small to large
_ORDER = ("quick", "reduced", "full", "heart")

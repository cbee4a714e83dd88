"""What can be done with the chosen runs: open, take the settings again, delete, add, make a model of one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa.cases.case_list import CaseList, read_case_list
from cisfa.config import TrainingConfig
from cisfa.config_files import from_json_values
from cisfa.errors import CaseError, CisfaError
from cisfa_slicer.job import JobEnd, Outcome
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_library import FORBIDDEN, Run
from CISFATrainingLib.run_adding import RunAdding
from CISFATrainingLib.run_job_view import RunJobView
from CISFATrainingLib.run_services import RunServices, RunTab
from CISFATrainingLib.run_words import data_words, size

_LONGEST_FILE_NAME, _MOST_NAMED_ORGANS = 80, 3
_SEGMENTATION = "CISFASegmentation"


class RunActionError(CisfaError):
    """Nothing that it could be done with is chosen."""


class RunActions:
    """The buttons under the list, and the one that makes a model."""

    def __init__(self, ui: Any, services: RunServices, tab: RunTab, jobs: RunJobView) -> None:
        """Args: the widgets of CISFATrainingRuns.ui by name; what to work with; the rest of the tab; its jobs."""
        self._ui, self._services, self._tab, self._jobs = ui, services, tab, jobs
        self.on_duplicate: Callable[[TrainingConfig, CaseList | None], object] = lambda config, cases: None
        self.on_added: Callable[[Path], object] = lambda path: None
        for button, action in (
            (ui.openRunFolderButton, self._open_folder),
            (ui.openRunLogButton, self._open_log),
            (ui.duplicateRunButton, self._duplicate),
            (ui.deleteRunButton, self._delete),
            (ui.addRunButton, self._add),
            (ui.useModelButton, self._use_model),
            (ui.openSegmentationButton, self._open_segmentation),
        ):
            button.connect("clicked(bool)", self._guarded(action))
        ui.openSegmentationButton.visible = False

    def enable_buttons(self) -> None:
        """What can be done with the runs that are chosen now."""
        runs, ui = self._tab.selected(), self._ui
        is_one = len(runs) == 1
        ui.openRunFolderButton.enabled = is_one
        ui.openRunLogButton.enabled = is_one and RunCompanion(runs[0].path).log.is_file()
        ui.duplicateRunButton.enabled = is_one and not runs[0].summary.problem
        ui.deleteRunButton.enabled = bool(runs)

    def forget_end(self) -> None:
        """Something else is done: how the last thing ended is no news any more."""
        self._tab.say("")
        self._ui.openSegmentationButton.visible = False

    def _guarded(self, action: Callable[[], object]) -> Callable[[bool], None]:
        def on_clicked(checked: bool) -> None:
            self.forget_end()
            self._tab.guarded(action)

        return on_clicked

    def _chosen(self) -> Run:
        runs = self._tab.selected()
        if len(runs) != 1:
            raise RunActionError(_("Choose one training in the list."))
        return runs[0]

    def _open_folder(self) -> None:
        path = self._chosen().path
        # what failed before it began has only what lies beside its folder
        _open(path if path.is_dir() else RunCompanion(path).path)

    def _open_log(self) -> None:
        _open(RunCompanion(self._chosen().path).log)

    def _duplicate(self) -> None:
        run = self._chosen()
        companion = RunCompanion(run.path)
        config = run.summary.config or _planned_config(companion)
        cases = None
        if companion.cases.is_file():
            try:
                cases = read_case_list(companion.cases)
            except CaseError as error:
                self._tab.say(_("Its cases are not taken over: {reason}").format(reason=error))
        self.on_duplicate(config, cases)

    def _delete(self) -> None:
        runs = self._tab.selected()
        for run in runs:
            self._services.library.require_removable(run.path)
        names = ", ".join(f"{run.summary.name} ({size(run.summary.size_bytes)})" for run in runs)
        question = _("Delete {names} with checkpoints, pictures and scores? This cannot be undone.")
        if runs and slicer.util.confirmYesNoDisplay(question.format(names=names), windowTitle=_("Delete")):
            try:
                for run in runs:
                    self._services.library.remove(run.path)
            finally:
                self._tab.refresh()

    def _add(self) -> None:
        self._jobs.require_idle()
        chosen = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder of a training"), qt.QDir.homePath()
        )
        if not chosen:
            return
        self._tab.say("")
        adding = RunAdding(self._services.library, Path(chosen))
        self._jobs.start_adding(adding, _("Adding {name}").format(name=Path(chosen).name), self._on_copied)

    def _on_copied(self, end: JobEnd) -> None:
        if end.outcome is Outcome.DONE:
            path = Path(end.outputs[0])
            self.on_added(path)
            self._tab.say(_("{name} was added.").format(name=path.name))
            return
        self._say_end(end)

    def _say_end(self, end: JobEnd) -> None:
        """Tell of a job that failed or was cancelled."""
        if end.outcome is Outcome.FAILED:
            self._tab.guarded(lambda: _raise(RunActionError(end.message)))
        else:
            self._tab.say(end.message)

    def _use_model(self) -> None:
        run = self._chosen()
        self._jobs.require_idle()
        name = qt.QInputDialog.getText(
            slicer.util.mainWindow(),
            _("Use this model"),
            _("Name of the model, for people:"),
            qt.QLineEdit.Normal,
            model_name(run),
        )
        name = " ".join(str(name or "").split())
        if not name:
            return
        folder = self._services.models.folder
        output = folder / f"{file_name(name)}.zip"
        words = ["bundle", "make", str(run.path), "--output", str(output), f"--name={name}"]
        if output.exists():
            question = _("There is a model called {file} already. Replace it?").format(file=output.name)
            if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Use this model")):
                return
            words.append("--overwrite")
        self._services.require_installed()
        folder.mkdir(parents=True, exist_ok=True)
        self._tab.say("")
        self._ui.openSegmentationButton.visible = False
        self._jobs.start(words, _("Making the model {name}").format(name=name), lambda end: self._on_made(name, end))

    def _on_made(self, name: str, end: JobEnd) -> None:
        if end.outcome is not Outcome.DONE:
            self._say_end(end)
            return
        self._tab.say(_("{name} is now in the list of models of CISFA Segmentation.").format(name=name))
        self._ui.openSegmentationButton.visible = hasattr(slicer.modules, _SEGMENTATION.lower())

    def _open_segmentation(self) -> None:
        self._ui.openSegmentationButton.visible = False
        slicer.util.selectModule(_SEGMENTATION)


def model_name(run: Run) -> str:
    """What a run's model is called when nobody says otherwise: "liver, spleen, CT → MR (cisfa)"."""
    data, config = run.summary.data, run.summary.config
    if data is None or config is None:
        return run.summary.name
    names = [organ.name for organ in data.organs]
    organs = ", ".join(names) if len(names) <= _MOST_NAMED_ORGANS else _("{count} organs").format(count=len(names))
    way = f"{data.source_modality} to {data.target_modality}" if "→" in data_words(run) else data.target_modality
    return f"{organs}, {way} ({config.method})"


def file_name(name: str) -> str:
    """A file's name, without its ending, that every system can have."""
    plain = FORBIDDEN.sub("-", name).strip(" .")[:_LONGEST_FILE_NAME].strip(" .")
    return plain or "model"


def _planned_config(companion: RunCompanion) -> TrainingConfig:
    """The settings of a run that failed before it wrote them into its folder.

    Raises:
        RunActionError: They cannot be read.
    """
    try:
        return from_json_values(TrainingConfig, json.loads(companion.config.read_text(encoding="utf-8")))
    except (OSError, ValueError, CisfaError) as error:
        raise RunActionError(_("Its settings cannot be read ({reason}).").format(reason=error)) from error


def _open(path: Path) -> None:
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))


def _raise(error: Exception) -> None:
    raise error

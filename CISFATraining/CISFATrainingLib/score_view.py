"""Scoring the chosen run on labelled cases, and showing its last scores again."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa.cases.case_folder import labelled_cases
from cisfa.errors import CaseError, CisfaError
from cisfa.evaluation.score_file import SCORE_FILE, ScoreFile, read_scores
from cisfa_slicer.job import JobEnd, Outcome
from cisfa_slicer.log_view import without_names
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_library import Run
from CISFATrainingLib.box_plot import BoxPlot
from CISFATrainingLib.run_job_view import RunJobView
from CISFATrainingLib.run_services import RunServices, RunTab
from CISFATrainingLib.score_tables import as_text, case_rows, fill, organ_rows, remarks

SCORES = "scores"  # the folder beside a run's, with a numbered one for each scoring


class ScoreViewError(CisfaError):
    """There is no place for scores, or the scoring failed."""


class ScoreView:
    """The section of scores."""

    def __init__(self, ui: Any, services: RunServices, tab: RunTab, jobs: RunJobView) -> None:
        """Args: the widgets of CISFATrainingRuns.ui by name; what to work with; the rest of the tab; its jobs."""
        self._ui, self._services, self._tab, self._jobs = ui, services, tab, jobs
        self._run: Run | None = None
        self._known: tuple[Path, tuple[tuple[Path, int], ...]] | None = None
        self._shown: Path | None = None
        self._scores: ScoreFile | None = None
        self._dice, self._distance = BoxPlot(ui.dicePlotLabel), BoxPlot(ui.distancePlotLabel)
        self._plot_width = 0
        ui.scoreSelector.connect("currentIndexChanged(int)", lambda index: tab.guarded_on_screen(self._read_chosen))
        ui.scoreButton.connect("clicked(bool)", lambda checked: tab.guarded_on_screen(self._choose_cases))
        ui.openReportButton.connect("clicked(bool)", lambda checked: self._open_report())
        ui.copyScoresButton.connect("clicked(bool)", lambda checked: self._copy())
        self._fill(None, "")

    def show(self, run: Run | None) -> None:
        """Show a run's last scores; None when not exactly one run is chosen."""
        self._run = run
        self._ui.scoreSection.visible = run is not None
        if run is None:
            return
        self._ui.scoreButton.enabled = run.summary.has_checkpoint and not run.summary.problem
        present = (run.path, tuple((file, _time_of_change(file)) for file in _files(run.path)))
        if present != self._known:
            self._known = present
            self._list_scorings()
        elif self._ui.dicePlotLabel.width != self._plot_width:
            self._plot_width = self._ui.dicePlotLabel.width
            self._dice.refresh()
            self._distance.refresh()

    def _list_scorings(self) -> None:
        """Offer all scorings of the run, and show the newest."""
        selector = self._ui.scoreSelector
        files = self._known[1] if self._known else ()
        selector.blockSignals(True)
        selector.clear()
        for file, changed_ns in files:
            selector.addItem(_scoring(file, changed_ns))
        selector.setCurrentIndex(0 if files else -1)
        selector.blockSignals(False)
        selector.visible = bool(files)
        self._read_chosen()

    def _read_chosen(self) -> None:
        files = self._known[1] if self._known else ()
        index = self._ui.scoreSelector.currentIndex
        self._shown = files[index][0] if 0 <= index < len(files) else None
        self._read(self._shown)

    def _read(self, file: Path | None) -> None:
        try:
            scores = read_scores(file) if file else None
        except CaseError as error:
            self._fill(None, str(error))
            return
        self._fill(scores, "" if scores else _("Not scored yet. Choose a folder with images and labels."))

    def _fill(self, scores: ScoreFile | None, about: str) -> None:
        ui = self._ui
        self._scores = scores
        for widget in (ui.scoreTable, ui.caseScoreTable, ui.dicePlotLabel, ui.distancePlotLabel):
            widget.visible = scores is not None
        ui.openReportButton.enabled = ui.copyScoresButton.enabled = scores is not None
        ui.scoreRemarksLabel.text = "" if scores is None else remarks(scores)
        ui.scoreRemarksLabel.visible = bool(ui.scoreRemarksLabel.text)
        ui.scoreAboutLabel.text = about if scores is None else _about(scores)
        if scores is None:
            return
        fill(ui.scoreTable, organ_rows(scores), numbers=(1, 2, 3), widest=0)
        fill(ui.caseScoreTable, case_rows(scores), numbers=(2, 3), widest=4)
        organs = [organ.organ for organ in scores.organs]
        dice = {name: [each.dice for each in scores.cases if each.organ == name] for name in organs}
        distance = {name: [each.assd_mm for each in scores.cases if each.organ == name] for name in organs}
        self._dice.show(dice, title=_("Dice"), y_title="", y_range=(0.0, 1.0))
        self._distance.show(distance, title=_("ASSD"), y_title=_("mm"), y_range=(0.0, 1.0))

    def _choose_cases(self) -> None:
        run = self._run
        if run is None:
            return
        self._jobs.require_idle()
        chosen = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder with images and labels"), qt.QDir.homePath()
        )
        if not chosen:
            return
        names = {case.name for case in labelled_cases(Path(chosen))}
        self._services.require_installed()
        output = _new_folder(run.path)
        self._tab.say("")
        self._jobs.start(
            ["score", str(run.path), "--cases", chosen, "--output", str(output)],
            _("Scoring {name}").format(name=run.summary.name),
            lambda end: self._on_scored(run, output, end),
            _without({chosen, *names}),
        )

    def _on_scored(self, run: Run, output: Path, end: JobEnd) -> None:
        """Show what there is; what was not finished names cases and goes."""
        has_scores = (output / SCORE_FILE).is_file()
        if not has_scores or end.outcome is Outcome.CANCELLED:
            shutil.rmtree(output, ignore_errors=True)
        if end.outcome is Outcome.FAILED:
            self._tab.guarded_on_screen(lambda: _fail(end.message))
        elif end.outcome is Outcome.CANCELLED:
            self._tab.say(end.message)
        else:
            self._tab.say(_("{name} was scored.").format(name=run.summary.name))
        if self._run is not None and self._run.path == run.path:
            self.show(self._run)
            if has_scores:
                self._ui.scoreSection.collapsed = False

    def _open_report(self) -> None:
        if self._shown is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._shown.parent)))

    def _copy(self) -> None:
        if self._scores is not None:
            qt.QApplication.clipboard().setText(as_text(self._scores))


def _about(scores: ScoreFile) -> str:
    cases = len({each.case for each in scores.cases})
    return _("Cases scored: {cases}, with the checkpoint of step {step}.").format(cases=cases, step=scores.model.steps)


def _numbered(run: Path) -> list[Path]:
    """The folders of a run's scores, the oldest first."""
    folder = RunCompanion(run).path / SCORES
    try:
        found = [path for path in folder.iterdir() if path.name.isdecimal()]
    except OSError:
        return []
    return sorted(found, key=lambda path: int(path.name))


def _files(run: Path) -> list[Path]:
    """The scores of a run, the newest first."""
    files = (path / SCORE_FILE for path in reversed(_numbered(run)))
    return [file for file in files if file.is_file()]


def _scoring(file: Path, changed_ns: int) -> str:
    """One scoring in a list: when, how much, of which step."""
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed_ns / 1e9))
    try:
        scores = read_scores(file)
    except CaseError:
        return _("{date}: cannot be read").format(date=date)
    cases = len({each.case for each in scores.cases})
    words = _("{date}: cases {cases}, step {step}").format(date=date, cases=cases, step=scores.model.steps)
    return words + (", " + _("left out {count}").format(count=len(scores.left_out)) if scores.left_out else "")


def _new_folder(run: Path) -> Path:
    """Where the next scores go; the command makes it.

    Raises:
        ScoreViewError: Nothing can be written beside the run.
    """
    companion = RunCompanion(run)
    try:
        companion.make()
    except OSError as error:
        sentence = _("{folder} cannot be written to: {reason}. Free some space, or choose another run folder.")
        raise ScoreViewError(sentence.format(folder=companion.path.parent, reason=error.strerror or error)) from error
    numbers = [int(path.name) for path in _numbered(run)]
    return companion.path / SCORES / str(max(numbers, default=0) + 1)


def _without(names: Iterable[str]) -> Any:
    found = set(names)
    return lambda line: without_names(line, found)


def _time_of_change(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _fail(message: str) -> None:
    raise ScoreViewError(message)

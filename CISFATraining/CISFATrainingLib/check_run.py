"""The check before a start: a job that looks at cases and settings, and estimates what a training will cost."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cisfa.cases.check_report import CheckReport, read_check_report
from cisfa.errors import CisfaError
from cisfa.events import Event
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.interpreter import Interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from cisfa_slicer.job_folder import make_job_folder, remove_job_folder, remove_job_folder_now
from cisfa_slicer.run_files import write_plan
from cisfa_slicer.run_launcher import RunPlan
from cisfa_slicer.signal import Signal
from CISFATrainingLib.case_inspection import cache_folder

_REPORT = "report.json"


@dataclass(frozen=True)
class CheckEnd:
    """How a check ended.

    Attributes:
        report: What was found; None when it could not be looked at.
        message: Why not; empty when there is a report.
    """

    report: CheckReport | None
    message: str = ""


class CheckRun:
    """One check.

    Attributes:
        event: Called with each event of the job.
        ended: Called once.
    """

    def __init__(self, interpreter: Interpreter, log: Callable[[str], object]) -> None:
        """Args: the Python to look in; takes lines."""
        self.event: Signal[[Event]] = Signal()
        self.ended: Signal[[CheckEnd]] = Signal()
        self._folder: Path | None = None
        self._job = Job(interpreter)
        self._job.event.connect(self.event)
        self._job.log.connect(log)
        self._job.ended.connect(self._on_ended)

    def start(self, plan: RunPlan, run_folder: Path) -> None:
        """Look at what would be trained.

        Args:
            plan: The run that would be started.
            run_folder: Where it would go.

        Raises:
            CisfaError: There is no place for the job.
        """
        self._folder = make_job_folder()
        cases, config = write_plan(plan.cases, plan.config, self._folder)
        words = ["check", "--cases", str(cases), "--config", str(config), "--device", plan.device]
        words += ["--run", str(run_folder), "--report", str(self._folder / _REPORT), "--cache", str(cache_folder())]
        self._job.start(words)

    def cancel(self) -> None:
        """Stop looking."""
        self._job.cancel()

    def end_now(self) -> None:
        """Stop and wait until it is gone: for when Slicer quits."""
        self._job.end_now()
        if self._folder is not None:
            remove_job_folder_now(self._folder)

    def _on_ended(self, end: JobEnd) -> None:
        folder, self._folder = self._folder, None
        result = CheckEnd(None, end.message or "The check has left no report. Please report it with the log.")
        try:
            # with errors among what was found, the job ends in trouble and leaves its report all the same
            if folder is not None and end.outcome is not Outcome.CANCELLED and (folder / _REPORT).is_file():
                result = CheckEnd(read_check_report(folder / _REPORT))
        except CisfaError as error:
            result = CheckEnd(None, sentence_of(error))
        finally:
            if folder is not None:
                remove_job_folder(folder)
        self.ended(result)

"""Looking at the cases in a job of its own, one after another, whenever there are new ones."""

from collections.abc import Callable
from pathlib import Path

from cisfa.cases.check_report import read_check_report
from cisfa.errors import CisfaError
from cisfa.events import Event
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.interpreter import Interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from cisfa_slicer.job_folder import make_job_folder, remove_job_folder, remove_job_folder_now
from cisfa_slicer.signal import Signal
from CISFATrainingLib.case_store import CaseStore
from CISFATrainingLib.scene_cases import case_folder

_CASES, _REPORT = "cases.json", "report.json"
CACHE = ".thumbnails"


def cache_folder() -> Path:
    """Where thumbnails and what was found out about cases are kept between sittings."""
    return case_folder() / CACHE


class CaseInspection:
    """At most one job; what is added while it runs is looked at after it.

    Attributes:
        event: Called with each event of the job.
        ended: Called with a sentence when a look has ended, empty when all went well.
    """

    def __init__(self, store: CaseStore, find_interpreter: Callable[[], Interpreter]) -> None:
        """Args: the cases; finds the Python to look in."""
        self.event: Signal[[Event]] = Signal()
        self.ended: Signal[[str]] = Signal()
        self._store, self._find_interpreter = store, find_interpreter
        self._job: Job | None = None
        self._folder: Path | None = None
        self._is_wanted_again = False
        self._looked_at = store.cases

    @property
    def is_running(self) -> bool:
        """True while a job looks at the cases."""
        return self._job is not None

    def look(self) -> None:
        """Look at what nobody has looked at yet.

        Raises:
            CisfaError: There is no Python or no place for the job.
        """
        if self.is_running:
            self._is_wanted_again = True
            return
        if not self._store.unknown:
            return
        interpreter = self._find_interpreter()
        self._folder = make_job_folder()
        self._looked_at = self._store.cases
        self._store.save(self._folder / _CASES)
        self._job = Job(interpreter)
        self._job.event.connect(self.event)
        self._job.ended.connect(self._on_ended)
        words = ["check", "--cases", str(self._folder / _CASES), "--facts-only"]
        self._job.start([*words, "--report", str(self._folder / _REPORT), "--cache", str(cache_folder())])

    def cancel(self) -> None:
        """Stop looking."""
        self._is_wanted_again = False
        if self._job is not None:
            self._job.cancel()

    def end_now(self) -> None:
        """Stop and wait until it is gone: for when Slicer quits."""
        self._is_wanted_again = False
        if self._job is not None:
            self._job.end_now()
        if self._folder is not None:
            remove_job_folder_now(self._folder)

    def _on_ended(self, end: JobEnd) -> None:
        self._job, folder, self._folder = None, self._folder, None
        message = end.message if end.outcome is Outcome.FAILED else ""
        try:
            # what is wrong with a case stands in the report, so it is read whatever the job says
            if folder is not None and (folder / _REPORT).is_file():
                self._store.take(read_check_report(folder / _REPORT), self._looked_at)
                message = ""
        except CisfaError as error:
            message = sentence_of(error)
        finally:
            if folder is not None:
                remove_job_folder(folder)
        again, self._is_wanted_again = self._is_wanted_again, False
        self.ended(message)
        if again and end.outcome is not Outcome.CANCELLED:
            self.look()

"""The short jobs of the tab: one at a time, with its progress and a button that cancels it."""

from collections.abc import Callable, Sequence
from typing import Any

from slicer.i18n import tr as _

from cisfa.errors import CisfaError
from cisfa.events import Event, Progress
from cisfa_slicer.job import Job, JobEnd
from cisfa_slicer.run_launcher import interpreter_of_settings
from CISFATrainingLib.run_adding import RunAdding
from CISFATrainingLib.run_words import duration


class BusyError(CisfaError):
    """One thing is going on already."""


class RunJobView:
    """Starts jobs and shows how far they are."""

    def __init__(self, ui: Any, log: Callable[[str], object]) -> None:
        """Args: holds runJobBox with its parts; takes what jobs say that is no event."""
        self._ui, self._log = ui, log
        self._job: Job | RunAdding | None = None
        self._what = ""
        ui.runJobBox.visible = False
        ui.cancelRunJobButton.connect("clicked(bool)", lambda checked: self._cancel())

    @property
    def is_busy(self) -> bool:
        """True while a job runs."""
        return self._job is not None

    def require_idle(self) -> None:
        """Let nobody choose a folder for what cannot be started.

        Raises:
            BusyError: A job runs.
        """
        if self.is_busy:
            raise BusyError(_("{what} is still going on. Wait for it, or cancel it.").format(what=self._what))

    def start(
        self,
        words: Sequence[str],
        what: str,
        on_end: Callable[[JobEnd], object],
        clean: Callable[[str], str] = lambda line: line,
    ) -> None:
        """Start a job.

        Args:
            words: The command and its arguments.
            what: It in words: "Scoring NAME".
            on_end: Called when it is over.
            clean: Takes out of a line what does not belong into the log.

        Raises:
            CisfaError: Another one runs, or there is no Python to run it in.
        """
        self.require_idle()
        job = Job(interpreter_of_settings())
        job.log.connect(lambda line: self._log(clean(line)))
        self._follow(job, what, on_end)
        job.start(words)

    def start_adding(self, adding: RunAdding, what: str, on_end: Callable[[JobEnd], object]) -> None:
        """Start copying a run; as :meth:`start`.

        Raises:
            BusyError: Another job runs.
        """
        self.require_idle()
        self._follow(adding, what, on_end)
        adding.start()

    def _follow(self, job: Job | RunAdding, what: str, on_end: Callable[[JobEnd], object]) -> None:
        job.event.connect(self._show_event)
        job.ended.connect(lambda end: self._on_ended(end, on_end))
        self._job, self._what = job, what
        self._ui.runJobProgressBar.setRange(0, 0)  # busy, while nobody knows for how long
        self._ui.runJobLabel.text = f"{what} …"
        self._ui.cancelRunJobButton.enabled = True
        self._ui.runJobBox.visible = True

    def end_now(self) -> None:
        """Stop the job and wait until it is gone: for when Slicer quits."""
        if self._job is not None:
            self._job.end_now()

    def _cancel(self) -> None:
        if self._job is not None:
            self._ui.cancelRunJobButton.enabled = False
            self._ui.runJobLabel.text = _("Stopping …")
            self._job.cancel()

    def _show_event(self, event: Event) -> None:
        if not isinstance(event, Progress) or not self._ui.cancelRunJobButton.enabled:
            return
        self._ui.runJobProgressBar.setRange(0, 100)
        self._ui.runJobProgressBar.setValue(round(100 * event.fraction))
        left = event.remaining_s
        words = [self._what, event.stage, "" if left is None else _("about {time} left").format(time=duration(left))]
        self._ui.runJobLabel.text = ", ".join(word for word in words if word)

    def _on_ended(self, end: JobEnd, on_end: Callable[[JobEnd], object]) -> None:
        self._job = None
        self._ui.runJobBox.visible = False
        on_end(end)

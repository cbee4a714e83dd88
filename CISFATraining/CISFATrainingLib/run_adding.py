"""Copying a run into the list while the window lives, shown like any other job of the tab."""

from collections.abc import Iterator
from pathlib import Path

import qt
from slicer.i18n import tr as _

from cisfa.events import Event, Progress
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.job import JobEnd, Outcome
from cisfa_slicer.run_library import RunLibrary
from cisfa_slicer.signal import Signal


class RunAdding:
    """Copies a run's folder piece by piece.

    Attributes:
        event: Called with each :class:`~cisfa.events.Progress`.
        ended: Called once, with a :class:`~cisfa_slicer.job.JobEnd` whose output is the copy.
    """

    def __init__(self, library: RunLibrary, folder: Path) -> None:
        """Args: where runs are kept; the run's folder."""
        self.event: Signal[[Event]] = Signal()
        self.ended: Signal[[JobEnd]] = Signal()
        self._library, self._folder = library, folder
        self._pieces: Iterator[float | Path] = iter(())
        self._is_over = False

    def start(self) -> None:
        """Begin.

        Raises:
            RunLibraryError: It is no run.
        """
        self._pieces = self._library.adding(self._folder)
        self._next()

    def cancel(self) -> None:
        """Stop after the present piece; nothing is left."""
        qt.QTimer.singleShot(0, self.end_now)

    def end_now(self) -> None:
        """Stop at once; nothing is left."""
        if not self._is_over:
            self._pieces.close()  # type: ignore[attr-defined]
            self._end(JobEnd(Outcome.CANCELLED, _("Stopped on request.")))

    def _next(self) -> None:
        if self._is_over:
            return
        try:
            piece = next(self._pieces)
        except Exception as error:  # whatever it is becomes a sentence, and the job box goes
            self._end(JobEnd(Outcome.FAILED, sentence_of(error)))
            return
        if isinstance(piece, Path):
            self._end(JobEnd(Outcome.DONE, outputs=(str(piece),)))
            return
        self.event(Progress(_("copying files"), piece))
        qt.QTimer.singleShot(0, self._next)

    def _end(self, end: JobEnd) -> None:
        self._is_over = True
        self.ended(end)

"""What may take long, in a thread of its own, so that it can be cancelled meanwhile."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from cisfa.events import Progress, Report

_REPORT_EVERY_S = 0.5
# for a thread whose connection was closed to end; one that still looks for a host's address ends later, unheeded
_FAREWELL_S = 1.0
_Found = TypeVar("_Found")


class Watch:
    """Keeps reporting how far the work is, in the thread that made it.

    Args:
        report: Hears progress; what it raises ends the work.
        progress: The first.
    """

    def __init__(self, report: Report, progress: Progress) -> None:
        self._report, self._progress = report, progress

    def say(self, progress: Progress) -> None:
        """Report how far the work is."""
        self._progress = progress
        self._report(progress)

    def wait(self, seconds: float) -> None:
        """Wait, in a way that can be cancelled."""
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            self._report(self._progress)
            time.sleep(min(left_s, _REPORT_EVERY_S))

    def over(self, work: Callable[[], _Found], give_up: Callable[[], None]) -> _Found:
        """Do something that may block.

        Args:
            work: What is done, in another thread.
            give_up: Called when it is not wanted any more, to make it end early; must not raise or wait for long.

        Returns:
            What it returns; what it raises is raised.
        """
        future: Future[_Found] = Future()
        thread = threading.Thread(target=_carry_out, args=(future, work), name="cisfa-pacs", daemon=True)
        thread.start()
        try:
            while not wait([future], timeout=_REPORT_EVERY_S).done:
                self._report(self._progress)
        except BaseException:
            give_up()
            thread.join(_FAREWELL_S)
            raise
        return future.result()


def _carry_out(future: "Future[_Found]", work: Callable[[], _Found]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
        # the error knows this frame, and through it would keep itself and its connection alive
        del future, work

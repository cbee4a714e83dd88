"""How a user, or a program that started this one, asks a command to stop."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cisfa.errors import Cancelled
from cisfa.events import Event, Metric, Progress, Report

_STDIN = 0


class Cancellation:
    """A wish to stop, which takes effect when the library next reports how far it is."""

    def __init__(self) -> None:
        # a plain bool, not a threading.Event: a signal handler must not wait for a lock that it interrupted
        self._requested = False

    @property
    def requested(self) -> bool:
        """True once somebody asked to stop."""
        return self._requested

    def request(self) -> None:
        """Ask to stop."""
        self._requested = True

    def guard(self, report: Report) -> Report:
        """Wrap ``report`` so that progress and metrics raise once stopping was requested.

        Notices pass even then: what is said while cleaning up ("checkpoint saved") must reach the user.

        Raises:
            Cancelled: By the wrapped function, from within whatever work reported.
        """

        def report_unless_cancelled(event: Event) -> None:
            if self._requested and isinstance(event, Progress | Metric):
                raise Cancelled("Stopped on request.")
            report(event)

        return report_unless_cancelled

    @contextmanager
    def listening_to_signals(self) -> Iterator[None]:
        """Let the first Ctrl-C, terminate, Ctrl-Break or hang-up request a stop; a second one interrupts at once.

        Outside of the main thread nothing is installed, since Python allows handlers only there.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            numbers.append(signal.SIGBREAK)
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # a closed terminal, unless nohup says not to mind
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def listen_to_stdin(self) -> None:
        """Request a stop when standard input ends, as it does when its writer closes it or dies.

        The stream is moved to a private number, and the null device takes its place: on Windows a child process that
        inherits a pipe which somebody is reading from hangs at its start.
        """
        try:
            private = os.dup(_STDIN)
        except OSError:
            self.request()  # it was closed before we began
            return
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, _STDIN)
        os.close(null)
        threading.Thread(target=self._wait_for_end, args=(private,), name="stdin", daemon=True).start()

    def _wait_for_end(self, descriptor: int) -> None:
        # os.read and not sys.stdin: a daemon thread that holds a stream's lock makes Python abort at exit
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:
            pass  # whoever held the other end is gone
        self.request()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self.request()

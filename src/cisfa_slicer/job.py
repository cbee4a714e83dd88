"""One job: a child process ``python -m cisfa …`` that speaks in events, and that can be stopped.

Slicer's own process never imports torch. The child gets its memory, the graphics card's too, and gives it all back when
it ends, however it ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import qt

from cisfa.events import Event, Failed, Finished, from_json_line
from cisfa_slicer.interpreter import Interpreter
from cisfa_slicer.process_tree import kill_process_tree
from cisfa_slicer.signal import Signal

CANCELLED_EXIT_CODE = 3
# a child that was asked to stop does so when it next reports; after this it is killed, within the ten seconds promised
GRACE_S = 6.0
# when Slicer quits nobody wants to wait
GRACE_AT_EXIT_S = 3.0
# a line longer than this is no event; it is shown in pieces instead of being collected for ever
_LONGEST_LINE_BYTES = 1 << 20


class Outcome(Enum):
    """How a job ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class JobEnd:
    """How a job ended, and what there is to say about it.

    Attributes:
        outcome: One of three.
        message: For the user: why it failed and what to do; empty when it is done.
        outputs: Files that the job says it wrote.
    """

    outcome: Outcome
    message: str = ""
    outputs: tuple[str, ...] = ()


class Job:
    """A child process, followed through signals.

    Attributes:
        event: Called with each event as it arrives.
        log: Called with each line of text that is no event, without its end.
        ended: Called once, with a :class:`JobEnd`; the process is gone by then.
    """

    def __init__(
        self, interpreter: Interpreter, *, grace_s: float = GRACE_S, variables: Mapping[str, str] | None = None
    ) -> None:
        """Prepare a job.

        Args:
            interpreter: The Python to run it in.
            grace_s: How long a job that was asked to stop may take before it is killed.
            variables: More for its environment: what must not be on a command line. They are logged nowhere.
        """
        self.event: Signal[[Event]] = Signal()
        self.log: Signal[[str]] = Signal()
        self.ended: Signal[[JobEnd]] = Signal()
        self._interpreter = interpreter
        self._failure = ""
        self._finished: Finished | None = None
        self._is_started, self._is_cancelled, self._has_ended = False, False, False
        self._stdout, self._stderr = _Lines(), _Lines()
        self._grace = qt.QTimer()
        self._grace.setSingleShot(True)
        self._grace.setInterval(round(1000 * grace_s))
        self._grace.connect("timeout()", self._kill)
        self._process = self._make_process(variables or {})

    @property
    def is_running(self) -> bool:
        """True between :meth:`start` and ``ended``."""
        return self._is_started and not self._has_ended

    def start(self, words: Sequence[str]) -> None:
        """Start ``cisfa`` with these words; returns at once, and before any signal is sent.

        Args:
            words: The command and its arguments, without what concerns events and cancelling.
        """
        arguments = self._interpreter.arguments([*words, "--events", "--cancel-when-stdin-closes"])
        self._is_started = True
        # starting a process takes a while, and whoever calls has done enough for one click
        qt.QTimer.singleShot(0, lambda: self._launch(arguments))

    def cancel(self) -> None:
        """Ask the job to stop, and kill all of it when it has not after the grace time."""
        if not self.is_running or self._is_cancelled:
            return
        self._is_cancelled = True
        if self._has_process:
            self._process.closeWriteChannel()
            self._grace.start()

    def end_now(self) -> None:
        """Stop the job and wait until it is gone, some seconds at most: for when Slicer quits or the scene closes."""
        if not self.is_running:
            return
        self.cancel()
        if self._has_process and not self._process.waitForFinished(round(1000 * GRACE_AT_EXIT_S)):
            self._kill()
            self._process.waitForFinished(1000)
        self._end()

    @property
    def _has_process(self) -> bool:
        return bool(self._process.state() != qt.QProcess.NotRunning)

    def _launch(self, arguments: list[str]) -> None:
        if self._is_cancelled:
            self._end()
        else:
            self._process.start(str(self._interpreter.program), arguments)

    def _make_process(self, variables: Mapping[str, str]) -> Any:
        process, environment = qt.QProcess(), qt.QProcessEnvironment()
        for name, value in {**self._interpreter.environment(), **variables}.items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.connect("readyReadStandardOutput()", self._read_events)
        process.connect("readyReadStandardError()", self._read_log)
        process.connect("finished(int,QProcess::ExitStatus)", self._on_finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._on_error)
        return process

    def _kill(self) -> None:
        process_id = int(self._process.processId())
        if process_id:
            kill_process_tree(process_id)

    def _read_events(self) -> None:
        for line in self._stdout.take(bytes_of(self._process.readAllStandardOutput())):
            self._take_line(line)

    def _read_log(self) -> None:
        for line in self._stderr.take(bytes_of(self._process.readAllStandardError())):
            self.log(line)

    def _take_line(self, line: str) -> None:
        event = from_json_line(line)
        if event is None:
            self.log(line)
            return
        match event:
            case Failed():
                self._failure = event.message
            case Finished():
                self._finished = event
        self.event(event)

    def _on_finished(self, exit_code: int, exit_status: int) -> None:
        self._end()

    def _on_error(self, error: int) -> None:
        if error == qt.QProcess.FailedToStart:  # the one error after which nothing is said to be finished
            self._failure = (
                f"{self._interpreter.program} cannot be started ({self._process.errorString()}). Choose another Python"
                " under Advanced, or install Slicer again."
            )
            # not from inside of QProcess.start, which on Windows says so before it returns
            qt.QTimer.singleShot(0, self._end)

    def _end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._grace.stop()
        try:
            self._take_what_is_left()
        finally:  # whoever waits for the end must hear of it
            self.ended(self._outcome())

    def _take_what_is_left(self) -> None:
        if self._process.isOpen():  # it is not when it was never begun
            self._read_events()
            self._read_log()
        for line in self._stdout.rest():
            self._take_line(line)
        for line in self._stderr.rest():
            self.log(line)

    def _outcome(self) -> JobEnd:
        exit_code = int(self._process.exitCode())
        crashed = self._process.exitStatus() == qt.QProcess.CrashExit
        if self._is_cancelled or (exit_code == CANCELLED_EXIT_CODE and not crashed):
            return JobEnd(Outcome.CANCELLED, "Stopped on request.")
        if self._finished is not None and exit_code == 0 and not crashed:
            return JobEnd(Outcome.DONE, outputs=self._finished.outputs)
        if self._failure:
            return JobEnd(Outcome.FAILED, self._failure)
        how = "was ended by the system" if crashed else f"ended with exit code {exit_code}"
        return JobEnd(
            Outcome.FAILED,
            f"The computation {how} before it was done. The log says more. Often memory (RAM) ran out: close other"
            " programs, choose a smaller batch or a region of interest, and try again.",
        )


class _Lines:
    """Puts a stream of bytes together to lines of text."""

    def __init__(self) -> None:
        self._pending = b""

    def take(self, content: bytes) -> list[str]:
        """Add bytes; the lines that are complete now, without their ends."""
        *lines, self._pending = (self._pending + content).split(b"\n")
        if len(self._pending) > _LONGEST_LINE_BYTES:
            lines.append(self._pending)
            self._pending = b""
        return [_text(line) for line in lines]

    def rest(self) -> list[str]:
        """What came after the last end of a line."""
        line, self._pending = self._pending, b""
        return [_text(line)] if line else []


def bytes_of(byte_array: Any) -> bytes:
    """The bytes of a QByteArray."""
    return bytes(byte_array.data())


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", errors="replace")

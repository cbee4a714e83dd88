"""Keeps a run's ``state.json`` true, and obeys ``request.json``."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from cisfa.errors import Cancelled, VolumeFileError
from cisfa.events import Event, Metric, Progress, Report
from cisfa.runs.run_state import RunState, Status, clear_request, read_request, reason_for, stored_state, write_state
from cisfa.training.run_folder import RunFolder

_EVERY_S = 1.0


class RunMonitor:
    """Hears what a run reports, on its way to whoever else hears it."""

    def __init__(self, folder: RunFolder, report: Report, memory_mb: Callable[[], float | None]) -> None:
        """Args: the run, locked; who else hears events; the most memory in use so far, in MiB."""
        self._folder, self._report, self._memory_mb = folder.path, report, memory_mb
        # what is resumed and ends before it trains again is as far as it was
        before = stored_state(folder.path) or RunState(Status.READING)
        self._state = RunState(Status.READING, step=before.step, steps=before.steps)
        self._written = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The whole time that a process works on the run; however it ends is written down.

        Raises:
            VolumeFileError: The folder cannot be written at the beginning or at the end.
        """
        clear_request(self._folder)
        try:
            self._write(Status.READING)
            yield
        except BaseException as error:
            with suppress(VolumeFileError):  # the disk may be full, which is what is being told already
                self._end(error)
            raise
        else:
            self._write(Status.DONE, remaining_s=0.0, fraction=1.0)
        finally:
            clear_request(self._folder)

    def begin_training(self, step: int, steps: int) -> None:
        """The cases are read."""
        self._try_to_write(Status.TRAINING, step=step, steps=steps, stage="")

    def report(self, event: Event) -> None:
        """Take an event and pass it on.

        Raises:
            Cancelled: Somebody wants the run to end.
        """
        match event:
            case Progress():
                self._take_progress(event)
            case Metric():
                self._state = replace(self._state, step=event.step)
        self._report(event)
        if isinstance(event, Progress | Metric) and read_request(self._folder) is not None:
            raise Cancelled("Somebody asked for it.")

    def _take_progress(self, event: Progress) -> None:
        step, speed = self._state.step, None
        if self._state.status is Status.TRAINING:
            step = round(event.fraction * self._state.steps)
            left = self._state.steps - step
            speed = left / event.remaining_s if event.remaining_s else None
        self._state = replace(
            self._state, step=step, steps_per_s=speed or self._state.steps_per_s, remaining_s=event.remaining_s,
            stage=event.stage, fraction=event.fraction,
        )  # fmt: skip
        if time.monotonic() - self._written > _EVERY_S:
            self._try_to_write(self._state.status)

    def _end(self, error: BaseException) -> None:
        if not isinstance(error, Cancelled | KeyboardInterrupt):
            self._write(Status.FAILED, remaining_s=None, reason=reason_for(error))
            return
        # who ends the process in another way (Ctrl-C, a cluster that wants its node back) may well resume it
        status = Status.STOPPED if read_request(self._folder) == "stop" else Status.PAUSED
        self._write(status, remaining_s=None)

    def _try_to_write(self, status: Status, **changes: object) -> None:
        """Write, unless that cannot be done at present: as long as checkpoints can be written, nothing is lost."""
        with suppress(VolumeFileError):
            self._write(status, **changes)

    def _write(self, status: Status, **changes: object) -> None:
        self._state = replace(self._state, status=status, memory_mb=self._memory_mb(), **changes)  # type: ignore[arg-type]
        write_state(self._folder, self._state)
        self._written = time.monotonic()
